"""The simulated WhatsApp: accounts, groups, people and messages, and the rules by which they change.

The state is one JSON object, `World.state`, that tests read and patch as a whole; README.md lists its members.
Nothing here knows HTTP or the shape of any engine's answer.  A request that WhatsApp refuses as a whole raises
Refusal; what happens to one person is a Result with WhatsApp's code.
"""

import base64
import hashlib
import re
import time
from typing import NamedTuple, Optional

CAPACITY = 1024
ADMIN_ROLES = ("admin", "superadmin")
CARD_LIFETIME = 3 * 86400
NEW_GROUP = "1203630999{:08d}@g.us"

# A person's lid, where the world names none, is an invertible function of the number.
LID_BASE = 10 ** 14
LID_SPAN = 9 * 10 ** 14
LID_FACTOR = 48271
LID_INVERSE = pow(LID_FACTOR, -1, LID_SPAN)

PHONE_JID = re.compile(r"([1-9][0-9]{6,14})(?::[0-9]+)?@(?:c\.us|s\.whatsapp\.net)")
LID_JID = re.compile(r"([0-9]{5,20})(?::[0-9]+)?@lid")


class Refusal(Exception):
    """WhatsApp refuses the whole request; `kind` is a key of shapes.REFUSALS."""

    def __init__(self, kind):
        super().__init__(kind)
        self.kind = kind


class Result(NamedTuple):
    """The result of one action for one person."""

    asked: str                      # the id in the request
    digits: str
    code: int
    lid: str
    by_lid: bool                    # the group addresses people by lid
    shows_phone: bool               # ... and gives the phone beside it
    card: Optional[tuple] = None    # (code, unix expiry) of a private invitation
    card_sent: bool = False         # ... which the engine sent by itself
    dropped: bool = False           # WhatsApp leaves the person out of its answer


class Seat(NamedTuple):
    """One line of a group's member list."""

    digits: str
    role: str
    lid: str
    by_lid: bool
    shows_phone: bool
    hosted: bool = False            # a business whose account a provider keeps


def merge(target, patch):
    """Deep-merge `patch` into `target`: objects merge, null deletes, anything else replaces."""
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            if not isinstance(target.get(key), dict):
                target[key] = {}
            merge(target[key], value)
        else:
            target[key] = value


def default_lid(digits):
    return f"{LID_BASE + int(digits) * LID_FACTOR % LID_SPAN}@lid"


def invite_code(jid, epoch):
    """The code of a group's invite link in a given epoch; 22 characters, as real ones."""
    digest = hashlib.sha256(f"{jid} {epoch}".encode()).digest()
    return base64.urlsafe_b64encode(digest[:16]).decode().rstrip("=")


def new_account(digits, engine="wawp", status="WORKING", **options):
    """An account's state; `digits` is its own number."""
    me = {"id": f"{digits}@c.us", "lid": default_lid(digits), "pushName": "Wawp Simulator"}
    return {"token": "secret", "status": status, "engine": engine, "me": me, **options}


def new_member(role="member"):
    return {"role": role, "visible_at": 0}


def new_group(jid, subject, owner, members, **options):
    """A group's state; `members` maps digits to roles."""
    return {
        "subject": subject, "owner": owner, "capacity": CAPACITY, "addressing": "pn", "lid_pn": True,
        "invite_code": invite_code(jid, 0), "invite_epoch": 0,
        "members": {digits: new_member(role) for digits, role in members.items()},
        "removed": {}, "left": {}, "banned": {}, **options,
    }


def our_group(jid, me, subject="Group"):
    return new_group(jid, subject, me, {me: "superadmin"})


def complete(table, key, defaults):
    """Give an entry of the table, if it is there, the members it lacks."""
    if key in table:
        table[key] = {**defaults, **table[key]}


# WhatsApp's code for an add and its condition; the first that is true decides.  `person` and `group` are their
# states, `digits` the person's number.
ADD_RULES = (
    (409, lambda group, digits, person: is_member(group, digits)),
    (404, lambda group, digits, person: not person.get("registered", True)),
    (401, lambda group, digits, person: person.get("blocked_us")),
    (405, lambda group, digits, person: digits in group.get("banned", ())),
    (408, lambda group, digits, person: digits in group.get("left", ())),
    (451, lambda group, digits, person: person.get("legal")),
    (417, lambda group, digits, person: group.get("community")),
    (419, lambda group, digits, person: is_full(group)),
    (403, lambda group, digits, person: not person.get("addressable", True) or is_private(person)),
    (421, lambda group, digits, person: group.get("approval")),
)

# The same for a person who follows the invite link.
JOIN_RULES = (
    (304, lambda group, digits, person: is_member(group, digits)),
    (404, lambda group, digits, person: not person.get("registered", True)),
    (405, lambda group, digits, person: digits in group.get("removed", ()) or digits in group.get("banned", ())),
    (419, lambda group, digits, person: is_full(group)),
    (423, lambda group, digits, person: group.get("locked")),
    (436, lambda group, digits, person: group.get("growth_locked")),
    (421, lambda group, digits, person: group.get("approval")),
)

REMOVE_RULES = (
    (404, lambda group, digits, person: not is_member(group, digits)),
    (406, lambda group, digits, person: role_of(group, digits) == "superadmin"),
)

PROMOTE_RULES = REMOVE_RULES[:1]
DEMOTE_RULES = REMOVE_RULES


def code_of(rules, group, digits, person):
    return next((code for code, applies in rules if applies(group, digits, person)), 200)


def role_of(group, digits):
    return group["members"].get(digits, {"role": "left"})["role"]


def is_member(group, digits):
    return role_of(group, digits) != "left"


def size_of(group):
    """The number of members, those listed as having left not counted."""
    return sum(member["role"] != "left" for member in group["members"].values())


def is_full(group):
    return size_of(group) >= group.get("capacity", CAPACITY)


def is_private(person):
    privacy = person.get("privacy", "all")
    return privacy == "nobody" or (privacy == "contacts" and not person.get("knows_us"))


class World:
    """The state and everything that reads or changes it."""

    def __init__(self, state):
        self.state = state

    def patch(self, patch):
        """Deep-merge a patch into the state; what it adds may leave out what has a default."""
        me = self.our_digits()
        merge(self.state, patch)
        for instance in patch.get("accounts", ()):
            complete(self.state["accounts"], instance, new_account(me))
        for jid in patch.get("groups", ()):
            complete(self.state["groups"], jid, our_group(jid, me))
            members = self.state["groups"].get(jid, {}).get("members", {})
            for digits in members:
                complete(members, digits, new_member())

    def our_digits(self):
        """The number of the first account."""
        return my_digits(next(iter(self.state["accounts"].values())))

    # -- people ------------------------------------------------------------------------------------------------

    def person(self, digits):
        return self.state["people"].get(digits, {})

    def lid_of(self, digits):
        return self.person(digits).get("lid") or default_lid(digits)

    def phone_of(self, lid):
        """The digits behind a lid."""
        named = (digits for digits, person in self.state["people"].items() if person.get("lid") == lid)
        return next(named, None) or str((int(lid.partition("@")[0]) - LID_BASE) * LID_INVERSE % LID_SPAN)

    def canonical(self, digits):
        """The digits under which WhatsApp knows a number that may be written in two ways."""
        chat_id = self.person(digits).get("chat_id", digits)
        return digits if chat_id.endswith("@lid") else chat_id.partition("@")[0]

    def digits_of(self, jid):
        """The digits of a person's id in any form, None when it is not the id of a person."""
        if match := PHONE_JID.fullmatch(jid):
            return self.canonical(match[1])
        if match := LID_JID.fullmatch(jid):
            return self.phone_of(f"{match[1]}@lid")
        return None

    def known_numbers(self):
        """Everybody whose lid the account may know, in a stable order."""
        people = set(self.state["people"])
        people.update(*(group["members"] for group in self.state["groups"].values()))
        return sorted(digits for digits in people if self.person(digits).get("lid_known", True))

    # -- groups ------------------------------------------------------------------------------------------------

    def group(self, jid):
        """A group's state; with `auto_groups` an unknown one is made up, owned by us."""
        groups = self.state["groups"]
        if jid not in groups and self.state.get("auto_groups"):
            groups[jid] = our_group(jid, self.our_digits())
        if jid not in groups:
            raise Refusal("group_not_found")
        return groups[jid]

    def group_as(self, jid, account, admin=False, open_to_members=None):
        """A group's state for an account that must be in it and perhaps admin.

        A member who is no admin may pass if the group has the flag `open_to_members`.
        """
        group = self.group(jid)
        role = role_of(group, my_digits(account))
        if role == "left":
            raise Refusal("not_in_group")
        if admin and role not in ADMIN_ROLES and not group.get(open_to_members):
            raise Refusal("not_admin")
        return group

    def groups_of(self, account):
        me = my_digits(account)
        return [jid for jid, group in self.state["groups"].items() if is_member(group, me)]

    def seats(self, jid, account):
        """The member list as it can be seen now; the group flags `hide_us` and `listed` leave some out."""
        group = self.group(jid)
        hidden = my_digits(account) if group.get("hide_us") else None
        now = time.time()
        by_lid = group.get("addressing") == "lid"
        shows_phone = not by_lid or group.get("lid_pn", True)
        seats = [Seat(digits, member["role"], self.lid_of(digits), by_lid, shows_phone,
                      bool(self.person(digits).get("hosted")))
                 for digits, member in group["members"].items()
                 if member.get("visible_at", 0) <= now and digits != hidden]
        return seats[:group.get("listed", len(seats))]

    # -- membership --------------------------------------------------------------------------------------------

    def add(self, jid, account, asked):
        group = self.group_as(jid, account, admin=True, open_to_members="all_member_add")
        if group.get("locked"):
            raise Refusal("group_locked")
        return [self._add_one(group, account, jid) for jid in asked]

    def asked_only(self, jid, account, asked):
        """The people of an add that has no effect."""
        group = self.group_as(jid, account, admin=True, open_to_members="all_member_add")
        return [self._result(group, person_jid, self.digits_of(person_jid), 429) for person_jid in asked]

    def _add_one(self, group, account, asked):
        digits = self.digits_of(asked)
        person = self.person(digits)
        code = person.get("add_code") or code_of(ADD_RULES, group, digits, person)
        if code == 200:
            self._seat(group, digits)
        elif code == 421:
            group.setdefault("requests", {})[digits] = time.time()
        elif code == 403 and account.get("drops_on_privacy"):
            account["status"] = "FAILED"
        result = self._result(group, asked, digits, code)
        if not person.get("addressable", True):
            return result._replace(dropped=True)
        if code != 403:
            return result
        return result._replace(card=private_invitation(digits),
                               card_sent=bool(person.get("card", account.get("auto_card"))))

    def _result(self, group, asked, digits, code):
        by_lid = group.get("addressing") == "lid"
        return Result(asked, digits, code, self.lid_of(digits), by_lid, not by_lid or group.get("lid_pn", True))

    def _seat(self, group, digits, role="member"):
        delay = group.get("list_delay", self.state.get("list_delay", 0))
        group["members"][digits] = {"role": role, "visible_at": time.time() + delay}
        for memory in ("removed", "left", "banned", "requests"):
            group.get(memory, {}).pop(digits, None)

    def _act(self, jid, account, asked, rules, effect):
        """Do `effect(group, digits)` to each person of whom the rules say 200."""
        group = self.group_as(jid, account, admin=True)
        results = []
        for person_jid in asked:
            digits = self.digits_of(person_jid)
            code = code_of(rules, group, digits, self.person(digits))
            if code == 200:
                effect(group, digits)
            results.append(self._result(group, person_jid, digits, code))
        return results

    def remove(self, jid, account, asked):
        return self._act(jid, account, asked, REMOVE_RULES, lambda group, digits: expel(group, digits, "removed"))

    def promote(self, jid, account, asked):
        return self._act(jid, account, asked, PROMOTE_RULES, lambda group, digits: set_role(group, digits, "admin"))

    def demote(self, jid, account, asked):
        return self._act(jid, account, asked, DEMOTE_RULES, lambda group, digits: set_role(group, digits, "member"))

    def leave(self, jid, digits, memory="left"):
        """Someone goes; `memory` is "left" by oneself, "removed" by an admin."""
        group = self.group(jid)
        if not is_member(group, digits):
            raise Refusal("not_in_group")
        expel(group, digits, memory)

    def join(self, jid, digits):
        """Someone follows the current invite link; returns WhatsApp's code."""
        group = self.group(jid)
        code = code_of(JOIN_RULES, group, digits, self.person(digits))
        if code == 200:
            self._seat(group, digits)
        elif code == 421:
            group.setdefault("requests", {})[digits] = time.time()
        return code

    def create_group(self, account, subject, asked):
        """Make a group owned by the account; returns its id and the results of adding the others."""
        groups = self.state["groups"]
        number = len(groups)
        while NEW_GROUP.format(number) in groups:
            number += 1
        jid = NEW_GROUP.format(number)
        me = my_digits(account)
        groups[jid] = our_group(jid, me, subject)
        return jid, self.add(jid, account, asked)

    # -- invite links ------------------------------------------------------------------------------------------

    def revoke_invite(self, jid, account):
        group = self.group_as(jid, account, admin=True)
        group["invite_epoch"] += 1
        group["invite_code"] = invite_code(jid, group["invite_epoch"])

    def group_with_code(self, code):
        for jid, group in self.state["groups"].items():
            if group["invite_code"] == code:
                return jid
        raise Refusal("link_gone")

    # -- messages ----------------------------------------------------------------------------------------------

    def post_message(self, instance, account, chat, text):
        """Record a message to a group or a person; returns it."""
        self._check_recipient(account, chat)
        messages = self.state["messages"]
        message = {"id": f"3EB0{len(messages) + 1:016X}", "chatId": chat, "text": text, "at": time.time(),
                   "instance": instance}
        messages.append(message)
        return message

    def _check_recipient(self, account, chat):
        if chat.endswith("@g.us"):
            self.group_as(chat, account)
            return
        person = self.person(self.digits_of(chat))
        if not person.get("registered", True):
            raise Refusal("not_registered")
        if account.get("restricted") or not person.get("addressable", True):
            raise Refusal("restricted")


def my_digits(account):
    return account["me"]["id"].partition("@")[0]


def expel(group, digits, memory):
    del group["members"][digits]
    group.setdefault(memory, {})[digits] = time.time()


def set_role(group, digits, role):
    group["members"][digits]["role"] = role


def private_invitation(digits):
    """Code and expiry of a one-person invitation, as WhatsApp hands them out beside a 403."""
    return "V4" + hashlib.sha256(digits.encode()).hexdigest()[:14], int(time.time()) + CARD_LIFETIME
