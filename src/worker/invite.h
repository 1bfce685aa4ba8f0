/*-------------------------------------------------------------------------
 *
 * invite.h
 *	  Invitations: a message to who could not be added.
 *
 * IDENTIFICATION
 *	  src/worker/invite.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_INVITE_H
#define WAWP_INVITE_H

#include "worker/attempt.h"
#include "worker/follow.h"

struct Holds;

extern TimestampTz invite_person(Lane *lane, const Intent *intent, const WawpInstance *described, struct Holds *holds,
								 InfoNeed *need);
extern IntentChange invite_change(const Flight *flight);

#endif							/* WAWP_INVITE_H */
