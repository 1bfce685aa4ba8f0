/*-------------------------------------------------------------------------
 *
 * instance.h
 *	  Wawp accounts: foreign servers, user mappings, who may use them.
 *
 * IDENTIFICATION
 *	  src/instance.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_INSTANCE_H
#define WAWP_INSTANCE_H

#include "http.h"

#define INSTANCE_MAX_DELAYS 10

typedef enum InstanceAuth
{
	AUTH_BODY,					/* in a POST's JSON body, in a GET's query */
	AUTH_QUERY,					/* in the query always */
	AUTH_HEADER					/* the token in a header */
} InstanceAuth;

/* A server with the mapping that a role uses; in one memory context. */
typedef struct WawpInstance
{
	Oid			serverid;
	const char *name;
	const char *instance_id;
	const char *access_token;	/* never shown; see redact.c */
	HttpUrl		base;
	InstanceAuth auth;
	const char *ca_file;		/* NULL: the system's authorities */
	int			connect_timeout_ms;
	int			timeout_ms;
	bool		may_reach_loopback;
	int			ndelays;		/* verify_delays */
	int			delay_ms[INSTANCE_MAX_DELAYS];
} WawpInstance;

extern WawpInstance *instance_resolve(const char *name);

#endif							/* WAWP_INSTANCE_H */
