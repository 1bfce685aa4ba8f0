/*-------------------------------------------------------------------------
 *
 * list_again.h
 *	  Reads a member list by what differs from the one before.
 *
 * IDENTIFICATION
 *	  src/protocol/list_again.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_LIST_AGAIN_H
#define WAWP_LIST_AGAIN_H

#include "protocol/wire.h"

extern bool list_read_again(const char *body, size_t len, const WireMembers *before, const WireListText *was,
							WireMembers *out, WireListText *text);

#endif							/* WAWP_LIST_AGAIN_H */
