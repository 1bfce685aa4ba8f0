/*-------------------------------------------------------------------------
 *
 * mark_file.h
 *	  Files by which a physical copy of a database is recognised.
 *
 * IDENTIFICATION
 *	  src/base/mark_file.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_MARK_FILE_H
#define WAWP_MARK_FILE_H

#include "protocol/mark.h"

extern void mark_file_init(void);
extern void mark_file_write(Oid dbid, const char *mark);
extern bool mark_file_read(Oid dbid, char *mark);
extern bool mark_file_standby_is_intact(void);

#endif							/* WAWP_MARK_FILE_H */
