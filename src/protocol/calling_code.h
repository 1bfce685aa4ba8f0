/*-------------------------------------------------------------------------
 *
 * calling_code.h
 *	  Country calling codes and the rules for the digits that follow them.
 *
 * IDENTIFICATION
 *	  src/protocol/calling_code.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_CALLING_CODE_H
#define WAWP_CALLING_CODE_H

extern size_t calling_code_length(const char *digits);
extern const char *calling_code_problem(const char *digits);

#endif							/* WAWP_CALLING_CODE_H */
