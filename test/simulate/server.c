/*
 * server.c
 *	  What the worker's modules call of the server, for a plain program: memory contexts, hash tables, pairing
 *	  heaps, lists, errors.
 *
 * As fast as a simulation needs it and no more: contexts are lists of malloc'd chunks, nothing is shared and
 * nothing is caught; an error ends the program.  Heaps and hash tables count what they do: a count is the same on
 * each machine, a time is not.
 */
#include "postgres.h"

#include "lib/pairingheap.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "simulate.h"

int64		steps_taken;

/*
 * ---- memory
 */

typedef struct Chunk
{
	struct Chunk *next;
	struct Chunk *previous;
	struct Context *owner;
	Size		size;
} Chunk;

typedef struct Context
{
	Chunk		chunks;			/* a ring */
	struct Context *parent;
	struct Context *first_child;
	struct Context *next;		/* of the parent's children */
	struct Context *previous;
	Size		size;
} Context;

MemoryContext CurrentMemoryContext;
MemoryContext TopMemoryContext;
volatile uint32 InterruptHoldoffCount;
Oid			MyDatabaseId = 5;

static void
context_adopt(Context *context, Context *parent)
{
	context->parent = parent;
	context->previous = NULL;
	context->next = parent ? parent->first_child : NULL;
	if (context->next)
		context->next->previous = context;
	if (parent)
		parent->first_child = context;
}

static void
context_leave(Context *context)
{
	if (context->previous)
		context->previous->next = context->next;
	else if (context->parent)
		context->parent->first_child = context->next;
	if (context->next)
		context->next->previous = context->previous;
}

MemoryContext
AllocSetContextCreateInternal(MemoryContext parent, const char *name pg_attribute_unused(), Size least pg_attribute_unused(),
							  Size initial pg_attribute_unused(), Size most pg_attribute_unused())
{
	Context    *context = calloc(1, sizeof(Context));

	context->chunks.next = context->chunks.previous = &context->chunks;
	context_adopt(context, (Context *) parent);
	return (MemoryContext) context;
}

void *
MemoryContextAlloc(MemoryContext memory, Size size)
{
	Context    *context = (Context *) memory;
	Chunk	   *chunk = malloc(sizeof(Chunk) + size);

	if (chunk == NULL)
		abort();
	*chunk = (Chunk) {context->chunks.next, &context->chunks, context, size};
	chunk->next->previous = chunk;
	context->chunks.next = chunk;
	context->size += size;
	return chunk + 1;
}

void *
MemoryContextAllocZero(MemoryContext memory, Size size)
{
	return memset(MemoryContextAlloc(memory, size), 0, size);
}

void *
palloc(Size size)
{
	return MemoryContextAlloc(CurrentMemoryContext, size);
}

void *
palloc0(Size size)
{
	return MemoryContextAllocZero(CurrentMemoryContext, size);
}

void
pfree(void *pointer)
{
	Chunk	   *chunk = (Chunk *) pointer - 1;

	chunk->next->previous = chunk->previous;
	chunk->previous->next = chunk->next;
	chunk->owner->size -= chunk->size;
	free(chunk);
}

void *
repalloc(void *pointer, Size size)
{
	Chunk	   *chunk = (Chunk *) pointer - 1;
	void	   *larger = MemoryContextAlloc((MemoryContext) chunk->owner, size);

	memcpy(larger, pointer, Min(size, chunk->size));
	pfree(pointer);
	return larger;
}

char *
MemoryContextStrdup(MemoryContext memory, const char *text)
{
	return memcpy(MemoryContextAlloc(memory, strlen(text) + 1), text, strlen(text) + 1);
}

char *
pstrdup(const char *text)
{
	return MemoryContextStrdup(CurrentMemoryContext, text);
}

char *
pnstrdup(const char *text, Size length)
{
	Size		n = strnlen(text, length);
	char	   *copy = palloc(n + 1);

	memcpy(copy, text, n);
	copy[n] = '\0';
	return copy;
}

void
MemoryContextReset(MemoryContext memory)
{
	Context    *context = (Context *) memory;

	while (context->first_child)
		MemoryContextDelete((MemoryContext) context->first_child);
	while (context->chunks.next != &context->chunks)
		pfree(context->chunks.next + 1);
}

void
MemoryContextDelete(MemoryContext memory)
{
	MemoryContextReset(memory);
	context_leave((Context *) memory);
	free(memory);
}

void
MemoryContextSetParent(MemoryContext memory, MemoryContext parent)
{
	context_leave((Context *) memory);
	context_adopt((Context *) memory, (Context *) parent);
}

Size
MemoryContextMemAllocated(MemoryContext memory, bool recurse pg_attribute_unused())
{
	return ((Context *) memory)->size;
}

Size
GetMemoryChunkSpace(void *pointer)
{
	return ((Chunk *) pointer - 1)->size + sizeof(Chunk);
}

/*
 * ---- hash tables
 */

typedef struct HashEntry
{
	struct HashEntry *next;
	uint32		hash;
} HashEntry;

struct HTAB
{
	HashEntry **buckets;
	uint32		nbuckets;
	long		count;
	long		most;			/* 0: no limit */
	Size		keysize;
	Size		entrysize;
	bool		is_text;
	MemoryContext memory;
};

#define ENTRY_OF(key) ((HashEntry *) ((char *) (key) - MAXALIGN(sizeof(HashEntry))))
#define KEY_OF(entry) ((char *) (entry) + MAXALIGN(sizeof(HashEntry)))

#if PG_VERSION_NUM >= 190000
#define LONG_SIZE int64
#else
#define LONG_SIZE long
#endif

HTAB *
hash_create(const char *name pg_attribute_unused(), LONG_SIZE size pg_attribute_unused(), const HASHCTL *info, int flags)
{
	MemoryContext memory = flags & HASH_CONTEXT ? info->hcxt : TopMemoryContext;
	HTAB	   *table = MemoryContextAllocZero(memory, sizeof(HTAB));

	table->memory = memory;
	table->nbuckets = 64;
	table->keysize = info->keysize;
	table->entrysize = info->entrysize;
	table->is_text = (flags & HASH_STRINGS) != 0;
	table->buckets = MemoryContextAllocZero(memory, sizeof(HashEntry *) * table->nbuckets);
	return table;
}

static uint32
hash_of(const HTAB *table, const void *key)
{
	const char *bytes = key;
	Size		length = table->is_text ? strlen(bytes) : table->keysize;
	uint64		hash = UINT64CONST(0x9E3779B97F4A7C15);

	for (; length >= sizeof(uint64); length -= sizeof(uint64), bytes += sizeof(uint64))
	{
		uint64		word;

		memcpy(&word, bytes, sizeof(word));
		hash = (hash ^ word) * UINT64CONST(0xD6E8FEB86659FD93);
		hash ^= hash >> 32;
	}
	for (; length > 0; length--)
		hash = (hash ^ (unsigned char) *bytes++) * UINT64CONST(0x100000001B3);
	hash ^= hash >> 29;
	return (uint32) (hash ^ (hash >> 32));
}

static void
hash_grow(HTAB *table)
{
	uint32		n = table->nbuckets * 2;
	HashEntry **buckets = MemoryContextAllocZero(table->memory, sizeof(HashEntry *) * n);

	for (uint32 i = 0; i < table->nbuckets; i++)
		while (table->buckets[i])
		{
			HashEntry  *entry = table->buckets[i];

			table->buckets[i] = entry->next;
			entry->next = buckets[entry->hash & (n - 1)];
			buckets[entry->hash & (n - 1)] = entry;
		}
	pfree(table->buckets);
	table->buckets = buckets;
	table->nbuckets = n;
}

static void *
hash_insert(HTAB *table, const void *key, uint32 hash)
{
	HashEntry  *entry = MemoryContextAlloc(table->memory, MAXALIGN(sizeof(HashEntry)) + table->entrysize);
	HashEntry **bucket = &table->buckets[hash & (table->nbuckets - 1)];

	entry->hash = hash;
	entry->next = *bucket;
	*bucket = entry;
	if (table->is_text)
		strlcpy(KEY_OF(entry), key, table->keysize);
	else
		memcpy(KEY_OF(entry), key, table->keysize);
	if (++table->count > table->nbuckets)
		hash_grow(table);
	return KEY_OF(entry);
}

void *
hash_search(HTAB *table, const void *key, HASHACTION action, bool *found)
{
	uint32		hash = hash_of(table, key);
	HashEntry **place = &table->buckets[hash & (table->nbuckets - 1)];

	while (steps_taken++, *place)
	{
		HashEntry  *entry = *place;

		if (entry->hash == hash &&
			(table->is_text ? strcmp(KEY_OF(entry), key) : memcmp(KEY_OF(entry), key, table->keysize)) == 0)
			break;
		place = &entry->next;
	}
	if (found)
		*found = *place != NULL;
	if (*place && action == HASH_REMOVE)
	{
		HashEntry  *entry = *place;

		*place = entry->next;
		table->count--;
		pfree(entry);
		return KEY_OF(entry);
	}
	if (*place)
		return KEY_OF(*place);
	if (action == HASH_FIND || action == HASH_REMOVE || (action == HASH_ENTER_NULL && table->most && table->count >= table->most))
		return NULL;
	return hash_insert(table, key, hash);
}

void
hash_seq_init(HASH_SEQ_STATUS *status, HTAB *table)
{
	memset(status, 0, sizeof(*status));
	status->hashp = table;
}

/* The entry that was returned last may be removed, none may be added. */
void *
hash_seq_search(HASH_SEQ_STATUS *status)
{
	HashEntry  *entry = (HashEntry *) status->curEntry;

	while (entry == NULL && status->curBucket < status->hashp->nbuckets)
		entry = status->hashp->buckets[status->curBucket++];
	steps_taken++;
	status->curEntry = entry ? (HASHELEMENT *) entry->next : NULL;
	return entry ? KEY_OF(entry) : NULL;
}

void
hash_seq_term(HASH_SEQ_STATUS *status pg_attribute_unused())
{
}

/* A table in shared memory, which outlives the worker. */
#if PG_VERSION_NUM >= 190000
HTAB *
ShmemInitHash(const char *name, int64 most, HASHCTL *info, int flags)
#else
HTAB *
ShmemInitHash(const char *name, long first pg_attribute_unused(), long most, HASHCTL *info, int flags)
#endif
{
	HASHCTL		shared = *info;
	HTAB	   *table;

	shared.hcxt = shared_memory;
	table = hash_create(name, 0, &shared, flags | HASH_CONTEXT);
	table->most = most;
	return table;
}

bool
LWLockAcquire(LWLock *lock pg_attribute_unused(), LWLockMode mode pg_attribute_unused())
{
	return true;
}

void
LWLockRelease(LWLock *lock pg_attribute_unused())
{
}

/*
 * ---- pairing heaps
 */

pairingheap *
pairingheap_allocate(pairingheap_comparator compare, void *argument)
{
	pairingheap *heap = palloc0(sizeof(pairingheap));

	heap->ph_compare = compare;
	heap->ph_arg = argument;
	return heap;
}

/* Make one of two heaps a child of the other; either may be NULL. */
static pairingheap_node *
heap_merge(pairingheap *heap, pairingheap_node *a, pairingheap_node *b)
{
	if (a == NULL || b == NULL)
		return a ? a : b;
	steps_taken++;
	if (heap->ph_compare(a, b, heap->ph_arg) < 0)
	{
		pairingheap_node *smaller = a;

		a = b;
		b = smaller;
	}
	if (a->first_child)
		a->first_child->prev_or_parent = b;
	b->prev_or_parent = a;
	b->next_sibling = a->first_child;
	a->first_child = b;
	return a;
}

/* Merge siblings in pairs, and the pairs from the last to the first. */
static pairingheap_node *
heap_merge_children(pairingheap *heap, pairingheap_node *child)
{
	pairingheap_node *pairs = NULL;
	pairingheap_node *merged = NULL;

	while (child)
	{
		pairingheap_node *second = child->next_sibling;
		pairingheap_node *after = second ? second->next_sibling : NULL;
		pairingheap_node *pair = heap_merge(heap, child, second);

		pair->next_sibling = pairs;
		pairs = pair;
		child = after;
	}
	while (pairs)
	{
		pairingheap_node *after = pairs->next_sibling;

		merged = heap_merge(heap, merged, pairs);
		pairs = after;
	}
	return merged;
}

static void
heap_set_root(pairingheap *heap, pairingheap_node *node)
{
	heap->ph_root = node;
	if (node)
		node->prev_or_parent = node->next_sibling = NULL;
}

void
pairingheap_add(pairingheap *heap, pairingheap_node *node)
{
	node->first_child = NULL;
	heap_set_root(heap, heap_merge(heap, heap->ph_root, node));
}

pairingheap_node *
pairingheap_first(pairingheap *heap)
{
	return heap->ph_root;
}

void
pairingheap_remove(pairingheap *heap, pairingheap_node *node)
{
	pairingheap_node *children = heap_merge_children(heap, node->first_child);

	if (heap->ph_root == node)
	{
		heap_set_root(heap, children);
		return;
	}
	if (node->prev_or_parent->first_child == node)
		node->prev_or_parent->first_child = node->next_sibling;
	else
		node->prev_or_parent->next_sibling = node->next_sibling;
	if (node->next_sibling)
		node->next_sibling->prev_or_parent = node->prev_or_parent;
	heap_set_root(heap, heap_merge(heap, heap->ph_root, children));
}

pairingheap_node *
pairingheap_remove_first(pairingheap *heap)
{
	pairingheap_node *first = heap->ph_root;

	pairingheap_remove(heap, first);
	return first;
}

/*
 * ---- lists
 */

List *
lappend(List *list, void *item)
{
	if (list == NIL)
	{
		list = palloc0(sizeof(List));
		list->type = T_List;
		list->max_length = 4;
		list->elements = palloc(sizeof(ListCell) * list->max_length);
	}
	else if (list->length == list->max_length)
	{
		list->max_length *= 2;
		list->elements = repalloc(list->elements, sizeof(ListCell) * list->max_length);
	}
	list->elements[list->length++].ptr_value = item;
	return list;
}

/*
 * ---- errors and logs
 */

/* Logs are not printed; an error would be a fault of the worker's or of this program. */
bool
errstart(int level, const char *domain pg_attribute_unused())
{
	if (level < ERROR)
		return false;
	fprintf(stderr, "the worker has raised an error\n");
	abort();
}

bool
errstart_cold(int level, const char *domain)
{
	return errstart(level, domain);
}

void
ExceptionalCondition(
#if PG_VERSION_NUM < 160000
					 const char *condition, const char *type pg_attribute_unused(), const char *file, int line)
#else
					 const char *condition, const char *file, int line)
#endif
{
	fprintf(stderr, "%s:%d: %s\n", file, line, condition);
	abort();
}
