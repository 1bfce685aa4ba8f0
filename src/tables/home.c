/*-------------------------------------------------------------------------
 *
 * home.c
 *	  The home of this database, as a parameter of statements.
 *
 * Intents, memberships and notes carry the home of the database in which they
 * were made.  What the worker does by itself reads only rows of this database's
 * home, which statements get as a parameter from here.  All other rows came by a
 * restore, by replication or with a copy of the files, and are not served until
 * somebody adopts them (adoption.c).
 *
 * The home is kept for the transaction in memory of the process.  Locks: those
 * of identity.c, which draws a home where there is none.
 *
 * IDENTIFICATION
 *	  src/tables/home.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/spi_statement.h"
#include "tables/home.h"
#include "tables/identity.h"

#include "compat.h"

/* The home of this database, as this transaction has read it. */
static struct
{
	bool		is_registered;
	bool		is_known;
	pg_uuid_t	uuid;
}			own;

/* Forget the home at the end of a transaction, which may have drawn it. */
static void
home_on_xact_end(XactEvent event pg_attribute_unused(), void *arg pg_attribute_unused())
{
	own.is_known = false;
}

/* Forget it at the end of a subtransaction, likewise. */
static void
home_on_subxact_end(SubXactEvent event pg_attribute_unused(), SubTransactionId mine pg_attribute_unused(),
					SubTransactionId parent pg_attribute_unused(), void *arg pg_attribute_unused())
{
	own.is_known = false;
}

/* Forget the home: this database has got another one. */
void
home_forget(void)
{
	own.is_known = false;
}

/* Return the home of this database, a uuid; zero in a copy. */
Datum
home_datum(void)
{
	if (!own.is_registered)
	{
		RegisterXactCallback(home_on_xact_end, NULL);
		RegisterSubXactCallback(home_on_subxact_end, NULL);
		own.is_registered = true;
	}
	if (!own.is_known)
		identity_home(&own.uuid);
	own.is_known = true;
	return UUIDPGetDatum(&own.uuid);
}

/* False in a copy, where no row is at home. */
bool
home_exists(void)
{
	static const pg_uuid_t nobody;

	return !home_is_ours(&nobody);
}

/* Append the home of this database to *args. */
void
home_bind(SqlArgs *args)
{
	spi_add_datum(args, home_datum());
}

/* True if that is the home of this database. */
bool
home_is_ours(const pg_uuid_t *home)
{
	return memcmp(home, DatumGetUUIDP(home_datum()), sizeof(*home)) == 0;
}
