/*-------------------------------------------------------------------------
 *
 * notice.h
 *	  Tells listeners what has been settled.
 *
 * IDENTIFICATION
 *	  src/tables/notice.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_NOTICE_H
#define WAWP_NOTICE_H

extern void notice_settled(int64 id, const char *state, const char *outcome);

#endif							/* WAWP_NOTICE_H */
