/*-------------------------------------------------------------------------
 *
 * list_again.c
 *	  Reads a member list by what differs from the one before.
 *
 * Lists of a group are read again and again, and few of their entries change.  An
 * entry whose text is that of an entry of the list before is the same member; only
 * the others are parsed, in the envelope of the new list, by the same function that
 * reads a whole list.  The result is what that function would make of the whole:
 * wherever that is not certain nothing is told, and the caller reads all.
 *
 * Entries are expected in the order they had.  New ones may be anywhere between
 * them, a few may be gone; a list in another order is read as a whole.
 *
 * Pure.  Memory is the current context.
 *
 * IDENTIFICATION
 *	  src/protocol/list_again.c
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "protocol/list_again.h"

#include "compat.h"

/* So many entries in a row may be gone. */
#define MOST_GONE 8
/* So many may be new, and one for each of so many that were there. */
#define MOST_NEW 64
#define THERE_FOR_NEW 2

/* The place of an entry that is new. */
#define IS_NEW (-1)

/* A list that is compared with the one before. */
typedef struct ListWalk
{
	const char *at;
	const char *end;
	const WireListText *was;
	int			next;			/* the entry before that is expected now */
	int			count;			/* entries so far ... */
	int			nnew;			/* ... those of them that are new ... */
	int			most;			/* ... and as many as there may be */
	int		   *places;			/* each entry's place in the list before, or IS_NEW */
	WireSpan   *spans;
	char	   *rest;			/* the list without the entries that were there before ... */
	size_t		nrest;			/* ... so long as yet */
} ListWalk;

/* Return the character that comes next but for white space; NUL at the end. */
static char
walk_skip_space(ListWalk *walk)
{
	while (walk->at < walk->end && (*walk->at == ' ' || *walk->at == '\n' || *walk->at == '\t' || *walk->at == '\r'))
		walk->at++;
	return walk->at < walk->end ? *walk->at : '\0';
}

/* Return the end of the string that begins at a quotation mark; NULL if it has none. */
static const char *
string_end(const char *at, const char *end)
{
	for (at++; at < end && *at != '"'; at++)
		if (*at == '\\')
			at++;
	return at < end ? at + 1 : NULL;
}

/* Return the end of the object or string that begins here, if it is JSON; NULL if it has none. */
static const char *
entry_end(const char *at, const char *end)
{
	int			depth = 0;

	while (at && at < end)
	{
		if (*at == '"')
			at = string_end(at, end);
		else
		{
			depth += (*at == '{' || *at == '[') - (*at == '}' || *at == ']');
			at++;
		}
		if (depth <= 0)
			return at;
	}
	return NULL;
}

/* Append to what is parsed. */
static void
walk_keep(ListWalk *walk, const char *text, size_t n)
{
	memcpy(walk->rest + walk->nrest, text, n);
	walk->nrest += n;
}

/* Add an entry that begins here and is so long; false if there are too many. */
static bool
walk_add(ListWalk *walk, const char *body, size_t n, int place)
{
	if (walk->count == walk->most)
		return false;
	walk->places[walk->count] = place;
	walk->spans[walk->count++] = (WireSpan) {walk->at - body, walk->at - body + n};
	walk->at += n;
	return true;
}

/* Return the place in the list before of the entry that begins here; IS_NEW if it is none of those expected. */
static int
walk_find(const ListWalk *walk)
{
	int			last = Min(walk->next + MOST_GONE, walk->was->count - 1);

	for (int i = walk->next; i <= last; i++)
	{
		WireSpan	span = walk->was->spans[i];

		if (span.end - span.begin <= walk->end - walk->at &&
			memcmp(walk->at, walk->was->body + span.begin, span.end - span.begin) == 0)
			return i;
	}
	return IS_NEW;
}

/* Take the entry that begins here; false if it is none, or too many are new. */
static bool
walk_take_entry(ListWalk *walk, const char *body)
{
	int			place;
	const char *end;

	if (walk->at == walk->end || (*walk->at != '{' && *walk->at != '"'))
		return false;
	place = walk_find(walk);
	if (place != IS_NEW)
	{
		walk->next = place + 1;
		return walk_add(walk, body, walk->was->spans[place].end - walk->was->spans[place].begin, place);
	}
	end = entry_end(walk->at, walk->end);
	if (end == NULL || walk->nnew == walk->most - walk->was->count)
		return false;
	if (walk->nnew++ > 0)
		walk_keep(walk, ",", 1);
	walk_keep(walk, walk->at, end - walk->at);
	return walk_add(walk, body, end - walk->at, IS_NEW);
}

/* Take all entries; false if these are not the entries of a list. */
static bool
walk_take_entries(ListWalk *walk, const char *body)
{
	for (;;)
	{
		char		c;

		if (!walk_take_entry(walk, body))
			return false;
		c = walk_skip_space(walk);
		if (c == ']')
			return true;
		if (c != ',')
			return false;
		walk->at++;
		(void) walk_skip_space(walk);
	}
}

/* Begin with what is before the first entry; false if that has changed. */
static bool
walk_begin(ListWalk *walk, const char *body, size_t len, const WireListText *was)
{
	size_t		head = was->count > 0 ? was->spans[0].begin : 0;

	if (was->count == 0 || len <= head || memcmp(body, was->body, head) != 0)
		return false;
	*walk = (ListWalk) {.at = body + head, .end = body + len, .was = was};
	walk->most = was->count + MOST_NEW + was->count / THERE_FOR_NEW;
	walk->places = palloc(sizeof(int) * walk->most);
	walk->spans = palloc(sizeof(WireSpan) * walk->most);
	walk->rest = palloc(len);
	walk_keep(walk, body, head);
	return true;
}

/* Put the members together, in the order of the new list. */
static void
walk_merge(const ListWalk *walk, const WireMembers *before, WireMembers *out)
{
	WireMember *members = palloc(sizeof(WireMember) * walk->count);
	const WireMember *added = out->members;

	for (int i = 0; i < walk->count; i++)
		members[i] = walk->places[i] == IS_NEW ? *added++ : before->members[walk->places[i]];
	out->members = members;
	out->count = walk->count;
	wire_index_members(out);
}

/*
 * Read the answer of GET groups/{id}/participants into *out as wire_read_list()
 * does, by the list before and its text.  False if it cannot be read so: *out is
 * undefined then.
 */
bool
list_read_again(const char *body, size_t len, const WireMembers *before, const WireListText *was,
				WireMembers *out, WireListText *text)
{
	ListWalk	walk;
	WireListText rest;

	if (!walk_begin(&walk, body, len, was) || !walk_take_entries(&walk, body))
		return false;
	walk_keep(&walk, walk.at, walk.end - walk.at);
	if (!wire_read_list(walk.rest, walk.nrest, walk.count - walk.nnew, out, &rest) ||
		rest.begin != was->begin || rest.count != walk.nnew)
		return false;
	walk_merge(&walk, before, out);
	*text = (WireListText) {.body = body, .len = len, .begin = was->begin, .count = walk.count, .spans = walk.spans};
	return true;
}
