/*
 * fuzz.h
 *	  What the fuzz targets share.
 *
 * A target reads an input that a machine made up and checks what must be true of
 * whatever it reads.  It is linked with libFuzzer (run), or with replay.c, which
 * reads the inputs of corpus/.
 */
#ifndef WAWP_FUZZ_H
#define WAWP_FUZZ_H

#include "postgres_fe.h"

/* libFuzzer's entry; returns 0. */
extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An input that is taken piece by piece. */
typedef struct FuzzInput
{
	const char *at;
	const char *end;
} FuzzInput;

extern FuzzInput fuzz_begin(const uint8_t *data, size_t size);
extern unsigned char fuzz_take_byte(FuzzInput *input);
extern char *fuzz_take_text(FuzzInput *input);
extern bool fuzz_is_utf8(const char *text);
extern void fuzz_check(bool is_true, const char *what);
extern void fuzz_end(void);

#endif							/* WAWP_FUZZ_H */
