/*
 * api.c
 *	  The accounts' API, in place of client/ and of protocol/wire: it answers later, and not always.
 *
 * What comes back is decided when a request leaves; lists show the group as it is when they are read.
 */
#include "postgres.h"

#include <math.h>

#include "client/call.h"
#include "client/http.h"
#include "protocol/wire.h"

#include "simulate.h"

/* How slow a request is that is slow beyond the account's habit. */
#define TAIL_MS 10000

struct HttpTransfer
{
	HttpResult	result;
	int64		began_us;
	int64		ends_us;
	int			account;
	int			group;			/* -1: none */
	int			generation;		/* of the worker */
	dlist_node *node_to_move;	/* when it ends, to that list */
	dlist_head *ended;
};

/* Those under way by the numbers that their events have, and numbers that are free. */
static HttpTransfer **under_way;
static int *free_numbers;
static int	nfree;
static int	nnumbers;

/* Return a number for a transfer. */
static int
transfer_number(HttpTransfer *transfer)
{
	int			number;

	if (nfree == 0)
	{
		int			more = Max(64, nnumbers);

		under_way = realloc(under_way, sizeof(HttpTransfer *) * (nnumbers + more));
		free_numbers = realloc(free_numbers, sizeof(int) * (nnumbers + more));
		while (more-- > 0)
			free_numbers[nfree++] = nnumbers++;
	}
	number = free_numbers[--nfree];
	under_way[number] = transfer;
	return number;
}

static bool
window_covers(const Window *window)
{
	return window->from <= now_us && now_us < window->to;
}

/* Return how long a request takes, in us: most at the lower end, by the logarithm. */
static int64
draw_latency(const Account *account)
{
	double		most = draw() < account->tail ? TAIL_MS : account->slowest_ms;

	return (int64) (1000 * account->fastest_ms * exp(draw() * log(most / account->fastest_ms)));
}

/* Decide how a request ends. */
static void
transfer_decide(HttpTransfer *transfer)
{
	Account    *account = &accounts[transfer->account];
	HttpResult *result = &transfer->result;
	int64		took = draw_latency(account);

	result->status = 200;
	result->retry_after = -1;
	if (window_covers(&account->outage) && account->trouble == TROUBLE_GATEWAY)
		result->status = 503;
	else if (window_covers(&account->outage))
		*result = (HttpResult) {.fate = HTTP_NOT_SENT, .retry_after = -1};
	else if (window_covers(&account->limit))
	{
		result->status = 429;
		result->retry_after = account->retry_after;
	}
	else if (draw() < account->hangs)
		took = account->instance.timeout_ms * INT64CONST(1000);
	if (took >= account->instance.timeout_ms * INT64CONST(1000))
		*result = (HttpResult) {.fate = HTTP_NO_ANSWER, .retry_after = -1};
	transfer->began_us = now_us;
	transfer->ends_us = now_us + took;
}

static HttpTransfer *
transfer_begin(const WawpInstance *instance, int group, PlaceUse use)
{
	HttpTransfer *transfer = palloc0(sizeof(HttpTransfer));

	transfer->account = (int) instance->serverid - 1;
	transfer->group = group;
	transfer->generation = generation;
	transfer_decide(transfer);
	transfer->result.body = (const char *) transfer;
	world_note_begun(transfer->account, group, use);
	event_add(transfer->ends_us, EVENT_ANSWER, transfer_number(transfer));
	return transfer;
}

static int
group_of_text(const char *group)
{
	LaneKey		key = lane_key("", group);

	return world_group_of(&key);
}

HttpTransfer *
call_begin(const WawpInstance *instance, const CallRequest *request)
{
	PlaceUse	use = request->endpoint == ENDPOINT_PARTICIPANTS ? PLACE_LIST :
		request->endpoint == ENDPOINT_SESSION_INFO ? PLACE_SELF : PLACE_OTHER;
	HttpTransfer *transfer = transfer_begin(instance, request->group ? group_of_text(request->group) : -1, use);

	trace(transfer->account, "reads %d of group %d, until %.3f: %d", (int) request->endpoint, transfer->group,
		  (double) transfer->ends_us / SECOND, transfer->result.status);
	if (use == PLACE_LIST)
		accounts[transfer->account].lists_asked++;
	return transfer;
}

/* Return the row of a person; -1: none. */
static int
row_of_jid(const char *jid)
{
	return atoi(jid + 5);
}

HttpTransfer *
call_begin_membership(const WawpInstance *instance, WawpOperation operation pg_attribute_unused(), const char *group,
					  CallPerson **people, int npeople)
{
	HttpTransfer *transfer = transfer_begin(instance, group_of_text(group), PLACE_OTHER);
	bool		arrives = transfer->result.status == 200 || transfer->result.fate == HTTP_NO_ANSWER;

	for (int i = 0; i < npeople; i++)
	{
		Row		   *row = &rows[row_of_jid(people[i]->jid.text)];

		row->is_member |= arrives && !row->blocks;
	}
	trace(transfer->account, "adds %d to group %d, until %.3f: %d", npeople, transfer->group,
		  (double) transfer->ends_us / SECOND, transfer->result.status);
	world_note_sent(transfer->group, npeople, transfer->result.fate != HTTP_NOT_SENT);
	return transfer;
}

/* A run begins: nothing is under way. */
void
api_begin(void)
{
	nfree = 0;
	while (nfree < nnumbers)
	{
		free_numbers[nfree] = nfree;
		nfree++;
	}
}

/* The transfer of that number ends; is_known: by the worker that has begun it, which lives. */
void
api_transfer_ends(int number, bool is_known)
{
	HttpTransfer *transfer = under_way[number];

	free_numbers[nfree++] = number;
	if (!is_known)
		return;
	world_note_ended(transfer->account, transfer->group, transfer->began_us);
	dlist_delete(transfer->node_to_move);
	dlist_push_tail(transfer->ended, transfer->node_to_move);
}

/* Each takes some time. */
void
http_move_at_end(HttpTransfer *transfer, dlist_node *node, dlist_head *ended)
{
	transfer->node_to_move = node;
	transfer->ended = ended;
}

const HttpResult *
http_result(const HttpTransfer *transfer)
{
	steps_taken++;
	return transfer->ends_us <= now_us ? &transfer->result : NULL;
}

CallReading
call_classify_result(WawpOperation operation, const HttpResult *result)
{
	CallReading reading = {.whole.outcome = WAWP_ACCEPTED};

	if (result->fate == HTTP_NOT_SENT)
		reading.whole.outcome = WAWP_UNREACHABLE;
	else if (result->fate == HTTP_NO_ANSWER)
		reading.whole.outcome = operation == WAWP_OP_READ ? WAWP_UNREACHABLE : WAWP_UNKNOWN_RESULT;
	else if (result->status == 429)
		reading.whole.outcome = WAWP_RATE_LIMITED;
	else if (result->status == 503)
		reading.whole.outcome = WAWP_SERVER_ERROR;
	reading.is_outage = result->status == 503;
	return reading;
}

bool
call_end_membership(const WawpInstance *instance pg_attribute_unused(), WawpOperation operation, const HttpResult *result,
					CallPerson **people, int npeople, CallVerdict *end pg_attribute_unused())
{
	CallReading reading = call_classify_result(operation, result);

	for (int i = 0; i < npeople; i++)
	{
		people[i]->outcome = reading.whole.outcome;
		people[i]->code = result->status;
		people[i]->is_outage = reading.is_outage;
	}
	return true;
}

bool
call_failed_for_now(const HttpResult *result)
{
	return !http_is_success(result);
}

bool
call_is_missing_route(const HttpResult *result pg_attribute_unused())
{
	return false;
}

/*
 * ---- answers
 */

static Jid
jid_of_account(int account)
{
	Jid			jid = {.kind = JID_PERSON};

	snprintf(jid.text, sizeof(jid.text), "4917%08d@c.us", account);
	return jid;
}

static void
member_append(WireMembers *list, const Jid *jid, WireRole role)
{
	list->members[list->count++] = (WireMember) {.jid = *jid, .phone = *jid, .role = role};
	list->shown[WIRE_SHOWS_PHONE]++;
}

bool
wire_read_list(const char *body, size_t len pg_attribute_unused(), int more pg_attribute_unused(), WireMembers *out, WireListText *text)
{
	const HttpTransfer *transfer = (const HttpTransfer *) body;
	const SimGroup *group = &groups[transfer->group];
	Jid			me = jid_of_account(transfer->account);

	*text = (WireListText) {0};
	*out = (WireMembers) {.stated = -1};
	out->members = palloc(sizeof(WireMember) * (group->nrows + 1));
	member_append(out, &me, WIRE_ROLE_ADMIN);
	for (int i = group->first_row; i < group->first_row + group->nrows; i++)
		if (rows[i].is_member)
		{
			Jid			jid = {.kind = JID_PERSON};

			snprintf(jid.text, sizeof(jid.text), "49150%09d@c.us", i);
			member_append(out, &jid, WIRE_ROLE_MEMBER);
		}
	accounts[transfer->account].lists_read++;
	return true;
}

int
wire_count_members(const WireMembers *list)
{
	return list->count;
}

/* Lists are short here, and have no index. */
const WireMember *
wire_find_member(const WireMembers *list, const Jid *jid)
{
	for (int i = 0; i < list->count; i++)
		if (jid_same(&list->members[i].phone, jid))
			return &list->members[i];
	return NULL;
}

bool
wire_read_group(const char *body, size_t len pg_attribute_unused(), WireGroup *group, WireMembers *members)
{
	const HttpTransfer *transfer = (const HttpTransfer *) body;
	const SimGroup *of = &groups[transfer->group];

	memset(members, 0, sizeof(*members));
	*group = (WireGroup) {.size = 1};
	for (int i = of->first_row; i < of->first_row + of->nrows; i++)
		group->size += rows[i].is_member;
	return true;
}

bool
wire_read_session(const char *body, size_t len pg_attribute_unused(), WireSession *out)
{
	*out = (WireSession) {.me = jid_of_account(((const HttpTransfer *) body)->account)};
	return true;
}

/* Nobody's LID is known. */
Jid
wire_read_lid(const char *body pg_attribute_unused(), size_t len pg_attribute_unused())
{
	return (Jid) {.kind = JID_INVALID};
}
