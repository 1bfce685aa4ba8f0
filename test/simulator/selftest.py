#!/usr/bin/env python3
"""Tests of the simulator itself: python3 selftest.py [unittest options]."""

import concurrent.futures
import contextlib
import gzip
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import zlib
from urllib.parse import quote, urlencode

import seeds

# Seconds that anything may take: what comes at all is not to be missed because the machine is busy.
TIMEOUT = float(os.environ.get("PG_TEST_TIMEOUT_DEFAULT", 180))

HERE = pathlib.Path(__file__).resolve().parent
SUPPORT, FOREIGN, FULL, ALMOST_FULL = seeds.SUPPORT, seeds.FOREIGN, seeds.FULL, seeds.ALMOST_FULL
CREDENTIALS = {"instance_id": "ABC123", "access_token": "secret"}
NEWCOMER = f"{seeds.NEWCOMER}@c.us"
JSON = {"Content-Type": "application/json"}


def wait_for(condition):
    """Polls until the condition holds; its last value."""
    end = time.monotonic() + TIMEOUT
    while not (value := condition()) and time.monotonic() < end:
        time.sleep(0.01)
    return value


def start(*options):
    """A simulator in a process of its own and its ports by scheme."""
    process = subprocess.Popen([sys.executable, HERE / "wawp_sim.py", *options], stdout=subprocess.PIPE, text=True)
    words = process.stdout.readline().split()
    return process, {scheme: int(port) for scheme, port in (word.split("=") for word in words[1:])}


def stop(process):
    process.terminate()
    process.wait(TIMEOUT)
    process.stdout.close()


class Case(unittest.TestCase):
    """One simulator for all tests of a class, reset before each."""

    @classmethod
    def setUpClass(cls):
        cls.process, ports = start()
        cls.addClassCleanup(stop, cls.process)
        cls.port = ports["http"]

    def setUp(self):
        self.control("POST", "reset")
        self.client = self.connect()

    def connect(self, timeout=TIMEOUT):
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        self.addCleanup(client.close)
        return client

    def control(self, method, path, body=None, status=200):
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)
        with contextlib.closing(client):
            client.request(method, f"/_sim/{path}", None if body is None else json.dumps(body))
            response = client.getresponse()
            answer = json.loads(response.read())
        self.assertEqual(response.status, status, answer)
        return answer

    def rule(self, **spec):
        self.control("POST", "rule", spec)

    def fault(self, **fault):
        self.rule(fault=fault)

    def patch(self, **patch):
        self.control("POST", "world", patch)

    def exchange(self, method, path, body=None, headers=JSON, client=None):
        """(status, raw body, headers) of one API request."""
        client = client or self.client
        client.request(method, path, body, headers)
        response = client.getresponse()
        return response.status, response.read(), response.headers

    def post(self, path, instance="ABC123", **body):
        body = {"instance_id": instance, "access_token": "secret", **body}
        status, raw, _ = self.exchange("POST", f"/v2/{path}", json.dumps(body))
        return status, loaded(raw)

    def get(self, path, instance="ABC123", **query):
        query = urlencode({"instance_id": instance, "access_token": "secret", **query})
        status, raw, _ = self.exchange("GET", f"/v2/{path}?{query}")
        return status, loaded(raw)

    def add(self, *jids, group=SUPPORT, instance="ABC123", action="participants/add"):
        return self.post(f"groups/{quote(group)}/{action}", instance, participants=[{"id": jid} for jid in jids])

    def members(self, group=SUPPORT, instance="ABC123"):
        return self.get(f"groups/{group}/participants", instance)[1]

    def member_ids(self, group=SUPPORT):
        return [member["id"] for member in self.members(group)]


def loaded(raw):
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode()


class Wire(Case):
    def test_keep_alive_is_one_connection(self):
        for _ in range(5):
            self.assertEqual(self.add(NEWCOMER), (200, {"ok": True}))
        self.assertEqual(self.control("GET", "connections"), {"total": 1, "open": 1})
        self.assertEqual({entry["conn"] for entry in self.control("GET", "ledger")}, {1})

    def test_ledger_tells_the_request(self):
        before = time.time()
        self.add(NEWCOMER)
        self.get("groups")
        first, second = self.control("GET", "ledger")
        self.assertEqual((first["n"], first["method"], first["status"], first["tls"]), (1, "POST", 200, False))
        self.assertEqual(first["path"], f"/v2/groups/{quote(SUPPORT)}/participants/add")
        self.assertIn("%40", first["path"])
        self.assertEqual(first["body"]["participants"], [{"id": NEWCOMER}])
        self.assertEqual(first["headers"]["content-type"], "application/json")
        self.assertLessEqual(before, first["at"])
        self.assertLessEqual(first["at"], first["answered_at"])
        self.assertEqual(second["query"], CREDENTIALS)
        self.assertEqual([entry["n"] for entry in self.control("GET", "ledger?since=1")], [2])
        self.assertEqual(self.control("GET", "count?path=" + quote("participants/add$")), {"count": 1})
        self.control("POST", "ledger/clear")
        self.assertEqual(self.control("GET", "ledger"), [])

    def test_pipelined_requests_are_answered_in_order(self):
        request = b"GET /v2/%b HTTP/1.1\r\nHost: x\r\n\r\n"
        with socket.create_connection(("127.0.0.1", self.port), TIMEOUT) as raw:
            raw.sendall(request % b"one" + request % b"two" + request.replace(b"1.1", b"1.0") % b"three")
            with raw.makefile("rb") as answers:
                received = answers.read()
        self.assertEqual([received.find(name) > 0 for name in (b"/one", b"/two", b"/three")], [True] * 3)
        self.assertLess(received.find(b"/one"), received.find(b"/two"))

    def test_bad_requests_are_refused(self):
        for head, status in ((b"nonsense\r\n\r\n", b"400"), (b"GET / HTTP/1.1\r\nX: " + b"x" * 70000, b"431"),
                             (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"411")):
            with socket.create_connection(("127.0.0.1", self.port), TIMEOUT) as raw:
                raw.sendall(head)
                self.assertEqual(raw.recv(12), b"HTTP/1.1 " + status)

    def test_500_connections(self):
        clients = [self.connect() for _ in range(500)]
        for client in clients:
            client.request("POST", f"/v2/groups/{SUPPORT}/participants/add",
                           json.dumps({**CREDENTIALS, "participants": [{"id": NEWCOMER}]}), JSON)
        self.assertEqual({client.getresponse().read() for client in clients}, {b'{"ok":true}'})
        self.assertEqual(self.control("GET", "connections")["total"], 500)

    def test_speed(self):
        start_time = time.monotonic()
        for _ in range(1000):
            self.add(NEWCOMER)
        self.assertLess(time.monotonic() - start_time, TIMEOUT / 9, "1,000 requests in turn, Python client included")


class Auth(Case):
    ADD = f"/v2/groups/{SUPPORT}/participants/add"
    PEOPLE = {"participants": [{"id": NEWCOMER}]}

    def test_forms_that_pass(self):
        query = urlencode(CREDENTIALS)
        instance = {"instance_id": "ABC123"}
        token = {**JSON, "access-token": "secret"}
        forms = {"body": (self.ADD, {**CREDENTIALS, **self.PEOPLE}, JSON),
                 "query": (f"{self.ADD}?{query}", self.PEOPLE, JSON),
                 "header and body": (self.ADD, {**instance, **self.PEOPLE}, token),
                 "header and query": (f"{self.ADD}?{urlencode(instance)}", self.PEOPLE, token)}
        for name, (path, body, headers) in forms.items():
            with self.subTest(name):
                self.assertEqual(self.exchange("POST", path, json.dumps(body), headers)[0], 200)

    def test_forms_that_do_not(self):
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        status, raw, _ = self.exchange("POST", self.ADD, urlencode(CREDENTIALS), form)
        self.assertEqual((status, loaded(raw)["message"]), (401, "Missing access_token"))
        status, answer = self.post("session/info", access_token="wrong")
        self.assertEqual((status, answer), (401, {"status": 401, "message": "Invalid or Missing Access Token",
                                                  "error": "Unauthorized"}))
        status, answer = self.post("session/info", instance="NOBODY")
        self.assertEqual((status, answer["code"]), (404, "invalid_session"))
        status, answer = self.add(NEWCOMER, instance="STOPPED1")
        self.assertEqual((status, answer["status"], answer["expected"]), (422, "STOPPED", ["WORKING"]))

    def test_unknown_routes(self):
        self.assertEqual(self.get("x"), (404, {"statusCode": 404, "message": "Cannot GET /v2/x",
                                               "error": "Not Found"}))
        self.assertEqual(self.post("contacts/check-exists")[0], 405)
        self.patch(routes_off=["POST /v2/session/info", "POST /v2/groups/create"])
        self.assertEqual(self.post("session/info")[0], 405)
        self.assertEqual(self.get("session/info")[1]["status"], "WORKING")
        self.assertEqual(self.post("groups/create", name="x")[0], 404)


class Engines(Case):
    BLOCKED = "15551230403@c.us"

    def answers(self, instance):
        return self.add(NEWCOMER, self.BLOCKED, instance=instance)

    def test_wawp(self):
        self.assertEqual(self.answers("ABC123"), (200, {"ok": True}))
        self.assertIn(NEWCOMER, self.member_ids())
        self.assertNotIn(self.BLOCKED, self.member_ids())

    def test_webjs(self):
        status, answer = self.answers("WEBJS1")
        self.assertEqual((status, answer[NEWCOMER]["code"], answer[self.BLOCKED]["code"]), (201, 200, 403))
        self.assertTrue(answer[self.BLOCKED]["isInviteV4Sent"])
        self.assertFalse(self.answers("WEBJS2")[1][self.BLOCKED]["isInviteV4Sent"])
        self.assertEqual(self.add(NEWCOMER, group=FOREIGN, instance="WEBJS1")[1][:20], "AddParticipantsError")

    def test_noweb(self):
        joined, blocked = self.answers("NOWEB1")[1]
        self.assertEqual((joined["status"], blocked["status"]), ("200", "403"))
        request = blocked["content"]["content"][0]
        self.assertEqual(request["tag"], "add_request")
        self.assertGreater(int(request["attrs"]["expiration"]), time.time())

    def test_gows(self):
        joined, blocked = self.answers("GOWS1")[1]
        self.assertEqual((joined["Error"], blocked["Error"]), (0, 403))
        self.assertTrue(blocked["AddRequest"]["Expiration"].endswith("Z"))
        self.assertEqual(joined["JID"], f"{seeds.NEWCOMER}@s.whatsapp.net")

    def test_waha_js(self):
        answer = self.answers("WAJS01")[1]
        self.assertEqual((answer[NEWCOMER]["code"], answer[self.BLOCKED]["code"]), (200, 403))
        self.assertTrue(answer[self.BLOCKED]["invite_code"])

    def test_gowa(self):
        results = self.answers("GOWA01")[1]["results"]
        self.assertEqual([result["status"] for result in results], ["success", "error"])

    def test_added_failed(self):
        self.assertEqual(self.answers("ADDF01")[1],
                         {"added": [NEWCOMER], "failed": [{"id": self.BLOCKED, "reason": "403"}]})

    def test_member_lists(self):
        self.assertIn({"id": "15550000002@c.us", "isAdmin": False, "isSuperAdmin": False}, self.members())
        self.assertEqual(self.members(instance="WEBJS1")[0]["id"]["_serialized"], "15550000001@c.us")
        self.assertEqual(self.members(instance="NOWEB1")[0]["admin"], "superadmin")
        self.assertTrue(self.members(instance="GOWS1")[0]["IsSuperAdmin"])
        self.assertTrue(self.members(seeds.LID_ONLY)[0]["id"].endswith("@lid"))
        self.assertNotIn("pn", self.members(seeds.LID_ONLY)[0])
        self.assertEqual(self.members(seeds.LID_AND_PHONE)[0]["pn"], "15550000001@c.us")

    def test_groups(self):
        self.assertEqual(self.get("groups")[1][0]["subject"], "Support")
        self.assertIn(SUPPORT, self.get("groups", "NOWEB1")[1])
        for path, query in ((f"groups/{SUPPORT}", {}), ("groups/detail", {"groupId": SUPPORT})):
            self.assertEqual(self.get(path, **query)[1]["size"], 2)
        self.assertEqual(self.get(f"groups/{SUPPORT}", "GOWS1")[1]["ParticipantCount"], 2)
        self.assertEqual(self.post("groups", "GOWS1", name="New", participants=[{"id": NEWCOMER}])[0], 201)
        status, created = self.post("groups/create", name="New", participants=[{"id": NEWCOMER}])
        self.assertIn(NEWCOMER, self.member_ids(created["id"]))

    def test_invite_codes(self):
        code = self.get(f"groups/{SUPPORT}/invite-code")[1]["code"]
        self.assertEqual(self.get(f"groups/{SUPPORT}/invite-code", "NOWEB1")[1], code)
        url = self.get(f"groups/{SUPPORT}/invite-code", "GOWS1")[1]
        self.assertEqual(url, f"https://chat.whatsapp.com/{code}")
        self.assertEqual(self.post(f"groups/{SUPPORT}/invite-code/revoke", "GOWS1")[1], url)
        self.assertNotEqual(self.post(f"groups/{SUPPORT}/invite-code/revoke")[1]["code"], code)
        self.assertEqual(self.post("groups/join", code=code)[0], 500)
        self.assertEqual(self.get(f"groups/{FOREIGN}/invite-code", "WEBJS1"), (200, ""))

    def test_messages(self):
        self.assertEqual(self.post("send/text", chatId=SUPPORT, message="hello")[1]["body"], "hello")
        answer = self.post("send/text", "WEBJS1", chatId="15550000002", message="x")[1]
        self.assertIn("15550000002@c.us", answer["id"]["_serialized"])
        self.assertEqual(self.post("send/text", chatId=SUPPORT, message="é" * 4096)[0], 200)
        self.assertEqual(self.post("send/text", chatId=SUPPORT, message="é" * 4097)[0], 400)
        self.assertEqual(len(self.control("GET", "world")["messages"]), 3)


class Membership(Case):
    def code_of(self, digits, group=SUPPORT):
        return self.add(f"{digits}@c.us", group=group, instance="GOWS1")[1][0]["Error"]

    def test_codes(self):
        codes = {"15550000002": 409, "15551230401": 401, "15551230403": 403, "15551230404": 404,
                 "15551230405": 405, "15551230408": 408, "15551230451": 451}
        for digits, code in codes.items():
            with self.subTest(digits):
                self.assertEqual(self.code_of(digits), code)

    def test_capacity(self):
        self.assertEqual(len(self.members(FULL)), 1024)
        self.assertEqual(self.code_of(seeds.NEWCOMER, FULL), 419)
        self.assertEqual(self.code_of(seeds.NEWCOMER, ALMOST_FULL), 0)
        self.assertEqual(self.code_of("15551230501", ALMOST_FULL), 419)

    def test_group_flags(self):
        self.assertEqual(self.add(NEWCOMER, group=FOREIGN)[0], 403)
        self.patch(groups={FOREIGN: {"all_member_add": True}, SUPPORT: {"approval": True}})
        self.assertEqual(self.add(NEWCOMER, group=FOREIGN)[0], 200)
        self.assertEqual(self.add(NEWCOMER, group=FOREIGN, action="participants/remove")[0], 403)
        self.assertEqual(self.code_of(seeds.NEWCOMER), 421)
        self.patch(groups={SUPPORT: {"locked": True}})
        self.assertIn("423", self.add(NEWCOMER)[1]["exception"]["message"])
        self.assertEqual(self.add(NEWCOMER, group="120363999999999999@g.us")[0], 404)

    def test_join_requests(self):
        self.patch(groups={SUPPORT: {"requests": {seeds.NEWCOMER: 1796000000.5}}})
        path = f"groups/{SUPPORT}/participants/join-requests"
        self.assertEqual(self.get(path)[1][0]["requesterPn"], f"{seeds.NEWCOMER}@c.us")
        self.assertEqual(self.get(path, instance="GOWS1")[1][0].keys(), {"requesterId", "timestamp"})
        self.assertEqual(self.get(path, instance="WEBJS1")[1][0]["requesterId"], f"{seeds.NEWCOMER}@c.us")
        self.assertEqual(self.get(f"groups/{FOREIGN}/participants/join-requests")[0], 403)

    def test_malformed_people(self):
        path = f"groups/{SUPPORT}/participants/add"
        for people in (["15551230500@c.us"], [{"id": SUPPORT}], [{"id": "abc@c.us"}], [], None, [{"id": 5}]):
            with self.subTest(people):
                status, answer = self.post(path, participants=people)
                self.assertEqual((status, type(answer["message"])), (400, list))

    def test_roles_and_removal(self):
        member = "15550000002@s.whatsapp.net"
        self.assertEqual(self.add(member, action="admin/promote"), (200, {"ok": True}))
        self.assertTrue(self.members()[1]["isAdmin"])
        self.assertEqual(self.add(member, instance="WEBJS1", action="admin/demote"), (201, {"status": 200}))
        self.assertEqual(self.add(member, instance="NOWEB1", action="participants/remove")[1][0]["status"], "200")
        self.assertEqual(self.add(member, instance="GOWS1", action="participants/remove")[1][0]["Error"], 404)
        self.assertEqual(self.code_of("15550000002"), 0, "removed by us, so it can be added again")
        self.assertEqual(self.post(f"groups/{SUPPORT}/leave")[0], 201)
        self.assertEqual(self.add(NEWCOMER)[0], 403)

    def test_list_delay(self):
        self.patch(list_delay=3600)
        self.add(NEWCOMER)
        self.assertNotIn(NEWCOMER, self.member_ids())
        self.control("POST", "reset")
        self.patch(list_delay=0.3)
        self.add(NEWCOMER)
        self.assertTrue(wait_for(lambda: NEWCOMER in self.member_ids()))

    def test_join_and_leave_by_control(self):
        order = {"group": SUPPORT, "person": seeds.NEWCOMER}
        self.assertEqual(self.control("POST", "join", order), {"code": 200})
        self.assertEqual(self.control("POST", "join", order), {"code": 304})
        self.control("POST", "leave", order)
        self.assertEqual(self.code_of(seeds.NEWCOMER), 408)
        self.control("POST", "join", order)
        self.control("POST", "leave", {**order, "by": "admin"})
        self.assertEqual(self.control("POST", "join", order), {"code": 405})
        self.assertEqual(self.control("POST", "join", {**order, "code": "stale"}), {"code": 410})

    def test_people(self):
        self.assertEqual(self.get("contacts/check-exists", phone="+15551230500")[1],
                         {"numberExists": True, "chatId": NEWCOMER})
        self.assertEqual(self.get("contacts/check-exists", phone="15551230404")[1], {"numberExists": False})
        self.assertEqual(self.get("contacts/check-exists", phone="(555) 1")[0], 400)
        lid = self.get("lids/pn/15551230500")[1]["lid"]
        self.add(lid, group=seeds.LID_ONLY)
        self.assertIn(lid, self.member_ids(seeds.LID_ONLY))
        self.assertTrue(self.get("lids")[1])
        self.assertEqual(self.get("session/me")[1]["id"], "15550000001@c.us")
        self.assertIn("group_req_per_minute", self.get("session/rate-limit")[1]["limits"])

    def test_a_patch_may_be_brief(self):
        jid = "120363777777777777@g.us"
        self.patch(groups={jid: {"members": {"15550000001": {"role": "admin"}, seeds.NEWCOMER: {}}}},
                   accounts={"XYZ789": {"token": "other"}})
        self.assertEqual(self.member_ids(jid), ["15550000001@c.us", NEWCOMER])
        self.assertEqual(self.post("session/info", instance="XYZ789", access_token="other")[1]["status"], "WORKING")
        self.patch(groups={jid: None})
        self.assertEqual(self.add(NEWCOMER, group=jid)[0], 404)

    def test_unknown_groups_on_demand(self):
        self.patch(auto_groups=True)
        self.assertEqual(self.add(NEWCOMER, group="120363999999999999@g.us"), (200, {"ok": True}))
        self.assertEqual(len(self.members("120363999999999999@g.us")), 2)


class Rules(Case):
    def test_times_and_skip(self):
        self.rule(match={"method": "POST", "path": "participants/add$", "body": seeds.NEWCOMER},
                  skip=1, times=2, answer={"status": 429, "headers": {"Retry-After": "7"}, "json": {"a": 1}})
        statuses = [self.add(NEWCOMER)[0] for _ in range(4)]
        self.assertEqual(statuses, [200, 429, 429, 200])
        self.assertEqual(self.control("GET", "rule")[0]["hits"], 2)

    def test_effects(self):
        self.rule(answer={"status": 500, "text": "no"})
        self.rule(effect="before", answer={"status": 500, "base64": "bm8="})
        self.assertEqual(self.add(NEWCOMER), (500, "no"))
        self.assertNotIn(seeds.NEWCOMER, self.control("GET", "world")["groups"][SUPPORT]["members"])
        self.assertEqual(self.add(NEWCOMER), (500, "no"))
        self.assertIn(NEWCOMER, self.member_ids())

    def test_status_alone(self):
        self.rule(answer={"status": 403})
        self.rule(answer={"status": 403, "text": ""})
        self.assertEqual(self.add(NEWCOMER)[1]["statusCode"], 403)
        self.assertEqual(self.add(NEWCOMER), (403, ""))

    def test_clear(self):
        self.rule(times=None, answer={"status": 503})
        self.assertEqual([self.add(NEWCOMER)[0] for _ in range(3)], [503] * 3)
        self.control("POST", "rule/clear")
        self.assertEqual(self.add(NEWCOMER)[0], 200)

    def test_nonsense_is_refused(self):
        for spec in ({"fault": {"lag": 1}}, {"math": {}}, {"match": {"path": "("}}, {"effect": "never"},
                     {"fault": {"reset": "soon"}}, {"answer": {"text": "a", "json": 1}}):
            with self.subTest(spec):
                self.control("POST", "rule", spec, status=400)


class Faults(Case):
    """Each test sends one add under one fault."""

    def took_effect(self):
        return seeds.NEWCOMER in self.control("GET", "world")["groups"][SUPPORT]["members"]

    def raw(self):
        """(head, body, error) of an add as the bytes come, until the connection ends."""
        body = json.dumps({**CREDENTIALS, "participants": [{"id": NEWCOMER}]}).encode()
        received, error = b"", None
        with socket.create_connection(("127.0.0.1", self.port), TIMEOUT) as raw:
            raw.sendall(b"POST /v2/groups/%b/participants/add HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                        b"Content-Length: %d\r\n\r\n%b" % (SUPPORT.encode(), len(body), body))
            try:
                while data := raw.recv(1 << 16):
                    received += data
            except OSError as caught:
                error = caught
        head, _, body = received.partition(b"\r\n\r\n")
        return head, body, error

    def timed(self):
        start_time = time.monotonic()
        answer = self.add(NEWCOMER)
        return answer, time.monotonic() - start_time

    def test_delay(self):
        self.fault(delay=0.3)
        answer, seconds = self.timed()
        self.assertEqual(answer, (200, {"ok": True}))
        self.assertGreater(seconds, 0.29)

    def test_gate(self):
        self.fault(gate=True)
        client = self.connect(timeout=0.3)
        with self.assertRaises(TimeoutError):
            self.exchange("GET", f"/v2/session/me?{urlencode(CREDENTIALS)}", client=client)
        client.close()
        self.fault(gate=True)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            answer = pool.submit(self.add, NEWCOMER)
            while len(self.control("GET", "ledger")) < 2:
                self.assertFalse(answer.done())
            self.assertTrue(self.took_effect())
            self.assertIsNone(self.control("GET", "ledger")[1]["status"])
            self.control("POST", "rule/clear")
            self.assertEqual(answer.result(), (200, {"ok": True}))

    def test_slow(self):
        for fault in ({"slow_headers": 0.06}, {"slow_body": 0.05, "chunk": 2}, {"trickle": 40}):
            with self.subTest(fault):
                self.fault(**fault)
                answer, seconds = self.timed()
                self.assertEqual(answer, (200, {"ok": True}))
                self.assertGreater(seconds, 0.25)

    def test_hang_ends_with_the_client(self):
        self.fault(hang=True)
        client = self.connect(timeout=0.3)
        with self.assertRaises(TimeoutError):
            self.exchange("POST", f"/v2/groups/{SUPPORT}/participants/add", json.dumps(CREDENTIALS), client=client)
        self.assertEqual(self.control("GET", "connections")["open"], 1)
        client.close()
        self.assertTrue(wait_for(lambda: self.control("GET", "connections")["open"] == 0))
        self.assertIsNone(self.control("GET", "ledger")[0]["status"])

    def test_breaks(self):
        for breaker, error in (("reset", ConnectionResetError), ("close", type(None))):
            for when, effect in (("before", False), ("after", True)):
                with self.subTest(breaker=breaker, when=when):
                    self.control("POST", "reset")
                    self.fault(**{breaker: when})
                    head, body, caught = self.raw()
                    self.assertEqual((head, type(caught)), (b"", error))
                    self.assertEqual(self.took_effect(), effect)

    def test_breaks_in_the_body(self):
        for breaker, error in (("reset", ConnectionResetError), ("close", type(None))):
            with self.subTest(breaker):
                self.fault(**{breaker: "mid_body"})
                head, body, caught = self.raw()
                self.assertIn(b"Content-Length: 11", head)
                self.assertEqual((body, type(caught)), (b'{"ok"', error))
                self.assertTrue(self.took_effect())

    def test_damaged_bodies(self):
        for fault, body in (({"truncate_json": True}, b'{"ok"'), ({"bad_utf8": True}, b'{"\xff\xfeok":true}'),
                            ({"nul": True}, b'{"\0ok":true}')):
            with self.subTest(fault):
                self.fault(close_after=True, **fault)
                self.assertEqual(self.raw()[1], body)

    def test_big(self):
        for chunked in (False, True):
            with self.subTest(chunked=chunked):
                self.fault(big=50_000_000, chunked=chunked)
                status, raw, headers = self.exchange(
                    "POST", f"/v2/groups/{SUPPORT}/participants/add",
                    json.dumps({**CREDENTIALS, "participants": [{"id": NEWCOMER}]}))
                self.assertEqual((status, len(raw), headers.get("Transfer-Encoding") == "chunked"),
                                 (200, 50_000_000, chunked))
                self.assertTrue(json.loads(raw)["ok"])

    def test_big_list_is_padded_with_blanks(self):
        self.fault(big=100_000)
        status, raw, _ = self.exchange("GET", f"/v2/groups/{SUPPORT}/participants?{urlencode(CREDENTIALS)}")
        self.assertEqual((len(raw), len(json.loads(raw))), (100_000, 2))

    def test_headers(self):
        self.fault(content_type="text/html", big_headers=20_000)
        _, _, headers = self.exchange("GET", f"/v2/session/me?{urlencode(CREDENTIALS)}")
        self.assertEqual(headers["Content-Type"], "text/html")
        self.assertEqual(sum(len(value) for name, value in headers.items() if name.startswith("X-Padding")), 20_000)

    def test_close_after(self):
        self.fault(close_after=True)
        head, body, error = self.raw()
        self.assertIn(b"Connection: keep-alive", head)
        self.assertEqual((body, error), (b'{"ok":true}', None))

    def test_random(self):
        def statuses():
            self.control("POST", "rule/clear")
            self.rule(times=None, fault={"random": {"seed": 1, "p": 0.3, "status": 500}})
            return [self.get("session/me")[0] for _ in range(60)]
        first = statuses()
        self.assertEqual(set(first), {200, 500})
        self.assertEqual(first, statuses(), "the seed decides")

    def test_one_that_waits_holds_up_nobody_else(self):
        self.fault(gate=True)
        slow = threading.Thread(target=self.timed)
        slow.start()
        self.assertTrue(wait_for(lambda: self.control("GET", "ledger")))
        self.exchange("GET", f"/v2/session/me?{urlencode(CREDENTIALS)}", client=self.connect())
        first, second = self.control("GET", "ledger")
        self.assertIsNone(first["status"])
        self.assertEqual(second["status"], 200)
        self.control("POST", "rule/clear")
        slow.join()


class Scenarios(Case):
    def test_every_scenario_loads_and_is_in_the_readme(self):
        readme = (HERE / "README.md").read_text(encoding="utf-8")
        for name, about in self.control("GET", "seeds").items():
            with self.subTest(name):
                self.control("POST", "seed", {"name": name})
                self.assertEqual(self.get("session/info")[1]["status"], "WORKING")
                self.assertIn(f"| `{name}` | {about} |", readme)
        self.control("POST", "seed", {"name": "f99"}, status=400)

    def test_codes_of_f06(self):
        self.control("POST", "seed", {"name": "f06"})
        people = {f"1555123{tail}@c.us": code for tail, code in (
            ("0500", 200), ("0400", 400), ("0401", 401), ("0403", 403), ("1403", 403), ("0404", 404),
            ("0408", 408), ("0417", 417), ("0419", 419))} | {"15550000002@c.us": 409}
        answer = self.add(*people)[1]
        self.assertEqual({jid: result["code"] for jid, result in answer.items()}, people)
        self.assertTrue(answer["15551230403@c.us"]["isInviteV4Sent"])
        self.assertFalse(answer["15551231403@c.us"]["isInviteV4Sent"])

    def test_person_missing_from_f08(self):
        self.control("POST", "seed", {"name": "f08"})
        self.assertEqual(len(self.add("15551230403@c.us", "15551230463@c.us")[1]), 1)

    def test_session_lost_in_f13(self):
        self.control("POST", "seed", {"name": "f13"})
        self.assertEqual(self.add("15551230403@c.us")[0], 200)
        self.assertEqual(self.post("session/info")[1]["status"], "FAILED")
        self.assertEqual(self.add(NEWCOMER)[0], 422)

    def test_scenarios_stay_pristine(self):
        for _ in range(2):
            self.control("POST", "seed", {"name": "f14"})
            self.assertEqual(self.add("15551230408@c.us", instance="GOWS1")[1][0]["Error"], 408)
            self.patch(groups={SUPPORT: {"members": {"15551230408": {"role": "member"}}}})


class Answers(Case):
    """The scenarios of lists and answers that are easily taken for more than they say."""

    def seeded(self, name):
        self.control("POST", "seed", {"name": name})

    def test_lists(self):
        self.seeded("a01")
        self.assertIn("15550000002@hosted", [line["id"] for line in self.get(f"groups/{SUPPORT}/participants")[1]])
        self.seeded("a02")
        self.assertEqual([line["id"] for line in self.get(f"groups/{SUPPORT}/participants")[1]][-2:],
                         ["0@newserver", "1@newserver"])
        self.seeded("a03")
        self.assertEqual(len(self.get(f"groups/{FULL}/participants")[1]), 2)
        self.assertEqual(self.get(f"groups/{FULL}")[1]["size"], 1024)
        self.seeded("a10")
        self.assertTrue(self.get(f"groups/{SUPPORT}/participants")[1][0]["is_admin"])

    def test_order_and_ids(self):
        for name, has_phone in (("a04", True), ("a05", False)):
            self.seeded(name)
            answer = self.add("15551230403@c.us", NEWCOMER)[1]
            self.assertEqual([line["status"] for line in answer], ["200", "403"])
            for line in answer:
                self.assertTrue(line["jid"].endswith("@lid"))
                self.assertEqual("phone_number" in line["content"]["attrs"], has_phone)

    def test_limit(self):
        self.seeded("a06")
        self.assertEqual({result["code"] for result in self.add("15551230403@c.us", NEWCOMER)[1].values()}, {400})
        self.assertEqual(self.get("contacts/check-exists", phone=seeds.NEWCOMER)[1], {"numberExists": False})
        self.patch(accounts={"ABC123": {"limited": False}})
        self.assertEqual(self.add(NEWCOMER)[1][NEWCOMER]["code"], 200)

    def test_wrapping_and_checks(self):
        self.seeded("a07")
        self.assertEqual(self.add("15551230403@c.us")[1]["data"]["updateParticipants"][0]["status"], "403")
        self.seeded("a08")
        self.assertEqual(self.add("15551230403@c.us")[1]["response"]["result"]["15551230403@c.us"]["code"], 403)
        self.seeded("a09")
        check = self.get("contacts/check-exists", phone=seeds.NEWCOMER)[1]
        self.assertEqual(check["pn"], NEWCOMER)
        self.assertTrue(check["chatId"].endswith("@lid"))

    def test_coding(self):
        for coding, decode in (("gzip", gzip.decompress), ("deflate", zlib.decompress)):
            self.control("POST", "rule", {"match": {"path": "/participants$"}, "fault": {"coding": coding}})
            client = self.connect()
            client.request("GET", f"/v2/groups/{SUPPORT}/participants?{urlencode(CREDENTIALS)}")
            response = client.getresponse()
            self.assertEqual(response.headers["Content-Encoding"], coding)
            self.assertEqual(len(json.loads(decode(response.read()))), 2)
        self.control("POST", "rule", {"match": {}, "fault": {"coding": "br"}}, status=400)


class Programs(unittest.TestCase):
    """The command lines: wawp_sim.py, ctl and ensure."""

    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def run_program(self, name, *arguments, **environment):
        return subprocess.run([HERE / name, *arguments], capture_output=True, text=True, timeout=TIMEOUT,
                              env={**os.environ, **environment}, check=False)

    def test_ctl(self):
        process, ports = start()
        self.addCleanup(stop, process)

        def ctl(*arguments):
            return self.run_program("ctl", str(ports["http"]), *arguments)
        self.assertEqual(ctl("reset").stdout, '{"ok":true}\n')
        self.assertEqual(ctl("count", "add$").stdout, "0\n")
        self.assertEqual(ctl("join", SUPPORT, seeds.NEWCOMER).stdout, '{"code":200}\n')
        self.assertEqual(ctl("world", '{"list_delay": 5}').stdout, '{"ok":true}\n')
        self.assertEqual(json.loads(ctl("world").stdout)["list_delay"], 5)
        self.assertEqual(ctl("seed", "f01").returncode, 0)
        self.assertIn("no scenario", ctl("seed", "nope").stderr)
        self.assertEqual(ctl("dance").returncode, 1)

    def test_port_and_ledger_files_idle_exit(self):
        port_file, ledger_file = self.folder / "port", self.folder / "ledger"
        process, ports = start("--port-file", port_file, "--ledger-file", ledger_file, "--idle-exit", "2")
        self.addCleanup(process.stdout.close)
        self.assertEqual(port_file.read_text(encoding="ascii"), f"{ports['http']}\n")
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", ports["http"])) as client:
            client.request("GET", f"/v2/session/me?{urlencode(CREDENTIALS)}")
            client.getresponse().read()
            received, answered = map(json.loads, ledger_file.read_text(encoding="utf-8").splitlines())
            time.sleep(2.5)
            self.assertIsNone(process.poll(), "an open connection keeps it alive")
        self.assertEqual((received["n"], received["status"], answered["status"]), (1, None, 200))
        self.assertEqual(process.wait(TIMEOUT), 0)

    def test_latency(self):
        process, ports = start("--latency", "0.3")
        self.addCleanup(stop, process)
        path = f"/v2/session/me?{urlencode(CREDENTIALS)}"
        self.assertEqual(self.run_program("ctl", str(ports["http"]), "reset").returncode, 0)
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", ports["http"])) as client:
            began = time.monotonic()
            client.request("GET", path)
            self.assertEqual(client.getresponse().status, 200)
            self.assertGreaterEqual(time.monotonic() - began, 0.3, "it stays over a reset")

    def test_signals_end_it_with_a_request_in_flight(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            process, ports = start()
            self.addCleanup(process.stdout.close)
            client = socket.create_connection(("127.0.0.1", ports["http"]))
            self.addCleanup(client.close)
            client.sendall(b"GET /v2/groups HTTP/1.1\r\n")
            time.sleep(0.05)
            process.send_signal(number)
            self.assertEqual(process.wait(TIMEOUT), 0)

    def test_ensure_starts_one(self):
        self.assertEqual(self.run_program("ensure", WAWP_SIM_PORT="1234").stdout, "1234\n")
        options = ("--dir", str(self.folder))
        first = self.run_program("ensure", *options)
        self.assertEqual(first.stdout, self.run_program("ensure", *options).stdout, first.stderr)
        health = self.run_program("ctl", first.stdout.strip(), "health")
        self.assertEqual(health.stdout, '{"ok":true}\n', first.stderr + health.stderr)
        os.kill(self.running_for(self.folder), signal.SIGTERM)

    def running_for(self, folder):
        """The process id of the simulator that `ensure` started for the folder."""
        return int((folder / "pid").read_text(encoding="ascii"))

    @unittest.skipUnless(shutil.which("openssl"), "needs the openssl command")
    def test_tls(self):
        cert, key = self.folder / "cert.pem", self.folder / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key,
                        "-out", cert, "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"],
                       check=True, capture_output=True)
        process, ports = start("--tls-cert", cert, "--tls-key", key, "--port-file", self.folder / "port")
        self.addCleanup(stop, process)
        self.assertEqual((self.folder / "port").read_text(encoding="ascii"), f"{ports['http']}\n{ports['tls']}\n")
        context = ssl.create_default_context(cafile=cert)
        client = http.client.HTTPSConnection("127.0.0.1", ports["tls"], context=context, timeout=TIMEOUT)
        self.addCleanup(client.close)
        client.request("GET", f"/v2/session/me?{urlencode(CREDENTIALS)}")
        self.assertEqual(json.loads(client.getresponse().read())["id"], "15550000001@c.us")
        client.request("GET", "/_sim/ledger")
        self.assertTrue(json.loads(client.getresponse().read())[0]["tls"])
        client.request("POST", "/_sim/rule", json.dumps({"fault": {"reset": "after"}}))
        client.getresponse().read()
        client.request("GET", f"/v2/session/me?{urlencode(CREDENTIALS)}")
        with self.assertRaises((OSError, http.client.HTTPException)):
            client.getresponse()


if __name__ == "__main__":
    unittest.main()
