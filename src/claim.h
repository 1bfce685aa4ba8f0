/*-------------------------------------------------------------------------
 *
 * claim.h
 *	  Who may be added or removed now: from a lane to a request.
 *
 * IDENTIFICATION
 *	  src/claim.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_CLAIM_H
#define WAWP_CLAIM_H

#include "nodes/pg_list.h"

extern void claim_due(List *holds);

#endif							/* WAWP_CLAIM_H */
