/*-------------------------------------------------------------------------
 *
 * home.h
 *	  The home of this database, as a parameter of statements.
 *
 * IDENTIFICATION
 *	  src/tables/home.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_HOME_H
#define WAWP_HOME_H

#include "base/spi_statement.h"
#include "utils/uuid.h"

/* The home of rows that arrived with one, in statements. */
#define HOME_OF_RESTORED_ROWS "'00000000-0000-0000-0000-000000000000'"

extern Datum home_datum(void);
extern void home_forget(void);
extern void home_bind(SqlArgs *args);
extern bool home_is_ours(const pg_uuid_t *home);
extern bool home_exists(void);

#endif							/* WAWP_HOME_H */
