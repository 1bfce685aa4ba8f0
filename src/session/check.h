/*-------------------------------------------------------------------------
 *
 * check.h
 *	  Says what an addition would meet, without making it.
 *
 * IDENTIFICATION
 *	  src/session/check.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_CHECK_H
#define WAWP_CHECK_H

#include "client/call.h"

extern void check_people(const WawpInstance *instance, const char *group, bool is_before_add,
						 CallPerson **people, int npeople);
extern bool check_is_addable(const CallPerson *person);

#endif							/* WAWP_CHECK_H */
