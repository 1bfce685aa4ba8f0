/*-------------------------------------------------------------------------
 *
 * messages.h
 *	  The two messages that are sent: invitations to people, welcomes to groups.
 *
 * IDENTIFICATION
 *	  src/worker/messages.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_MESSAGES_H
#define WAWP_MESSAGES_H

#include "worker/attempt.h"
#include "worker/group_cache.h"

struct Holds;

extern const char *messages_why_not_invited(const Intent *intent, const WawpInstance *instance, WawpOutcome *outcome);
extern bool messages_refuse(const Intent *intent);
extern TimestampTz messages_invite(Lane *lane, const Intent *intent, const WawpInstance *described, struct Holds *holds,
								   InfoNeed *need);
extern IntentChange messages_invitation_change(const Attempt *attempt);
extern void messages_welcome_due(struct Holds *holds);
extern int64 messages_next_welcome(void);
extern void messages_put_off_welcomes(void);
extern void messages_record_welcome(const Attempt *attempt, const char *kind);
extern void messages_repeat_welcome(Attempt *attempt);

#endif							/* WAWP_MESSAGES_H */
