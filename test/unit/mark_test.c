/*
 * mark_test.c
 *	  Mark files, kinds of a server's start, and what a database is.
 */
#include "postgres_fe.h"

#include "protocol/mark.h"
#include "tap.h"

#define A_MARK "0a1b2c3d-4e5f-6789-abcd-ef0123456789"

static void
test_file(void)
{
	static const char *const broken[] = {
		"", "mark", "mark " A_MARK, "mark " A_MARK "\ninode 5\nborn ", "mark " A_MARK "\ninode 5\nborn 7",
		"mark " A_MARK "\ninode 5\nborn 7\nmore\n", "mark " A_MARK "\ninode 5\nborn 7 \n",
		"mark 0a1b2c3d-4e5f-6789-abcd-ef012345678\ninode 5\nborn 7\n", "mark 0A1b2c3d-4e5f-6789-abcd-ef0123456789\ninode 5\nborn 7\n",
		"mark " A_MARK "\ninode x\nborn 7\n", "Mark " A_MARK "\ninode 5\nborn 7\n",
	};
	MarkFile	file = {A_MARK, {PG_UINT64_MAX, PG_INT64_MAX / 10}};
	MarkFile	read;
	char		text[MARK_FILE_SIZE];

	ok(mark_file_format(&file, text, sizeof(text)) < MARK_FILE_SIZE - 1, "the longest file fits");
	ok(mark_file_parse(text, &read), "a file is read back");
	is_text(read.mark, A_MARK, "... with its mark");
	ok(read.nature.inode == file.nature.inode && read.nature.born_ns == file.nature.born_ns, "... and its nature");
	for (size_t i = 0; i < lengthof(broken); i++)
		ok(!mark_file_parse(broken[i], &read), "\"%s\" is no mark file", broken[i]);
}

static void
test_intact(void)
{
	static const struct
	{
		FileNature	written;
		FileNature	now;
		bool		is_intact;
		const char *name;
	}			cases[] = {
		{{5, 70}, {5, 70}, true, "the same file"},
		{{5, 70}, {6, 71}, false, "a copy"},
		{{5, 70}, {5, 71}, true, "the same inode, born later"},
		{{5, 70}, {6, 70}, true, "another inode, born at the same time"},
		{{5, 0}, {5, 0}, true, "no birth times, the same inode"},
		{{5, 0}, {6, 0}, false, "no birth times, another inode"},
		{{5, 0}, {6, 71}, false, "a birth time only now, another inode"},
		{{5, 70}, {5, 0}, true, "a birth time only then, the same inode"},
	};

	for (size_t i = 0; i < lengthof(cases); i++)
		ok(mark_file_is_intact(&cases[i].written, &cases[i].now) == cases[i].is_intact, "intact: %s", cases[i].name);
}

static void
test_start(void)
{
	static const struct
	{
		StartSigns	signs;		/* standby.signal, recovery.signal, backup_label, recovery target */
		StartKind	kind;
		const char *name;
	}			cases[] = {
		{{false, false, false, false}, START_PLAIN, "nothing"},
		{{false, false, false, true}, START_PLAIN, "a recovery target alone"},
		{{true, false, false, false}, START_STANDBY, "standby.signal"},
		{{true, false, true, false}, START_STANDBY, "a new standby"},
		{{true, true, true, false}, START_STANDBY, "both signals: standby.signal counts"},
		{{true, false, false, true}, START_COPY, "a standby with a recovery target"},
		{{false, true, false, false}, START_COPY, "recovery.signal"},
		{{false, true, true, true}, START_COPY, "recovery to a point in time"},
		{{false, false, true, false}, START_COPY, "a base backup as it is"},
	};

	for (size_t i = 0; i < lengthof(cases); i++)
		ok(mark_start_kind(&cases[i].signs) == cases[i].kind, "start: %s", cases[i].name);
}

static void
test_verdict(void)
{
	static const struct
	{
		MarkFacts	facts;
		MarkVerdict verdict;
		const char *name;
	}			cases[] = {
		{{.has_row = false}, MARK_UNWRITTEN, "no row, nothing live"},
		{{.has_live_rows = true}, MARK_COPY_OF_ELSEWHERE, "no row, live rows"},
		{{.has_live_rows = true, .is_file_intact = true, .is_standby_intact = true}, MARK_COPY_OF_ELSEWHERE, "... whatever lies in the folder"},
		{{.has_row = true, .is_file_intact = true, .has_file_row_mark = true, .is_timeline_ours = true}, MARK_COPY_AT_OTHER_SITE, "another site"},
		{{.has_row = true, .is_standby_intact = true, .is_timeline_before = true}, MARK_COPY_AT_OTHER_SITE, "... promoted there"},
		{{.has_row = true, .is_same_site = true, .is_file_intact = true, .has_file_row_mark = true, .is_timeline_ours = true}, MARK_ORIGINAL, "all fits"},
		{{.has_row = true, .is_same_site = true, .has_file_row_mark = true, .is_timeline_ours = true}, MARK_COPY_OF_FILES, "a copied file"},
		{{.has_row = true, .is_same_site = true, .is_file_intact = true, .is_timeline_ours = true}, MARK_COPY_OF_FILES, "another mark in the file"},
		{{.has_row = true, .is_same_site = true, .is_file_intact = true, .has_file_row_mark = true}, MARK_COPY_OF_FILES, "another timeline, no standby"},
		{{.has_row = true, .is_same_site = true, .is_file_intact = true, .has_file_row_mark = true, .is_timeline_before = true}, MARK_COPY_OF_FILES, "an older timeline, no standby"},
		{{.has_row = true, .is_same_site = true, .is_standby_intact = true, .is_timeline_before = true}, MARK_PROMOTED, "a promoted standby"},
		{{.has_row = true, .is_same_site = true, .is_file_intact = true, .has_file_row_mark = true, .is_standby_intact = true, .is_timeline_before = true}, MARK_PROMOTED, "... that was a primary once"},
		{{.has_row = true, .is_same_site = true, .is_standby_intact = true}, MARK_COPY_OF_FILES, "a standby of another line"},
		{{.has_row = true, .is_same_site = true, .is_standby_intact = true, .is_timeline_ours = true}, MARK_COPY_OF_FILES, "a standby started as it is"},
	};

	for (size_t i = 0; i < lengthof(cases); i++)
		ok(mark_verdict(&cases[i].facts) == cases[i].verdict, "verdict: %s", cases[i].name);
	ok(!mark_is_copy(MARK_ORIGINAL) && !mark_is_copy(MARK_PROMOTED) && !mark_is_copy(MARK_UNWRITTEN), "what is no copy");
	ok(mark_is_copy(MARK_COPY_OF_ELSEWHERE) && mark_is_copy(MARK_COPY_AT_OTHER_SITE) && mark_is_copy(MARK_COPY_OF_FILES), "what is one");
}

int
main(void)
{
	test_file();
	test_intact();
	test_start();
	test_verdict();
	return done_testing();
}
