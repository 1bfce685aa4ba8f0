/*-------------------------------------------------------------------------
 *
 * erasure_key.c
 *	  Keyed hashes of people who were erased.
 *
 * Owns wawp.erasure_key.  Somebody who was erased stays on the opt-out list by a
 * hash of their JID, HMAC-SHA256 with a random key.  The key is drawn when
 * somebody is erased first, so that until then the module costs one look into an
 * empty index.  It is dumped beside the list; a database into which two were
 * merged has several, and a JID has a hash by each.
 *
 * Keys are read once a transaction, whatever its snapshot, and kept in its memory.  Statements run as
 * intent.c's do, in the caller's transaction.  No locks.
 *
 * IDENTIFICATION
 *	  src/tables/erasure_key.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/index_probe.h"
#include "base/random_pool.h"
#include "base/signature.h"
#include "base/spi_statement.h"
#include "tables/erasure_key.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "compat.h"

#define KEY_BYTES 32

/* The keys, in the memory of the transaction under way; its end empties the list. */
static List *known_keys = NIL;

static SqlStatement read_keys = {
	"SELECT key FROM wawp.erasure_key",
	0, {0}, NULL
};

static SqlStatement insert_key = {
	"INSERT INTO wawp.erasure_key (key) VALUES ($1)",
	1, {TEXTOID}, NULL
};

/* True if somebody was ever erased; no table is read, nor permission needed. */
bool
erasure_key_exists(void)
{
	IndexProbe	any = {"erasure_key", "erasure_key_pkey", 0, {0}};

	return index_probe_committed(&any, 1) != PROBE_NONE;
}

/* Draw a key unless there is one. */
void
erasure_key_require(void)
{
	SqlArgs		args = {0};
	char		bytes[KEY_BYTES];
	char		text[2 * KEY_BYTES + 1];

	if (spi_run(&read_keys, NULL) > 0)
		return;
	random_draw(bytes, sizeof(bytes));
	text[hex_encode(bytes, sizeof(bytes), text)] = '\0';
	spi_add_text(&args, text);
	spi_run(&insert_key, &args);
	known_keys = NIL;
}

/* Forget the keys before their memory goes: several transactions may have begun at the same time. */
static void
erasure_keys_forget(void *arg pg_attribute_unused())
{
	known_keys = NIL;
}

/* Return the keys. */
static List *
erasure_keys(void)
{
	MemoryContext caller;
	MemoryContextCallback *at_end;
	uint64		n;

	if (known_keys != NIL)
		return known_keys;
	n = spi_run_seeing(&read_keys, NULL, GetLatestSnapshot());
	caller = MemoryContextSwitchTo(TopTransactionContext);
	at_end = palloc0(sizeof(MemoryContextCallback));
	at_end->func = erasure_keys_forget;
	MemoryContextRegisterResetCallback(TopTransactionContext, at_end);
	for (uint64 i = 0; i < n; i++)
		known_keys = lappend(known_keys, pstrdup(spi_get_text(i, 1)));
	MemoryContextSwitchTo(caller);
	return known_keys;
}

/* Return how the opt-out list names a JID if the person was erased: a text for each key. */
List *
erasure_key_hashes(const char *jid)
{
	List	   *hashes = NIL;
	ListCell   *lc;

	if (!erasure_key_exists())
		return NIL;
	foreach(lc, erasure_keys())
		hashes = lappend(hashes, psprintf(ERASURE_HASH_PREFIX "%s", signature_keyed_hash_text(lfirst(lc), jid)));
	return hashes;
}
