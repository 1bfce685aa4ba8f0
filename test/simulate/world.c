/*
 * world.c
 *	  Accounts, groups and who is to be added, in place of the tables; and the checks.
 *
 * Rows lie in one array, those of a group beside each other; statements of tables/intent.c and tables/hold.c are
 * loops here.  What is promised is checked where it happens: at each addition and once a minute.
 */
#include "postgres.h"

#include <math.h>

#include "base/clock.h"
#include "base/guc.h"
#include "common/pg_prng.h"
#include "protocol/backoff.h"
#include "tables/contact.h"
#include "tables/group_settings.h"
#include "tables/hold.h"
#include "tables/intent.h"
#include "tables/membership.h"
#include "throttle/gcra.h"
#include "worker/instance_cache.h"

#include "simulate.h"

#define EPOCH (26 * 365 * USECS_PER_DAY)
#define MOST_HALVINGS 4

/* While a group waits, so many turns of its account go to others at most: each of them has that many, and some. */
#define TURNS_OF_OTHERS 2
#define TURNS_TO_SPARE 10

/* Lists that were read in vain: the worker was restarted, a limit came in between. */
#define MOST_LISTS 1.1
#define LISTS_TO_SPARE 2

Account    *accounts;
SimGroup   *groups;
Row		   *rows;
Shape		shape;
static int	nrows;
static bool is_crowded;
static int64 started_us;		/* the worker */
static uint64 random_state;

/* Waits by their logarithm, for percentiles. */
#define WAIT_BUCKETS 480
static int64 waits[WAIT_BUCKETS];

static void group_become_ready(int i);
static bool account_is_on_trial(const Account *account);

/*
 * ---- random numbers and times
 */

static uint64
draw_bits(void)
{
	uint64		z = (random_state += UINT64CONST(0x9E3779B97F4A7C15));

	z = (z ^ (z >> 30)) * UINT64CONST(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64CONST(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

double
draw(void)
{
	return (double) (draw_bits() >> 11) / (double) (UINT64CONST(1) << 53);
}

double
draw_between(double least, double most)
{
	return least + (most - least) * draw();
}

static bool
happens(double share)
{
	return draw() < share;
}

TimestampTz
GetCurrentTimestamp(void)
{
	return EPOCH + now_us;
}

int64
time_of(TimestampTz at)
{
	return at - EPOCH;
}

/*
 * ---- making a world
 */

static void
account_be_rough(Account *account)
{
	WawpInstance *instance = &account->instance;
	static const double paces[] = {6, 6, 6, 6, 6, 6, 20, 20, 60, 1, 0};

	instance->adds_per_minute = paces[(int) (draw() * lengthof(paces))];
	instance->adds_burst = happens(0.5) ? 4 : (int) draw_between(0, 11);
	instance->pace_jitter = happens(0.5) ? 0.2 : 0;
	instance->concurrency = happens(0.6) ? 1 : (int) draw_between(2, 9);
	instance->batch_size = happens(0.7) ? 1 : (int) draw_between(2, 11);
	instance->reads_per_minute = happens(0.8) ? 60 : 20;
	account->verify = happens(0.8);
	account->fastest_ms = 100;
	account->slowest_ms = happens(0.5) ? 500 : happens(0.6) ? 3000 : 10000;
	account->hangs = happens(0.05) ? 0.01 : 0;
	if (happens(0.2))
	{
		account->outage.from = (int64) draw_between(0, 50 * MINUTE);
		account->outage.to = account->outage.from + (int64) draw_between(10 * SECOND, 5 * MINUTE);
		account->trouble = happens(0.5) ? TROUBLE_GATEWAY : TROUBLE_REFUSED;
	}
	if (happens(0.3))
	{
		account->limit.from = (int64) draw_between(0, 50 * MINUTE);
		account->limit.to = account->limit.from + (int64) draw_between(10 * SECOND, 3 * MINUTE);
		account->retry_after = happens(0.5) ? (int) draw_between(5, 60) : -1;
	}
	if (happens(0.1))
	{
		account->pause.from = (int64) draw_between(0, 50 * MINUTE);
		account->pause.to = account->pause.from + (int64) draw_between(MINUTE, 10 * MINUTE);
	}
}

/* All answers come after about the same time, and there are half as many reads as additions could use. */
static void
account_be_prompt(Account *account)
{
	account->instance.adds_per_minute = account->instance.reads_per_minute;
	account->instance.pace_jitter = 0;
	account->fastest_ms = shape.prompt_ms;
	account->slowest_ms = 1.5 * shape.prompt_ms;
	account->tail = 0;
}

/* Half of the accounts hang, with as many requests as they may have; the others answer soon, and have a share. */
static void
account_be_crowded(int i)
{
	Account    *account = &accounts[i];

	account->outage = account->limit = account->pause = (Window) {0, 0};
	account->hangs = i % 2 == 0 ? 1 : 0;
	account->slowest_ms = 500;
	account->tail = 0;
	account->instance.concurrency = i % 2 == 0 ? 8 : 1;
	account->instance.adds_per_minute = i % 2 == 0 ? 60 : 6;
}

static void
account_make(int i, int per_host)
{
	Account    *account = &accounts[i];
	WawpInstance *instance = &account->instance;
	static const int delays[] = {3000, 15000, 60000};

	snprintf(account->name, sizeof(account->name), "a%d", i);
	instance->serverid = (Oid) (i + 1);
	instance->name = account->name;
	instance->instance_id = account->name;
	instance->base.host = "api.example.org";
	instance->base.origin = psprintf("https://host%d.example.org", i / per_host);
	instance->timeout_ms = 30000;
	instance->ndelays = lengthof(delays);
	memcpy(instance->delay_ms, delays, sizeof(delays));
	instance->adds_per_minute = 6;
	instance->adds_burst = 4;
	instance->reads_per_minute = 60;
	instance->pace_jitter = 0.2;
	instance->concurrency = 1;
	instance->batch_size = 1;
	instance->invite_ttl_ms = INT64CONST(72) * 3600 * 1000;
	account->verify = true;
	account->fastest_ms = 100;
	account->slowest_ms = happens(0.9) ? 500 : 10000;
	account->retry_after = -1;
	account->tail = 0.02;
	if (shape.is_rough)
		account_be_rough(account);
	if (shape.prompt_ms > 0)
		account_be_prompt(account);
	if (shape.hangs > 0)
	{
		instance->concurrency = 4;
		account->hangs = shape.hangs;
	}
	if (is_crowded)
		account_be_crowded(i);
	if (account->pause.to > 0)
	{
		event_add(account->pause.from, EVENT_PAUSE, i);
		event_add(account->pause.to, EVENT_RESUME, i);
	}
	account->places = palloc(sizeof(Place) * instance->concurrency);
	account->ring = (int) instance->adds_per_minute + instance->adds_burst;
	account->last_sent = palloc(sizeof(int64) * Max(account->ring, 1));
	for (int n = 0; n < account->ring; n++)
		account->last_sent[n] = -HOUR;
}

/* Return the account of a group: all have about as many, or the first has a third of all. */
static int
account_for(int group, bool is_uneven)
{
	if (is_uneven && group % 3 == 0)
		return 0;
	return is_uneven ? (int) (draw() * shape.naccounts) : group % shape.naccounts;
}

static void
group_make(int i, bool is_uneven)
{
	SimGroup   *group = &groups[i];

	group->account = account_for(i, is_uneven);
	group->first_row = nrows;
	group->nrows = 1 + (int) (draw() * draw() * shape.people);
	group->looked_us = -1;
	accounts[group->account].ngroups++;
	for (int n = 0; n < group->nrows; n++)
	{
		bool		is_later = shape.is_rough && happens(0.4);

		rows[nrows] = (Row) {.group = i, .state = is_later ? STATE_TO_COME : STATE_QUEUED, .blocks = happens(0.05)};
		if (is_later)
			event_add((int64) draw_between(0, 40 * MINUTE), EVENT_ARRIVAL, nrows);
		else
			group_become_ready(i);
		figures.events += !is_later;
		nrows++;
	}
}

/* Make a world of that shape; the same seed makes the same. */
void
world_make(const Shape *of, uint64 seed)
{
	bool		is_uneven;

	shape = *of;
	random_state = seed * UINT64CONST(0x2545F4914F6CDD1D) + 1;
	pg_prng_seed(&pg_global_prng_state, seed);
	accounts = palloc0(sizeof(Account) * shape.naccounts);
	groups = palloc0(sizeof(SimGroup) * shape.ngroups);
	rows = palloc(sizeof(Row) * shape.ngroups * (shape.people + 1));
	nrows = 0;
	started_us = 0;
	memset(waits, 0, sizeof(waits));
	is_uneven = shape.is_rough && happens(0.3);
	if (shape.is_rough)
	{
		static const int slots[] = {16, 64, 64, 64, 256};

		shape.max_in_flight = slots[(int) (draw() * lengthof(slots))];
	}
	is_crowded = shape.is_rough && happens(0.1);
	if (is_crowded)
		shape.max_in_flight = 64;
	wawp_max_in_flight = shape.max_in_flight;
	for (int i = 0; i < shape.naccounts; i++)
		account_make(i, shape.is_rough && happens(0.5) ? 5 : 1);
	for (int i = 0; i < shape.ngroups; i++)
		group_make(i, is_uneven);
	for (int i = 0; shape.is_rough && i < 3; i++)
		if (happens(0.5))
			event_add((int64) draw_between(0, shape.until), EVENT_RESTART, 0);
}

/*
 * ---- names
 */

LaneKey
world_lane(int group)
{
	LaneKey		key;

	memset(&key, 0, sizeof(key));
	strlcpy(NameStr(key.instance), accounts[groups[group].account].name, NAMEDATALEN);
	snprintf(key.group, sizeof(key.group), "12036304%010d@g.us", group);
	return key;
}

/* Return the number that a text has from a place on. */
static int
number_at(const char *text, int at)
{
	int			n = 0;

	for (const char *digit = text + at; *digit >= '0' && *digit <= '9'; digit++)
		n = n * 10 + *digit - '0';
	return n;
}

int
world_group_of(const LaneKey *lane)
{
	return number_at(lane->group, 8);
}

int
world_account_of(const char *name)
{
	return number_at(name, 1);
}

LaneKey
lane_key(const char *instance, const char *group)
{
	LaneKey		key;

	memset(&key, 0, sizeof(key));
	strlcpy(NameStr(key.instance), instance, NAMEDATALEN);
	strlcpy(key.group, group, sizeof(key.group));
	return key;
}

/*
 * ---- who is ready, and the checks
 */

static int64
account_quiet_since(const Account *account)
{
	return Max(Max(account->ready_us, account->clear_us), Max(account->sent_us, account->paced_us));
}

/*
 * Return since when late answers keep an account from all additions; now, if they do not: all of its places, one after an
 * outage, are taken by requests that take longer than its slowest_ms, or the lists of all groups with somebody to be added do, or the answer to
 * who we are does.
 */
static int64
account_stalls_since(const Account *account)
{
	int			most = account_is_on_trial(account) ? 1 : account->instance.concurrency;
	int64		since = now_us;
	int64		places = 0;
	int64		lists = 0;
	int			nlists = 0;

	for (int i = 0; i < account->in_flight; i++)
	{
		const Place *place = &account->places[i];

		places = Max(places, place->late_from);
		if (place->use == PLACE_SELF)
			since = Min(since, place->late_from);
		if (place->use != PLACE_LIST || !groups[place->group].is_ready)
			continue;
		lists = Max(lists, place->late_from);
		nlists++;
	}
	if (account->in_flight >= most)
		since = Min(since, places);
	return nlists >= account->nready ? Min(since, lists) : since;
}

/* Return for how long that was so, since the account is quiet: no order of requests could have added anybody then. */
static int64
account_stalled(const Account *account)
{
	int64		since = account_quiet_since(account);
	int64		before = account->stalled_since == since ? account->stalled_us : 0;

	return before + now_us - Max(account_stalls_since(account), Min(since, now_us));
}

/* Add up to now what the requests under way have stalled. */
static void
account_note_stall(Account *account)
{
	account->stalled_us = account_stalled(account);
	account->stalled_since = account_quiet_since(account);
}

/* A request of an account begins. */
void
world_note_begun(int i, int group, PlaceUse use)
{
	Account    *account = &accounts[i];

	if (account->in_flight == account->instance.concurrency)
		fault("account %s has more than the %d requests under way that are allowed", account->name, account->in_flight);
	else
		account->places[account->in_flight++] = (Place) {now_us + (int64) (account->slowest_ms * 1000), group, use};
}

/* One that began then ends. */
void
world_note_ended(int i, int group, int64 began_us)
{
	Account    *account = &accounts[i];
	int64		late_from = began_us + (int64) (account->slowest_ms * 1000);
	int			place = 0;

	account_note_stall(account);
	while (place < account->in_flight - 1 &&
		   (account->places[place].late_from != late_from || account->places[place].group != group))
		place++;
	account->places[place] = account->places[--account->in_flight];
}

static void
group_become_ready(int i)
{
	SimGroup   *group = &groups[i];
	Account    *account = &accounts[group->account];

	if (group->is_ready)
		return;
	account_note_stall(account);
	group->is_ready = true;
	group->ready_us = now_us;
	group->mark = account->turns;
	if (account->nready++ == 0)
		account->ready_us = now_us;
}

/* A row is queued; once its time has come its group is ready. */
void
world_row_ready(int i)
{
	if (rows[i].state != STATE_QUEUED)
		return;
	if (rows[i].due_us > now_us)
		event_add(rows[i].due_us, EVENT_READY, i);
	else
		group_become_ready(rows[i].group);
}

static void
group_had_turn(int i)
{
	SimGroup   *group = &groups[i];

	if (group->is_ready)
		accounts[group->account].nready--;
	group->is_ready = false;
	for (int n = group->first_row; n < group->first_row + group->nrows; n++)
		if (rows[n].state == STATE_QUEUED && rows[n].due_us <= now_us)
			group_become_ready(i);
}

/* Return how many times a limit has halved the pace. */
static int
account_halvings(const Account *account)
{
	return account->has_hold ? Min(hold_halvings(&account->hold), MOST_HALVINGS) : 0;
}

/* Return how far apart two additions are, at the pace that a limit may have halved. */
static int64
account_interval(const Account *account)
{
	PaceRate	rate = pace_rate(account->instance.adds_per_minute, 0);

	return (int64) ((double) (rate.interval << account_halvings(account)) * (1 + account->instance.pace_jitter));
}

/* Return for how long an account may be without an addition while its pace allows one and nothing is wrong. */
static int64
account_longest_gap(const Account *account)
{
	const WawpInstance *instance = &account->instance;
	PaceRate	reads = pace_rate(instance->reads_per_minute, 0);
	int64		request = (int64) (account->slowest_ms * 1000);
	int64		gap = account_interval(account) + 4 * reads.interval + 10 * request + 5 * SECOND;

	/* an instance of which nothing is known is slow, and waits for others that hang */
	if (is_crowded && account->sent_us <= started_us)
		gap += instance->timeout_ms * INT64CONST(1000);
	return gap * (1 + shape.naccounts / shape.max_in_flight) + account_stalled(account);
}

static bool
account_is_troubled(const Account *account)
{
	return account->hangs >= 1 || (account->has_hold && (account->hold.until == 0 || time_of(account->hold.until) > now_us)) ||
		(account->outage.from <= now_us && account->outage.to > now_us) || (account->limit.from <= now_us && account->limit.to > now_us);
}

/* Something is wrong with an account now, or was until then. */
static void
account_note_trouble(Account *account, int64 until)
{
	account->clear_us = Max(account->clear_us, until);
}

static void
account_check_gap(Account *account)
{
	if (account_is_troubled(account))
		account_note_trouble(account, now_us);
	if (account->nready > 0 && now_us - account_quiet_since(account) > account_longest_gap(account))
		fault("account %s adds nobody for %.1f s, at most %.1f s are its pace, its share and what its API was late", account->name,
			  (double) (now_us - account_quiet_since(account)) / SECOND, (double) account_longest_gap(account) / SECOND);
}

/* Where reads are what is short, all people of a group that was read go. */
static int64
account_turns_of_others(const Account *account)
{
	double		adds = account->instance.adds_per_minute;

	return adds > 0 && adds * 2 <= account->instance.reads_per_minute ? TURNS_OF_OTHERS : shape.people;
}

static int64
account_most_passed(const Account *account)
{
	return account_turns_of_others(account) * account->ngroups + TURNS_TO_SPARE;
}

static void
group_check_passed(int i)
{
	const SimGroup *group = &groups[i];
	const Account *account = &accounts[group->account];
	int64		passed = account->turns - group->mark;

	figures.most_passed = Max(figures.most_passed, (int) (100 * Max(passed - TURNS_TO_SPARE, 0) / account->ngroups));
	if (passed > account_most_passed(account))
		fault("group %d of account %s waited while " INT64_FORMAT " additions went to others of its %d groups", i,
			  account->name, passed, account->ngroups);
}

/* No window of a minute has more additions than the pace and its burst. */
static void
account_check_pace(Account *account, int n)
{
	for (; account->instance.adds_per_minute > 0 && n > 0; n--)
	{
		int64		before = account->last_sent[account->at];

		if (now_us - before < MINUTE)
			fault("account %s sent %d additions in %.3f s", account->name, account->ring + 1, (double) (now_us - before) / SECOND);
		account->last_sent[account->at] = now_us;
		account->at = (account->at + 1) % account->ring;
	}
}

/* Nor, while a limit has halved the pace for a minute and more, than that and its part of the burst. */
static void
account_check_halved_pace(Account *account)
{
	int			halvings = account_halvings(account);
	int			most = (int) ceil(account->instance.adds_per_minute / (1 << halvings)) + (account->instance.adds_burst >> halvings);
	int64		before;

	if (halvings != account->halvings)
		account->halved_us = now_us;
	account->halvings = halvings;
	if (halvings == 0 || most >= account->ring)
		return;
	/* the last one has been entered just now */
	before = account->last_sent[(account->at + account->ring - 1 - most) % account->ring];
	if (before > account->halved_us && now_us - before < MINUTE)
		fault("account %s, whose pace is halved %d times, sent %d additions in %.3f s", account->name, halvings, most + 1,
			  (double) (now_us - before) / SECOND);
}

/* The limiter has answered: what it says of the time of the next permit is true for who asks again then. */
void
world_note_answer(int i, int64 rate, bool is_granted, int64 wait)
{
	Account    *account = &accounts[i];

	if (!is_granted && account->promised_us > 0 && account->promised_for == rate &&
		account->promised_us <= now_us && now_us - account->promised_us < SECOND)
		fault("account %s gets no permit %.3f s after the time that the limiter has named", account->name,
			  (double) (now_us - account->promised_us) / SECOND);
	account->promised_us = is_granted ? 0 : now_us + wait;
	account->promised_for = rate;
}

static void
note_wait(int64 us)
{
	int			bucket = (int) (20 * log2((double) Max(us, 1000) / 1000));

	waits[Min(bucket, WAIT_BUCKETS - 1)]++;
}

/* A request that adds n people of a group is sent; whether it leaves depends on the connection. */
void
world_note_sent(int i, int n, bool leaves)
{
	SimGroup   *group = &groups[i];
	Account    *account = &accounts[group->account];

	account_check_gap(account);
	if (leaves)
		account_check_pace(account, n);
	if (leaves && account->instance.adds_per_minute > 0)
		account_check_halved_pace(account);
	if (group->is_ready)
	{
		group_check_passed(i);
		note_wait(now_us - Max(group->ready_us, account->clear_us));
	}
	figures.reached += !group->had_turn;
	group->had_turn = true;
	account->turns++;
	account->adds += n;
	account->sent_us = now_us;
	account->paced_us = Max(account->paced_us, now_us) + account_interval(account) * n;
	figures.adds += n;
	group_had_turn(i);
}

/* Check what no event tells: who waits for ever. */
void
world_check(void)
{
	for (int i = 0; i < shape.naccounts; i++)
		account_check_gap(&accounts[i]);
	for (int i = 0; i < shape.ngroups; i++)
		if (groups[i].is_ready)
			group_check_passed(i);
}

static double
waits_percentile(double share)
{
	int64		total = 0;
	int64		sum = 0;

	for (int i = 0; i < WAIT_BUCKETS; i++)
		total += waits[i];
	for (int i = 0; i < WAIT_BUCKETS; i++)
		if ((double) (sum += waits[i]) >= share * (double) total)
			return pow(2, i / 20.0) / 1000;
	return 0;
}

/* Add up what the accounts did. */
void
world_count(Figures *of)
{
	of->wait_p50 = waits_percentile(0.5);
	of->wait_p99 = waits_percentile(0.99);
	for (int i = 0; i < shape.naccounts; i++)
	{
		const Account *account = &accounts[i];
		int64		rounds = account->turns + account->looks;

		of->lists += account->lists_read;
		of->rounds += rounds;
		of->allowed += (int64) (account->instance.adds_per_minute * (double) shape.until / MINUTE);
		if (of->fault == NULL && (double) account->lists_read > MOST_LISTS * (double) rounds + LISTS_TO_SPARE)
			fault("account %s read " INT64_FORMAT " lists for " INT64_FORMAT " additions and looks", account->name,
				  account->lists_read, rounds);
	}
}

/* The worker is gone: what is under way is in doubt, and some of it never arrived. */
void
world_crash(void)
{
	for (int i = 0; i < nrows; i++)
		if (rows[i].state == STATE_SENDING && happens(0.3))
			rows[i].is_member = false;
	for (int i = 0; i < shape.naccounts; i++)
		accounts[i].in_flight = 0;
}

/* Nobody was served until then: the worker was gone, or looked at what was in doubt. */
void
world_note_break(int64 until)
{
	started_us = until;
	for (int i = 0; i < shape.naccounts; i++)
		account_note_trouble(&accounts[i], until);
}

void
world_pause(int i)
{
	accounts[i].hold = (Hold) {.reason = "paused"};
	accounts[i].has_hold = true;
}

void
world_resume(int i)
{
	accounts[i].has_hold = false;
	account_note_trouble(&accounts[i], now_us);
}

/*
 * ---- tables: intents
 */

static bool
row_is_due(const Row *row)
{
	return row->state == STATE_QUEUED && row->due_us <= now_us;
}

static bool
row_waits(const Row *row)
{
	return row->state == STATE_VERIFYING || row->state == STATE_PENDING_APPROVAL;
}

static Jid
row_jid(int i)
{
	Jid			jid = {.kind = JID_PERSON};

	snprintf(jid.text, sizeof(jid.text), "49150%09d@c.us", i);
	return jid;
}

/* Fill in a row as the worker reads it. */
static void
row_read(int i, const LaneKey *lane, Intent *intent)
{
	const Row  *row = &rows[i];
	const Account *account = &accounts[groups[row->group].account];

	memset(intent, 0, sizeof(*intent));
	intent->id = i + 1;
	intent->lane = *lane;
	intent->jid = row_jid(i);
	intent->action = ACTION_ADD;
	intent->instance_id = account->instance.instance_id;
	intent->requester = 10;
	intent->attempts = row->attempts;
	intent->state = (IntentState) row->state;
	intent->has_outcome = row->has_outcome;
	intent->outcome = (WawpOutcome) row->outcome;
	intent->code = row->code;
	intent->verify = account->verify;
	intent->since = EPOCH + row->since_us;
	intent->due = EPOCH + row->due_us;
}

/* Read up to `limit` due rows of a lane from that id on. */
static int
lane_read_due(const LaneKey *lane, int limit, int64 behind, Intent *heads)
{
	const SimGroup *group = &groups[world_group_of(lane)];
	int			n = 0;

	for (int i = group->first_row; i < group->first_row + group->nrows && n < limit; i++)
		if (i + 1 > behind && row_is_due(&rows[i]))
			row_read(i, lane, &heads[n++]);
	return n;
}

int
intent_peek(const LaneKey *lane, int limit, Intent *heads)
{
	return lane_read_due(lane, limit, 0, heads);
}

int
intent_peek_behind(const LaneKey *lane, int limit, int priority pg_attribute_unused(), int64 id, Intent *heads)
{
	return lane_read_due(lane, limit, id, heads);
}

static void
row_claim(Intent *claimed)
{
	Row		   *row = &rows[claimed->id - 1];

	row->state = STATE_SENDING;
	row->since_us = now_us;
	claimed->attempts = ++row->attempts;
}


void
intent_claim_each(IntentClaim *const *claims, int n, IntentSearch search)
{
	for (int i = 0; i < n && search != SEARCH_BELOW; i++)
	{
		int64		behind = search == SEARCH_BEHIND ? claims[i]->behind : 0;

		claims[i]->is_claimed = lane_read_due(claims[i]->lane, 1, behind, &claims[i]->intent) > 0 &&
			(search == SEARCH_ALL || claims[i]->intent.id <= claims[i]->upto);
		if (claims[i]->is_claimed)
			row_claim(&claims[i]->intent);
	}
}

int
intent_claim_behind(const LaneKey *lane, int limit, int priority pg_attribute_unused(), int64 id, Intent *claimed)
{
	int			n = lane_read_due(lane, limit, id, claimed);

	for (int i = 0; i < n; i++)
		row_claim(&claimed[i]);
	return n;
}

int
intent_claim(const LaneKey *lane, int limit, Intent *claimed)
{
	return intent_claim_behind(lane, limit, 0, 0, claimed);
}

int
intent_claim_other(const LaneKey *lane pg_attribute_unused(), Intent *claimed pg_attribute_unused())
{
	return 0;
}

TimestampTz
intent_next_other(const LaneKey *lane pg_attribute_unused())
{
	return 0;
}

/* Return when the first row of a lane with an id greater than `behind` is due, as intent_next_due() does. */
static TimestampTz
lane_due_behind(const LaneKey *lane, int64 behind)
{
	const SimGroup *group = &groups[world_group_of(lane)];
	int64		due = PG_INT64_MAX;

	for (int i = group->first_row; i < group->first_row + group->nrows; i++)
		if (i + 1 > behind && rows[i].state == STATE_QUEUED)
			due = Min(due, rows[i].due_us);
	if (due == PG_INT64_MAX)
		return 0;
	return due <= now_us ? 1 : EPOCH + due;
}

TimestampTz
intent_next_due(const LaneKey *lane)
{
	return lane_due_behind(lane, 0);
}

TimestampTz
intent_next_due_behind(const LaneKey *lane, int priority pg_attribute_unused(), int64 id)
{
	return lane_due_behind(lane, id);
}

bool
intent_has_due_behind(const LaneKey *lane, int priority pg_attribute_unused(), int64 id)
{
	return lane_due_behind(lane, id) == 1;
}

bool
intent_has_before(const LaneKey *lane, int priority pg_attribute_unused(), int64 id, int64 after)
{
	const SimGroup *group = &groups[world_group_of(lane)];

	for (int i = group->first_row; i < group->first_row + group->nrows && i + 1 <= id; i++)
		if (i + 1 > after && rows[i].state == STATE_QUEUED)
			return true;
	return false;
}

/* A list has decided about rows of a group. */
static void
group_note_look(int i)
{
	if (groups[i].looked_us != now_us)
		accounts[groups[i].account].looks++;
	groups[i].looked_us = now_us;
}

/* So many rows were queued again by the worker, and one. */
static uint64 requeues = 1;

uint64
intent_requeues(void)
{
	return requeues;
}

bool
intent_settle(int64 id, IntentState from, IntentChange *change)
{
	Row		   *row = &rows[id - 1];

	if (from == STATE_VERIFYING)
		group_note_look(row->group);
	trace(groups[row->group].account, "row %d of group %d: %s, %s", (int) id - 1, row->group,
		  change->state == STATE_QUEUED ? "queued" : change->state == STATE_VERIFYING ? "verifying" : "ended",
		  change->has_outcome ? outcome_info(change->outcome)->name : "");
	if (from == STATE_SENDING && change->state == STATE_QUEUED && change->next_attempt_at == 0)
		figures.put_back++;
	requeues += change->state == STATE_QUEUED;
	row->state = (uint8) change->state;
	row->since_us = now_us;
	row->due_us = change->next_attempt_at == 0 ? now_us : time_of(change->next_attempt_at);
	row->has_outcome = change->has_outcome;
	row->outcome = (uint8) change->outcome;
	row->code = (short) change->code;
	if (change->give_attempt_back)
		row->attempts--;
	row->is_in_doubt = false;
	world_row_ready((int) id - 1);
	return true;
}

void
intent_settle_alike(const Intent *const *intents, int n, const IntentChange *change, bool *settled)
{
	for (int i = 0; i < n; i++)
	{
		IntentChange one = *change;

		settled[i] = intent_settle(intents[i]->id, STATE_SENDING, &one);
	}
}

void
intent_settle_several(const Intent *const *intents, int n, IntentState from, const IntentChange *change, bool *settled)
{
	for (int i = 0; i < n; i++)
	{
		IntentChange one = *change;

		settled[i] = intent_settle(intents[i]->id, from, &one);
	}
}

void
intent_postpone(const Intent *intent, TimestampTz due, const char *detail pg_attribute_unused())
{
	Row		   *row = &rows[intent->id - 1];

	group_note_look(row->group);
	row->due_us = time_of(due);
}

void
intent_postpone_several(const Intent *const *intents, const TimestampTz *dues, int n)
{
	for (int i = 0; i < n; i++)
		intent_postpone(intents[i], dues[i], NULL);
}

/* True if a look reads a row. */
static bool
row_is_read(int i, bool is_later, const IntentLook *look)
{
	Jid			jid = row_jid(i);
	IntentBrief brief = {i + 1, 10, ACTION_ADD, (IntentState) rows[i].state, jid.text, EPOCH + rows[i].since_us, EPOCH + rows[i].due_us};

	return look->is_wanted(&brief, !is_later, look->context) && (look->is_all || (!is_later && brief.due > look->after));
}

IntentsWaiting
intent_waiting(const LaneKey *lane, const IntentLook *look)
{
	const SimGroup *group = &groups[world_group_of(lane)];
	IntentsWaiting found = {0};

	found.intents = palloc(sizeof(Intent) * group->nrows);
	found.contacts = palloc0(sizeof(Contact) * group->nrows);
	for (int later = 0; later < 2; later++)
		for (int i = group->first_row; i < group->first_row + group->nrows; i++)
		{
			bool		is_later = rows[i].due_us > now_us;

			if (!row_waits(&rows[i]) || is_later != (later > 0) || !row_is_read(i, is_later, look) || found.n == look->limit)
				continue;
			found.contacts[found.n].id = i + 1;
			row_read(i, lane, &found.intents[found.n++]);
		}
	return found;
}

/* Return a page of the lanes that have a row in that state. */
static List *
lanes_behind(const LaneKey *after, int limit, bool waiting)
{
	List	   *lanes = NIL;
	int			found = 0;

	scan_end();
	for (int i = *after->group ? world_group_of(after) + 1 : 0; i < shape.ngroups && found < limit; i++)
	{
		int64		due = PG_INT64_MAX;
		IntentLane *lane;

		for (int n = groups[i].first_row; n < groups[i].first_row + groups[i].nrows; n++)
			if (waiting ? row_waits(&rows[n]) : rows[n].state == STATE_QUEUED)
				due = Min(due, rows[n].due_us);
		if (due == PG_INT64_MAX)
			continue;
		lane = palloc0(sizeof(IntentLane));
		lane->key = world_lane(i);
		lane->has_account = true;
		lane->due = EPOCH + due;
		lanes = lappend(lanes, lane);
		found++;
	}
	scan_begin(found);
	return lanes;
}

List *
intent_lanes(IntentLaneKind kind, const LaneKey *after, int limit)
{
	/* there are additions only */
	return kind == LANES_OTHER ? NIL : lanes_behind(after, limit, kind == LANES_WAITING);
}

List *
intent_waiting_lanes(const LaneKey *after, int limit)
{
	return lanes_behind(after, limit, true);
}

char *
intent_recover(int max_crashes pg_attribute_unused(), bool count_crash pg_attribute_unused(),
			   const char *in_flight pg_attribute_unused(), bool *left)
{
	for (int i = 0; i < nrows; i++)
		if (rows[i].state == STATE_SENDING)
		{
			rows[i].state = STATE_VERIFYING;
			rows[i].since_us = rows[i].due_us = now_us;
			rows[i].has_outcome = rows[i].is_in_doubt = true;
			rows[i].outcome = WAWP_UNKNOWN_RESULT;
		}
	*left = false;
	return "{}";
}

int
intent_count_doubts(const char *ids pg_attribute_unused())
{
	int			n = 0;

	for (int i = 0; i < nrows; i++)
		n += rows[i].is_in_doubt && rows[i].state == STATE_VERIFYING;
	return n;
}

bool
intent_state_is_final(IntentState state)
{
	return state == STATE_DONE || state == STATE_FAILED || state == STATE_CANCELLED;
}

WawpOperation
intent_operation(IntentAction action pg_attribute_unused())
{
	return WAWP_OP_ADD;
}

/*
 * ---- tables: holds
 */

bool
hold_is_active(const Hold *hold)
{
	return hold && (hold->until == 0 || hold->until > GetCurrentTimestamp());
}

/* There are holds of whole instances only. */
const Hold *
hold_get(Holds *holds pg_attribute_unused(), const LaneKey *lane, bool whole_instance)
{
	const Account *account = &accounts[world_account_of(NameStr(lane->instance))];

	return whole_instance && account->has_hold ? &account->hold : NULL;
}

int64
hold_instance_until(Holds *holds, const LaneKey *lane)
{
	const Hold *hold = hold_get(holds, lane, true);

	if (!hold_is_active(hold))
		return 0;
	return hold->until == 0 ? CLOCK_NEVER : clock_monotonic_of(hold->until);
}

int64
hold_lane_until(Holds *holds, const LaneKey *lane)
{
	return hold_instance_until(holds, lane);
}

static bool
hold_is_for(const Hold *hold, WawpOutcome outcome)
{
	return hold && strcmp(hold->reason, outcome_info(outcome)->name) == 0;
}

static bool
hold_is_outage(const Hold *hold)
{
	return hold_is_for(hold, WAWP_SERVER_ERROR) || hold_is_for(hold, WAWP_UNREACHABLE);
}

int64
hold_reads_until(Holds *holds, const LaneKey *lane)
{
	const Hold *hold = hold_get(holds, lane, true);

	if (!hold_is_active(hold) || hold->until == 0 || !(hold_is_outage(hold) || hold_is_for(hold, WAWP_RATE_LIMITED)))
		return 0;
	return clock_monotonic_of(hold->until);
}

static bool
account_is_on_trial(const Account *account)
{
	const Hold *hold = account->has_hold ? &account->hold : NULL;

	return hold_is_outage(hold) || hold_is_for(hold, WAWP_UNRECOGNISED);
}

bool
hold_is_on_trial(Holds *holds pg_attribute_unused(), const LaneKey *lane)
{
	return account_is_on_trial(&accounts[world_account_of(NameStr(lane->instance))]);
}

int
hold_halvings(const Hold *on_instance)
{
	return hold_is_for(on_instance, WAWP_RATE_LIMITED) ? on_instance->failures : 0;
}

void
hold_set_lane(const LaneKey *lane, Holds *holds, WawpOutcome outcome, bool whole_instance pg_attribute_unused(), int retry_after,
			  const char *request_id pg_attribute_unused())
{
	Account    *account = &accounts[world_account_of(NameStr(lane->instance))];
	const Hold *hold = hold_get(holds, lane, true);
	int			failures = hold ? hold->failures + 1 : 1;
	int64		delay = backoff_request_ms(outcome, failures, retry_after, draw());

	if (hold_is_active(hold))
		return;
	account->hold.reason = outcome_info(outcome)->name;
	account->hold.until = GetCurrentTimestamp() + Max(delay, 0) * 1000;
	account->hold.failures = failures;
	account->has_hold = true;
	account->held_since = GetCurrentTimestamp();
	account_note_trouble(account, time_of(account->hold.until));
}

void
hold_for_outage(const LaneKey *lane, Holds *holds, WawpOutcome outcome, int retry_after, const char *request_id)
{
	hold_set_lane(lane, holds, outcome == WAWP_SERVER_ERROR ? outcome : WAWP_UNREACHABLE, true, retry_after, request_id);
}

void
hold_for_outcome(const LaneKey *lane, Holds *holds, WawpOutcome outcome, int retry_after, const char *request_id)
{
	OutcomeNext next = outcome_info(outcome)->next;

	if (next == NEXT_HOLD_INSTANCE || next == NEXT_SLOW_DOWN)
		hold_set_lane(lane, holds, outcome, true, retry_after, request_id);
}

void
hold_ease_after_success(const char *instance, const char *group pg_attribute_unused())
{
	Account    *account = &accounts[world_account_of(instance)];
	bool		is_old = account->held_since <= GetCurrentTimestamp() - 60 * USECS_PER_SEC;

	if (!account->has_hold || hold_is_active(&account->hold))
		return;
	if (!hold_is_for(&account->hold, WAWP_RATE_LIMITED) || (account->hold.failures <= 1 && is_old))
		account->has_hold = false;
	else if (is_old)
	{
		account->hold.failures--;
		account->held_since = GetCurrentTimestamp();
	}
}

/*
 * ---- tables: others
 */

GroupSettings
settings_get(const LaneKey *lane pg_attribute_unused())
{
	return (GroupSettings) {.adds_per_minute = -1, .capacity = 1024};
}

Contact
contact_get(const char *jid)
{
	return (Contact) {.id = 1 + number_at(jid, 5)};
}

/* Nobody has another number. */
Jid
contact_known_as(const Contact *contact pg_attribute_unused())
{
	return (Jid) {.kind = JID_INVALID};
}

bool
contact_is_name(const char *jid pg_attribute_unused(), int64 *id pg_attribute_unused())
{
	return false;
}

bool
contact_is_pending(const char *jid pg_attribute_unused())
{
	return false;
}

int64
contact_id(const char *jid)
{
	return 1 + number_at(jid, 5);
}

ErrorData *
instance_cache_get(const LaneKey *lane, Oid role pg_attribute_unused(), WawpInstance **instance)
{
	*instance = &accounts[world_account_of(NameStr(lane->instance))].instance;
	return NULL;
}

uint64
instance_token_hash(const WawpInstance *instance pg_attribute_unused())
{
	return 1;
}

uint64
instance_cache_token_hash(const LaneKey *lane pg_attribute_unused(), Oid role pg_attribute_unused())
{
	return 1;
}

const char *
instance_id_of(const char *name)
{
	return accounts[world_account_of(name)].name;
}

const char *
instance_name_of_server(Oid serverid)
{
	return accounts[serverid - 1].name;
}
