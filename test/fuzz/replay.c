/*
 * replay.c
 *	  Reads the inputs that are kept for a fuzz target (CORPUS, a folder), without libFuzzer: a TAP line each.
 */
#include "fuzz.h"

#include <dirent.h>

#include "tap.h"

/* Read a file through the target, in a buffer of just its size. */
static void
replay(const char *path)
{
	FILE	   *file = fopen(path, "rb");
	long		size;
	uint8_t    *data;

	if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 0)
	{
		perror(path);
		exit(1);
	}
	rewind(file);
	data = malloc(size > 0 ? size : 1);
	if (data == NULL || fread(data, 1, size, file) != (size_t) size)
	{
		perror(path);
		exit(1);
	}
	fclose(file);
	LLVMFuzzerTestOneInput(data, size);
	free(data);
}

int
main(void)
{
	struct dirent **entries;
	int			n = scandir(CORPUS, &entries, NULL, alphasort);

	for (int i = 0; i < n; i++)
	{
		char		path[MAXPGPATH];

		if (entries[i]->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", CORPUS, entries[i]->d_name);
		replay(path);
		ok(true, "%s", entries[i]->d_name);
	}
	ok(n > 2, "there are inputs");
	return done_testing();
}
