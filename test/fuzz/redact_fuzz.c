/*
 * redact_fuzz.c
 *	  A secret and a text: the secret is nowhere in what is shown, however the text writes it.
 *
 * The input is the secret, NUL, the text.
 */
#include "fuzz.h"

#include "common/string.h"
#include "lib/stringinfo.h"
#include "protocol/redact.h"
#include "protocol/wire.h"

#define MASK "***"
/* Tokens are no longer; what repeats the beginning of a long one takes the square of its length. */
#define MOST_SECRET 512

/* Tokens are of these: no part of a mask can complete one. */
static bool
is_token(const char *secret)
{
	return strlen(secret) >= 8 && strspn(secret, "*") == 0 && strchr(secret, '*') == NULL;
}

/* Check that a text in which the secret stands, as it is or as a URL has it, does not show it. */
static void
check_hidden(const char *before, const char *secret, const char *after)
{
	StringInfoData text;
	char	   *shown;

	initStringInfo(&text);
	appendStringInfoString(&text, before);
	appendStringInfoString(&text, secret);
	wire_put_percent(&text, secret);
	appendStringInfoString(&text, after);
	shown = redact_secret(text.data, secret);
	fuzz_check(strstr(shown, secret) == NULL, "a secret in a text is masked");
	fuzz_check(strstr(shown, MASK) != NULL, "where it was is a mask");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FuzzInput	input = fuzz_begin(data, size);
	char	   *secret = pnstrdup(fuzz_take_text(&input), MOST_SECRET);
	char	   *text = fuzz_take_text(&input);
	char	   *shown = redact_secret(text, secret);

	if (is_token(secret))
	{
		fuzz_check(strstr(shown, secret) == NULL, "a secret is not shown");
		check_hidden(text, secret, text);
	}
	fuzz_check(strcmp(redact_secret(text, ""), text) == 0, "without a secret a text stays as it is");
	fuzz_end();
	return 0;
}
