/*-------------------------------------------------------------------------
 *
 * requester.h
 *	  Facts about the session that makes a request, and a check of its transaction.
 *
 * IDENTIFICATION
 *	  src/base/requester.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_REQUESTER_H
#define WAWP_REQUESTER_H

#include "fmgr.h"

extern const char *requester_login_role(void);
extern const char *requester_client_address(void);
extern const char *requester_actor(void);
extern void requester_require_read_write(FunctionCallInfo fcinfo);

#endif							/* WAWP_REQUESTER_H */
