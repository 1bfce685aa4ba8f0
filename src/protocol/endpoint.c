/*-------------------------------------------------------------------------
 *
 * endpoint.c
 *	  The API's calls as a table.
 *
 * Pure data.  Paths are those of Wawp's v2 documentation.  Where its sources
 * disagree (group info, creating a group, session info) the engine's own form
 * comes first and the other is its fallback, called only when the first answers
 * that there is no such route, so that no action is performed twice.
 *
 * IDENTIFICATION
 *	  src/protocol/endpoint.c
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "protocol/endpoint.h"

#define GET false
#define POST true

static const Endpoint endpoints[] = {
	{ENDPOINT_ADD, POST, "/v2/groups/%/participants/add",
	"id", "add participants", ENDPOINT_NONE},
	{ENDPOINT_REMOVE, POST, "/v2/groups/%/participants/remove",
	"id", "remove participants", ENDPOINT_NONE},
	{ENDPOINT_PROMOTE, POST, "/v2/groups/%/admin/promote",
	"id", "promote participants", ENDPOINT_NONE},
	{ENDPOINT_DEMOTE, POST, "/v2/groups/%/admin/demote",
	"id", "demote participants", ENDPOINT_NONE},
	{ENDPOINT_PARTICIPANTS, GET, "/v2/groups/%/participants",
	"id", "list the participants of the group", ENDPOINT_NONE},
	{ENDPOINT_GROUP_INFO, GET, "/v2/groups/%",
	"id", "read the group", ENDPOINT_GROUP_DETAIL},
	{ENDPOINT_GROUP_DETAIL, GET, "/v2/groups/detail",
	"groupId", "read the group", ENDPOINT_NONE},
	{ENDPOINT_GROUPS, GET, "/v2/groups",
	NULL, "list the groups", ENDPOINT_NONE},
	{ENDPOINT_CREATE_GROUP, POST, "/v2/groups",
	NULL, "create the group", ENDPOINT_CREATE_GROUP_2},
	{ENDPOINT_CREATE_GROUP_2, POST, "/v2/groups/create",
	NULL, "create the group", ENDPOINT_NONE},
	{ENDPOINT_INVITE_CODE, GET, "/v2/groups/%/invite-code",
	"id", "read the invite link", ENDPOINT_NONE},
	{ENDPOINT_REVOKE_INVITE, POST, "/v2/groups/%/invite-code/revoke",
	"id", "revoke the invite link", ENDPOINT_NONE},
	{ENDPOINT_SEND_TEXT, POST, "/v2/send/text",
	NULL, "send the message", ENDPOINT_NONE},
	{ENDPOINT_CHECK_EXISTS, GET, "/v2/contacts/check-exists",
	NULL, "check whether the number is on WhatsApp", ENDPOINT_NONE},
	{ENDPOINT_LID_OF_PHONE, GET, "/v2/lids/pn/%",
	NULL, "look up the privacy id", ENDPOINT_NONE},
	{ENDPOINT_SESSION_INFO, POST, "/v2/session/info",
	NULL, "read the session", ENDPOINT_SESSION_INFO_GET},
	{ENDPOINT_SESSION_INFO_GET, GET, "/v2/session/info",
	NULL, "read the session", ENDPOINT_NONE},
	{ENDPOINT_JOIN_REQUESTS, GET, "/v2/groups/%/participants/join-requests",
	"id", "list the requests to join the group", ENDPOINT_NONE},
};

/* Return the row of an endpoint; NULL for ENDPOINT_NONE. */
const Endpoint *
endpoint_get(EndpointId id)
{
	if (id == ENDPOINT_NONE)
		return NULL;
	Assert(endpoints[id].id == id);
	return &endpoints[id];
}
