/*-------------------------------------------------------------------------
 *
 * session_verify.h
 *	  Reads the member list to see who actually joined.
 *
 * IDENTIFICATION
 *	  src/session/session_verify.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_SESSION_VERIFY_H
#define WAWP_SESSION_VERIFY_H

#include "client/call.h"

extern Jid	session_verify_lid_of(const WawpInstance *instance, const Jid *person);
extern bool session_verify_added(const WawpInstance *instance, const char *group, int capacity,
								 CallPerson **people, int npeople);

#endif							/* WAWP_SESSION_VERIFY_H */
