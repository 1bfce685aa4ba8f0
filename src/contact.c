/*-------------------------------------------------------------------------
 *
 * contact.c
 *	  People: the only place with a number.
 *
 * The audit log names people by contact_id; erasing a row here is what makes
 * the log forget whom it was about.  Statements run as intent.c's do.
 *
 * IDENTIFICATION
 *	  src/contact.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "contact.h"
#include "sqlrun.h"

static SqlStatement find = {
	"SELECT contact_id FROM wawp.contact WHERE jid = $1",
	1, {TEXTOID}, NULL
};

static SqlStatement create = {
	"INSERT INTO wawp.contact (jid) VALUES ($1)"
	" ON CONFLICT (jid) DO UPDATE SET jid = excluded.jid RETURNING contact_id",
	1, {TEXTOID}, NULL
};

/* The id of a person, made at first sight. */
int64
contact_id(const char *jid)
{
	SqlArgs		args = {0};

	sqlrun_text(&args, jid);
	if (sqlrun(&find, &args) == 0)
		sqlrun(&create, &args);
	return sqlrun_get_int8(0, 1, 0);
}

static SqlStatement get = {
	"SELECT contact_id, lid, registered, last_inbound_at, checked_at > clock_timestamp() - interval '30 days', known_as"
	" FROM wawp.contact WHERE contact_id = $1",
	1, {INT8OID}, NULL
};

/* What is known of a person, who is made at first sight. */
Contact
contact_get(const char *jid)
{
	SqlArgs		args = {0};
	Contact		contact = {.id = contact_id(jid)};

	sqlrun_int8(&args, contact.id);
	sqlrun(&get, &args);
	contact.lid = sqlrun_get(0, 2);
	contact.is_registered = sqlrun_get(0, 3) && sqlrun_get(0, 3)[0] == 't';
	contact.last_inbound_at = sqlrun_get_int8(0, 4, 0);
	contact.is_checked = sqlrun_get(0, 3) && sqlrun_get(0, 5) && sqlrun_get(0, 5)[0] == 't';
	contact.known_as = sqlrun_get(0, 6);
	return contact;
}

static SqlStatement note_lid = {
	"UPDATE wawp.contact SET lid = $2 WHERE contact_id = $1 AND lid IS DISTINCT FROM $2",
	2, {INT8OID, TEXTOID}, NULL
};

void
contact_note_lid(const char *jid, const char *lid)
{
	SqlArgs		args = {0};

	sqlrun_int8(&args, contact_id(jid));
	sqlrun_text(&args, lid);
	sqlrun(&note_lid, &args);
}

static SqlStatement note_registered = {
	"UPDATE wawp.contact SET registered = $2, known_as = nullif($3, ''), checked_at = clock_timestamp()"
	" WHERE contact_id = $1",
	3, {INT8OID, BOOLOID, TEXTOID}, NULL
};

/* Is the number on WhatsApp, and under which JID?  It was asked just now. */
void
contact_note_registered(const char *jid, bool is_registered, const char *known_as)
{
	SqlArgs		args = {0};

	sqlrun_int8(&args, contact_id(jid));
	sqlrun_bool(&args, is_registered);
	sqlrun_text(&args, known_as);
	sqlrun(&note_registered, &args);
}

static SqlStatement note_inbound = {
	"UPDATE wawp.contact SET last_inbound_at = greatest(last_inbound_at, $2) WHERE contact_id = $1",
	2, {INT8OID, TIMESTAMPTZOID}, NULL
};

/* The person wrote to us. */
void
contact_note_inbound(const char *jid, TimestampTz at)
{
	SqlArgs		args = {0};

	sqlrun_int8(&args, contact_id(jid));
	sqlrun_time(&args, at);
	sqlrun(&note_inbound, &args);
}
