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

#include "tables/membership.h"

#endif							/* WAWP_NOTICE_H */
