/*-------------------------------------------------------------------------
 *
 * mark.h
 *	  Tells a database whose queue was written in it from a physical copy.
 *
 * IDENTIFICATION
 *	  src/protocol/mark.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_MARK_H
#define WAWP_MARK_H

/* A uuid as text, with its end. */
#define MARK_SIZE 37
/* No mark file is longer. */
#define MARK_FILE_SIZE 160

/* Properties that the file system gives a file; a copy of the file has others. */
typedef struct FileNature
{
	uint64		inode;
	int64		born_ns;		/* since 1970; 0: not known */
} FileNature;

/* The contents of a mark file: a mark, and the file's own nature when it was written. */
typedef struct MarkFile
{
	char		mark[MARK_SIZE];
	FileNature	nature;
} MarkFile;

/* The kind of a server's start, with its effect on the mark files. */
typedef enum StartKind
{
	START_PLAIN,				/* nothing */
	START_STANDBY,				/* notes that it is a standby, and keeps the marks */
	START_COPY					/* deletes all */
} StartKind;

/* The signal files and settings that a server finds at its start. */
typedef struct StartSigns
{
	bool		standby_signal;
	bool		recovery_signal;
	bool		backup_label;
	bool		recovery_target;	/* one is set */
} StartSigns;

typedef enum MarkVerdict
{
	MARK_ORIGINAL,
	MARK_PROMOTED,				/* a promoted standby: served, after a look */
	MARK_UNWRITTEN,				/* no row, and nothing that could be sent twice */
	MARK_COPY_OF_ELSEWHERE,		/* the row is another cluster's or database's */
	MARK_COPY_AT_OTHER_SITE,	/* wawp.site has changed */
	MARK_COPY_OF_FILES			/* a base backup or another copy of the files */
} MarkVerdict;

/* The facts that a verdict is made from. */
typedef struct MarkFacts
{
	bool		has_row;		/* for this cluster and database */
	bool		has_live_rows;	/* asked for only without a row */
	bool		is_same_site;
	bool		is_file_intact;
	bool		has_file_row_mark;	/* the file's mark is the row's */
	bool		is_standby_intact;	/* the file that a start as a standby leaves */
	bool		is_timeline_ours;	/* the row's is the server's */
	bool		is_timeline_before; /* the row's is an ancestor of the server's */
} MarkFacts;

extern int	mark_file_format(const MarkFile *file, char *buffer, size_t size);
extern bool mark_file_parse(const char *text, MarkFile *file);
extern bool mark_file_is_intact(const FileNature *written, const FileNature *now);
extern StartKind mark_start_kind(const StartSigns *signs);
extern MarkVerdict mark_verdict(const MarkFacts *facts);
extern bool mark_is_copy(MarkVerdict verdict);

#endif							/* WAWP_MARK_H */
