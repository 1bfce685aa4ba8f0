"""The default world, and the named scenarios that `ctl PORT seed NAME` builds on it."""

from dataclasses import dataclass, field

from world import new_account, new_group

ME = "15550000001"
MEMBER = "15550000002"
NEWCOMER = "15551230500"        # nobody in particular: registered, open to adds, in no group

SUPPORT = "120363012345678901@g.us"
FOREIGN = "120363012345678902@g.us"
FULL = "120363012345678903@g.us"
ALMOST_FULL = "120363012345678904@g.us"
LID_ONLY = "120363012345678905@g.us"
LID_AND_PHONE = "120363012345678906@g.us"
OLD_FORM = "15550000001-1623281429@g.us"

LEFT_AT = 1700000000


def accounts():
    """One WhatsApp account reached through many instances, an engine each, and some that are not working."""
    return {
        "ABC123": new_account(ME),
        "WEBJS1": new_account(ME, "webjs", auto_card=True),
        "WEBJS2": new_account(ME, "webjs", auto_card=False),
        "NOWEB1": new_account(ME, "noweb"),
        "GOWS1": new_account(ME, "gows"),
        "WAJS01": new_account(ME, "waha_js"),
        "GOWA01": new_account(ME, "gowa"),
        "ADDF01": new_account(ME, "added_failed"),
        "STOPPED1": new_account(ME, status="STOPPED"),
        "STARTING1": new_account(ME, status="STARTING"),
        "SCANQR1": new_account(ME, status="SCAN_QR_CODE"),
        "FAILED1": new_account(ME, status="FAILED"),
    }


def people():
    return {
        "15551230401": {"blocked_us": True},
        "15551230403": {"privacy": "nobody"},
        "15551230404": {"registered": False},
        "15551230451": {"legal": True},
        "15551230463": {"privacy": "nobody", "addressable": False},
    }


def ours(**others):
    """Roles of a group that is ours, with other members."""
    return {ME: "superadmin", **others}


def crowd(size):
    """Roles of a group of ours with `size` members."""
    return ours(**{str(15560000000 + n): "member" for n in range(1, size)})


def groups():
    foreign = {"15559990001": "superadmin", ME: "member", MEMBER: "member"}
    two = ours(**{MEMBER: "member"})
    return {
        SUPPORT: new_group(SUPPORT, "Support", ME, two,
                           left={"15551230408": LEFT_AT}, banned={"15551230405": LEFT_AT}),
        FOREIGN: new_group(FOREIGN, "Not ours", "15559990001", foreign),
        FULL: new_group(FULL, "Full", ME, crowd(1024)),
        ALMOST_FULL: new_group(ALMOST_FULL, "Almost full", ME, crowd(1023)),
        LID_ONLY: new_group(LID_ONLY, "Lid only", ME, two, addressing="lid", lid_pn=False),
        LID_AND_PHONE: new_group(LID_AND_PHONE, "Lid and phone", ME, two, addressing="lid", lid_pn=True),
        OLD_FORM: new_group(OLD_FORM, "Old form", ME, two),
    }


def default_state():
    """The world after a reset."""
    return {"accounts": accounts(), "groups": groups(), "people": people(), "messages": [], "list_delay": 0,
            "routes_off": [], "auto_groups": False}


@dataclass(frozen=True)
class Scenario:
    """A patch of the default world and rules on top."""

    about: str
    patch: dict = field(default_factory=dict)
    rules: tuple = ()


ADD_PATH = "/participants/add$"
INVITE_PATH = "/invite-code$"
MEMBERS_PATH = "/participants$"


def on_add(answer=None, fault=None, times=1):
    """A rule for the next add; with an answer of its own the add has no effect."""
    return rule("POST", ADD_PATH, answer, fault, times)


def rule(method, path, answer=None, fault=None, times=1):
    spec = {"match": {"method": method, "path": path}, "times": times}
    if answer is not None:
        spec["answer"] = answer
    if fault is not None:
        spec["fault"] = fault
    return spec


def wrapped(message, **details):
    """WAHA's error envelope around an engine's message."""
    return {"status": 500, "json": {
        "statusCode": 500, "timestamp": "2026-04-06T10:00:00.000Z",
        "exception": {"message": message, "name": "Error", "stack": f"Error: {message}", **details},
        "request": {"path": "/api/groups", "method": "POST", "body": {}, "query": {}},
        "version": {"version": "2026.3.4", "engine": "GOWS", "tier": "PLUS"}}}


def failed(status, message, headers=None):
    """The documented error envelope."""
    return {"status": status, "headers": headers or {},
            "json": {"status": status, "message": message, "error": message}}


ENVELOPES = {
    "400": ("status 400 inside", wrapped("2 UNKNOWN: info query returned status 400: bad-request", data=400)),
    "429": ("status 429 inside", wrapped("2 UNKNOWN: info query returned status 429: rate-overlimit", data=429)),
    "overlimit": ("only the words rate-overlimit", wrapped("rate-overlimit")),
    "lid": ("the engine lacks a lid", wrapped("Lid is missing in chat table")),
    "463": ("account restricted", wrapped("server returned error 463")),
}

HTTP_FAILURES = {
    "401": ("HTTP 401", on_add(failed(401, "Invalid or Missing Access Token"))),
    "403": ("HTTP 403", on_add(failed(403, "Forbidden"))),
    "404": ("HTTP 404", on_add(failed(404, "Not Found"))),
    "409": ("HTTP 409", on_add(failed(409, "Conflict"))),
    "422": ("HTTP 422", on_add({"status": 422, "json": {
        "error": "Session status is not as expected. Try again later or restart the session",
        "session": "ABC123", "status": "FAILED", "expected": ["WORKING"]}})),
    "429": ("HTTP 429 without Retry-After", on_add(failed(429, "Too Many Requests"))),
    "429-after": ("HTTP 429 with Retry-After: 2", on_add(failed(429, "Too Many Requests", {"Retry-After": "2"}))),
    "500": ("HTTP 500", on_add(failed(500, "Internal Server Error"))),
    "502": ("HTTP 502 with wawp_upstream_error",
            on_add({"status": 502, "json": {"code": "wawp_upstream_error", "message": "Upstream failed"}})),
    "html": ("an HTML page under 200",
             on_add({"status": 200, "content_type": "text/html", "text": "<html><body>Gateway</body></html>"})),
    "empty": ("an empty body under 200", on_add({"status": 200, "text": ""})),
    "truncated": ("a JSON body cut in half", on_add(fault={"truncate_json": True})),
    "5mb": ("a body of 5 MB", on_add(fault={"big": 5_000_000})),
    "slow": ("a body that takes 3 s", on_add(fault={"slow_body": 0.5, "chunk": 2})),
    "hang": ("no answer, ever", on_add(fault={"hang": True})),
    "reset": ("a reset after the add took effect", on_add(fault={"reset": "after"})),
}

PER_PERSON_CODES = {
    "15551230400": {"add_code": 400},
    "15551230403": {"card": True},
    "15551231403": {"privacy": "nobody", "card": False},
    "15551230417": {"add_code": 417},
    "15551230419": {"add_code": 419},
}

INVITE_ANSWERS = (
    {"json": "AbCdEfGhIjKlMnOpQrStUv"},
    {"json": {"code": "AbCdEfGhIjKlMnOpQrStUv"}},
    {"text": "https://chat.whatsapp.com/AbCdEfGhIjKlMnOpQrStUv", "content_type": "text/html"},
    wrapped("2 UNKNOWN: info query returned status 410: gone"),
)

GOWS_REFUSAL = {"statusCode": 422, "message": "The method is not implemented by the engine", "error": "Unprocessable Entity"}

# Lists and answers as engines were seen to give them, which are easily taken for more than they say.
ANSWERS = (
    Scenario("a member of Support on the server hosted", {"people": {MEMBER: {"hosted": True}}}),
    Scenario("the Support list has two entries on a server that nobody knows", {"groups": {SUPPORT: {"unread": 2}}}),
    Scenario("the full group's list has two of 1,024 members", {"groups": {FULL: {"listed": 2}}}),
    Scenario("ABC123 on noweb, Support by lid with the phone under content.attrs, answers in another order than asked",
             {"accounts": {"ABC123": {"engine": "noweb", "reverses": True}},
              "groups": {SUPPORT: {"addressing": "lid", "lid_pn": True}}}),
    Scenario("same without the phone", {"accounts": {"ABC123": {"engine": "noweb", "reverses": True}},
                                        "groups": {SUPPORT: {"addressing": "lid", "lid_pn": False}}}),
    Scenario("ABC123 on webjs under a rate limit: 400 for each person, no for each check",
             {"accounts": {"ABC123": {"engine": "webjs", "limited": True}}}),
    Scenario("ABC123 on noweb, answers wrapped in data and updateParticipants",
             {"accounts": {"ABC123": {"engine": "noweb", "wraps": ["data", "updateParticipants"]}}}),
    Scenario("ABC123 on wa-js, answers wrapped in response and result",
             {"accounts": {"ABC123": {"engine": "waha_js", "wraps": ["response", "result"]}}}),
    Scenario("ABC123 on gows, check-exists gives the lid with the phone as pn",
             {"accounts": {"ABC123": {"engine": "gows", "checks_by_lid": True}}}),
    Scenario("ABC123 on gowa, whose list says is_admin", {"accounts": {"ABC123": {"engine": "gowa"}}}),
    Scenario("adds get a firewall's page under 403", rules=(
        on_add({"status": 403, "content_type": "text/html", "text": "<html><title>Attention Required!</title></html>"},
               times=None),)),
    Scenario("adds get 422, not implemented by the engine", rules=(
        on_add({"status": 422, "json": GOWS_REFUSAL}, times=None),)),
    Scenario("lists get 429 with Retry-After: 120", rules=(
        rule("GET", MEMBERS_PATH, failed(429, "Too Many Requests", {"Retry-After": "120"}), times=None),)),
)

SCENARIOS = {
    "f01": Scenario("ok:true, and the person appears in the list 2 s later", {"list_delay": 2}),
    "f02": Scenario("ok:true, and 15551230500 never appears", {"people": {NEWCOMER: {"privacy": "nobody"}}}),
    "f03": Scenario("ok:true, the Support list is by lid, with pn",
                    {"groups": {SUPPORT: {"addressing": "lid", "lid_pn": True}}}),
    "f04": Scenario("ok:true, the Support list is by lid only; lids/pn answers",
                    {"groups": {SUPPORT: {"addressing": "lid", "lid_pn": False}}}),
    "f05": Scenario("same, but lids/pn says lid:null for 15551230500",
                    {"groups": {SUPPORT: {"addressing": "lid", "lid_pn": False}},
                     "people": {NEWCOMER: {"lid_known": False}}}),
    "f06": Scenario("ABC123 on webjs; 1555123 0400, 0401, 0403 (card sent), 1403 (card not sent), 0404, 0408, 0417, "
                    "0419 and member 15550000002 get their code",
                    {"accounts": {"ABC123": {"engine": "webjs"}}, "people": PER_PERSON_CODES}),
    "f07": Scenario("every add is answered with WEBJS's plain string", rules=(
        on_add({"status": 201, "content_type": "text/html; charset=utf-8",
                "text": "AddParticipantsError: You have no admin rights to add a participant to a group"},
               times=None),)),
    "f08": Scenario("ABC123 on noweb; 15551230403 gets add_request, 15551230463 is missing from the answer",
                    {"accounts": {"ABC123": {"engine": "noweb"}}}),
    "f09": Scenario("ABC123 on gows; Support is addressed by lid, ISO expiry beside a 403",
                    {"accounts": {"ABC123": {"engine": "gows"}}, "groups": {SUPPORT: {"addressing": "lid"}}}),
    "f10": Scenario("ABC123 on wa-js; Support needs approval, adds get 421",
                    {"accounts": {"ABC123": {"engine": "waha_js"}}, "groups": {SUPPORT: {"approval": True}}}),
    "f11": Scenario("the next adds get WAHA's 500 envelope, each kind of f11-* once", rules=tuple(
        on_add(answer) for _, answer in ENVELOPES.values())),
    "f12": Scenario("the next adds fail on HTTP level, each kind of f12-* once", rules=tuple(
        failure for _, failure in HTTP_FAILURES.values())),
    "f13": Scenario("the session goes from WORKING to FAILED with the first 403 (add 15551230403)",
                    {"accounts": {"ABC123": {"drops_on_privacy": True}}}),
    "f14": Scenario("all_member_add where we are not admin (…902), approval (…905), our instance absent from the "
                    "list (…906), an entry with role left (…901: 15551230408); …904 is at 1,023, …903 at 1,024",
                    {"groups": {FOREIGN: {"all_member_add": True}, LID_ONLY: {"approval": True},
                                LID_AND_PHONE: {"hide_us": True},
                                SUPPORT: {"members": {"15551230408": {"role": "left", "visible_at": 0}}}}}),
    "f15": Scenario("check-exists gives 5531987654321 and 5215512345678 another chatId; 5585987654321 and "
                    "558587654321 both exist",
                    {"people": {"5531987654321": {"chat_id": "553187654321@c.us"},
                                "5215512345678": {"chat_id": "525512345678@c.us"}}}),
    "f16": Scenario("the invite code as a JSON string, as {code}, as a URL, 410, then the API's own", rules=tuple(
        rule("GET", INVITE_PATH, answer) for answer in INVITE_ANSWERS)),
    "f18": Scenario("a policy with limits smaller than ours",
                    {"accounts": {"ABC123": {"limits": {
                        "group_req_per_minute": 2, "group_daily_cap": 10, "check_req_per_minute": 5}}}}),
    **{f"a{number:02d}": scenario for number, scenario in enumerate(ANSWERS, 1)},
    **{f"f11-{name}": Scenario(f"the next add gets WAHA's 500 envelope: {about}", rules=(on_add(answer),))
       for name, (about, answer) in ENVELOPES.items()},
    **{f"f12-{name}": Scenario(f"the next add gets {about}", rules=(failure,))
       for name, (about, failure) in HTTP_FAILURES.items()},
}
