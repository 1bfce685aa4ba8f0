/*-------------------------------------------------------------------------
 *
 * wire_list.h
 *	  Member lists: entries, roles, and whether it is the whole list.
 *
 * IDENTIFICATION
 *	  src/protocol/wire_list.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_WIRE_LIST_H
#define WAWP_WIRE_LIST_H

#include "protocol/jid.h"
#include "protocol/json.h"

typedef enum WireRole
{
	WIRE_ROLE_MEMBER,
	WIRE_ROLE_ADMIN,
	WIRE_ROLE_OWNER,
	WIRE_ROLE_LEFT,				/* was a member */
	WIRE_ROLE_UNTOLD,			/* the entry says nothing of it: ask members_role() */
	WIRE_ROLE_UNKNOWN			/* it is not understood, or the list says nothing of it */
} WireRole;

typedef struct WireMember
{
	Jid			jid;			/* as listed */
	Jid			phone;			/* invalid if the list has none */
	Jid			lid;			/* likewise */
	WireRole	role;
} WireMember;

/* Bits of what an entry shows of its member. */
#define WIRE_SHOWS_PHONE 1
#define WIRE_SHOWS_LID 2

typedef struct WireMembers
{
	int			count;
	WireMember *members;
	int			shown[4];		/* entries by such bits, those of who left not counted */
	uint32		mask;			/* of ... */
	uint32	   *slots;			/* ... a hash table of these entries by number and LID: their places from 1, 0 is free;
								 * NULL: there is none */
	int			unread;			/* entries without a readable JID */
	int			repeated;		/* entries of somebody who has another one */
	bool		tells_roles;	/* an entry says which role its member has */
	bool		has_more;		/* the answer says that more follows */
	int			stated;			/* the group's size according to the answer; -1: not in it */
	const char *unread_shape;	/* the form of the first of unread, without contents; NULL: none, or a description's
								 * list */
} WireMembers;

/* The place of a part of a text. */
typedef struct WireSpan
{
	uint32		begin;
	uint32		end;
} WireSpan;

/* The text of a list, by whose entries the next list of the group is read (list_again.c). */
typedef struct WireListText
{
	const char *body;
	size_t		len;
	uint32		begin;			/* where the list begins, behind the bracket; 0: its entries are not told apart */
	int			count;			/* entries, each a member ... */
	WireSpan   *spans;			/* ... and their places */
} WireListText;

/* objects that say more of a list lie at most so deep in its envelope: meta.pagination */
#define WIRE_MAX_PAGING 2

/* The completeness of a list, according to its envelopes. */
typedef struct WireEnvelope
{
	int			stated;			/* the number of people; -1: not said */
	int			page_size;		/* the most entries that are shown; -1: not said */
	bool		has_more;		/* it is not the whole list */
	bool		is_end;			/* nothing follows it */
	bool		has_doubtful_size;	/* "size" is that of a page or of the group */
} WireEnvelope;

extern int	wire_stated_size(const JsonNode *group);
extern void wire_read_list_envelope(const JsonNode *node, int depth, WireEnvelope *envelope);
extern bool wire_envelope_has_more(const WireEnvelope *envelope, int count);
extern void wire_read_member_list(const JsonNode *list, bool is_shape_read, WireMembers *out);
extern int	wire_count_members(const WireMembers *list);
extern const WireMember *wire_find_member(const WireMembers *list, const Jid *jid);
extern bool wire_read_members(const char *body, size_t len, WireMembers *out);
extern bool wire_read_list(const char *body, size_t len, int more, WireMembers *out, WireListText *text);
extern void wire_index_members(WireMembers *list);

#endif							/* WAWP_WIRE_LIST_H */
