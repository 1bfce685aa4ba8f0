/*
 * outcome_test.c
 *	  The same number at different levels.  test/sql/classify.sql has whole
 *	  answers; here are combinations that no answer reaches.
 */
#include "postgres_fe.h"

#include "protocol/endpoint.h"
#include "protocol/outcome.h"
#include "protocol/redact.h"
#include "tap.h"

static const char *
person(WawpOperation operation, int code)
{
	return outcome_info(outcome_of_person(operation, code, 0, NULL, false).outcome)->name;
}

static const char *
http(int status)
{
	return outcome_info(outcome_of_refusal(WAWP_OP_ADD, status, 0, NULL, "text", BODY_JSON).outcome)->name;
}

static const char *
refused(WawpOperation operation, int status, const char *text)
{
	return outcome_info(outcome_of_refusal(operation, status, 0, NULL, text, BODY_JSON).outcome)->name;
}

static const char *
engine(int code)
{
	return outcome_info(outcome_of_refusal(WAWP_OP_ADD, 500, code, NULL, NULL, BODY_JSON).outcome)->name;
}

static void
test_levels(void)
{
	is_text(person(WAWP_OP_ADD, 403), "privacy_blocked", "a person's 403: the person's privacy settings");
	is_text(http(403), "not_admin", "HTTP 403: our account is not an admin");
	is_text(engine(403), "not_admin", "an engine's 403: our account is not an admin");
	is_text(person(WAWP_OP_ADD, 401), "blocked_by_user", "a person's 401: the person blocks us");
	is_text(http(401), "auth_failed", "HTTP 401: our token");
	is_text(engine(401), "not_admin", "an engine's 401: our account is not an admin");
	is_text(person(WAWP_OP_ADD, 404), "not_on_whatsapp", "a person's 404 when adding");
	is_text(person(WAWP_OP_REMOVE, 404), "not_member", "a person's 404 when removing");
	is_text(http(404), "group_not_found", "HTTP 404 with a JSON body");
	is_text(person(WAWP_OP_ADD, 500), "server_error", "a person's 500");
	is_text(engine(400), "unrecognised", "an engine's 400 inside a 500 is permanent");
	is_text(engine(406), "unrecognised", "an engine's 406 is permanent");
	is_text(engine(444), "server_error", "an unknown number of an engine: the HTTP status decides");
	is_text(http(402), "quota_exceeded", "HTTP 402: the plan");
	is_text(http(429), "rate_limited", "HTTP 429");
	is_text(outcome_info(outcome_of_refusal(WAWP_OP_ADD, 429, 0, NULL, "Daily limit reached", BODY_JSON).outcome)->name,
			"rate_limited", "HTTP 429 overrides the text");
	is_text(person(WAWP_OP_ADD, 999), "unrecognised", "an unknown number of a person");
}

/* WhatsApp's own words as the whole text, beside the HTTP status. */
static const struct
{
	int			status;
	const char *text;
	const char *outcome;
}			words[] =
{
	{500, "bad-request", "unrecognised"},
	{500, "not-acceptable", "unrecognised"},
	{500, "item-not-found", "group_not_found"},
	{500, "forbidden", "not_admin"},
	{0, "forbidden", "not_admin"},
	{500, "forbidden by the firewall", "server_error"},
	{500, "conflict", "server_error"},
	{401, "forbidden", "auth_failed"},
	{402, "not-allowed", "quota_exceeded"},
	{409, "Conflict", "already_member"},
	{409, "The participant is in the group", "already_member"},
	{409, "The user already exists", "already_member"},
	{409, "Another request is being processed", "unknown_result"},
	{409, "Session already running", "session_down"},
	{409, "Conflict.", "already_member"},
	{409, "Error: Conflict", "already_member"},
	{409, "info query returned status 409: conflict", "already_member"},
	{409, "The participant is already a group member", "already_member"},
	{409, "ALREADY_EXISTS", "already_member"},
	{409, "Another request is already in progress", "unknown_result"},
	{409, "Conflict: session is busy", "unknown_result"},
	{409, "Instance is already connecting", "unknown_result"},
	{409, "The participant list exists but is locked", "unknown_result"},
	{409, "A job for this group already exists", "unknown_result"},
	{409, "Request failed with status code 409", "unknown_result"},
	{409, "Participant is already added to this group", "already_member"},
	{409, "User is already present in the group", "already_member"},
	{404, "Route POST:/v2/groups/x/participants/add not found", "unrecognised"},
	{404, "The route v2/groups/x could not be found.", "unrecognised"},
	{404, "no Route matched with those values", "unrecognised"},
	{404, "Unknown endpoint", "unrecognised"},
	{404, "404 page not found", "unrecognised"},
	{404, "The requested URL was not found on the server", "unrecognised"},
	{404, "Method not found.", "unrecognised"},
	{404, "Not Found", "group_not_found"},
	{404, "Group not found at this endpoint", "group_not_found"},
	{404, "Group 120363012345678901@g.us was not found at route /v2/groups", "group_not_found"},
	{404, "The requested group was not found (endpoint /v2/groups)", "group_not_found"},
	{404, "The chat was not found at this url", "group_not_found"},
	{404, "Route POST:/v2/group/add not found", "unrecognised"},
	{404, "The grouproute is gone", "group_not_found"},
	{403, "IP not whitelisted", "unrecognised"},
	{403, "Request blocked by firewall", "unrecognised"},
	{403, "error code: 1020", "unrecognised"},
	{403, "Sorry, you have been blocked", "unrecognised"},
	{403, "Attention Required! | Cloudflare", "unrecognised"},
	{403, "Bot detected", "unrecognised"},
	{403, "Blocked by our bot protection", "unrecognised"},
	{403, "The participant has blocked you", "not_admin"},
	{403, "Bot is not admin", "not_admin"},
	{403, "bot must be admin of the group", "not_admin"},
	{403, "Bot needs admin rights", "not_admin"},
	{403, "This bot may not do that", "not_admin"},
	{403, "Adding is blocked for this group", "not_admin"},
	{403, "The group's admin has blocked invites", "not_admin"},
	{403, "Only admins can do this (ip: 1.2.3.4)", "not_admin"},
	{403, "Recipients cannot be added", "not_admin"},
	{403, "Forbidden", "not_admin"},
	{422, "locked", "session_down"},
};

/* Texts in which an engine has its 409. */
static const struct
{
	const char *text;
	const char *outcome;
}			conflicts[] =
{
	{"server returned error 409", "already_member"},
	{"info query returned status 409: conflict", "already_member"},
	{"info query returned status 409: busy", "unknown_result"},
	{"Request failed with status code 409", "unknown_result"},
};

static void
test_words(void)
{
	for (size_t i = 0; i < lengthof(words); i++)
		is_text(refused(WAWP_OP_ADD, words[i].status, words[i].text), words[i].outcome, psprintf("HTTP %d: %s", words[i].status, words[i].text));
	is_text(refused(WAWP_OP_REMOVE, 403, "Bot needs admin rights"), "not_admin", "a removal that needs an admin");
	for (size_t i = 0; i < lengthof(conflicts); i++)
		is_text(outcome_info(outcome_of_refusal(WAWP_OP_ADD, 500, 409, NULL, conflicts[i].text, BODY_JSON).outcome)->name, conflicts[i].outcome,
				psprintf("an engine's 409: %s", conflicts[i].text));
}

/* A text about one person, without a number. */
static const struct
{
	WawpOperation operation;
	const char *text;
	const char *outcome;
}			remarks[] =
{
	{WAWP_OP_ADD, "The participant is already in the group", "already_member"},
	{WAWP_OP_ADD, "already_in_group", "already_member"},
	{WAWP_OP_ADD, "Already a participant", "already_member"},
	{WAWP_OP_ADD, "User was already invited", "unrecognised"},
	{WAWP_OP_ADD, "An invite is already in progress", "unrecognised"},
	{WAWP_OP_ADD, "The participant can be added by private invitation only", "privacy_blocked"},
	{WAWP_OP_ADD, "can't be added to the community", "community_restricted"},
	{WAWP_OP_REMOVE, "can't be removed from the community's announcements", "unrecognised"},
	{WAWP_OP_REMOVE, "not possible by privacy settings", "unrecognised"},
	{WAWP_OP_PROMOTE, "an owner of the community decides", "unrecognised"},
	{WAWP_OP_DEMOTE, "is already a participant", "unrecognised"},
	{WAWP_OP_REMOVE, "the number is not on WhatsApp", "not_on_whatsapp"},
};

static void
test_remarks(void)
{
	for (size_t i = 0; i < lengthof(remarks); i++)
		is_text(outcome_info(outcome_of_person(remarks[i].operation, 0, 0, remarks[i].text, false).outcome)->name, remarks[i].outcome,
				psprintf("%s: %s", outcome_operation_name(remarks[i].operation), remarks[i].text));
}

/* Texts beside a person's number. */
static const struct
{
	int			code;
	const char *text;
	const char *outcome;
}			beside[] =
{
	{401, "Invalid or Missing Access Token", "auth_failed"},
	{403, "You are not an admin", "not_admin"},
	{404, "Session not found", "session_down"},
	{403, "The participant can be added by private invitation only", "privacy_blocked"},
	{404, "The number is not registered on WhatsApp", "not_on_whatsapp"},
	{403, "The participant is not connected to you, can be added by private invitation only", "privacy_blocked"},
	{404, "The instance is not connected", "session_down"},
	{409, "The participant is already a group member", "already_member"},
	{409, "Request failed: the participant is already a group member", "already_member"},
	{409, "already in group, no retry needed", "already_member"},
	{409, "m", "already_member"},
	{409, "Request failed", "unknown_result"},
	{409, "Another request is in progress", "unknown_result"},
};

static void
test_beside(void)
{
	for (size_t i = 0; i < lengthof(beside); i++)
		is_text(outcome_info(outcome_of_person(WAWP_OP_ADD, beside[i].code, 0, beside[i].text, false).outcome)->name, beside[i].outcome,
				psprintf("a person's %d: %s", beside[i].code, beside[i].text));
}

/* Texts of a success. */
static const struct
{
	const char *text;
	WawpOutcome outcome;
}			successes[] =
{
	{"The number of messages you have sent per month has exceeded the maximum limit", WAWP_QUOTA_EXCEEDED},
	{"Quota reached", WAWP_QUOTA_EXCEEDED},
	{"rate limit exceeded", WAWP_RATE_LIMITED},
	{"rate-overlimit", WAWP_RATE_LIMITED},
	{"Too many requests", WAWP_RATE_LIMITED},
	{"Accepted, rate limit: 10 a minute", WAWP_ACCEPTED},
	{"Accepted, remaining quota: 94", WAWP_ACCEPTED},
	{"Accepted (maximum limit: 50 participants)", WAWP_ACCEPTED},
	{"Sent. Within quota (white plan)", WAWP_ACCEPTED},
	{"rate limit: 100 remaining; you have not reached it", WAWP_ACCEPTED},
	{"Sent, you haven't exceeded your quota", WAWP_ACCEPTED},
	{"The rate limit was hit.", WAWP_RATE_LIMITED},
	{"The quota has not yet been reached", WAWP_ACCEPTED},
	{"The message has not been sent: quota exceeded", WAWP_QUOTA_EXCEEDED},
	{"Quota exceeded, the person was not reached", WAWP_QUOTA_EXCEEDED},
	{"Reached", WAWP_ACCEPTED},
	{NULL, WAWP_ACCEPTED},
};

static void
test_successes(void)
{
	for (size_t i = 0; i < lengthof(successes); i++)
		is_int(outcome_of_success(successes[i].text), successes[i].outcome, successes[i].text ? successes[i].text : "no text");
}

/* Answers, and whether a proxy or gateway gave them in the API's place. */
static const struct
{
	int			status;
	BodyKind	body;
	bool		is_outage;
	const char *outcome;
}			outages[] =
{
	{302, BODY_NONE, true, "unrecognised"},
	{405, BODY_JSON, true, "unrecognised"},
	{503, BODY_JSON, true, "server_error"},
	{504, BODY_PAGE, true, "server_error"},
	{500, BODY_JSON, false, "server_error"},
	{500, BODY_PAGE, true, "server_error"},
	{403, BODY_JSON, false, "not_admin"},
	{403, BODY_SENTENCE, true, "unrecognised"},
	{403, BODY_NONE, true, "unrecognised"},
	{403, BODY_PAGE, true, "unrecognised"},
	{404, BODY_JSON, false, "group_not_found"},
	{404, BODY_SENTENCE, true, "unrecognised"},
	{404, BODY_NONE, true, "unrecognised"},
	{400, BODY_JSON, false, "unrecognised"},
	{400, BODY_SENTENCE, false, "unrecognised"},
	{400, BODY_PAGE, true, "unrecognised"},
	{401, BODY_NONE, false, "auth_failed"},
	{402, BODY_JSON, false, "quota_exceeded"},
	{402, BODY_PAGE, true, "unrecognised"},
	{301, BODY_PAGE, true, "unrecognised"},
	{406, BODY_JSON, true, "unrecognised"},
	{407, BODY_NONE, true, "unrecognised"},
	{408, BODY_NONE, true, "unrecognised"},
	{412, BODY_JSON, true, "unrecognised"},
	{413, BODY_PAGE, true, "unrecognised"},
	{414, BODY_NONE, true, "unrecognised"},
	{415, BODY_JSON, true, "unrecognised"},
	{421, BODY_NONE, true, "unrecognised"},
	{424, BODY_JSON, true, "unrecognised"},
	{426, BODY_NONE, true, "unrecognised"},
	{428, BODY_JSON, true, "unrecognised"},
	{431, BODY_PAGE, true, "unrecognised"},
	{444, BODY_NONE, true, "unrecognised"},
	{451, BODY_NONE, true, "unrecognised"},
	{499, BODY_PAGE, true, "unrecognised"},
	{511, BODY_PAGE, true, "server_error"},
	{525, BODY_NONE, true, "server_error"},
	{409, BODY_JSON, false, "already_member"},
	{409, BODY_NONE, true, "unrecognised"},
	{409, BODY_SENTENCE, true, "unrecognised"},
	{410, BODY_NONE, true, "unrecognised"},
	{419, BODY_SENTENCE, true, "unrecognised"},
	{423, BODY_NONE, true, "unrecognised"},
	{410, BODY_JSON, false, "link_unavailable"},
	{419, BODY_JSON, false, "group_full"},
	{422, BODY_JSON, false, "session_down"},
	{423, BODY_JSON, false, "group_locked"},
	{425, BODY_JSON, false, "rate_limited"},
	{401, BODY_PAGE, true, "unrecognised"},
	{404, BODY_PAGE, true, "unrecognised"},
	{429, BODY_PAGE, false, "rate_limited"},
	{403, BODY_VALUE, true, "unrecognised"},
	{404, BODY_VALUE, true, "unrecognised"},
	{409, BODY_VALUE, true, "unrecognised"},
	{401, BODY_VALUE, false, "auth_failed"},
	{403, BODY_FRAMEWORK, false, "not_admin"},
	{404, BODY_FRAMEWORK, false, "unrecognised"},
	{409, BODY_FRAMEWORK, false, "already_member"},
};

static void
test_outages(void)
{
	for (size_t i = 0; i < lengthof(outages); i++)
	{
		OutcomeReading reading = outcome_of_refusal(WAWP_OP_ADD, outages[i].status, 0, NULL, NULL, outages[i].body);

		ok(strcmp(outcome_info(reading.outcome)->name, outages[i].outcome) == 0 &&
		   reading.is_outage == outages[i].is_outage, "HTTP %d with body %d is %s%s", outages[i].status,
		   (int) outages[i].body, outages[i].outcome, outages[i].is_outage ? ", an outage" : "");
	}
	is_text(refused(WAWP_OP_ADD, 422, "The method is not implemented by the engine"), "unrecognised", "422 of an engine without this route is not the session's");
	is_text(refused(WAWP_OP_ADD, 422, "The feature is available only in Plus version"), "unrecognised", "nor is that of a plan without it");
	is_text(refused(WAWP_OP_ADD, 422, "participants: field required"), "unrecognised", "nor is a fault of the request");
	is_text(refused(WAWP_OP_ADD, 422, "Session status is not as expected"), "session_down", "422 of a session that is down");
	ok(!outcome_of_refusal(WAWP_OP_READ, 404, 0, NULL, "404 page not found", BODY_SENTENCE).is_outage, "a route for reading that is missing is no outage");
	ok(!outcome_of_refusal(WAWP_OP_READ, 405, 0, NULL, NULL, BODY_PAGE).is_outage, "nor is one that is missing under 405");
	ok(outcome_of_refusal(WAWP_OP_READ, 403, 0, NULL, NULL, BODY_PAGE).is_outage, "a page with 403 is one for reading as well");
	ok(outcome_is_missing_route(404, NULL, BODY_FRAMEWORK), "a framework that found nothing has no route");
	ok(!outcome_is_missing_route(404, "Session not found", BODY_JSON), "a session that is not found is no route");
	ok(outcome_is_missing_route(422, "not implemented by the engine", BODY_JSON), "422 of an engine without this route is a missing route");
	ok(!outcome_is_missing_route(422, "Session status is not as expected", BODY_JSON), "422 of a session that is down is not a missing route");
}

static void
test_tables(void)
{
	for (int i = 0; i <= WAWP_THROTTLED; i++)
		ok(outcome_info((WawpOutcome) i)->outcome == (WawpOutcome) i && outcome_info((WawpOutcome) i)->name,
		   "outcome %d is in its place", i);
	for (int i = 0; i <= ENDPOINT_SESSION_INFO_GET; i++)
		ok(endpoint_get((EndpointId) i)->id == (EndpointId) i, "endpoint %d is in its place", i);
	ok(endpoint_get(ENDPOINT_NONE) == NULL, "ENDPOINT_NONE has no row");
}

static void
test_redaction(void)
{
	char		numbers[] = "row 123456 (1203630123456@g.us, +1555123) 20261130";

	redact_long_numbers(numbers);
	is_text(numbers, "row 123456 (*************@g.us, +*******) ********", "numbers long enough for a telephone's are masked");
	is_text(redact_secret("a secret b secret", "secret"), "a *** b ***", "every occurrence of a secret is masked");
	is_text(redact_secret("q=s%2Fcret&x", "s/cret"), "q=***&x", "a percent-encoded secret is masked");
	is_text(redact_secret("{\"t\":\"s\\\"c\\u002fret\"}", "s\"c/ret"), "{\"t\":\"***\"}", "a secret in JSON escapes is masked");
	is_text(redact_secret("x%2525y", "%25"), "x***y", "a secret with a percent sign is masked");
	is_text(redact_secret("a t\\u00f6k\\ud83d\\ude00n b", "t\xC3\xB6k\xF0\x9F\x98\x80n"), "a *** b", "a secret with letters above ASCII is masked in JSON escapes");
	is_text(redact_secret("nothing", ""), "nothing", "an empty secret masks nothing");
	is_text(redact_secret(NULL, "x"), NULL, "a NULL text stays NULL");
	is_text(redact_secret("sec", "secret"), "sec", "a text that ends within the secret is not changed");
}

int
main(void)
{
	test_levels();
	test_words();
	test_remarks();
	test_beside();
	test_successes();
	test_outages();
	test_tables();
	test_redaction();
	return done_testing();
}
