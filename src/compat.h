/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  Differences between versions of PostgreSQL.  Included last.
 *
 * The only file that tests the version.  A test names the version in which
 * something changed.  A version newer than all that were tried is refused, as it
 * may have changed again.
 *
 * IDENTIFICATION
 *	  src/compat.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_COMPAT_H
#define WAWP_COMPAT_H

#if PG_VERSION_NUM < 150000
#error "wawp needs PostgreSQL 15 or newer"
#endif

#if PG_VERSION_NUM >= 200000 && !defined(WAWP_ANY_POSTGRES)
#error "wawp is tested with PostgreSQL 15 to 19; to try a newer one: make COPT=-DWAWP_ANY_POSTGRES"
#endif

/* Since 16, JSON parser actions return a result. */
#if PG_VERSION_NUM >= 160000
#define JSON_ACTION JsonParseErrorType
#define JSON_ACTION_DONE return JSON_SUCCESS
#else
#define JSON_ACTION void
#define JSON_ACTION_DONE return
#endif

/* Since 17, the caller may own the lexer; its strings stay palloc'd. */
#if PG_VERSION_NUM >= 170000
#define wawp_json_lexer(json, len) makeJsonLexContextCstringLen(NULL, (json), (len), PG_UTF8, true)
#else
#define wawp_json_lexer(json, len) makeJsonLexContextCstringLen((json), (len), PG_UTF8, true)
#endif

/* The attribute changed its name and place in 18; as a prefix both work. */
#if PG_VERSION_NUM < 180000
#define pg_noreturn pg_attribute_noreturn()
#endif

#if PG_VERSION_NUM >= 160000 && !defined(FRONTEND)
#include "varatt.h"
#endif

/* One aclcheck function for all catalogs since 16. */
#if PG_VERSION_NUM >= 160000
#define wawp_server_aclcheck(serverid, roleid, mode) \
	object_aclcheck(ForeignServerRelationId, (serverid), (roleid), (mode))
#else
#define wawp_server_aclcheck(serverid, roleid, mode) \
	pg_foreign_server_aclcheck((serverid), (roleid), (mode))
#endif

#if PG_VERSION_NUM >= 160000
#define wawp_database_ownercheck(dbid, roleid) object_ownercheck(DatabaseRelationId, (dbid), (roleid))
#else
#define wawp_database_ownercheck(dbid, roleid) pg_database_ownercheck((dbid), (roleid))
#endif

#if PG_VERSION_NUM >= 160000
#define wawp_extension_ownercheck(extension, roleid) object_ownercheck(ExtensionRelationId, (extension), (roleid))
#define wawp_schema_ownercheck(schema, roleid) object_ownercheck(NamespaceRelationId, (schema), (roleid))
#define wawp_class_ownercheck(relid, roleid) object_ownercheck(RelationRelationId, (relid), (roleid))
#define wawp_server_ownercheck(serverid, roleid) object_ownercheck(ForeignServerRelationId, (serverid), (roleid))
#else
#define wawp_extension_ownercheck(extension, roleid) pg_extension_ownercheck((extension), (roleid))
#define wawp_schema_ownercheck(schema, roleid) pg_namespace_ownercheck((schema), (roleid))
#define wawp_class_ownercheck(relid, roleid) pg_class_ownercheck((relid), (roleid))
#define wawp_server_ownercheck(serverid, roleid) pg_foreign_server_ownercheck((serverid), (roleid))
#endif

/* A backend's number below MaxBackends. */
#if PG_VERSION_NUM >= 170000
#define wawp_my_proc_number() MyProcNumber
#else
#define wawp_my_proc_number() MyProc->pgprocno
#endif

/* Custom wait events exist since 17. */
#if PG_VERSION_NUM >= 170000
#define wawp_wait_event(name) WaitEventExtensionNew(name)
#else
#define wawp_wait_event(name) PG_WAIT_EXTENSION
#endif

/* transaction_timeout exists since 17; turned off for the process's own transactions. */
#if PG_VERSION_NUM >= 170000
#define wawp_no_transaction_timeout() SetConfigOption("transaction_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE)
#else
#define wawp_no_transaction_timeout() ((void) 0)
#endif

/* An index scan may be instrumented since 18, and has flags since 19. */
#if PG_VERSION_NUM >= 190000
#define wawp_index_beginscan(table, index, snapshot, nkeys) index_beginscan((table), (index), (snapshot), NULL, (nkeys), 0, 0)
#elif PG_VERSION_NUM >= 180000
#define wawp_index_beginscan(table, index, snapshot, nkeys) index_beginscan((table), (index), (snapshot), NULL, (nkeys), 0)
#else
#define wawp_index_beginscan(table, index, snapshot, nkeys) index_beginscan((table), (index), (snapshot), (nkeys), 0)
#endif

/* Indexes may be told of an update that concerns only some of them since 16, by flags since 19.  Here they are told of an INSERT. */
#if PG_VERSION_NUM >= 190000
#define wawp_insert_index_tuples(table, slot, estate) ExecInsertIndexTuples((table), (estate), 0, (slot), NIL, NULL)
#elif PG_VERSION_NUM >= 160000
#define wawp_insert_index_tuples(table, slot, estate) \
	ExecInsertIndexTuples((table), (slot), (estate), false, false, NULL, NIL, false)
#else
#define wawp_insert_index_tuples(table, slot, estate) \
	ExecInsertIndexTuples((table), (slot), (estate), false, false, NULL, NIL)
#endif

/* An update concerns all indexes or none, since 16 perhaps those alone that summarise pages. */
#if PG_VERSION_NUM >= 160000
#define WawpIndexesTold TU_UpdateIndexes
#define wawp_is_told_any(told) ((told) != TU_None)
#define wawp_index_is_told(info, told) ((told) == TU_All || (info)->ii_Summarizing)
#else
#define WawpIndexesTold bool
#define wawp_is_told_any(told) (told)
#define wawp_index_is_told(info, told) ((void) (info), (told))
#endif

/*
 * Updates a row without waiting for anybody.  An update has options since 19.
 *
 * Not a version, but a server that checks its assertions: heap_update() says
 * there that an update which does not wait meets nobody.  So the caller locks
 * the row before, and the update is one that would wait.
 */
#ifdef USE_ASSERT_CHECKING
#define WAWP_LOCKS_BEFORE_UPDATE true
#else
#define WAWP_LOCKS_BEFORE_UPDATE false
#endif

#if PG_VERSION_NUM >= 190000
#define wawp_tuple_update(table, place, slot, command, snapshot, failure, mode, told) \
	table_tuple_update((table), (place), (slot), (command), 0, (snapshot), InvalidSnapshot, WAWP_LOCKS_BEFORE_UPDATE, \
					   (failure), (mode), (told))
#else
#define wawp_tuple_update(table, place, slot, command, snapshot, failure, mode, told) \
	table_tuple_update((table), (place), (slot), (command), (snapshot), InvalidSnapshot, WAWP_LOCKS_BEFORE_UPDATE, \
					   (failure), (mode), (told))
#endif

/* A table scan has flags since 19. */
#if PG_VERSION_NUM >= 190000
#define wawp_table_beginscan(table, snapshot) table_beginscan((table), (snapshot), 0, NULL, 0)
#else
#define wawp_table_beginscan(table, snapshot) table_beginscan((table), (snapshot), 0, NULL)
#endif

/* Up to 18 a shared hash table has an initial and a greatest size. */
#if PG_VERSION_NUM >= 190000
#define wawp_shmem_init_hash(name, size, info, flags) ShmemInitHash((name), (size), (info), (flags))
#else
#define wawp_shmem_init_hash(name, size, info, flags) ShmemInitHash((name), (size), (size), (info), (flags))
#endif

/* The arguments of a signal handler, to call another one; 19 adds the sender. */
#if PG_VERSION_NUM >= 190000
#define WAWP_SIGNAL_VALUES postgres_signal_arg, pg_siginfo
#else
#define WAWP_SIGNAL_VALUES postgres_signal_arg
#endif

/* The module's name and version are readable since 18. */
#if PG_VERSION_NUM >= 180000
#define WAWP_MODULE_MAGIC PG_MODULE_MAGIC_EXT(.name = "wawp", .version = WAWP_VERSION)
#else
#define WAWP_MODULE_MAGIC PG_MODULE_MAGIC
#endif

/* Virtual generated columns exist since 18: tuples have no values for them. */
#if PG_VERSION_NUM >= 180000
#define wawp_is_virtual(attribute) ((attribute)->attgenerated == ATTRIBUTE_GENERATED_VIRTUAL)
#define wawp_expand_generated(column, table) expand_generated_columns_in_expr((Node *) (column), (table), 1)
#else
#define wawp_is_virtual(attribute) ((void) (attribute), false)
#define wawp_expand_generated(column, table) (column)
#endif

/* A scan of a foreign table: 17 adds a list of clauses, 18 the number of disabled nodes. */
#if PG_VERSION_NUM >= 180000
#define wawp_foreign_path(root, rel, rows, startup, total, outer) \
	create_foreignscan_path((root), (rel), NULL, (rows), 0, (startup), (total), NIL, (outer), NULL, NIL, NIL)
#elif PG_VERSION_NUM >= 170000
#define wawp_foreign_path(root, rel, rows, startup, total, outer) \
	create_foreignscan_path((root), (rel), NULL, (rows), (startup), (total), NIL, (outer), NULL, NIL, NIL)
#else
#define wawp_foreign_path(root, rel, rows, startup, total, outer) \
	create_foreignscan_path((root), (rel), NULL, (rows), (startup), (total), NIL, (outer), NULL, NIL)
#endif

/* The role whose rights a table is used with, 0 for the current one: up to 15 its range table entry has it. */
#if PG_VERSION_NUM >= 160000
#define wawp_scan_role(node, estate) ((void) (estate), (node)->checkAsUser)
#define wawp_result_role(result, estate) ExecGetResultRelCheckAsUser((result), (estate))
#else
#define wawp_scan_role(node, estate) (exec_rt_fetch((node)->scan.scanrelid, (estate))->checkAsUser)
#define wawp_result_role(result, estate) \
	(exec_rt_fetch((result)->ri_RangeTableIndex > 0 ? (result)->ri_RangeTableIndex : \
				   (result)->ri_RootResultRelInfo->ri_RangeTableIndex, (estate))->checkAsUser)
#endif

/* As pg_attribute_printf(), which says gnu_printf in a server that gcc has built, and clang does not know that. */
#define wawp_attribute_printf(format_at, first_at) __attribute__((format(printf, format_at, first_at)))

/* The functions that print properties in EXPLAIN have a header of their own since 18. */
#if PG_VERSION_NUM >= 180000
#define WAWP_EXPLAIN_FORMAT_HEADER "commands/explain_format.h"
#else
#define WAWP_EXPLAIN_FORMAT_HEADER "commands/explain.h"
#endif

/*
 * Not a version, but a compiler's switch: under ASan (make asan) a box in
 * shared memory ends in a gap that no instrumented code may access.  It is
 * poisoned in the postmaster, so that all its children inherit that.
 */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define WAWP_POISON_GAP char poison_gap[64];
#define wawp_poison(box) ASAN_POISON_MEMORY_REGION((box)->poison_gap, sizeof((box)->poison_gap))
#define wawp_unpoison(start, length) ASAN_UNPOISON_MEMORY_REGION((start), (length))
#else
#define WAWP_POISON_GAP
#define wawp_poison(box) ((void) (box))
#define wawp_unpoison(start, length) ((void) 0)
#endif

#endif							/* WAWP_COMPAT_H */
