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
