/*-------------------------------------------------------------------------
 *
 * instance.h
 *	  Wawp instances: foreign servers, user mappings and the permission to use them.
 *
 * IDENTIFICATION
 *	  src/client/instance.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_INSTANCE_H
#define WAWP_INSTANCE_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

#include "client/http.h"

#define INSTANCE_MAX_DELAYS 10

typedef enum InstanceAuth
{
	AUTH_BODY,					/* in a POST's JSON body, in a GET's query */
	AUTH_QUERY,					/* in the query always */
	AUTH_HEADER					/* the token in a header */
} InstanceAuth;

/* A server with the mapping of a role; in one memory context. */
typedef struct WawpInstance
{
	Oid			serverid;
	const char *name;
	const char *instance_id;
	const char *access_token;	/* never shown; see redact.c */
	Oid			token_role;		/* whose user mapping has it; InvalidOid: PUBLIC's, or there is none */
	HttpUrl		base;
	InstanceAuth auth;
	const char *ca_file;		/* NULL: the system's authorities */
	int			connect_timeout_ms;
	int			timeout_ms;
	bool		may_reach_loopback;
	int			ndelays;		/* verify_delays */
	int			delay_ms[INSTANCE_MAX_DELAYS];
	double		adds_per_minute;
	int			adds_burst;
	int			adds_per_day;	/* 0 = no cap */
	double		invites_per_minute;
	double		checks_per_minute;
	double		reads_per_minute;	/* 0: unpaced, as where additions are */
	int64		invite_ttl_ms;
	double		pace_jitter;
	int			concurrency;
	int			batch_size;
	const char *quiet_hours;	/* NULL: none */
} WawpInstance;

/* The facts about an instance that an intent stores. */
typedef struct InstanceRef
{
	const char *name;
	const char *instance_id;
} InstanceRef;

extern InstanceRef instance_choose(const char *name);
extern InstanceRef instance_of_events(const char *name, const char **secret);
extern const char *instance_only_usable(const char *hint);
extern const char *instance_choices(Oid roleid);
extern const char *instance_id_of(const char *name);
extern const char *instance_name_with_account(const char *name, const char *instance_id);
extern bool instance_keep_name(const char *name, bool wait);
extern const char *instance_name_of_server(Oid serverid);
extern bool instance_keep_server(Oid serverid, bool wait);
extern WawpInstance *instance_resolve(const char *name, Oid roleid);
extern WawpInstance *instance_describe(const char *name);

/* Instead of a role: whoever asks, without a token. */
#define INSTANCE_OF_NOBODY ((Oid) OID_MAX)

extern ErrorData *instance_try(const char *name, Oid roleid, WawpInstance **instance);
extern WawpInstance *instance_copy(const WawpInstance *instance);
extern int64 instance_longest_ms(const WawpInstance *instance);
extern TimestampTz instance_quiet_until(const WawpInstance *instance, TimestampTz now);
extern List *instance_names(void);
extern bool instance_is_usable(const char *name);
extern bool instance_is_callable(const char *name);

#endif							/* WAWP_INSTANCE_H */
