/*-------------------------------------------------------------------------
 *
 * event.h
 *	  Events that a gateway sends to a webhook, in each of their forms.
 *
 * IDENTIFICATION
 *	  src/protocol/event.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_EVENT_H
#define WAWP_EVENT_H

#include "protocol/account_limits.h"
#include "protocol/jid.h"

/* The subject of an event. */
typedef enum EventKind
{
	EVENT_OTHER,				/* nothing that is of use here */
	EVENT_MEMBERS,				/* people joined a group, left it, or became admins or plain members */
	EVENT_GROUP_JOINED,			/* our own account is in a group */
	EVENT_GROUP_LEFT,			/* ... is not any more */
	EVENT_GROUP_CHANGED,
	EVENT_JOIN_REQUEST,
	EVENT_MESSAGE,				/* from a person to us, in no group */
	EVENT_MESSAGE_REFUSED,		/* WhatsApp lets the account write to no strangers */
	EVENT_SESSION
} EventKind;

/* The change of the people of EVENT_MEMBERS. */
typedef enum EventChange
{
	CHANGE_NONE,
	CHANGE_JOIN,
	CHANGE_LEAVE,
	CHANGE_PROMOTE,
	CHANGE_DEMOTE
} EventChange;

/* The one who made a person leave. */
typedef enum EventActor
{
	ACTOR_UNKNOWN,
	ACTOR_SELF,
	ACTOR_OTHER
} EventActor;

typedef enum EventSession
{
	SESSION_NONE,
	SESSION_WORKING,
	SESSION_STARTING,			/* also each short interruption */
	SESSION_UNUSABLE			/* also any word that is not known */
} EventSession;

/* A person; what is not known is invalid. */
typedef struct EventPerson
{
	Jid			phone;
	Jid			lid;
} EventPerson;

/* An event; texts are of the tree it was read from. */
typedef struct Event
{
	const char *id;				/* NULL: it has none */
	const char *name;			/* NULL: the body is no event */
	EventKind	kind;
	int64		sent_ms;		/* by the gateway, in ms since 1970; 0: not told */
	int64		happened_ms;	/* by WhatsApp's own clock, likewise */
	EventPerson me;				/* the account it is about */
	bool		has_unread_me;	/* it names one in a form that is not understood */
	const char *instance_id;	/* the account as Wawp names it; NULL: not told, or a number, which may be a row of the
								 * gateway's */
	AccountLimits limits;
	Jid			group;			/* invalid: none */
	EventChange change;
	bool		by_link;		/* they followed an invite link */
	bool		was_left;		/* the engine says that they left by themselves ... */
	bool		was_removed;	/* ... or that somebody removed them */
	EventPerson actor;
	int			npeople;		/* those it is about: members, the one who asks to join, the sender */
	EventPerson *people;
	int			nunread;		/* others whom it names in a form that is not understood */
	bool		is_of_own;		/* engines send its kind of our own account alone, so that it is about us unless it
								 * names others */
	int			nnamed;			/* people whom it names under a name that is not known, and may be about */
	EventPerson *named;
	int			npairs;			/* people of whom it tells number and LID */
	EventPerson *pairs;
	bool		has_link;		/* the group's invite link is another one now */
	bool		has_approval;	/* it says whether an admin approves whoever joins */
	bool		has_ended;		/* of a join request: it was rejected or withdrawn */
	bool		is_proposal;	/* it may name the member who proposed somebody */
	const char *text;			/* of a message */
	EventSession session;
	const char *status;			/* the session's, as a word */
} Event;

extern bool event_read_key(const char *body, size_t len, Event *event);
extern bool event_read(const char *body, size_t len, int64 now_ms, Event *event);
extern EventActor event_actor(const Event *event, const EventPerson *person);
extern bool event_is_same_person(const EventPerson *a, const EventPerson *b);
extern bool event_may_be_same_person(const EventPerson *a, const EventPerson *b);

#endif							/* WAWP_EVENT_H */
