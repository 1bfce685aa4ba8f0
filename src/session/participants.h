/*-------------------------------------------------------------------------
 *
 * participants.h
 *	  The SQL functions that add, remove, promote and demote people.
 *
 * IDENTIFICATION
 *	  src/session/participants.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_PARTICIPANTS_H
#define WAWP_PARTICIPANTS_H

#include "client/call.h"

extern int	participants_collect(WawpOperation operation, const char **inputs, int n,
								 CallPerson **elements, CallPerson **sendable);

#endif							/* WAWP_PARTICIPANTS_H */
