/*-------------------------------------------------------------------------
 *
 * relay.h
 *	  Hands records of session calls to the worker, who writes them.
 *
 * IDENTIFICATION
 *	  src/relay.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_RELAY_H
#define WAWP_RELAY_H

#include "nodes/pg_list.h"

#define RELAY_MAX_PEOPLE 50

/* A person of a record; both are NULL when there is nothing to say. */
typedef struct RelayPerson
{
	const char *jid;
	const char *outcome;
	int			code;			/* 0: none */
} RelayPerson;

/*
 * What a session tells of one request.  A row per person, or one row when it
 * is about nobody.  What does not apply is NULL, 0 or -1.
 */
typedef struct RelayRecord
{
	const char *kind;			/* label of wawp.audit_kind */
	const char *instance;
	const char *instance_id;
	const char *group_jid;
	const char *action;
	const char *outcome;		/* of a request that is about nobody */
	const char *login_role;
	const char *requested_by;
	const char *actor;
	const char *application_name;
	const char *client_addr;
	const char *origin;
	const char *reason;
	const char *request_id;
	const char *detail;			/* a JSON object with whitelisted keys */
	int			http_status;
	int			code;
	int			duration_ms;
	int			npeople;
	RelayPerson people[RELAY_MAX_PEOPLE];
} RelayRecord;

/* What became of a "sent" record. */
typedef enum RelayFate
{
	RELAY_COMMITTED,
	RELAY_NO_WORKER,			/* none runs in this database */
	RELAY_LATE					/* there is one, but it did not commit in time */
} RelayFate;

/* In the session. */
extern bool relay_fits(const RelayRecord *record);
extern RelayFate relay_sent(const RelayRecord *record, int timeout_ms);
extern void relay_withdraw(void);
extern bool relay_answered(const RelayRecord *record);
extern bool relay_wait_for_room(int timeout_ms);

/* In the worker. */
extern void relay_recover(void);
extern bool relay_take(void);
extern void relay_write(void);
extern List *relay_changed_groups(void);
extern bool relay_committed(void);
extern void relay_aborted(void);

#endif							/* WAWP_RELAY_H */
