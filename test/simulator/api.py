"""The API under /v2: routes, credentials, validation, and the handlers between wire and world."""

import re

import shapes
from wire import Answer, json_answer
from world import LID_JID, PHONE_JID, Refusal, my_digits

TEXT_LIMIT = 4096
SUBJECT_LIMIT = 100
DEFAULT_PAGE = 100
LINK = re.compile(r"(?:https?://(?:www\.)?chat\.whatsapp\.com/(?:invite/)?)?([A-Za-z0-9_-]+)")
CHECKABLE = re.compile(r"\+?([1-9][0-9]{6,14})(?:@c\.us)?")
BARE_CHAT = re.compile(r"[0-9]+")
GROUP_JID = re.compile(r"[0-9]{5,32}(?:-[0-9]{5,20})?@g\.us")
LIMITS = {
    "send_message_per_minute": 20, "send_message_daily_cap": 1000, "account_protection_seconds": 3,
    "concurrent_limit": 4, "group_req_per_minute": 10, "group_daily_cap": 200, "check_req_per_minute": 60,
    "check_daily_cap": 1000,
}


class ApiError(Exception):
    """A request that is answered with an error before anything happens."""

    def __init__(self, answer):
        super().__init__(answer.status)
        self.answer = answer


class Call:
    """One API request on its way to a handler: the account it acts for and its parameters."""

    def __init__(self, world, request, params):
        self.world = world
        self.request = request
        self.body = json_body(request)
        self.query = request.query
        self.params = params
        self.instance, self.account = identify(world, request, self.body)
        self.engine = self.account.get("engine", "wawp")

    @property
    def group(self):
        return self.params.get("id") or self.query.get("groupId", "")

    @property
    def me(self):
        return self.account["me"]


def json_body(request):
    """The members of a JSON object body; {} where there is none."""
    content_type = request.headers.get("content-type", "")
    if content_type.startswith("application/x-www-form-urlencoded") and request.method == "POST":
        raise ApiError(shapes.error(401, "Missing access_token"))
    if not request.body or not content_type.startswith("application/json"):
        return {}
    try:
        body = request.json()
    except ValueError as error:
        raise ApiError(shapes.nest_error(400, f"{error}")) from error
    if not isinstance(body, dict):
        raise ApiError(shapes.nest_error(400, ["the body must be an object"]))
    return body


def identify(world, request, body):
    """The instance and its account, from credentials in the body, the query or the header."""
    instance = body.get("instance_id") or request.query.get("instance_id")
    token = body.get("access_token") or request.query.get("access_token") or request.headers.get("access-token")
    if not instance:
        raise ApiError(shapes.error(400, "Missing Required Parameter(s)"))
    account = world.state["accounts"].get(instance)
    if account is None:
        raise ApiError(json_answer({
            "code": "invalid_session",
            "message": "Session not found. Please verify your instance_id or session_name.",
            "data": {"status": 404}}, 404))
    if token != account["token"]:
        raise ApiError(json_answer({"status": 401, "message": "Invalid or Missing Access Token",
                                    "error": "Unauthorized"}, 401))
    return instance, account


def require_working(call):
    status = call.account["status"]
    if status != "WORKING":
        raise ApiError(json_answer({
            "error": "Session status is not as expected. Try again later or restart the session",
            "session": call.instance, "status": status, "expected": ["WORKING"]}, 422))


def participants(call):
    """The ids in the request's `participants`, or a validation error."""
    given = call.body.get("participants")
    if not isinstance(given, list) or not given:
        raise ApiError(shapes.nest_error(400, ["participants must be a non-empty array"]))
    problems = [f"participants.{n}.{problem}" for n, item in enumerate(given) if (problem := problem_with(item))]
    if problems:
        raise ApiError(shapes.nest_error(400, problems))
    return [item["id"] for item in given]


def problem_with(item):
    if not isinstance(item, dict) or not isinstance(item.get("id"), str):
        return "id must be a string"
    if not PHONE_JID.fullmatch(item["id"]) and not LID_JID.fullmatch(item["id"]):
        return "id must be a valid participant id"
    return None


def number(call, name, default):
    text = call.query.get(name, str(default))
    if not text.isdecimal():
        raise ApiError(shapes.error(400, "Invalid Parameter Format"))
    return int(text)


# -- groups ----------------------------------------------------------------------------------------------------

def add(call):
    asked = participants(call)
    if call.account.get("limited"):
        return refused_by_limit(call, asked)
    results = call.world.add(call.group, call.account, asked)
    if call.account.get("reverses"):
        results.reverse()
    answer = shapes.add_answer(call.engine, results)
    wrapping = call.account.get("wraps")
    return shapes.wrapped_answer(answer, wrapping) if wrapping else answer


def refused_by_limit(call, asked):
    """Nobody is added: WEBJS says 400 of each, the others pass WhatsApp's 429 on."""
    if call.engine != "webjs":
        return shapes.envelope("2 UNKNOWN: info query returned status 429: rate-overlimit", call.request, call.body)
    return shapes.add_answer(call.engine, shapes.hidden_codes(call.world.asked_only(call.group, call.account, asked)))


def remove(call):
    return shapes.change_answer(call.engine, call.world.remove(call.group, call.account, participants(call)))


def promote(call):
    return shapes.change_answer(call.engine, call.world.promote(call.group, call.account, participants(call)))


def demote(call):
    return shapes.change_answer(call.engine, call.world.demote(call.group, call.account, participants(call)))


def members_of(call, jid):
    unread = call.world.group_as(jid, call.account).get("unread", 0)
    return shapes.member_list(call.engine, call.world.seats(jid, call.account), unread)


def list_members(call):
    return json_answer(members_of(call, call.group))


def join_requests(call):
    group = call.world.group_as(call.group, call.account, admin=True)
    return json_answer([shapes.join_request(call.engine, digits, call.world.lid_of(digits), asked_at, my_digits(call.account))
                        for digits, asked_at in group.get("requests", {}).items()])


def describe_group(call, jid, with_members=True):
    group = call.world.group_as(jid, call.account)
    members = members_of(call, jid) if with_members else None
    return shapes.group_info(call.engine, jid, group, members)


def group_info(call):
    return json_answer(describe_group(call, call.group))


def list_groups(call):
    start, limit = number(call, "offset", 0), number(call, "limit", DEFAULT_PAGE)
    with_members = call.query.get("exclude") != "participants"
    jids = call.world.groups_of(call.account)[start:start + limit]
    return json_answer(shapes.group_list(call.engine, [describe_group(call, jid, with_members) for jid in jids]))


def create_group(call):
    subject = call.body.get("name")
    if not isinstance(subject, str) or not 0 < len(subject) <= SUBJECT_LIMIT:
        raise ApiError(shapes.nest_error(400, [f"name must be a string of 1 to {SUBJECT_LIMIT} characters"]))
    asked = participants(call) if call.body.get("participants") else []
    jid, results = call.world.create_group(call.account, subject, asked)
    return shapes.created_answer(call.engine, jid, subject, results)


def leave_group(call):
    call.world.leave(call.group, my_digits(call.account))
    return Answer(201)


def invite_code(call):
    group = call.world.group_as(call.group, call.account, admin=True)
    return shapes.invite_answer(call.engine, group["invite_code"])


def revoke_invite(call):
    """Make a new invite code; GOWS only reads the old one again."""
    if call.engine != "gows":
        call.world.revoke_invite(call.group, call.account)
    return invite_code(call)


def join_group(call):
    link = LINK.fullmatch(str(call.body.get("code") or call.body.get("url") or ""))
    if not link:
        raise ApiError(shapes.nest_error(400, ["code must be an invite code or link"]))
    jid = call.world.group_with_code(link[1])
    code = call.world.join(jid, my_digits(call.account))
    if code not in (200, 304):
        return shapes.envelope(f"2 UNKNOWN: info query returned status {code}", call.request, call.body)
    return shapes.posted(call.engine, {"id": jid})


# -- people ----------------------------------------------------------------------------------------------------

def check_exists(call):
    match = CHECKABLE.fullmatch(call.query.get("phone", ""))
    if not match:
        raise ApiError(shapes.error(400, "Invalid Parameter Format"))
    person = call.world.person(match[1])
    if call.account.get("limited") or not person.get("registered", True):
        return json_answer({"numberExists": False})
    chat = person.get("chat_id", shapes.phone_jid(match[1]))
    if call.account.get("checks_by_lid"):
        return json_answer({"numberExists": True, "chatId": call.world.lid_of(call.world.canonical(match[1])), "pn": chat})
    return json_answer({"numberExists": True, "chatId": chat})


def lid_of_number(call):
    digits = call.params["number"].removeprefix("+").partition("@")[0]
    if not digits.isdecimal():
        raise ApiError(shapes.error(400, "Invalid Parameter Format"))
    person = call.world.person(digits)
    known = person.get("registered", True) and person.get("lid_known", True)
    lid = call.world.lid_of(call.world.canonical(digits)) if known else None
    return json_answer(shapes.lid_answer(call.engine, digits, lid))


def list_lids(call):
    start, limit = number(call, "offset", 0), number(call, "limit", DEFAULT_PAGE)
    return json_answer([shapes.lid_answer(call.engine, digits, call.world.lid_of(digits))
                        for digits in call.world.known_numbers()[start:start + limit]])


# -- session and messages --------------------------------------------------------------------------------------

def linked_me(call):
    """Our own ids, as far as the session knows them."""
    return call.me if call.account["status"] == "WORKING" else None


def session_info(call):
    info = {"name": f"wawp-{call.instance}", "status": call.account["status"],
            "config": {"webhooks": {}, "proxy": None}, "me": linked_me(call)}
    if info["status"] == "SCAN_QR_CODE":
        info["qr"] = "iVBORw0KGgo="
    return json_answer(info)


def session_me(call):
    return json_answer(linked_me(call))


def rate_limit(call):
    return json_answer({"policy_slug": "standard_policy", "limits": {**LIMITS, **call.account.get("limits", {})},
                        "policies": [{"slug": "strict", "available": True},
                                     {"slug": "standard_policy", "available": True}],
                        "free_policies": ["strict", "standard_policy"], "has_active_plan": True})


def send_text(call):
    text = call.body.get("message", call.body.get("text"))
    chat = str(call.body.get("chatId", "")).removeprefix("+").replace(" ", "")
    chat = shapes.phone_jid(chat) if BARE_CHAT.fullmatch(chat) else chat
    if not isinstance(text, str) or not text:
        raise ApiError(shapes.error(400, "Missing Required Parameter(s)"))
    if len(text) > TEXT_LIMIT:
        raise ApiError(shapes.error(400, f"message must not exceed {TEXT_LIMIT} characters"))
    if not any(form.fullmatch(chat) for form in (GROUP_JID, PHONE_JID, LID_JID)):
        raise ApiError(shapes.error(400, "Invalid Parameter Format"))
    message = call.world.post_message(call.instance, call.account, chat, text)
    return shapes.sent_answer(call.engine, message, call.me)


# -- routes ----------------------------------------------------------------------------------------------------

# Method, path, handler, and whether the session must be WORKING.  {id} stands for a group, {number} for a phone.
ROUTES = (
    ("POST", "/v2/groups/{id}/participants/add", add, True),
    ("GET", "/v2/groups/{id}/participants", list_members, True),
    ("GET", "/v2/groups/{id}/participants/join-requests", join_requests, True),
    ("POST", "/v2/send/text", send_text, True),
    ("GET", "/v2/contacts/check-exists", check_exists, True),
    ("POST", "/v2/groups/{id}/participants/remove", remove, True),
    ("POST", "/v2/groups/{id}/admin/promote", promote, True),
    ("POST", "/v2/groups/{id}/admin/demote", demote, True),
    ("GET", "/v2/groups/{id}/invite-code", invite_code, True),
    ("POST", "/v2/groups/{id}/invite-code/revoke", revoke_invite, True),
    ("POST", "/v2/groups/{id}/leave", leave_group, True),
    ("GET", "/v2/groups/{id}", group_info, True),
    ("GET", "/v2/groups/detail", group_info, True),
    ("GET", "/v2/groups", list_groups, True),
    ("POST", "/v2/groups", create_group, True),
    ("POST", "/v2/groups/create", create_group, True),
    ("POST", "/v2/groups/join", join_group, True),
    ("GET", "/v2/lids/pn/{number}", lid_of_number, True),
    ("GET", "/v2/lids", list_lids, True),
    ("POST", "/v2/session/info", session_info, False),
    ("GET", "/v2/session/info", session_info, False),
    ("GET", "/v2/session/me", session_me, False),
    ("GET", "/v2/session/rate-limit", rate_limit, False),
)
PLACEHOLDERS = {"{id}": r"(?P<id>[^/]*[0-9][^/]*)", "{number}": r"(?P<number>[^/]+)"}


def compiled(path):
    pattern = re.escape(path).replace(r"\{", "{").replace(r"\}", "}")
    for name, regex in PLACEHOLDERS.items():
        pattern = pattern.replace(name, regex)
    return re.compile(pattern)


TABLE = [(method, f"{method} {path}", compiled(path), handler, working) for method, path, handler, working in ROUTES]


def find_route(world, request):
    """(handler, must be working, path parameters); ApiError 404 or 405 where there is no such route."""
    path = request.decoded_path
    off = world.state.get("routes_off", ())
    known = False
    for method, name, pattern, handler, working in TABLE:
        if not (match := pattern.fullmatch(path)):
            continue
        if method == request.method and name not in off:
            return handler, working, match.groupdict()
        known = known or name not in off
    status = 405 if known else 404
    raise ApiError(shapes.nest_error(status, f"Cannot {request.method} {path}"))


def answer(world, request):
    """The API's answer to a request, with all its effects on the world."""
    call = None
    try:
        handler, working, params = find_route(world, request)
        call = Call(world, request, params)
        if working:
            require_working(call)
        return handler(call)
    except ApiError as error:
        return error.answer
    except Refusal as error:
        return shapes.refusal(call.engine, error.kind, request, call.body)
