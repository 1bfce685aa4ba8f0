/*-------------------------------------------------------------------------
 *
 * calling_code.c
 *	  Country calling codes and the rules for the digits that follow them.
 *
 * Pure: no allocation, no error, no server.  The tables hold only facts that
 * change once in years: assigned codes (ITU-T E.164, list of assigned country
 * codes), numbering plans with a single length, and plans in which a number may
 * begin with 0 after the code.  Whether a number is in use is left to the API.
 *
 * IDENTIFICATION
 *	  src/protocol/calling_code.c
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "protocol/calling_code.h"

/* more zeros than a number has digits */
#define NO_ZEROS 16

/*
 * Codes with rules of their own; a code is assigned if it is here or in
 * plain_codes.  length: digits including the code, 0 if it varies.  A number that
 * begins with 0 after the code has at least least_zeros of them.  no_area:
 * digits that cannot follow the code, or NULL.
 */
static const struct
{
	const char *code;
	size_t		length;
	size_t		least_zeros;
	const char *no_area;
}			special_codes[] =
{
	{"1", 11, NO_ZEROS, "01"},
	{"7", 11, NO_ZEROS, NULL},
	{"39", 0, 0, NULL},			/* Italy keeps the 0 of its area codes */
	{"47", 0, 0, NULL},
	{"62", 0, 2, NULL},			/* freephone numbers begin with 00 */
	{"81", 0, 2, NULL},
	{"82", 0, 2, NULL},
	{"225", 0, 0, NULL},
	{"226", 0, 0, NULL},
	{"227", 0, 0, NULL},
	{"229", 0, 0, NULL},
	{"241", 0, 0, NULL},
	{"242", 0, 0, NULL},
	{"247", 0, 0, NULL},
	{"250", 0, 0, NULL},
	{"267", 0, 0, NULL},
	{"268", 0, 0, NULL},
	{"378", 0, 0, NULL},
	{"501", 0, 0, NULL},
	{"598", 0, 0, NULL},
	{"676", 0, 0, NULL},
	{"679", 0, 0, NULL},
	{"687", 0, 0, NULL},
	{"800", 0, 0, NULL},
	{"853", 0, 0, NULL},
	{"881", 0, 0, NULL},
	{"888", 0, 0, NULL},
	{"974", 0, 0, NULL},
	{"992", 0, 0, NULL},
};

static const char plain_codes[] =
" 20 27 30 31 32 33 34 36 40 41 43 44 45 46 48 49 51 52 53 54 55 56 57 58 60 61 63 64 65 66 84 86 90 91 92"
" 93 94 95 98 211 212 213 216 218 220 221 222 223 224 228 230 231 232 233 234 235 236 237 238 239 240 243"
" 244 245 246 248 249 251 252 253 254 255 256 257 258 260 261 262 263 264 265 266 269 290 291 297 298 299"
" 350 351 352 353 354 355 356 357 358 359 370 371 372 373 374 375 376 377 380 381 382 383 385 386 387 389"
" 420 421 423 500 502 503 504 505 506 507 508 509 590 591 592 593 594 595 596 597 599 670 672 673 674 675"
" 677 678 680 681 682 683 685 686 688 689 690 691 692 808 850 852 855 856 870 878 880 882 883 886 960 961"
" 962 963 964 965 966 967 968 970 971 972 973 975 976 977 979 993 994 995 996 998 ";

#define MAX_CODE_DIGITS 3

static const char *const national_form =
"a 0 after the country code is a national form; write the number as it is dialled from abroad";

/* As calling_code_problem, for a number that begins with special_codes[i]. */
static const char *
special_code_problem(size_t i, const char *digits)
{
	const char *rest = digits + strlen(special_codes[i].code);
	size_t		zeros = strspn(rest, "0");

	if (special_codes[i].length != 0 && strlen(digits) != special_codes[i].length)
		return "a number with this country code has 11 digits";
	if (special_codes[i].no_area && strchr(special_codes[i].no_area, *rest))
		return "no area code of this country begins like that";
	return zeros > 0 && zeros < special_codes[i].least_zeros ? national_form : NULL;
}

/* True if the first n digits are an assigned code without rules of its own. */
static bool
is_plain_code(const char *digits, size_t n)
{
	char		word[MAX_CODE_DIGITS + 3];

	snprintf(word, sizeof(word), " %.*s ", (int) n, digits);
	return strstr(plain_codes, word) != NULL;
}

/* Return the index of the entry in special_codes that digits begin with, or -1. */
static int
find_special_code(const char *digits)
{
	for (size_t i = 0; i < lengthof(special_codes); i++)
		if (strncmp(digits, special_codes[i].code, strlen(special_codes[i].code)) == 0)
			return (int) i;
	return -1;
}

/* Return the length of the code among plain_codes that digits begin with; 0 if there is none. */
static size_t
plain_code_length(const char *digits)
{
	for (size_t n = 2; n <= MAX_CODE_DIGITS; n++)
		if (is_plain_code(digits, n))
			return n;
	return 0;
}

/* Return the number of digits of the country code that a number begins with; 0 if no country has it. */
size_t
calling_code_length(const char *digits)
{
	int			i = find_special_code(digits);

	return i >= 0 ? strlen(special_codes[i].code) : plain_code_length(digits);
}

/*
 * Return what is wrong with the digits of an international number, of which
 * there are at least MAX_CODE_DIGITS; NULL if nothing is.  The text is static.
 */
const char *
calling_code_problem(const char *digits)
{
	int			i = find_special_code(digits);
	size_t		n;

	if (i >= 0)
		return special_code_problem(i, digits);
	n = plain_code_length(digits);
	if (n == 0)
		return "no country has this calling code; write the number with its country code";
	return digits[n] == '0' ? national_form : NULL;
}
