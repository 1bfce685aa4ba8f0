/*-------------------------------------------------------------------------
 *
 * subtransaction.h
 *	  A piece of work whose error does not end the transaction.
 *
 * IDENTIFICATION
 *	  src/base/subtransaction.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_SUBTRANSACTION_H
#define WAWP_SUBTRANSACTION_H

#include "utils/elog.h"

/* True to keep what was done, false to roll it back. */
typedef bool (*SubtransactionWork) (void *subject);

extern ErrorData *subtransaction_try(SubtransactionWork work, void *subject);
extern void subtransaction_run(SubtransactionWork work, void *subject);

#endif							/* WAWP_SUBTRANSACTION_H */
