/*-------------------------------------------------------------------------
 *
 * verify.h
 *	  Reads member lists for rows whose answer does not tell, and settles them.
 *
 * IDENTIFICATION
 *	  src/worker/verify.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_VERIFY_H
#define WAWP_VERIFY_H

#include "client/instance.h"
#include "utils/timestamp.h"
#include "worker/admission.h"

struct Holds;

extern TimestampTz verify_first_at(const WawpInstance *instance);
extern TimestampTz verify_next_wait(const WawpInstance *instance, TimestampTz since);
extern void verify_due(struct Holds *holds, CyclePortion *portion);

#endif							/* WAWP_VERIFY_H */
