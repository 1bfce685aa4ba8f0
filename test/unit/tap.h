/*
 * tap.h
 *	  What a unit test says: TAP on standard output.
 */
#ifndef WAWP_TAP_H
#define WAWP_TAP_H

#include "compat.h"

extern void ok(bool passed, const char *format, ...) wawp_attribute_printf(2, 3);
extern void is_text(const char *got, const char *expected, const char *name);
extern void is_int(long got, long expected, const char *name);
extern int	done_testing(void);

#endif							/* WAWP_TAP_H */
