/*
 * simulate.h
 *	  The worker in a simulated world: what its parts share.
 */
#ifndef WAWP_SIMULATE_H
#define WAWP_SIMULATE_H

#include "client/instance.h"
#include "tables/hold.h"
#include "tables/intent.h"

#define SECOND INT64CONST(1000000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)

/* A time of an account in which something is wrong; both 0: never. */
typedef struct Window
{
	int64		from;
	int64		to;
} Window;

typedef enum Trouble
{
	TROUBLE_GATEWAY,			/* 503 of a gateway */
	TROUBLE_REFUSED				/* no connection */
} Trouble;

/* What a request under way is for. */
typedef enum PlaceUse
{
	PLACE_LIST,					/* who is in its group: nobody can be added there before */
	PLACE_SELF,					/* who we are, without which nobody can be added */
	PLACE_OTHER
} PlaceUse;

/* A request under way. */
typedef struct Place
{
	int64		late_from;		/* when it begins to take longer than its account's slowest_ms */
	int			group;
	PlaceUse	use;
} Place;

/* An account, its API as it behaves, and what became of its requests. */
typedef struct Account
{
	WawpInstance instance;
	char		name[NAMEDATALEN];
	bool		verify;
	double		fastest_ms;
	double		slowest_ms;
	double		tail;			/* share of requests that take up to 10 s */
	double		hangs;			/* share of requests that are never answered */
	Window		outage;
	Trouble		trouble;
	Window		limit;			/* 429, with ... */
	int			retry_after;	/* ... that, in seconds; -1: without */
	Window		pause;
	Hold		hold;
	bool		has_hold;
	TimestampTz held_since;
	int			ngroups;
	int			nready;			/* groups with somebody to be added now */
	int64		ready_us;		/* since when there are any */
	int64		clear_us;		/* nothing was wrong since then */
	int64		sent_us;		/* the last addition */
	int64		paced_us;		/* when the pace allows the next */
	int64		turns;			/* requests that added somebody */
	int64		adds;
	int64		lists_asked;
	int64		lists_read;		/* of them answered */
	int64		looks;			/* times that a list decided about who waits */
	int			in_flight;
	Place	   *places;			/* of them */
	int64		stalled_us;		/* for so long late answers have kept all from being added ... */
	int64		stalled_since;	/* ... since then */
	int64	   *last_sent;		/* a ring of adds_per_minute + adds_burst */
	int			ring;
	int			at;
	int64		promised_us;	/* when the limiter has said that a permit is free; 0: none is waited for ... */
	int64		promised_for;	/* ... at that interval and burst, added up */
	int			halvings;		/* of the pace at the last addition ... */
	int64		halved_us;		/* ... and since when */
} Account;

typedef struct SimGroup
{
	int			account;
	int			first_row;
	int			nrows;
	bool		is_ready;
	bool		had_turn;		/* somebody was added */
	int64		ready_us;
	int64		mark;			/* turns of the account then */
	int64		looked_us;		/* when a list decided last */
} SimGroup;

/* A row that nobody has asked for yet. */
#define STATE_TO_COME (STATE_CANCELLED + 1)

typedef struct Row
{
	int64		due_us;
	int64		since_us;
	int			group;
	short		code;
	uint8		state;
	uint8		outcome;
	uint8		attempts;
	bool		has_outcome;
	bool		blocks;			/* accepted by the API and never in the group */
	bool		is_member;
	bool		is_in_doubt;
} Row;

/* The size of a world, and how rough it is. */
typedef struct Shape
{
	int			naccounts;
	int			ngroups;
	int			max_in_flight;
	int			people;			/* of a group, at most */
	int64		until;
	bool		is_rough;		/* outages, limits, pauses, restarts; accounts differ */
	double		hangs;			/* share of the requests that are never answered, of which an account may have several
								 * under way */
	double		prompt_ms;		/* all answers take about that long, and additions may be as many as reads; 0: neither */
} Shape;

typedef enum EventKind
{
	EVENT_ANSWER,
	EVENT_ARRIVAL,				/* of a row */
	EVENT_READY,				/* a row may be tried again */
	EVENT_PAUSE,				/* of an account */
	EVENT_RESUME,
	EVENT_RESTART
} EventKind;

/* Figures of one run. */
typedef struct Figures
{
	int64		events;			/* answers and arrivals */
	int64		cycles;
	int64		steps;			/* of heaps and hash tables, without ... */
	int64		scan_steps;		/* ... those of rescans ... */
	int64		scanned;		/* ... which look at so many lanes */
	int64		adds;
	int64		reached;		/* groups with additions */
	int64		allowed;		/* additions that the paces allow in that time */
	int64		lists;
	int64		rounds;
	int64		put_back;
	int			restarts;
	int			most_passed;	/* turns of others while a group waited, by groups of its account: percent */
	double		cpu_us;
	double		scan_cpu_us;
	double		wait_p50;		/* seconds that a group waited for its turn */
	double		wait_p99;
	const char *fault;			/* NULL: none */
} Figures;

/* A way to break the worker, to see that the simulation notices. */
typedef struct Mutation
{
	const char *name;
	bool	   *is_on;
	bool		shows_by_hangs; /* in a world where some requests are never answered */
} Mutation;

extern const Mutation mutations[];
extern const int nmutations;

extern int64 now_us;
extern int64 steps_taken;
extern MemoryContext shared_memory;
extern Figures figures;
extern Account *accounts;
extern SimGroup *groups;
extern Row *rows;
extern Shape shape;
extern int	generation;
extern char worker_begins_bss,
			worker_ends_bss,
			worker_begins_data,
			worker_ends_data;

extern void fault(const char *format, ...) pg_attribute_printf(1, 2);
extern void trace(int account, const char *format, ...) pg_attribute_printf(2, 3);
extern double draw(void);
extern double draw_between(double least, double most);
extern int64 time_of(TimestampTz at);

extern double cpu_now(void);
extern void scan_begin(int lanes);
extern void scan_end(void);
extern void event_add(int64 at, EventKind kind, int index);

extern void api_begin(void);
extern void api_transfer_ends(int number, bool is_known);

extern void world_make(const Shape *of, uint64 seed);
extern void world_forget(void);
extern LaneKey world_lane(int group);
extern int	world_group_of(const LaneKey *lane);
extern int	world_account_of(const char *name);
extern void world_note_begun(int account, int group, PlaceUse use);
extern void world_note_ended(int account, int group, int64 began_us);
extern void world_note_sent(int group, int n, bool leaves);
extern void world_note_answer(int account, int64 rate, bool is_granted, int64 wait);
extern void world_row_ready(int row);
extern void world_crash(void);
extern void world_pause(int account);
extern void world_resume(int account);
extern void world_check(void);
extern void world_note_break(int64 until);
extern void world_count(Figures *of);

#endif							/* WAWP_SIMULATE_H */
