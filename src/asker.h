/*-------------------------------------------------------------------------
 *
 * asker.h
 *	  Who asks, from where, and whether the transaction lets them.
 *
 * IDENTIFICATION
 *	  src/asker.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_ASKER_H
#define WAWP_ASKER_H

#include "fmgr.h"

extern const char *asker_login_role(void);
extern const char *asker_client_address(void);
extern void asker_require_read_write(FunctionCallInfo fcinfo);

#endif							/* WAWP_ASKER_H */
