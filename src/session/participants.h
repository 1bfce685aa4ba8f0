/*-------------------------------------------------------------------------
 *
 * participants.h
 *	  The SQL functions that call the API in the session.
 *
 * IDENTIFICATION
 *	  src/session/participants.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_PARTICIPANTS_H
#define WAWP_PARTICIPANTS_H

extern void api_init(bool preloaded);

#endif							/* WAWP_PARTICIPANTS_H */
