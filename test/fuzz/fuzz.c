/*
 * fuzz.c
 *	  Inputs in pieces, checks, and memory that ends with its input.
 *
 * The functions of libpgcommon's fe_memutils.c are here instead of there: a
 * frontend program frees little of what it pallocs, and millions of inputs would
 * fill the machine.  Each allocation is one of malloc's, so that the sanitizers
 * see where it ends.
 */
#include "fuzz.h"

#include "mb/pg_wchar.h"

/* In front of each allocation; of malloc's own alignment. */
typedef struct Block
{
	struct Block *next;
	struct Block *previous;
} Block;

static Block blocks = {&blocks, &blocks};

/* Return the input as something to take pieces of. */
FuzzInput
fuzz_begin(const uint8_t *data, size_t size)
{
	return (FuzzInput) {(const char *) data, (const char *) data + size};
}

/* Return the next byte; 0 at the end. */
unsigned char
fuzz_take_byte(FuzzInput *input)
{
	return input->at < input->end ? (unsigned char) *input->at++ : 0;
}

/* Return a copy of what comes before the next NUL or the end. */
char *
fuzz_take_text(FuzzInput *input)
{
	size_t		len = strnlen(input->at, input->end - input->at);
	char	   *text = pnstrdup(input->at, len);

	input->at += len;
	if (input->at < input->end)
		input->at++;
	return text;
}

bool
fuzz_is_utf8(const char *text)
{
	int			len = (int) strlen(text);

	return pg_encoding_verifymbstr(PG_UTF8, text, len) == len;
}

/* What is not true ends the program: libFuzzer keeps the input. */
void
fuzz_check(bool is_true, const char *what)
{
	if (is_true)
		return;
	fprintf(stderr, "not true: %s\n", what);
	abort();
}

/* Free what was allocated for an input. */
void
fuzz_end(void)
{
	while (blocks.next != &blocks)
		pfree(blocks.next + 1);
}

static void *
block_insert(Block *block)
{
	if (block == NULL)
		abort();
	block->next = blocks.next;
	block->previous = &blocks;
	blocks.next->previous = block;
	blocks.next = block;
	return block + 1;
}

static Block *
block_remove(void *pointer)
{
	Block	   *block = (Block *) pointer - 1;

	block->next->previous = block->previous;
	block->previous->next = block->next;
	return block;
}

void *
palloc(Size size)
{
	return block_insert(malloc(sizeof(Block) + size));
}

void *
palloc0(Size size)
{
	return block_insert(calloc(1, sizeof(Block) + size));
}

void *
palloc_extended(Size size, int flags)
{
	return (flags & MCXT_ALLOC_ZERO) ? palloc0(size) : palloc(size);
}

void *
repalloc(void *pointer, Size size)
{
	return block_insert(realloc(block_remove(pointer), sizeof(Block) + size));
}

void
pfree(void *pointer)
{
	free(block_remove(pointer));
}

char *
pnstrdup(const char *text, Size size)
{
	size_t		len = strnlen(text, size);
	char	   *copy = palloc(len + 1);

	memcpy(copy, text, len);
	copy[len] = '\0';
	return copy;
}

char *
pstrdup(const char *text)
{
	return pnstrdup(text, strlen(text));
}

void *
pg_malloc(size_t size)
{
	return palloc(size);
}

void *
pg_malloc0(size_t size)
{
	return palloc0(size);
}

void *
pg_malloc_extended(size_t size, int flags)
{
	return palloc_extended(size, flags);
}

void *
pg_realloc(void *pointer, size_t size)
{
	return pointer ? repalloc(pointer, size) : palloc(size);
}

char *
pg_strdup(const char *text)
{
	return pstrdup(text);
}

void
pg_free(void *pointer)
{
	if (pointer)
		pfree(pointer);
}
