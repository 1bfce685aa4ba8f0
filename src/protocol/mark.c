/*-------------------------------------------------------------------------
 *
 * mark.c
 *	  Tells a database whose queue was written in it from a physical copy.
 *
 * Pure: the form of a mark file, and the rules.  A row of wawp.identity has a
 * mark that also lies in a file beside the replication slots, which no base
 * backup takes along; the file has in it its own inode and birth time, which no
 * copy of it has.  A restart, a crash and a promotion keep such a file; backups,
 * pg_rewind and pg_upgrade leave it out.  What a server's start finds (signal
 * files, gone later) is noted in the same place: a start as a standby by a file
 * of its own, any other recovery from a backup by deleting all marks.
 *
 * IDENTIFICATION
 *	  src/protocol/mark.c
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "protocol/mark.h"

/* Write the text of a mark file; return its length. */
int
mark_file_format(const MarkFile *file, char *buffer, size_t size)
{
	return snprintf(buffer, size, "mark %s\ninode " UINT64_FORMAT "\nborn " INT64_FORMAT "\n",
					file->mark, file->nature.inode, file->nature.born_ns);
}

/* True if a text begins with a uuid in its usual form. */
static bool
mark_is_uuid(const char *text)
{
	for (int i = 0; i < MARK_SIZE - 1; i++)
	{
		bool		is_dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (is_dash ? text[i] != '-' : strchr("0123456789abcdef", text[i]) == NULL || text[i] == '\0')
			return false;
	}
	return true;
}

/* Read the text of a mark file into *file; false if it is not whole. */
bool
mark_file_parse(const char *text, MarkFile *file)
{
	int			length = 0;
	unsigned long long inode;
	long long	born;

	memset(file, 0, sizeof(*file));
	if (strncmp(text, "mark ", 5) != 0 || !mark_is_uuid(text + 5))
		return false;
	memcpy(file->mark, text + 5, MARK_SIZE - 1);
	if (sscanf(text + 5 + MARK_SIZE - 1, "\ninode %20llu\nborn %19lld%n", &inode, &born, &length) != 2 ||
		strcmp(text + 5 + MARK_SIZE - 1 + length, "\n") != 0)
		return false;
	file->nature.inode = inode;
	file->nature.born_ns = born;
	return true;
}

/*
 * True if a file is the one that was written, by its nature then and now.  One
 * of both may have changed: a repair or a migration of the file system keeps
 * the other.  Where no birth times are known, the inode alone decides.
 */
bool
mark_file_is_intact(const FileNature *written, const FileNature *now)
{
	bool		has_births = written->born_ns != 0 && now->born_ns != 0;

	return written->inode == now->inode || (has_births && written->born_ns == now->born_ns);
}

/* Return the kind of a server's start. */
StartKind
mark_start_kind(const StartSigns *signs)
{
	if (signs->standby_signal && !signs->recovery_target)
		return START_STANDBY;
	if (signs->standby_signal || signs->recovery_signal || signs->backup_label)
		return START_COPY;
	return START_PLAIN;
}

/* Return what a database is; the first rule that fits decides. */
MarkVerdict
mark_verdict(const MarkFacts *facts)
{
	if (!facts->has_row)
		return facts->has_live_rows ? MARK_COPY_OF_ELSEWHERE : MARK_UNWRITTEN;
	if (!facts->is_same_site)
		return MARK_COPY_AT_OTHER_SITE;
	if (facts->is_file_intact && facts->has_file_row_mark && facts->is_timeline_ours)
		return MARK_ORIGINAL;
	if (facts->is_standby_intact && facts->is_timeline_before)
		return MARK_PROMOTED;
	return MARK_COPY_OF_FILES;
}

/* True if nothing may be sent in such a database. */
bool
mark_is_copy(MarkVerdict verdict)
{
	return verdict == MARK_COPY_OF_ELSEWHERE || verdict == MARK_COPY_AT_OTHER_SITE || verdict == MARK_COPY_OF_FILES;
}
