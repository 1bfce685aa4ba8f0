/*-------------------------------------------------------------------------
 *
 * mark_file.c
 *	  Files by which a physical copy of a database is recognised.
 *
 * pg_replslot/wawp.OID has the mark of the database with that oid,
 * pg_replslot/wawp.standby is left by a start as a standby.  The server skips
 * what is no directory in there; base backups and pg_rewind leave the folder's
 * contents out.  protocol/mark.c has the form of the files and the rules.
 *
 * A file is made under another name, synced and renamed, so that it is whole or
 * not there; its inode is known before its contents are written.  The postmaster
 * looks for signal files when it makes shared memory for the first time: later
 * they are gone.  Marks that it should have deleted and could not count as
 * broken for as long as it runs.
 *
 * Locks: none; writers of one database's file exclude each other by the lock on
 * wawp.identity.  Errors: writing and reading raise; the postmaster only warns.
 *
 * IDENTIFICATION
 *	  src/base/mark_file.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mark_file.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "utils/guc.h"

#include "compat.h"

#define MARK_FOLDER "pg_replslot"
#define MARK_PREFIX "wawp."
#define MARK_STANDBY MARK_FOLDER "/" MARK_PREFIX "standby"
#define MARK_TEMPORARY ".tmp"

/* The standby's file has no mark of its own. */
#define NO_MARK "00000000-0000-0000-0000-000000000000"

static shmem_startup_hook_type prev_shmem_startup_hook = NULL;
static bool start_was_noted = false;	/* by this postmaster */
static bool start_left_marks = false;	/* marks could not be deleted, and count for nothing */

/* Return the nature of an open file; false if the system does not tell, with errno. */
static bool
mark_file_nature(int fd, FileNature *nature)
{
	struct stat status;
#ifdef STATX_BTIME
	struct statx extended;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &extended) == 0)
	{
		nature->inode = extended.stx_ino;
		nature->born_ns = (extended.stx_mask & STATX_BTIME) == 0 ? 0
			: (int64) extended.stx_btime.tv_sec * INT64CONST(1000000000) + extended.stx_btime.tv_nsec;
		return true;
	}
#endif
	nature->born_ns = 0;
	if (fstat(fd, &status) != 0)
		return false;
	nature->inode = status.st_ino;
	return true;
}

/* Write the text of a new file that has a mark; false with errno if that fails. */
static bool
mark_file_fill(int fd, const char *mark)
{
	MarkFile	file;
	char		text[MARK_FILE_SIZE];
	int			length;

	strlcpy(file.mark, mark, sizeof(file.mark));
	if (!mark_file_nature(fd, &file.nature))
		return false;
	length = mark_file_format(&file, text, sizeof(text));
	errno = 0;
	if (write(fd, text, length) != length)
	{
		errno = errno ? errno : ENOSPC;
		return false;
	}
	return pg_fsync(fd) == 0;
}

/* Put a file with a mark at that path, durably; false if that failed and was reported. */
static bool
mark_file_put(const char *path, const char *mark, int elevel)
{
	char		temporary[MAXPGPATH];
	int			fd;
	bool		is_filled;

	snprintf(temporary, sizeof(temporary), "%s" MARK_TEMPORARY, path);
	(void) unlink(temporary);
	fd = OpenTransientFile(temporary, O_RDWR | O_CREAT | O_EXCL | PG_BINARY);
	is_filled = fd >= 0 && mark_file_fill(fd, mark);
	if (!is_filled)
		ereport(elevel,
				(errcode_for_file_access(),
				 errmsg("could not write file \"%s\": %m", temporary)));
	if (fd >= 0)
		CloseTransientFile(fd);
	return is_filled && durable_rename(temporary, path, elevel) == 0;
}

/* Read a file into *file and its nature now into *now; false if there is none, or it is not whole. */
static bool
mark_file_get(const char *path, MarkFile *file, FileNature *now)
{
	char		text[MARK_FILE_SIZE + 1] = "";
	int			fd = OpenTransientFile(path, O_RDONLY | PG_BINARY);

	if (fd < 0 && errno == ENOENT)
		return false;
	if (fd < 0 || !mark_file_nature(fd, now) || read(fd, text, sizeof(text) - 1) < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read file \"%s\": %m", path)));
	CloseTransientFile(fd);
	return mark_file_parse(text, file);
}

static void
mark_file_path(Oid dbid, char *path)
{
	snprintf(path, MAXPGPATH, MARK_FOLDER "/" MARK_PREFIX "%u", dbid);
}

/* Write the mark of a database. */
void
mark_file_write(Oid dbid, const char *mark)
{
	char		path[MAXPGPATH];

	mark_file_path(dbid, path);
	(void) mark_file_put(path, mark, ERROR);
}

/* Write the mark of a database to mark[MARK_SIZE]; false if its file is missing, broken or a copy. */
bool
mark_file_read(Oid dbid, char *mark)
{
	char		path[MAXPGPATH];
	MarkFile	file;
	FileNature	now;

	mark_file_path(dbid, path);
	if (start_left_marks || !mark_file_get(path, &file, &now) || !mark_file_is_intact(&file.nature, &now))
		return false;
	strlcpy(mark, file.mark, MARK_SIZE);
	return true;
}

/* True if the latest start that noted anything was one as a standby, in this place. */
bool
mark_file_standby_is_intact(void)
{
	MarkFile	file;
	FileNature	now;

	return !start_left_marks && mark_file_get(MARK_STANDBY, &file, &now) &&
		mark_file_is_intact(&file.nature, &now);
}

/*
 * ---- a server's start
 */

/* Delete all files of this module; false if one is left. */
static bool
mark_file_delete_all(void)
{
	DIR		   *folder = AllocateDir(MARK_FOLDER);
	struct dirent *entry;
	bool		is_done = folder != NULL;

	while ((entry = ReadDirExtended(folder, MARK_FOLDER, LOG)) != NULL)
	{
		char		path[MAXPGPATH];

		if (strncmp(entry->d_name, MARK_PREFIX, strlen(MARK_PREFIX)) != 0)
			continue;
		snprintf(path, sizeof(path), MARK_FOLDER "/%s", entry->d_name);
		is_done &= durable_unlink(path, WARNING) == 0;
	}
	if (folder)
		FreeDir(folder);
	return is_done;
}

/* True if one of the settings is set that end recovery before the end of the log. */
static bool
start_has_recovery_target(void)
{
	static const char *const settings[] = {
		"recovery_target", "recovery_target_lsn", "recovery_target_name", "recovery_target_time", "recovery_target_xid"
	};

	for (size_t i = 0; i < lengthof(settings); i++)
	{
		const char *value = GetConfigOption(settings[i], true, false);

		if (value && value[0] != '\0')
			return true;
	}
	return false;
}

/* Note durably what kind of start this is. */
static void
start_note_kind(void)
{
	StartSigns	signs = {
		.standby_signal = access("standby.signal", F_OK) == 0,
		.recovery_signal = access("recovery.signal", F_OK) == 0,
		.backup_label = access("backup_label", F_OK) == 0,
		.recovery_target = start_has_recovery_target()
	};

	switch (mark_start_kind(&signs))
	{
		case START_STANDBY:
			(void) mark_file_put(MARK_STANDBY, NO_MARK, WARNING);
			break;
		case START_COPY:
			start_left_marks = !mark_file_delete_all();
			break;
		case START_PLAIN:
			break;
	}
}

/* Once per postmaster: after a crash of a backend the signal files may be others. */
static void
start_on_shmem_startup(void)
{
	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();
	if (start_was_noted || !IsPostmasterEnvironment || IsUnderPostmaster || IsBinaryUpgrade)
		return;
	start_was_noted = true;
	start_note_kind();
}

/* Install the hook; while preloading only. */
void
mark_file_init(void)
{
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = start_on_shmem_startup;
}
