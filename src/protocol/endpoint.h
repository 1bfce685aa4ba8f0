/*-------------------------------------------------------------------------
 *
 * endpoint.h
 *	  The API's calls as a table.
 *
 * IDENTIFICATION
 *	  src/protocol/endpoint.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_ENDPOINT_H
#define WAWP_ENDPOINT_H

typedef enum EndpointId
{
	ENDPOINT_NONE = -1,
	ENDPOINT_ADD,
	ENDPOINT_REMOVE,
	ENDPOINT_PROMOTE,
	ENDPOINT_DEMOTE,
	ENDPOINT_PARTICIPANTS,
	ENDPOINT_GROUP_INFO,
	ENDPOINT_GROUP_DETAIL,
	ENDPOINT_GROUPS,
	ENDPOINT_CREATE_GROUP,
	ENDPOINT_CREATE_GROUP_2,
	ENDPOINT_INVITE_CODE,
	ENDPOINT_REVOKE_INVITE,
	ENDPOINT_SEND_TEXT,
	ENDPOINT_CHECK_EXISTS,
	ENDPOINT_LID_OF_PHONE,
	ENDPOINT_SESSION_INFO,
	ENDPOINT_SESSION_INFO_GET,
	ENDPOINT_JOIN_REQUESTS
} EndpointId;

typedef struct Endpoint
{
	EndpointId	id;				/* its own place in the table */
	bool		is_post;		/* else GET */
	const char *path;			/* "%" is replaced by the group or another value */
	const char *group_field;	/* the field that repeats the group, or NULL */
	const char *what;			/* verb phrase: "could not <what>" */
	EndpointId	fallback;		/* called if the API does not have this route */
} Endpoint;

extern const Endpoint *endpoint_get(EndpointId id);

#endif							/* WAWP_ENDPOINT_H */
