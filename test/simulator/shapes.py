"""The form of each engine's answers.

An engine is a key of the tables below; if a table lacks it, the form of "wawp" (the one Wawp documents) is used.

    wawp          {"ok": true}, without a result per person
    webjs         WAHA on whatsapp-web.js: map by id, whole refusals as a plain string under 2xx
    noweb         WAHA on Baileys: array with string statuses
    gows          WAHA on whatsmeow: array of objects with Error and AddRequest
    waha_js       wa-js: map of {wid, code, message, invite_code, invite_code_exp}
    gowa          go-whatsapp-web-multidevice: results with success or error
    added_failed  {added: [...], failed: [...]}
"""

import json
from datetime import datetime, timezone
from http import HTTPStatus

from wire import Answer, json_answer, text_answer
from world import ADMIN_ROLES, size_of

WAHA_ENGINES = ("webjs", "noweb", "gows")
INVITE_URL = "https://chat.whatsapp.com/"
HTML = "text/html; charset=utf-8"

ADD_TEXTS = {
    200: "The participant was added successfully",
    400: "An unknown error occurred",
    401: "You are not authorized to add this participant",
    403: "The participant can be added by sending private invitation only",
    404: "The phone number is not registered on WhatsApp",
    405: "The participant is not allowed in this group",
    408: "You cannot add this participant because they recently left the group",
    409: "The participant is already a group member",
    417: "The participant can't be added to the community. You can invite them privately to join this group "
         "through its invite link.",
    419: "The participant can't be added because the group is full",
    421: "The participant needs the approval of an admin",
    451: "No invitation may be created for this participant",
}

# kind: HTTP status, WhatsApp's own status inside an engine's error, text
REFUSALS = {
    "not_admin": (403, 403, "You must be an admin of this group to perform this action."),
    "not_in_group": (403, 403, "You are not a participant of this group."),
    "group_not_found": (404, 404, "Group not found"),
    "group_locked": (423, 423, "locked"),
    "link_gone": (410, 410, "gone"),
    "not_registered": (404, 404, "The number is not registered on WhatsApp"),
    "restricted": (500, 463, "restricted"),
}
WRAPPED_REFUSALS = {"group_not_found": ("noweb", "gows"), "group_locked": None, "link_gone": None,
                    "restricted": None}        # None: by every engine
IQ_TEXTS = {403: "forbidden", 404: "item-not-found", 410: "gone", 423: "locked"}

# Answers of WEBJS, under 2xx, to an account that is not an admin; by the end of the path.
WEBJS_NOT_ADMIN = {
    "/participants/add": Answer(
        201, b"AddParticipantsError: You have no admin rights to add a participant to a group", HTML),
    "/invite-code": Answer(200, b"", HTML),
}


def shape_for(table, engine):
    return table.get(engine, table["wawp"])


def posted(engine, value):
    """A JSON answer to a POST: WAHA's engines say 201."""
    return json_answer(value, 201 if engine in WAHA_ENGINES else 200)


def error(status, message):
    """The documented error envelope."""
    return json_answer({"status": status, "message": message, "error": HTTPStatus(status).phrase}, status)


def nest_error(status, message):
    """The envelope of the framework below: routes, validation."""
    return json_answer({"statusCode": status, "message": message, "error": HTTPStatus(status).phrase}, status)


def envelope(message, request, body):
    """WAHA's error envelope, which echoes the request including its credentials."""
    return json_answer({
        "statusCode": 500,
        "timestamp": iso(datetime.now(timezone.utc).timestamp()),
        "exception": {"message": message, "name": "Error", "stack": f"Error: {message}\n    at Session.call"},
        "request": {"path": request.path, "method": request.method, "body": body, "query": request.query},
        "version": {"version": "2026.3.4", "engine": "GOWS", "tier": "PLUS", "browser": None},
    }, 500)


def refusal(engine, kind, request, body):
    """The answer to a request that WhatsApp refuses as a whole."""
    status, iq_status, text = REFUSALS[kind]
    if kind == "not_admin" and engine == "webjs":
        for tail, answer in WEBJS_NOT_ADMIN.items():
            if request.decoded_path.endswith(tail):
                return answer
    wrapping = WRAPPED_REFUSALS.get(kind, ())
    if wrapping is None or engine in wrapping:
        return envelope(inner_text(iq_status), request, body)
    return error(status, text)


def inner_text(iq_status):
    if iq_status == 463:
        return "server returned error 463"
    return f"2 UNKNOWN: info query returned status {iq_status}: {IQ_TEXTS[iq_status]}"


def iso(seconds):
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat().replace("+00:00", "Z")


def phone_jid(digits, server="c.us"):
    return f"{digits}@{server}"


def socket_jid(digits):
    return phone_jid(digits, "s.whatsapp.net")


def listed_jid(seat, server):
    """The id of a line of a member list: by lid, or by phone on that server; hosted people have servers of their own."""
    if seat.by_lid:
        return seat.lid.replace("@lid", "@hosted.lid") if seat.hosted else seat.lid
    return phone_jid(seat.digits, "hosted" if seat.hosted else server)


# -- what an add did to each person ----------------------------------------------------------------------------

def add_ok(results):
    return {"ok": True}


def add_webjs(results):
    return {result.asked: {"code": result.code, "message": text_of(result.code),
                           "isInviteV4Sent": result.card_sent} for result in results}


def add_noweb(results):
    return [noweb_result(result) for result in results if not result.dropped]


def noweb_result(result):
    jid = result.lid if result.by_lid else socket_jid(result.digits)
    content = {"tag": "participant", "attrs": {"jid": jid}}
    if result.by_lid and result.shows_phone:
        content["attrs"]["phone_number"] = socket_jid(result.digits)
    if result.code != 200:
        content["attrs"]["error"] = str(result.code)
    if result.card:
        code, expiry = result.card
        content["content"] = [{"tag": "add_request", "attrs": {"code": code, "expiration": str(expiry)}}]
    return {"status": str(result.code), "jid": jid, "content": content}


def add_gows(results):
    return [gows_result(result) for result in results if not result.dropped]


def gows_result(result):
    code, expiry = result.card or (None, None)
    return {**gows_person(result), "IsAdmin": False, "IsSuperAdmin": False, "DisplayName": "",
            "Error": 0 if result.code == 200 else result.code,
            "AddRequest": {"Code": code, "Expiration": iso(expiry)} if code else None}


def gows_person(person):
    """The three ids of a Result or a Seat as whatsmeow gives them."""
    phone = socket_jid(person.digits)
    return {"JID": person.lid if person.by_lid else phone, "PhoneNumber": phone if person.shows_phone else "",
            "LID": person.lid}


def add_waha_js(results):
    return {result.asked: {"wid": result.asked, "code": result.code, "message": text_of(result.code),
                           "invite_code": result.card and result.card[0],
                           "invite_code_exp": result.card and result.card[1]} for result in results}


def add_gowa(results):
    """GOWA reports only 403 and 404 as errors, everything else as "success"."""
    return {"code": "SUCCESS", "message": "Success add participants",
            "results": [{"participant": result.asked,
                         "status": "error" if result.code in (403, 404) else "success",
                         "message": text_of(result.code) if result.code in (403, 404) else "Participant added"}
                        for result in results]}


def add_added_failed(results):
    return {"added": [result.asked for result in results if result.code == 200],
            "failed": [{"id": result.asked, "reason": str(result.code)}
                       for result in results if result.code != 200]}


def text_of(code):
    return ADD_TEXTS.get(code, ADD_TEXTS[400])


ADD_SHAPES = {"wawp": add_ok, "webjs": add_webjs, "noweb": add_noweb, "gows": add_gows, "waha_js": add_waha_js,
              "gowa": add_gowa, "added_failed": add_added_failed}

# Remove, promote and demote: the engines that list persons do so here too, the others say less.
CHANGE_SHAPES = {"wawp": add_ok, "webjs": lambda results: {"status": 200}, "noweb": add_noweb, "gows": add_gows,
                 "waha_js": lambda results: {"status": 200}, "gowa": add_gowa,
                 "added_failed": lambda results: {"success": True}}


def add_answer(engine, results):
    return posted(engine, shape_for(ADD_SHAPES, engine)(results))


def wrapped_answer(answer, keys):
    """The same answer inside envelopes that say success, under these keys."""
    value = json.loads(answer.body)
    for key in reversed(keys):
        value = {"success": True, key: value}
    return json_answer(value, answer.status)


def hidden_codes(results):
    """What whatsapp-web.js 1.34.7 makes of a request that WhatsApp refuses: 400 for each person."""
    return [result._replace(code=400, card=None, card_sent=False) for result in results]


def change_answer(engine, results):
    return posted(engine, shape_for(CHANGE_SHAPES, engine)(results))


# -- member lists ----------------------------------------------------------------------------------------------

def seat_wawp(seat):
    line = {"id": listed_jid(seat, "c.us"), **admin_booleans(seat)}
    if seat.by_lid and seat.shows_phone:
        line["pn"] = phone_jid(seat.digits)
    if seat.role == "left":
        line["role"] = "left"
    return line


def seat_webjs(seat):
    user, _, server = listed_jid(seat, "c.us").partition("@")
    return {"id": {"server": server, "user": user, "_serialized": f"{user}@{server}"}, **admin_booleans(seat)}


def seat_noweb(seat):
    line = {"id": listed_jid(seat, "s.whatsapp.net"),
            "admin": seat.role if seat.role in ADMIN_ROLES else None}
    if seat.by_lid and seat.shows_phone:
        line["phoneNumber"] = socket_jid(seat.digits)
    return line


def seat_gows(seat):
    return {**gows_person(seat), "IsAdmin": seat.role in ADMIN_ROLES, "IsSuperAdmin": seat.role == "superadmin",
            "DisplayName": "", "Error": 0, "AddRequest": None}


def admin_booleans(seat):
    return {"isAdmin": seat.role in ADMIN_ROLES, "isSuperAdmin": seat.role == "superadmin"}


def seat_gowa(seat):
    return {"jid": listed_jid(seat, "s.whatsapp.net"), "lid": seat.lid, "is_admin": seat.role in ADMIN_ROLES,
            "is_super_admin": seat.role == "superadmin"}


SEAT_SHAPES = {"wawp": seat_wawp, "webjs": seat_webjs, "noweb": seat_noweb, "gows": seat_gows, "gowa": seat_gowa}
SHOWS_LEFT = ("wawp",)      # the engines whose list has a place for a role "left"


def member_list(engine, seats, unread=0):
    """The list in the engine's form; `unread` entries on a server that nobody knows stand in for as many people."""
    shape = shape_for(SEAT_SHAPES, engine)
    lines = [shape(seat) for seat in seats if seat.role != "left" or engine in SHOWS_LEFT]
    return lines + [{"id": f"{number}@newserver"} for number in range(unread)]


def join_request(engine, digits, lid, asked_at, me):
    """Who asks to join: GOWS knows neither number nor way, WEBJS who added them."""
    line = {"requesterId": phone_jid(digits) if engine == "webjs" else lid, "timestamp": int(asked_at)}
    if engine == "gows":
        return line
    if engine == "webjs":
        return {**line, "addedById": phone_jid(me), "requestMethod": "invite_link"}
    return {**line, "requesterPn": phone_jid(digits), "requestMethod": "invite_link"}


# -- groups ----------------------------------------------------------------------------------------------------

def group_wawp(jid, group, members):
    """Group info of Wawp and NOWEB; `members` None leaves the list out."""
    info = {"id": jid, "subject": group["subject"], "owner": phone_jid(group["owner"]), "creation": 1623281429,
            "desc": "", "size": size_of(group), "announce": bool(group.get("admins_only")), "restrict": False}
    return info if members is None else {**info, "participants": members}


def group_webjs(jid, group, members):
    user, _, server = jid.partition("@")
    serialized = {"server": server, "user": user, "_serialized": jid}
    metadata = {"id": serialized, "owner": phone_jid(group["owner"]), "creation": 1623281429,
                "subject": group["subject"], "desc": "", "announce": bool(group.get("admins_only")),
                "restrict": False}
    if members is not None:
        metadata["participants"] = members
    return {"id": serialized, "name": group["subject"], "isGroup": True, "groupMetadata": metadata}


def group_gows(jid, group, members):
    info = {"JID": jid, "OwnerJID": socket_jid(group["owner"]), "Name": group["subject"], "Topic": "",
            "IsAnnounce": bool(group.get("admins_only")), "IsLocked": False,
            "IsJoinApprovalRequired": bool(group.get("approval")),
            "MemberAddMode": "all_member_add" if group.get("all_member_add") else "admin_add",
            "ParticipantCount": size_of(group)}
    return info if members is None else {**info, "Participants": members}


GROUP_SHAPES = {"wawp": group_wawp, "webjs": group_webjs, "gows": group_gows}


def group_info(engine, jid, group, members):
    return shape_for(GROUP_SHAPES, engine)(jid, group, members)


def group_list(engine, infos):
    """An array of infos, an object by group id where the engine does so."""
    return {info["id"]: info for info in infos} if engine == "noweb" else infos


def created_webjs(jid, subject, results):
    user, _, server = jid.partition("@")
    participants = {result.asked: {"statusCode": result.code, "message": text_of(result.code),
                                   "isGroupCreator": False, "isInviteV4Sent": result.card_sent}
                    for result in results}
    return {"title": subject, "gid": {"server": server, "user": user, "_serialized": jid},
            "participants": participants}


CREATED_SHAPES = {
    "wawp": lambda jid, subject, results: {"id": jid, "subject": subject},
    "webjs": created_webjs,
    "gows": lambda jid, subject, results: {"JID": jid, "Name": subject, "Participants": add_gows(results)},
}


def created_answer(engine, jid, subject, results):
    return posted(engine, shape_for(CREATED_SHAPES, engine)(jid, subject, results))


INVITE_SHAPES = {
    "wawp": lambda code: json_answer({"code": code}),
    "webjs": lambda code: text_answer(code, content_type=HTML),
    "noweb": lambda code: text_answer(code, content_type=HTML),
    "gows": lambda code: text_answer(INVITE_URL + code, content_type=HTML),
    "waha_js": json_answer,
    "gowa": lambda code: json_answer({"link": INVITE_URL + code}),
    "added_failed": lambda code: json_answer({"data": {"inviteCode": code}}),
}


def invite_answer(engine, code):
    return shape_for(INVITE_SHAPES, engine)(code)


# -- people and messages ---------------------------------------------------------------------------------------

def lid_answer(engine, digits, lid):
    if engine in WAHA_ENGINES:
        return {"lid": lid, "pn": phone_jid(digits)}
    return {"lid": lid, "number": digits}


def sent_wawp(message, me):
    return {"id": message["id"], "timestamp": int(message["at"]), "from": me["id"], "fromMe": True,
            "to": message["chatId"], "body": message["text"], "ack": 1}


def sent_webjs(message, me):
    serialized = {"fromMe": True, "remote": message["chatId"], "id": message["id"],
                  "_serialized": f"true_{message['chatId']}_{message['id']}"}
    return {"_data": {"id": serialized}, "id": serialized, "ack": 0, "body": message["text"],
            "timestamp": int(message["at"])}


def sent_noweb(message, me):
    return {"key": {"remoteJid": message["chatId"], "fromMe": True, "id": message["id"]},
            "message": {"extendedTextMessage": {"text": message["text"]}},
            "messageTimestamp": str(int(message["at"])), "status": "PENDING"}


def sent_gows(message, me):
    return {"id": message["id"], "_data": {"Info": {"ID": message["id"], "Sender": me["id"], "IsFromMe": True},
                                           "Message": {"conversation": message["text"]}}}


SENT_SHAPES = {
    "wawp": sent_wawp, "webjs": sent_webjs, "noweb": sent_noweb, "gows": sent_gows,
    "added_failed": lambda message, me: {"result": True, "message_id": message["id"]},
}


def sent_answer(engine, message, me):
    return posted(engine, shape_for(SENT_SHAPES, engine)(message, me))
