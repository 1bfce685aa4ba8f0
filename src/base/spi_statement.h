/*-------------------------------------------------------------------------
 *
 * spi_statement.h
 *	  Prepared statements inside the server.
 *
 * IDENTIFICATION
 *	  src/base/spi_statement.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_SPI_STATEMENT_H
#define WAWP_SPI_STATEMENT_H

#include "datatype/timestamp.h"
#include "executor/spi.h"

#define SPI_STATEMENT_MAX_ARGS 26
#define SPI_STATEMENT_MAX_COLUMNS 40

/* A statement in static memory, prepared at its first use. */
typedef struct SqlStatement
{
	const char *text;
	int			nargs;
	Oid			types[SPI_STATEMENT_MAX_ARGS];
	SPIPlanPtr	plan;
} SqlStatement;

/* An argument list under construction. */
typedef struct SqlArgs
{
	int			n;
	Datum		values[SPI_STATEMENT_MAX_ARGS];
	char		nulls[SPI_STATEMENT_MAX_ARGS];
} SqlArgs;

/* Reads n rows of a result by spi_get_text; memory that it allocates is freed when it returns. */
typedef void (*SqlPortion) (uint64 n, void *context);

/* A query that is read row by row, beside others. */
typedef struct SqlCursor
{
	Portal		portal;
	SPITupleTable *rows;		/* NULL: none read yet */
	uint64		n;
	uint64		next;
} SqlCursor;

/* The role and settings of a session before its statements. */
typedef struct SqlOwner
{
	Oid			userid;
	int			security;
	int			guc_level;
} SqlOwner;

extern Oid	spi_extension_owner(void);
extern Oid	spi_extension_schema(void);
extern bool spi_tables_are_current(void);
extern bool spi_found_old_tables(void);
extern void spi_require_current_tables(void);
extern Oid	spi_find_relation(const char *name);
extern Oid	spi_require_relation(const char *name);
extern Oid	spi_relation_owner(Oid relid);
extern SqlOwner spi_begin_as_caller(void);
extern void spi_end_as_caller(const SqlOwner *before);
extern SqlOwner spi_begin_as_owner(void);
extern SqlOwner spi_begin_as_owner_of_any_version(void);
extern void spi_end_as_owner(const SqlOwner *before);
extern SqlOwner spi_begin_as_owner_of(const char *table);
extern void spi_end_as_owner_of(const SqlOwner *before);
extern void spi_add_int8(SqlArgs *args, int64 value);
extern void spi_add_id(SqlArgs *args, int64 value);
extern void spi_add_int4(SqlArgs *args, int value, bool is_known);
extern void spi_add_text(SqlArgs *args, const char *value);
extern void spi_add_texts(SqlArgs *args, const List *texts);
extern Datum spi_bytes_datum(const void *data, size_t len);
extern void spi_add_bytes(SqlArgs *args, const void *data, size_t len);
extern void spi_add_datum(SqlArgs *args, Datum value);
extern void spi_add_array(SqlArgs *args, Datum *values, bool *nulls, int n, Oid type);
extern void spi_add_bool(SqlArgs *args, bool value);
extern void spi_add_time(SqlArgs *args, TimestampTz value);
extern uint64 spi_run(SqlStatement *statement, const SqlArgs *args);
extern uint64 spi_run_seeing(SqlStatement *statement, const SqlArgs *args, Snapshot snapshot);
extern uint64 spi_run_latest(SqlStatement *statement, const SqlArgs *args);
extern void spi_run_portions(SqlStatement *statement, const SqlArgs *args, long at_once, SqlPortion take, void *context);
extern void spi_open(SqlCursor *cursor, SqlStatement *statement, const SqlArgs *args);
extern bool spi_next(SqlCursor *cursor, uint64 *row);
extern void spi_close(SqlCursor *cursor);
extern void spi_run_utility(const char *text);
extern const char *spi_get_text(uint64 row, int column);
extern int	spi_get_bytes(uint64 row, int column, uint8 *bytes, int size);
extern void spi_get_args(uint64 row, int n, SqlArgs *args);
extern int64 spi_get_int8(uint64 row, int column, int64 if_null);
extern int	spi_get_int4(uint64 row, int column);
extern TimestampTz spi_get_time(uint64 row, int column);
extern bool spi_get_bool(uint64 row, int column);
extern Oid	spi_get_oid(uint64 row, int column);
extern double spi_get_float8(uint64 row, int column);
extern bool spi_get_place(uint64 row, int column, ItemPointerData *place);
extern TransactionId spi_get_xid(uint64 row, int column);

#endif							/* WAWP_SPI_STATEMENT_H */
