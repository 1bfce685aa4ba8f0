/*-------------------------------------------------------------------------
 *
 * verify.h
 *	  Looks at the member list to see who really got in.
 *
 * IDENTIFICATION
 *	  src/verify.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_VERIFY_H
#define WAWP_VERIFY_H

#include "call.h"

extern bool verify_added(const WawpInstance *instance, const char *group, int capacity,
						 CallPerson **people, int npeople);

#endif							/* WAWP_VERIFY_H */
