/*-------------------------------------------------------------------------
 *
 * claim.h
 *	  Claims the rows of due lanes and turns them into requests.
 *
 * IDENTIFICATION
 *	  src/worker/claim.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_CLAIM_H
#define WAWP_CLAIM_H

#include "nodes/pg_list.h"
#include "worker/admission.h"

struct Holds;

extern void claim_due(struct Holds *holds, CyclePortion *portion);
extern void claim_give_back_unused(void);

#endif							/* WAWP_CLAIM_H */
