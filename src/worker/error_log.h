/*-------------------------------------------------------------------------
 *
 * error_log.h
 *	  The worker's errors in the server's log.
 *
 * IDENTIFICATION
 *	  src/worker/error_log.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_ERROR_LOG_H
#define WAWP_ERROR_LOG_H

extern void error_log_report(void);

#endif							/* WAWP_ERROR_LOG_H */
