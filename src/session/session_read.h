/*-------------------------------------------------------------------------
 *
 * session_read.h
 *	  Readings of a group and of ourselves that change nothing.
 *
 * IDENTIFICATION
 *	  src/session/session_read.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_SESSION_READ_H
#define WAWP_SESSION_READ_H

#include "client/call.h"

extern void session_wait_to_read(const WawpInstance *instance);
extern bool session_wait_to_check(const WawpInstance *instance, int64 until_ms);
extern bool session_fetch_list(const WawpInstance *instance, const char *group, WireMembers *list, const HttpResult **result);
extern bool session_fetch_group(const WawpInstance *instance, const char *group, WireGroup *info, bool *may_pass);
extern bool session_read_list(const WawpInstance *instance, const char *group, WireMembers *list, const HttpResult **result);
extern bool session_read_group(const WawpInstance *instance, const char *group, WireGroup *info, bool *may_pass);
extern bool session_read_self(const WawpInstance *instance, WireSession *session);
extern Jid	session_read_lid(const WawpInstance *instance, const Jid *person);

#endif							/* WAWP_SESSION_READ_H */
