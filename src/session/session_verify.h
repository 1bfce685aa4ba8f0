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

extern bool session_verify_added(const WawpInstance *instance, const char *group, int capacity,
								 CallPerson **people, int npeople);

#endif							/* WAWP_SESSION_VERIFY_H */
