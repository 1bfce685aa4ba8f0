/*-------------------------------------------------------------------------
 *
 * contact.c
 *	  People: the only table with telephone numbers.
 *
 * Owns wawp.contact.  The audit log names people by contact_id, so that
 * deleting a row here makes the log anonymous.  Somebody who was erased gets no
 * new row: their id is 0, and CONTACT_NAME with the old id names them in notes
 * and intents that were left.
 *
 * Statements run as intent.c's do, in the caller's transaction; texts that are
 * read live in SPI's memory.  Ids that were read or made are kept for the
 * transaction in memory of the process.  Locks: none but those of the rows.
 *
 * IDENTIFICATION
 *	  src/tables/contact.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/index_probe.h"
#include "base/spi_statement.h"
#include "base/table_insert.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "common/hashfn.h"
#include "storage/lmgr.h"
#include "tables/contact.h"
#include "tables/erasure_key.h"
#include "tables/suppression.h"
#include "utils/builtins.h"

/* So many digits always fit into an id. */
#define MOST_ID_DIGITS 18

/* That a number is not registered is believed for hours only: an engine also says so when WhatsApp refused to tell. */
#define KNOWN \
	"contact_id, lid, registered, last_inbound_at, checked_at > clock_timestamp()" \
	" - CASE WHEN registered THEN interval '30 days' ELSE interval '6 hours' END, known_as"

static SqlStatement create = {
	"INSERT INTO wawp.contact (jid) VALUES ($1)"
	" ON CONFLICT (jid) DO UPDATE SET jid = excluded.jid RETURNING " KNOWN,
	1, {TEXTOID}, NULL
};

/* Inserts those who are new. */
static SqlStatement create_all = {
	"INSERT INTO wawp.contact (jid) SELECT p.jid FROM unnest($1) p (jid) ON CONFLICT (jid) DO NOTHING RETURNING contact_id, jid",
	1, {TEXTARRAYOID}, NULL
};

/*
 * Ids of people that this transaction has used, by a hash of the JID: each is
 * needed several times.  The end of the transaction empties the table, and so
 * does the abort of a subtransaction, in which some may have been inserted.
 */
static struct
{
	uint64		epoch;			/* of a transaction; 0: not registered yet */
	struct
	{
		uint64		epoch;
		int64		id;
		bool		is_new;		/* nothing but the id is known */
		char		jid[NAMEDATALEN];
	}			people[512];
}			met;

/* Forget ids at the end of a transaction. */
static void
contact_on_xact_end(XactEvent event, void *arg pg_attribute_unused())
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		met.epoch++;
}

/* Forget ids when a subtransaction aborts. */
static void
contact_on_subxact_end(SubXactEvent event, SubTransactionId mine pg_attribute_unused(),
					   SubTransactionId parent pg_attribute_unused(), void *arg pg_attribute_unused())
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		met.epoch++;
}

/* Return the place of a JID in the table above. */
static int
contact_slot(const char *jid)
{
	return hash_bytes((const unsigned char *) jid, (int) strlen(jid)) % lengthof(met.people);
}

/* Keep the id of a person until the end of the transaction. */
static void
contact_keep(const char *jid, int64 id, bool is_new)
{
	int			place = contact_slot(jid);

	if (met.epoch == 0)
	{
		RegisterXactCallback(contact_on_xact_end, NULL);
		RegisterSubXactCallback(contact_on_subxact_end, NULL);
		met.epoch = 1;
	}
	if (strlcpy(met.people[place].jid, jid, NAMEDATALEN) >= NAMEDATALEN)
		return;
	met.people[place].epoch = met.epoch;
	met.people[place].id = id;
	met.people[place].is_new = is_new;
}

/* Keep the id of a person who is known until the end of the transaction. */
void
contact_note_id(const char *jid, int64 id)
{
	contact_keep(jid, id, false);
}

/* Keep an id likewise, and return it. */
static int64
contact_remember(const char *jid, int64 id, bool is_new)
{
	contact_keep(jid, id, is_new);
	return id;
}

/* Return the id of a person whom this transaction has used, 0 if it is not known, and whether nothing else is known. */
static int64
contact_recall(const char *jid, bool *is_new)
{
	int			place = contact_slot(jid);

	if (met.epoch == 0 || met.people[place].epoch != met.epoch || strcmp(met.people[place].jid, jid) != 0)
		return 0;
	*is_new = met.people[place].is_new;
	return met.people[place].id;
}

/* Look for a person in the index; write the id to *id if PROBE_FOUND. */
static IndexProbeResult
contact_find(const char *jid, int64 *id)
{
	IndexProbe	person = {"contact", "contact_jid_key", 1, {CStringGetTextDatum(jid)}};

	return index_probe_first_int8(&person, "contact_id", id);
}

/*
 * True if a transaction that is under way has stored a person who is not stored
 * otherwise: whoever stores them as well waits for its end.
 */
bool
contact_is_pending(const char *jid)
{
	IndexProbe	person = {"contact", "contact_jid_key", 1, {CStringGetTextDatum(jid)}};
	bool		is_new;

	return contact_recall(jid, &is_new) == 0 && index_probe_is_pending(&person);
}

static SqlStatement get = {
	"SELECT " KNOWN " FROM wawp.contact WHERE jid = $1",
	1, {TEXTOID}, NULL
};

static SqlStatement remove_row = {
	"DELETE FROM wawp.contact WHERE contact_id = $1",
	1, {INT8OID}, NULL
};

/*
 * True if a person whose row was just inserted has been erased; then remove the
 * row again.  Before the insertion this would not tell enough: it waits for an
 * erasure that is under way.
 */
static bool
contact_take_back(const char *jid, int64 id)
{
	SqlArgs		args = {0};

	if (!suppression_is_erased(jid))
		return false;
	spi_add_int8(&args, id);
	spi_run(&remove_row, &args);
	return true;
}

/* Insert a person; return false if they were erased, else true, and they are the first row of the last statement. */
static bool
contact_create(const char *jid)
{
	SqlArgs		args = {0};
	SqlArgs		again = {0};
	int64		id;

	spi_add_text(&args, jid);
	spi_run(&create, &args);
	id = spi_get_int8(0, 1, 0);
	if (!erasure_key_exists())
		return true;
	if (contact_take_back(jid, id))
		return false;
	spi_add_text(&again, jid);
	return spi_run(&get, &again) > 0;
}

/*
 * True if a text names somebody who was erased; then set *id to the old one.
 * Other texts that begin alike are what somebody gave for a number.
 */
bool
contact_is_name(const char *jid, int64 *id)
{
	const char *digits = strncmp(jid, CONTACT_NAME, strlen(CONTACT_NAME)) == 0 ? jid + strlen(CONTACT_NAME) : "";
	size_t		n = strspn(digits, "0123456789");

	if (n == 0 || n > MOST_ID_DIGITS || digits[n] != '\0')
		return false;
	*id = pg_strtoint64(digits);
	return true;
}

/* Return the id of a person, who is inserted if new; 0: they were erased. */
int64
contact_id(const char *jid)
{
	bool		is_new;
	int64		id = contact_recall(jid, &is_new);

	if (id != 0)
		return id;
	if (contact_is_name(jid, &id))
		return id;
	if (contact_find(jid, &id) == PROBE_FOUND)
		return contact_remember(jid, id, false);
	return contact_create(jid) ? contact_remember(jid, spi_get_int8(0, 1, 0), false) : 0;
}

/* Likewise, of a person of whom more will be known. */
static int64
contact_id_to_change(const char *jid)
{
	return contact_remember(jid, contact_id(jid), false);
}

/* Remember a person who was just inserted, unless they were erased; may_be_erased: somebody was, ever. */
static void
contact_remember_new(const char *jid, int64 id, bool may_be_erased)
{
	if (!may_be_erased || !contact_take_back(jid, id))
		(void) contact_remember(jid, id, true);
}

/* Remember the people of the last statement's n rows likewise. */
static void
contact_remember_rows(uint64 n)
{
	const char **jids = palloc(sizeof(char *) * n);
	int64	   *ids = palloc(sizeof(int64) * n);
	bool		may_be_erased;

	for (uint64 i = 0; i < n; i++)
	{
		jids[i] = pstrdup(spi_get_text(i, 2));
		ids[i] = spi_get_int8(i, 1, 0);
	}
	may_be_erased = erasure_key_exists();
	for (uint64 i = 0; i < n; i++)
		contact_remember_new(jids[i], ids[i], may_be_erased);
}

/* The columns that an id and a number are for. */
static const char *const new_columns[] = {"contact_id", "jid"};
static const Oid new_types[] = {INT8OID, TEXTOID};
static const TableInsert insert_new = {
	.table = "contact",
	.columns = new_columns,
	.types = new_types,
	.ncolumns = lengthof(new_columns)
};

/* Insert people as COPY does, with numbers of the sequence; false if that takes a statement. */
static bool
contact_insert_new(const Datum *strangers, int n)
{
	Oid			sequence = spi_find_relation("contact_contact_id_seq");
	SqlArgs    *rows;
	bool		is_done;
	bool		may_be_erased;

	if (!OidIsValid(sequence))
		return false;
	rows = palloc0(sizeof(SqlArgs) * n);
	for (int i = 0; i < n; i++)
	{
		spi_add_int8(&rows[i], nextval_internal(sequence, true));
		spi_add_datum(&rows[i], strangers[i]);
	}
	is_done = table_insert_rows(&insert_new, rows, n);
	may_be_erased = is_done && erasure_key_exists();
	for (int i = 0; i < n && is_done; i++)
		contact_remember_new(TextDatumGetCString(strangers[i]), DatumGetInt64(rows[i].values[0]), may_be_erased);
	pfree(rows);
	return is_done;
}

/* True if a text is one of the first n. */
static bool
contact_is_listed(const char *jid, const char *const *jids, int n)
{
	for (int i = 0; i < n; i++)
		if (strcmp(jids[i], jid) == 0)
			return true;
	return false;
}

/* Write those of several people whom nobody has stored, nor is storing, to strangers[]; return how many. */
static int
contact_list_strangers(const char *const *jids, int n, Datum *strangers)
{
	IndexProbe *people = palloc(sizeof(IndexProbe) * n);
	IndexProbeResult *found = palloc(sizeof(IndexProbeResult) * n);
	int			nstrangers = 0;

	for (int i = 0; i < n; i++)
		people[i] = (IndexProbe) {"contact", "contact_jid_key", 1, {CStringGetTextDatum(jids[i])}};
	index_probe_all_pending(people, n, found);
	for (int i = 0; i < n; i++)
		if (found[i] == PROBE_NONE && !contact_is_listed(jids[i], jids, i))
			strangers[nstrangers++] = people[i].keys[0];
	return nstrangers;
}

/*
 * Insert those of several people who are new together, which costs much less than
 * a statement for each.  Whom another transaction has just stored is left out.
 */
void
contact_meet(const char *const *jids, int n)
{
	SqlArgs		args = {0};
	Datum	   *strangers = palloc(sizeof(Datum) * n);
	int			nstrangers = contact_list_strangers(jids, n, strangers);

	if (nstrangers == 0 || contact_insert_new(strangers, nstrangers))
		return;
	spi_add_array(&args, strangers, NULL, nstrangers, TEXTOID);
	contact_remember_rows(spi_run(&create_all, &args));
}

/* Return the person in the first row of the last statement, which selected KNOWN. */
static Contact
contact_of_row(void)
{
	Contact		contact = {.id = spi_get_int8(0, 1, 0), .lid = spi_get_text(0, 2)};

	contact.is_registered = spi_get_bool(0, 3);
	contact.last_inbound_at = spi_get_time(0, 4);
	contact.is_checked = spi_get_text(0, 3) != NULL && spi_get_bool(0, 5);
	contact.known_as = spi_get_text(0, 6);
	return contact;
}

/* Return the JID WhatsApp gave for a number; an invalid one if none is known. */
Jid
contact_known_as(const Contact *contact)
{
	Jid			none = {.kind = JID_INVALID};

	return contact->known_as ? jid_parse(contact->known_as, strlen(contact->known_as)) : none;
}

/* Return a person, who is inserted if new; nothing is known of one who was erased. */
Contact
contact_get(const char *jid)
{
	SqlArgs		args = {0};
	Contact		contact;
	bool		is_new = false;
	int64		id = contact_recall(jid, &is_new);

	if (is_new)
		return (Contact) {.id = id, .is_new = true};
	spi_add_text(&args, jid);
	if (((id == 0 && contact_find(jid, &id) == PROBE_NONE) || spi_run(&get, &args) == 0) && !contact_create(jid))
		return (Contact) {.id = 0};
	contact = contact_of_row();
	contact_remember(jid, contact.id, false);
	return contact;
}

/* Lock the contacts for reading, as a SELECT does; false if that would have to wait. */
static bool
contact_lock_at_once(void)
{
	return ConditionalLockRelationOid(spi_require_relation("contact"), AccessShareLock);
}

static SqlStatement get_lid = {
	"SELECT lid FROM wawp.contact WHERE jid = $1",
	1, {TEXTOID}, NULL
};

/* Return a person's LID; NULL if it is not known, or somebody has locked the contacts.  Nothing is written. */
const char *
contact_lid(const char *jid)
{
	IndexProbe	person = {"contact", "contact_jid_key", 1, {CStringGetTextDatum(jid)}};
	SqlArgs		args = {0};

	if (!contact_lock_at_once() || index_probe_first(&person) == PROBE_NONE)
		return NULL;
	spi_add_text(&args, jid);
	return spi_run(&get_lid, &args) > 0 ? spi_get_text(0, 1) : NULL;
}

/*
 * Set *contact to what is known of a person, zeros if nothing is; false if
 * somebody has locked the contacts.  Nothing is written.
 */
bool
contact_look_up(const char *jid, Contact *contact)
{
	IndexProbe	person = {"contact", "contact_jid_key", 1, {CStringGetTextDatum(jid)}};
	SqlArgs		args = {0};

	memset(contact, 0, sizeof(*contact));
	if (!contact_lock_at_once())
		return false;
	if (index_probe_first(&person) == PROBE_NONE)
		return true;
	spi_add_text(&args, jid);
	if (spi_run(&get, &args) > 0)
		*contact = contact_of_row();
	return true;
}

/* True if anything may be stored of a person; no statement is run. */
bool
contact_may_be_known(const char *jid)
{
	IndexProbe	person = {"contact", "contact_jid_key", 1, {CStringGetTextDatum(jid)}};

	return index_probe_first(&person) != PROBE_NONE;
}

/* Return the id of a person who is known already, else 0. */
int64
contact_known_id(const char *jid)
{
	int64		id;

	switch (contact_find(jid, &id))
	{
		case PROBE_FOUND:
			return id;
		case PROBE_NONE:
			return 0;
		case PROBE_UNKNOWN:
			break;
	}
	return contact_id(jid);
}

static SqlStatement note_lid = {
	"UPDATE wawp.contact SET lid = $2 WHERE contact_id = (SELECT c.contact_id FROM wawp.contact c"
	" WHERE c.contact_id = $1 AND c.lid IS DISTINCT FROM $2 FOR NO KEY UPDATE SKIP LOCKED)",
	2, {INT8OID, TEXTOID}, NULL
};

static SqlStatement merge_inbound = {
	"UPDATE wawp.contact c SET last_inbound_at = l.last_inbound_at FROM wawp.contact l"
	" WHERE c.jid = $1 AND l.jid = $2 AND l.last_inbound_at IS NOT NULL"
	" AND (c.last_inbound_at IS NULL OR c.last_inbound_at < l.last_inbound_at)",
	2, {TEXTOID, TEXTOID}, NULL
};

/* Let what is known of a LID, from before its number was known, be known of the number: that they wrote, or opted out. */
static void
contact_merge_lid(const char *jid, const char *lid)
{
	SqlArgs		args = {0};

	suppression_move(lid, jid);
	if (contact_known_id(lid) == 0)
		return;
	spi_add_text(&args, jid);
	spi_add_text(&args, lid);
	spi_run(&merge_inbound, &args);
}

/* Store a person's LID, unless somebody has locked the contact: it is learnt again. */
void
contact_note_lid(const char *jid, const char *lid)
{
	SqlArgs		args = {0};

	spi_add_int8(&args, contact_id_to_change(jid));
	spi_add_text(&args, lid);
	if (spi_run(&note_lid, &args) > 0)
		contact_merge_lid(jid, lid);
}

static SqlStatement with_lid = {
	"SELECT jid FROM wawp.contact WHERE lid = $1 ORDER BY contact_id LIMIT 1",
	1, {TEXTOID}, NULL
};

/* Return the number of the person with that LID; NULL if that is not known. */
const char *
contact_with_lid(const char *lid)
{
	IndexProbe	person = {"contact", "contact_lid", 1, {CStringGetTextDatum(lid)}};
	SqlArgs		args = {0};

	if (index_probe_first(&person) == PROBE_NONE)
		return NULL;
	spi_add_text(&args, lid);
	return spi_run(&with_lid, &args) > 0 ? spi_get_text(0, 1) : NULL;
}

/* Store the LID of a person if we have to do with them. */
void
contact_learn_lid(const char *jid, const char *lid)
{
	if (contact_known_id(jid) != 0)
		contact_note_lid(jid, lid);
}

static SqlStatement forget_account = {
	"UPDATE wawp.contact SET lid = NULL, registered = NULL, checked_at = NULL, known_as = NULL"
	" WHERE contact_id = (SELECT c.contact_id FROM wawp.contact c WHERE c.contact_id = $1"
	"  AND (c.lid IS NOT NULL OR c.registered) FOR NO KEY UPDATE SKIP LOCKED)",
	1, {INT8OID}, NULL
};

/* Forget what says that a person has an account: WhatsApp has just said that they have none. */
void
contact_forget_account(const char *jid)
{
	SqlArgs		args = {0};

	spi_add_int8(&args, contact_id_to_change(jid));
	spi_run(&forget_account, &args);
}

static SqlStatement note_registered = {
	"UPDATE wawp.contact SET registered = $2, known_as = nullif($3, ''), checked_at = clock_timestamp()"
	" WHERE contact_id = (SELECT c.contact_id FROM wawp.contact c WHERE c.contact_id = $1 FOR NO KEY UPDATE SKIP LOCKED)",
	3, {INT8OID, BOOLOID, TEXTOID}, NULL
};

/* Store what the API has just said: whether the number is registered, and its JID (NULL: the same). */
void
contact_note_registered(const char *jid, bool is_registered, const char *known_as)
{
	SqlArgs		args = {0};

	spi_add_int8(&args, contact_id_to_change(jid));
	spi_add_bool(&args, is_registered);
	spi_add_text(&args, known_as);
	spi_run(&note_registered, &args);
}

static SqlStatement note_inbound = {
	"UPDATE wawp.contact SET last_inbound_at = $2"
	" WHERE contact_id = $1 AND (last_inbound_at IS NULL OR last_inbound_at < $2)",
	2, {INT8OID, TIMESTAMPTZOID}, NULL
};

/* Store that the person wrote to us; false if that time or a later one is known already. */
bool
contact_note_inbound(const char *jid, TimestampTz at)
{
	SqlArgs		args = {0};

	spi_add_int8(&args, contact_id_to_change(jid));
	spi_add_time(&args, at);
	return spi_run(&note_inbound, &args) > 0;
}
