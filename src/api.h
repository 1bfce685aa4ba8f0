/*-------------------------------------------------------------------------
 *
 * api.h
 *	  The SQL functions that call the API in the session.
 *
 * IDENTIFICATION
 *	  src/api.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_API_H
#define WAWP_API_H

extern void api_init(bool preloaded);

#endif							/* WAWP_API_H */
