/*-------------------------------------------------------------------------
 *
 * outcome.c
 *	  The meaning of an answer.
 *
 * Pure.  A number means different things at different levels: HTTP 403 says
 * that we are not an admin of the group, a person's 403 that their privacy
 * settings keep us from adding them.  So every rule names its level, and no code
 * is read without one.
 *
 * The numbers and texts are those of WhatsApp's protocol as Baileys, whatsmeow,
 * whatsapp-web.js and WAHA pass them on, and of Wawp's v2 documentation.
 *
 * IDENTIFICATION
 *	  src/protocol/outcome.c
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "protocol/outcome.h"

#define CHANGES WAWP_OP_CHANGES
#define ANY (CHANGES | WAWP_OP_SEND | WAWP_OP_READ)
#define NOT_ADD (ANY & ~WAWP_OP_ADD)

/* A success: no error, no hint. */
#define GOOD(text) NULL, text, NULL

static const OutcomeInfo outcomes[] = {
	{WAWP_ADDED, "added", ABOUT_PERSON, SCOPE_PERSON, NEXT_DONE, true, GOOD("the person was added")},
	{WAWP_ALREADY_MEMBER, "already_member", ABOUT_PERSON, SCOPE_PERSON, NEXT_DONE, true, GOOD("the person was in the group already")},
	{WAWP_JOINED_BY_INVITE, "joined_by_invite", ABOUT_PERSON, SCOPE_PERSON, NEXT_DONE, false, GOOD("the person joined by the invite link")},
	{WAWP_REMOVED, "removed", ABOUT_PERSON, SCOPE_PERSON, NEXT_DONE, false, GOOD("the person was removed")},
	{WAWP_NOT_MEMBER, "not_member", ABOUT_PERSON, SCOPE_PERSON, NEXT_DONE, false, "42704",
	"the person is not in the group", NULL},
	{WAWP_PROMOTED, "promoted", ABOUT_PERSON, SCOPE_PERSON, NEXT_DONE, false, GOOD("the person is an admin now")},
	{WAWP_DEMOTED, "demoted", ABOUT_PERSON, SCOPE_PERSON, NEXT_DONE, false, GOOD("the person is no admin any more")},
	{WAWP_ACCEPTED, "accepted", ABOUT_PERSON, SCOPE_PERSON, NEXT_VERIFY, true, GOOD("the API accepted the request, the member list was not read")},
	{WAWP_UNKNOWN_RESULT, "unknown_result", ABOUT_API, SCOPE_DOUBT, NEXT_VERIFY, true, "08006",
		"the request was sent and no usable answer came back",
	"The request may have taken effect; check that before repeating it."},
	{WAWP_PRIVACY_BLOCKED, "privacy_blocked", ABOUT_PERSON, SCOPE_PERSON, NEXT_INVITE, true, "55000",
		"the person's privacy settings do not let us add them",
	"Send the person the group's invite link."},
	{WAWP_COMMUNITY_RESTRICTED, "community_restricted", ABOUT_PERSON, SCOPE_PERSON, NEXT_INVITE, true, "55000",
		"the person can join the community by invite link only",
	"Send the person the group's invite link."},
	{WAWP_INVITED, "invited", ABOUT_PERSON, SCOPE_PERSON, NEXT_WAIT, false, GOOD("the person was sent the invite link and has not joined yet")},
	{WAWP_PENDING_APPROVAL, "pending_approval", ABOUT_PERSON, SCOPE_PERSON, NEXT_WAIT, true, "55000",
		"the person waits for an admin's approval",
	"An admin of the group has to approve it in WhatsApp."},
	{WAWP_RECENTLY_LEFT, "recently_left", ABOUT_PERSON, SCOPE_PERSON, NEXT_FAIL, true, "55000",
	"the person left the group recently", NULL},
	{WAWP_REMOVED_BY_ADMIN, "removed_by_admin", ABOUT_PERSON, SCOPE_PERSON, NEXT_FAIL, true, "55000",
	"the person was removed from the group by an admin", NULL},
	{WAWP_BLOCKED_BY_USER, "blocked_by_user", ABOUT_PERSON, SCOPE_PERSON, NEXT_FAIL, true, "55000",
	"the person does not accept this account", NULL},
	{WAWP_NOT_ON_WHATSAPP, "not_on_whatsapp", ABOUT_PERSON, SCOPE_PERSON, NEXT_FAIL, true, "22023",
	"the number is not on WhatsApp", NULL},
	{WAWP_LEGAL_RESTRICTED, "legal_restricted", ABOUT_PERSON, SCOPE_PERSON, NEXT_FAIL, true, "55000",
	"WhatsApp allows no invitation of this person for legal reasons", NULL},
	{WAWP_BAD_IDENTIFIER, "bad_identifier", ABOUT_PERSON, SCOPE_PERSON, NEXT_FAIL, false, "22023",
	"the API does not accept the identifier", NULL},
	{WAWP_SUPPRESSED, "suppressed", ABOUT_PERSON, SCOPE_PERSON, NEXT_FAIL, false, "55000",
	"the person is suppressed", "wawp_unsuppress() lifts it."},
	{WAWP_UNRECOGNISED, "unrecognised", ABOUT_API, SCOPE_PERSON, NEXT_FAIL, true, "08P01",
	"the API gave an answer that is not understood", NULL},
	{WAWP_GROUP_FULL, "group_full", ABOUT_GROUP, SCOPE_CALL, NEXT_HOLD_LANE, true, "55000",
		"the group is full",
	"Make room, or name an overflow_group in wawp.group_settings."},
	{WAWP_NOT_ADMIN, "not_admin", ABOUT_GROUP, SCOPE_CALL, NEXT_HOLD_LANE, false, "42501",
		"the instance's account is not an admin of the group",
	"Make the account an admin of the group in WhatsApp."},
	{WAWP_GROUP_NOT_FOUND, "group_not_found", ABOUT_GROUP, SCOPE_CALL, NEXT_HOLD_LANE, false, "42704",
		"the API knows no such group",
	"The account may not be a member of the group; wawp_groups() lists its groups."},
	{WAWP_GROUP_LOCKED, "group_locked", ABOUT_GROUP, SCOPE_CALL, NEXT_HOLD_LANE, false, "55000",
	"WhatsApp does not allow additions to the group for now", NULL},
	{WAWP_LINK_UNAVAILABLE, "link_unavailable", ABOUT_GROUP, SCOPE_CALL, NEXT_HOLD_LANE, false, "55000",
	"the group has no usable invite link", NULL},
	{WAWP_RATE_LIMITED, "rate_limited", ABOUT_INSTANCE, SCOPE_CALL, NEXT_SLOW_DOWN, false, "53400",
		"the API asks to slow down",
	"Wait before the next call; a lower adds_per_minute or checks_per_minute keeps below the limit."},
	{WAWP_SERVER_ERROR, "server_error", ABOUT_API, SCOPE_DOUBT, NEXT_RETRY, true, "08006",
	"the API failed", "Try again later."},
	{WAWP_UNREACHABLE, "unreachable", ABOUT_API, SCOPE_CALL, NEXT_RETRY, false, "08001",
		"the API could not be reached, nothing was sent",
	"Check the server's options base_url and ca_file, and the network."},
	{WAWP_ACCOUNT_RESTRICTED, "account_restricted", ABOUT_INSTANCE, SCOPE_CALL, NEXT_HOLD_INSTANCE, false, "55000",
		"WhatsApp has restricted the account",
	"Stop messaging strangers with this account until the restriction ends."},
	{WAWP_SESSION_DOWN, "session_down", ABOUT_INSTANCE, SCOPE_CALL, NEXT_HOLD_INSTANCE, false, "55000",
		"the instance's session is not usable",
	"wawp_session() shows its state; check instance_id, restart the session or scan the QR code again."},
	{WAWP_AUTH_FAILED, "auth_failed", ABOUT_INSTANCE, SCOPE_CALL, NEXT_HOLD_INSTANCE, false, "28000",
		"the API refused the credentials",
	"Check instance_id in CREATE SERVER and access_token in CREATE USER MAPPING."},
	{WAWP_QUOTA_EXCEEDED, "quota_exceeded", ABOUT_INSTANCE, SCOPE_CALL, NEXT_HOLD_INSTANCE, false, "53400",
	"the account's plan does not allow it or is used up", NULL},
	{WAWP_THROTTLED, "throttled", ABOUT_INSTANCE, SCOPE_PERSON, NEXT_NONE, false, "53400",
		"the instance's pace does not allow it yet",
	"Ask again at retry_at; adds_per_minute, adds_burst and adds_per_day set the pace."},
};

typedef enum Level
{
	LEVEL_PERSON = 1 << 0,		/* a number beside a person */
	LEVEL_HTTP = 1 << 1,		/* the status line, or an envelope's own status */
	LEVEL_ENGINE = 1 << 2		/* WhatsApp's number inside an error text */
} Level;

typedef struct CodeRule
{
	int			levels;
	int			operations;
	int			code;
	WawpOutcome outcome;
	const char *note;			/* the detail if the answer has no text, or NULL */
} CodeRule;

#define CALL (LEVEL_HTTP | LEVEL_ENGINE)
#define EVERY (LEVEL_PERSON | CALL)

/* The first rule that matches decides. */
static const CodeRule code_rules[] = {
	{LEVEL_PERSON, WAWP_OP_ADD, 200, WAWP_ADDED, NULL},
	{LEVEL_PERSON, WAWP_OP_REMOVE, 200, WAWP_REMOVED, NULL},
	{LEVEL_PERSON, WAWP_OP_PROMOTE, 200, WAWP_PROMOTED, NULL},
	{LEVEL_PERSON, WAWP_OP_DEMOTE, 200, WAWP_DEMOTED, NULL},
	{LEVEL_PERSON, ANY, 200, WAWP_ACCEPTED, NULL},
	{LEVEL_PERSON, WAWP_OP_ADD, 401, WAWP_BLOCKED_BY_USER, NULL},
	{LEVEL_PERSON, WAWP_OP_ADD, 403, WAWP_PRIVACY_BLOCKED, NULL},
	{LEVEL_PERSON, CHANGES & NOT_ADD, 404, WAWP_NOT_MEMBER, NULL},
	{LEVEL_PERSON, ANY, 404, WAWP_NOT_ON_WHATSAPP, NULL},
	{LEVEL_PERSON, WAWP_OP_ADD, 405, WAWP_REMOVED_BY_ADMIN, NULL},
	{LEVEL_PERSON, WAWP_OP_ADD, 406, WAWP_COMMUNITY_RESTRICTED, NULL},
	{LEVEL_PERSON, WAWP_OP_ADD, 408, WAWP_RECENTLY_LEFT, NULL},
	{LEVEL_PERSON | CALL, WAWP_OP_ADD, 409, WAWP_ALREADY_MEMBER, NULL},
	{LEVEL_PERSON, WAWP_OP_PROMOTE, 409, WAWP_PROMOTED, "was an admin already"},
	{LEVEL_PERSON, WAWP_OP_DEMOTE, 409, WAWP_DEMOTED, "was no admin"},
	{EVERY, ANY, 410, WAWP_LINK_UNAVAILABLE, "the invite link was revoked"},
	{LEVEL_PERSON | LEVEL_ENGINE, ANY, 412, WAWP_GROUP_FULL, "the community is full"},
	{LEVEL_PERSON | LEVEL_ENGINE, ANY, 416, WAWP_GROUP_LOCKED, "the community is suspended"},
	{LEVEL_PERSON, WAWP_OP_ADD, 417, WAWP_COMMUNITY_RESTRICTED, NULL},
	{EVERY, ANY, 419, WAWP_GROUP_FULL, NULL},
	{LEVEL_PERSON, WAWP_OP_ADD, 421, WAWP_PENDING_APPROVAL, NULL},
	{EVERY, ANY, 423, WAWP_GROUP_LOCKED, NULL},
	{EVERY, ANY, 429, WAWP_RATE_LIMITED, NULL},
	{LEVEL_PERSON | LEVEL_ENGINE, ANY, 436, WAWP_LINK_UNAVAILABLE, "the invite link is locked by WhatsApp"},
	{LEVEL_PERSON, ANY, 451, WAWP_LEGAL_RESTRICTED, NULL},
	{LEVEL_PERSON | LEVEL_ENGINE, ANY, 463, WAWP_ACCOUNT_RESTRICTED, NULL},
	{LEVEL_PERSON | LEVEL_ENGINE, ANY, 475, WAWP_ACCOUNT_RESTRICTED, "the account has begun as many new chats as WhatsApp allows"},

	{LEVEL_ENGINE, ANY, 400, WAWP_UNRECOGNISED, "WhatsApp calls the request malformed"},
	{LEVEL_ENGINE, ANY, 406, WAWP_UNRECOGNISED, "WhatsApp does not accept the request"},
	{LEVEL_HTTP, ANY, 401, WAWP_AUTH_FAILED, NULL},
	{LEVEL_HTTP, ANY, 402, WAWP_QUOTA_EXCEEDED, NULL},
	{LEVEL_ENGINE, ANY, 401, WAWP_NOT_ADMIN, NULL},
	{CALL, ANY, 403, WAWP_NOT_ADMIN, NULL},
	{CALL, ANY, 404, WAWP_GROUP_NOT_FOUND, NULL},
	{LEVEL_ENGINE, ANY, 405, WAWP_NOT_ADMIN, NULL},
	{LEVEL_HTTP, ANY, 422, WAWP_SESSION_DOWN, NULL},
	{LEVEL_HTTP, ANY, 425, WAWP_RATE_LIMITED, NULL},
};

typedef struct TextRule
{
	int			levels;
	int			operations;
	const char *fragment;		/* lower case */
	WawpOutcome outcome;
} TextRule;

/* The first rule that matches decides; code_words come before them.  '_' and '-' are the same as ' '. */
static const TextRule text_rules[] = {
	{EVERY, ANY, "rate-overlimit", WAWP_RATE_LIMITED},
	{EVERY, ANY, "rate limit", WAWP_RATE_LIMITED},
	{EVERY, ANY, "too many requests", WAWP_RATE_LIMITED},
	{EVERY, ANY, "account_restricted", WAWP_ACCOUNT_RESTRICTED},
	{EVERY, ANY, "account_reachout_restricted", WAWP_ACCOUNT_RESTRICTED},
	{EVERY, ANY, "timelock", WAWP_ACCOUNT_RESTRICTED},
	{CALL, ANY, "maximum limit", WAWP_QUOTA_EXCEEDED},
	{CALL, ANY, "limit reached", WAWP_QUOTA_EXCEEDED},
	{CALL, ANY, "quota", WAWP_QUOTA_EXCEEDED},
	{CALL, ANY, "session not found", WAWP_SESSION_DOWN},
	{CALL, ANY, "session already", WAWP_SESSION_DOWN},
	{CALL, ANY, "stream replaced", WAWP_SESSION_DOWN},
	{CALL, ANY, "connection replaced", WAWP_SESSION_DOWN},
	{CALL, ANY, "instance not found", WAWP_SESSION_DOWN},
	{CALL, ANY, "instance does not exist", WAWP_SESSION_DOWN},
	{CALL, ANY, "session status is not as expected", WAWP_SESSION_DOWN},
	{CALL, ANY, "not connected", WAWP_SESSION_DOWN},
	{CALL, ANY, "no admin rights", WAWP_NOT_ADMIN},
	{CALL, ANY, "not an admin", WAWP_NOT_ADMIN},
	{CALL, ANY, "not group admin", WAWP_NOT_ADMIN},
	{CALL, ANY, "must be an admin", WAWP_NOT_ADMIN},
	{CALL, ANY, "group not found", WAWP_GROUP_NOT_FOUND},
	{CALL, ANY, "access token", WAWP_AUTH_FAILED},
	{CALL, ANY, "missing token", WAWP_AUTH_FAILED},
	{CALL, ANY, "authentication token", WAWP_AUTH_FAILED},
	{CALL, ANY, "invalid jid", WAWP_BAD_IDENTIFIER},
	{CALL, ANY, "malformed jid", WAWP_BAD_IDENTIFIER},
	{CALL, ANY, "not a valid jid", WAWP_BAD_IDENTIFIER},
	{LEVEL_PERSON, WAWP_OP_ADD, "already a member", WAWP_ALREADY_MEMBER},
	{LEVEL_PERSON, WAWP_OP_ADD, "already member", WAWP_ALREADY_MEMBER},
	{LEVEL_PERSON, WAWP_OP_ADD, "already a participant", WAWP_ALREADY_MEMBER},
	{LEVEL_PERSON, WAWP_OP_ADD, "already in the group", WAWP_ALREADY_MEMBER},
	{LEVEL_PERSON, WAWP_OP_ADD, "already in this group", WAWP_ALREADY_MEMBER},
	{LEVEL_PERSON, WAWP_OP_ADD, "already in group", WAWP_ALREADY_MEMBER},
	{LEVEL_PERSON, WAWP_OP_ADD, "already a group member", WAWP_ALREADY_MEMBER},
	{LEVEL_PERSON, WAWP_OP_ADD, "already a group participant", WAWP_ALREADY_MEMBER},
	{LEVEL_PERSON, WAWP_OP_ADD, "already part of the group", WAWP_ALREADY_MEMBER},
	{LEVEL_PERSON, WAWP_OP_ADD, "already part of this group", WAWP_ALREADY_MEMBER},
	{EVERY, ANY, "not on whatsapp", WAWP_NOT_ON_WHATSAPP},
	{EVERY, ANY, "not registered", WAWP_NOT_ON_WHATSAPP},
	{LEVEL_PERSON, ANY, "recently left", WAWP_RECENTLY_LEFT},
	{LEVEL_PERSON, ANY, "left the group recently", WAWP_RECENTLY_LEFT},
	{LEVEL_PERSON, WAWP_OP_ADD, "private invitation", WAWP_PRIVACY_BLOCKED},
	{LEVEL_PERSON, WAWP_OP_ADD, "privacy", WAWP_PRIVACY_BLOCKED},
	{LEVEL_PERSON, WAWP_OP_ADD, "community", WAWP_COMMUNITY_RESTRICTED},
	{EVERY, ANY, "group is full", WAWP_GROUP_FULL},
};

/* Words that errors carry in "code". */
static const struct
{
	const char *word;
	WawpOutcome outcome;
}			code_words[] =
{
	{"invalid_session", WAWP_SESSION_DOWN},
	{"invalid_instance", WAWP_SESSION_DOWN},
	{"subscription_required", WAWP_QUOTA_EXCEEDED},
	{"quota_reached", WAWP_QUOTA_EXCEEDED},
	{"account_restricted", WAWP_ACCOUNT_RESTRICTED},
	{"rate_limited", WAWP_RATE_LIMITED},
	{"rest_forbidden", WAWP_AUTH_FAILED},
};

/* Words that say only that something behind the API failed. */
static const char *const failure_words[] = {"wawp_upstream_error", "proxy_error"};

static const struct
{
	const char *name;
	WawpOperation operation;
}			operations[] =
{
	{"add", WAWP_OP_ADD},
	{"remove", WAWP_OP_REMOVE},
	{"promote", WAWP_OP_PROMOTE},
	{"demote", WAWP_OP_DEMOTE},
	{"send", WAWP_OP_SEND},
};

/* By OutcomeNext: the next step, as wawp.outcome_info names it. */
static const char *const next_steps[] = {
	[NEXT_DONE] = "nothing",
	[NEXT_VERIFY] = "verify",
	[NEXT_INVITE] = "invite",
	[NEXT_WAIT] = "wait",
	[NEXT_FAIL] = "fail",
	[NEXT_RETRY] = "retry",
	[NEXT_SLOW_DOWN] = "slow down",
	[NEXT_HOLD_LANE] = "hold the group",
	[NEXT_HOLD_INSTANCE] = "hold the instance",
	[NEXT_NONE] = "nothing",
};

/* By OutcomeAbout, likewise. */
static const char *const abouts[] = {
	[ABOUT_PERSON] = "person",
	[ABOUT_GROUP] = "group",
	[ABOUT_INSTANCE] = "instance",
	[ABOUT_API] = "api",
};

const OutcomeInfo *
outcome_info(WawpOutcome outcome)
{
	Assert(outcomes[outcome].outcome == outcome);
	return &outcomes[outcome];
}

const char *
outcome_next_step(const OutcomeInfo *info)
{
	return next_steps[info->next];
}

const char *
outcome_about(const OutcomeInfo *info)
{
	return abouts[info->about];
}

/* Set *operation to the one of that name; false if there is none. */
bool
outcome_operation(const char *name, WawpOperation *operation)
{
	for (size_t i = 0; i < lengthof(operations); i++)
	{
		if (strcmp(name, operations[i].name) != 0)
			continue;
		*operation = operations[i].operation;
		return true;
	}
	return false;
}

/* Set *outcome to the one with that label; false if there is none. */
bool
outcome_named(const char *name, WawpOutcome *outcome)
{
	for (size_t i = 0; i < lengthof(outcomes); i++)
	{
		if (strcmp(name, outcomes[i].name) != 0)
			continue;
		*outcome = outcomes[i].outcome;
		return true;
	}
	return false;
}

const char *
outcome_operation_name(WawpOperation operation)
{
	for (size_t i = 0; i < lengthof(operations); i++)
		if (operations[i].operation == operation)
			return operations[i].name;
	return NULL;
}

/* Return a character as text_contains compares it: "not_on_whatsapp" is written as "Not on WhatsApp", too. */
static char
fold_character(char c)
{
	return c == '_' || c == '-' ? ' ' : (char) pg_ascii_tolower((unsigned char) c);
}

/* True if the text begins with the fragment, in any case and with any of ' ', '_' and '-' between words. */
static bool
text_begins(const char *text, const char *fragment)
{
	size_t		n = 0;

	while (fragment[n] && fold_character(text[n]) == fold_character(fragment[n]))
		n++;
	return fragment[n] == '\0';
}

/* True if the text contains the fragment, likewise. */
static bool
text_contains(const char *text, const char *fragment)
{
	for (; *text; text++)
		if (text_begins(text, fragment))
			return true;
	return false;
}

/* True if the text contains one of the fragments, up to a NULL. */
static bool
text_contains_any(const char *text, const char *const *fragments)
{
	for (; text && *fragments; fragments++)
		if (text_contains(text, *fragments))
			return true;
	return false;
}

/* True if a whole word of a text, which begins at `at`, is this one. */
static bool
word_is(const char *text, const char *at, const char *word)
{
	return (at == text || !isalnum((unsigned char) at[-1])) && text_begins(at, word) && !isalnum((unsigned char) at[strlen(word)]);
}

/* True if a text contains one of these, up to a NULL, as whole words. */
static bool
text_has_words(const char *text, const char *const *words)
{
	for (; text && *words; words++)
		for (const char *at = text; *at; at++)
			if (word_is(text, at, *words))
				return true;
	return false;
}

/* True if what stands before a place in a text ends with one of these, up to a NULL; *at is set to its beginning. */
static bool
step_back(const char *text, const char **at, const char *const *ends)
{
	for (; *ends; ends++)
	{
		size_t		n = strlen(*ends);

		if ((size_t) (*at - text) < n || !text_begins(*at - n, *ends))
			continue;
		*at -= n;
		return true;
	}
	return false;
}

/* True if "not" stands before a word of a text: "has not yet been reached". */
static bool
is_negated(const char *text, const char *at)
{
	static const char *const between[] = {"been ", "yet ", NULL};
	static const char *const nots[] = {"not ", "n't ", "never ", NULL};

	while (step_back(text, &at, between))
		;
	return step_back(text, &at, nots);
}

/* True if a text contains one of these as whole words, without a "not". */
static bool
text_affirms(const char *text, const char *const *words)
{
	for (; text && *words; words++)
		for (const char *at = text; *at; at++)
			if (word_is(text, at, *words) && !is_negated(text, at))
				return true;
	return false;
}

/* True if all of a text is one of these, up to a NULL, but for a mark at its end. */
static bool
text_is_one_of(const char *text, const char *const *words)
{
	for (; text && *words; words++)
		if (text_begins(text, *words) && strspn(text + strlen(*words), " .!)") == strlen(text + strlen(*words)))
			return true;
	return false;
}

static const TextRule *
find_text_rule(Level level, int operations, const char *text)
{
	for (size_t i = 0; text && i < lengthof(text_rules); i++)
		if ((text_rules[i].levels & level) && (text_rules[i].operations & operations) && text_contains(text, text_rules[i].fragment))
			return &text_rules[i];
	return NULL;
}

/* True if a text says what is said of a person only, whatever else is in it. */
static bool
has_persons_rule(int operations, const char *text)
{
	for (size_t i = 0; text && i < lengthof(text_rules); i++)
		if (text_rules[i].levels == LEVEL_PERSON && (text_rules[i].operations & operations) && text_contains(text, text_rules[i].fragment))
			return true;
	return false;
}

/* Fill in *reading by the first rule for a code at a level; false, and unchanged, if none matches. */
static bool
read_code(Level level, WawpOperation operation, int code, OutcomeReading *reading)
{
	for (size_t i = 0; i < lengthof(code_rules); i++)
	{
		const CodeRule *rule = &code_rules[i];

		if (!(rule->levels & level) || !(rule->operations & operation) || rule->code != code)
			continue;
		reading->outcome = rule->outcome;
		reading->note = rule->note;
		return true;
	}
	if (code < 500 || code > 599)
		return false;
	reading->outcome = WAWP_SERVER_ERROR;
	reading->note = NULL;
	return true;
}

/*
 * Return the rule for a text that tells that a number beside a person is the
 * call's, though it means something else of a person; NULL if it does not, or says
 * what only a person's does.
 */
static const TextRule *
find_call_rule(WawpOperation operation, int code, const char *text)
{
	static const WawpOutcome calls[] = {WAWP_AUTH_FAILED, WAWP_SESSION_DOWN, WAWP_NOT_ADMIN, WAWP_GROUP_NOT_FOUND, WAWP_QUOTA_EXCEEDED, WAWP_RATE_LIMITED};
	const TextRule *rule = NULL;

	if ((operation & (WAWP_OP_ADD | WAWP_OP_REMOVE)) && (code == 401 || code == 403 || code == 404) && !has_persons_rule(operation, text))
		rule = find_text_rule(LEVEL_HTTP, operation, text);
	for (size_t i = 0; rule && i < lengthof(calls); i++)
		if (rule->outcome == calls[i])
			return rule;
	return NULL;
}

/* Return what an error says behind its name or its status: "Error: Conflict", "409 Conflict", "status 409: conflict". */
static const char *
text_behind_status(const char *text, const char *status)
{
	const char *at = strstr(text, status);

	if (at)
		text = at + strlen(status);
	else if (text_begins(text, "Error: "))
		text += strlen("Error: ");
	return text + strspn(text, " :-,(");
}

/* True if a text says of a person that they are in the group already. */
static bool
is_text_of_member(const char *text)
{
	static const char *const whole[] = {"conflict", "already exists", "already added", "already member", "duplicate", NULL};
	static const char *const who[] = {"user", "participant", "member", "contact", "number", "person"};
	static const char *const is_member[] = {"already exist", "already added", "is already added", "was already added", "has already been added",
	"already present", "is already present", "already joined", "has already joined", "is in the group", "is in this group", "is in group",
	"exists in the group", "exists in group"};
	const TextRule *rule = find_text_rule(LEVEL_PERSON, WAWP_OP_ADD, text);

	if ((rule && rule->outcome == WAWP_ALREADY_MEMBER) || text_is_one_of(text_behind_status(text, "409"), whole))
		return true;
	for (size_t i = 0; i < lengthof(who); i++)
		for (size_t j = 0; j < lengthof(is_member); j++)
			if (text_contains(text, psprintf("%s %s", who[i], is_member[j])))
				return true;
	return false;
}

/* True if a text beside a conflict tells of something that is under way or in the way, rather than of a member. */
static bool
is_about_work(WawpOperation operation, const char *text)
{
	static const char *const words[] = {"request", "operation", "session", "instance", "progress", "processing", "processed", "busy", "locked",
	"connecting", "try again", "retry", NULL};

	return operation == WAWP_OP_ADD && text_has_words(text, words);
}

/* True if a text ends with WhatsApp's number of a conflict, and so says nothing else of it: "server returned error 409". */
static bool
is_bare_conflict(const char *text)
{
	const char *at = text ? strstr(text, "409") : NULL;

	return at && *text_behind_status(text, "409") == '\0' && !is_about_work(WAWP_OP_ADD, text);
}

/*
 * Return the meaning of a person's number, or of a text alone (code 0).
 *
 * inner_code: the number under a 421, else 0.  is_after_success: the same answer
 * has an earlier success; whatsapp-web.js hides every exception behind 400,
 * and after successes that exception is WhatsApp's rate limit (wwebjs#3646).
 */
OutcomeReading
outcome_of_person(WawpOperation operation, int code, int inner_code,
				  const char *text, bool is_after_success)
{
	OutcomeReading reading = {.outcome = WAWP_UNRECOGNISED};
	const TextRule *rule;

	if (code == 421 && inner_code == 419)
	{
		reading.outcome = WAWP_GROUP_LOCKED;
		reading.note = "the group's queue of join requests is full";
		return reading;
	}
	rule = find_call_rule(operation, code, text);
	if (rule == NULL && code == 409 && is_about_work(operation, text) && !is_text_of_member(text))
	{
		reading.outcome = WAWP_UNKNOWN_RESULT;
		return reading;
	}
	if (rule == NULL && code != 0 && read_code(LEVEL_PERSON, operation, code, &reading))
		return reading;
	if (rule == NULL)
		rule = find_text_rule(LEVEL_PERSON, operation, text);

	/*
	 * some gateways repeat beside each person what is about the call; "not an admin" can be the person for a change of
	 * role
	 */
	if (rule == NULL && (operation & (WAWP_OP_ADD | WAWP_OP_REMOVE)))
		rule = find_text_rule(LEVEL_HTTP, operation, text);
	if (rule)
		reading.outcome = rule->outcome;
	else if (code == 400 && is_after_success)
		reading.outcome = WAWP_RATE_LIMITED;
	return reading;
}

/* True if a text speaks of a group, and not only in a path: "/v2/group/1". */
static bool
is_text_of_group(const char *text)
{
	static const char *const inner[] = {" group ", " chat ", " group's ", NULL};

	return text_begins(text, "group ") || text_begins(text, "chat ") || text_contains_any(text, inner);
}

/*
 * True if the answer says that the API has no such route.  A 404 that is not JSON of
 * the API's form comes from a proxy or a framework and says nothing about a group.
 * "Not Found" alone may be either: it is taken for the group's.
 */
bool
outcome_is_missing_route(int http_status, const char *text, BodyKind body)
{
	static const char *const fragments[] = {"cannot get /", "cannot post /", "no route", "not implemented", "only in plus version", NULL};
	static const char *const words[] = {"route", "routes", "endpoint", "page not found", "url", "uri", "unknown path", "no such path", "path not found",
	"unknown method", "method not found", "api not found", "api version", "no static resource", "no handler", NULL};

	if (http_status == 405 || http_status == 501)
		return true;
	if (http_status == 404 && body != BODY_JSON)
		return true;
	if ((http_status != 404 && http_status != 422) || text == NULL)
		return false;
	if (text_contains_any(text, fragments))
		return true;
	return http_status == 404 && text_has_words(text, words) && !is_text_of_group(text) && find_text_rule(LEVEL_HTTP, ANY, text) == NULL;
}

/*
 * A proxy or gateway may answer in the API's place.  These statuses say so by
 * themselves, with any body: the API gives none of them.
 */
static const struct
{
	int			first;
	int			last;
	const char *note;
}			outages[] =
{
	{300, 399, "redirects are not followed"},
	{405, 405, "the API does not take this request at its address"},
	{406, 408, "the request did not get through to the API"},
	{411, 418, "the request did not get through to the API"},
	{420, 421, "the request did not get through to the API"},
	{424, 424, "the request did not get through to the API"},
	{426, 428, "the request did not get through to the API"},
	{430, 499, "the request did not get through to the API"},
	{502, 999, "the API is not reached by its gateway"},
};

/* Statuses that the API explains in JSON: with another body they are a proxy's. */
static const int explained[] = {403, 404, 409, 410, 419, 423};

/* True if a text tells that something before the API keeps requests out, and nothing of a group: that is the API's own. */
static bool
is_text_of_wall(const char *text)
{
	static const char *const apis[] = {"admin", "admins", "group", "groups", "participant", "participants", NULL};
	static const char *const walls[] = {"firewall", "waf", "ip", "ips", "ip address", "captcha", "cloudflare", "explicit deny", NULL};
	static const char *const bots[] = {"bot detected", "bots detected", "bot detection", "bot protection", "bot traffic", "bot activity", "bot management",
	"antibot", "anti bot", NULL};
	static const char *const cloudflares[] = {"error 10", "error 11", "error 12", "error code: 10", "error code: 11", "error code: 12", NULL};
	static const char *const blocks[] = {"blocked", NULL};
	static const char *const people[] = {"user", "contact", "number", "member", "person", "target", "recipient", NULL};

	if (text_has_words(text, apis))
		return false;
	return text_has_words(text, walls) || text_contains_any(text, bots) || text_contains_any(text, cloudflares) ||
		(text_has_words(text, blocks) && !text_has_words(text, people));
}

/* Return why an answer is not the API's own; NULL if it may be. */
static const char *
outage_note(int http_status, const char *text, BodyKind body)
{
	for (size_t i = 0; i < lengthof(outages); i++)
		if (http_status >= outages[i].first && http_status <= outages[i].last)
			return outages[i].note;
	if (body == BODY_PAGE && http_status >= 300)
		return "a page or an error of a proxy came in place of the API's answer";
	for (size_t i = 0; i < lengthof(explained); i++)
		if (http_status == explained[i] && body != BODY_JSON && body != BODY_FRAMEWORK)
			return "the answer is not of the kind that the API gives";
	if (http_status == 403 && is_text_of_wall(text))
		return "something before the API keeps the request out";
	return NULL;
}

/* True if a 422 is about the request and not about the session, which it usually is. */
static bool
is_fault_of_request(int http_status, const char *text)
{
	static const char *const fragments[] = {"required", "must be", "should be", "should not", "invalid", "validation",
	"not supported", "unsupported", "not available", NULL};

	return http_status == 422 && text && !text_contains(text, "session") && text_contains_any(text, fragments);
}

/*
 * True if a 409 to an addition is not plainly about the person, but may be about
 * another request that is under way: whether they are a member has to be looked at.
 */
static bool
is_other_conflict(int code, WawpOperation operation, const char *text)
{
	return code == 409 && operation == WAWP_OP_ADD && text && !is_text_of_member(text);
}

static bool
is_failure_word(const char *word)
{
	for (size_t i = 0; word && i < lengthof(failure_words); i++)
		if (pg_strcasecmp(word, failure_words[i]) == 0)
			return true;
	return false;
}

/*
 * Return the status that WhatsApp says in one of its words, which is all of the
 * text; 0 if it is none.  "conflict" is left out: a session that was replaced
 * ends with it as well.
 */
static int
code_of_word(const char *text)
{
	static const struct
	{
		const char *word;
		int			code;
	}			words[] =
	{
		{"bad-request", 400}, {"not-authorized", 401}, {"forbidden", 403}, {"item-not-found", 404}, {"not-allowed", 405},
		{"not-acceptable", 406}, {"gone", 410}, {"resource-limit", 419}, {"locked", 423}, {"rate-overlimit", 429},
		{"internal-server-error", 500}, {"service-unavailable", 503}
	};

	if (text && strncmp(text, "Error: ", strlen("Error: ")) == 0)
		text += strlen("Error: ");
	for (size_t i = 0; text && i < lengthof(words); i++)
		if (strcmp(text, words[i].word) == 0)
			return words[i].code;
	return 0;
}

/* True if an HTTP status says nothing by itself of a refusal that WhatsApp words. */
static bool
is_status_open(int http_status)
{
	return http_status < 300 || http_status >= 500;
}

/*
 * Return the meaning of a call that failed as a whole.
 *
 * http_status: of the status line, or of the envelope if the status line said
 * 2xx; 0 if neither has one.  engine_code: WhatsApp's own number in the error's
 * text, else 0.  text: NULL if it is no message, such as a page; all of it may be
 * one of WhatsApp's words for such a number, if the HTTP status leaves that open.
 */
OutcomeReading
outcome_of_refusal(WawpOperation operation, int http_status, int engine_code,
				   const char *code_word, const char *text, BodyKind body)
{
	static const char *const no_such_route = "the API has no such route";
	OutcomeReading reading = {.outcome = WAWP_UNRECOGNISED};
	const TextRule *rule;

	for (size_t i = 0; code_word && i < lengthof(code_words); i++)
	{
		if (pg_strcasecmp(code_word, code_words[i].word) != 0)
			continue;
		reading.outcome = code_words[i].outcome;
		return reading;
	}
	if (engine_code == 0 && (body == BODY_JSON || body == BODY_VALUE) && is_status_open(http_status))
		engine_code = code_of_word(text);
	rule = find_text_rule(LEVEL_HTTP, operation, text);
	if (http_status == 429)
		reading.outcome = WAWP_RATE_LIMITED;
	else if (rule)
		reading.outcome = rule->outcome;
	else if (is_other_conflict(engine_code, operation, text) && !is_bare_conflict(text))
		reading.outcome = WAWP_UNKNOWN_RESULT;
	else if (engine_code >= 400 && read_code(LEVEL_ENGINE, operation, engine_code, &reading))
		return reading;
	else if (operation == WAWP_OP_READ && outcome_is_missing_route(http_status, text, body))
		reading.note = no_such_route;
	else if ((reading.note = outage_note(http_status, text, body)) != NULL)
	{
		reading.is_outage = true;
		if (http_status >= 500)
			reading.outcome = WAWP_SERVER_ERROR;
	}
	else if (outcome_is_missing_route(http_status, text, body))
		reading.note = no_such_route;
	else if (is_other_conflict(http_status, operation, text))
		reading.outcome = WAWP_UNKNOWN_RESULT;
	else if (!is_fault_of_request(http_status, text) &&
			 !read_code(LEVEL_HTTP, operation, http_status, &reading) && is_failure_word(code_word))
		reading.outcome = WAWP_SERVER_ERROR;
	return reading;
}

/*
 * Return the meaning of a success by its text: Wawp's first version reports under
 * "status": "success" that the plan is used up.  A text that only tells of a quota
 * or a limit does not.
 */
WawpOutcome
outcome_of_success(const char *text)
{
	static const char *const used_up[] = {"exceed", "exceeds", "exceeded", "reached", "used up", "hit", "overlimit", "too many requests", NULL};
	const TextRule *rule = find_text_rule(LEVEL_HTTP, ANY, text);

	if (rule && (rule->outcome == WAWP_QUOTA_EXCEEDED || rule->outcome == WAWP_RATE_LIMITED) &&
		text_affirms(text, used_up))
		return rule->outcome;
	return WAWP_ACCEPTED;
}
