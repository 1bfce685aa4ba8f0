/*-------------------------------------------------------------------------
 *
 * redact.h
 *	  Removes a secret from a text that came from outside.
 *
 * IDENTIFICATION
 *	  src/protocol/redact.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_REDACT_H
#define WAWP_REDACT_H

extern char *redact_secret(const char *text, const char *secret);
extern void redact_long_numbers(char *text);

#endif							/* WAWP_REDACT_H */
