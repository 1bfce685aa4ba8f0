/*
 * seal_test.c
 *	  The canonical form and the trees of the audit log's seal.
 */
#include "postgres_fe.h"

#include "protocol/seal.h"
#include "tap.h"

#define MOST_LEAVES 70

/* No good hash, but one that tells what was hashed: FNV-1a, four times. */
static void
test_hash(const void *data, size_t len, SealDigest *digest)
{
	const uint8 *bytes = data;

	for (int part = 0; part < 4; part++)
	{
		uint64		hash = UINT64CONST(14695981039346656037) + part;

		for (size_t i = 0; i < len; i++)
			hash = (hash ^ bytes[i]) * UINT64CONST(1099511628211);
		memcpy(digest->bytes + 8 * part, &hash, 8);
	}
}

static void
is_form(const StringInfoData *form, const char *expected, const char *name)
{
	StringInfoData hex;

	initStringInfo(&hex);
	for (int i = 0; i < form->len; i++)
		appendStringInfo(&hex, "%02x", (uint8) form->data[i]);
	is_text(hex.data, expected, name);
}

static void
test_form(void)
{
	StringInfoData form;
	SealDigest	digest = {{1, 2}};

	initStringInfo(&form);
	seal_begin(&form, SEAL_RECORD);
	is_form(&form, "0001", "a record begins with its kind and a version");
	seal_put_number(&form, 258);
	seal_put_number(&form, -1);
	seal_put_null(&form);
	seal_put_bytes(&form, "", 0);
	seal_put_bytes(&form, "a\0b", 3);
	is_form(&form, "0001" "00000008" "0000000000000102" "00000008" "ffffffffffffffff" "ffffffff" "00000000" "00000003" "610062",
			"a number, a negative one, NULL, an empty text, bytes");
	seal_begin(&form, SEAL_HEADER);
	seal_put_digest(&form, &digest);
	is_form(&form, "0201" "00000020" "0102000000000000000000000000000000000000000000000000000000000000", "a header begins anew");
	seal_begin(&form, SEAL_TEXT);
	is_form(&form, "03", "a text has no version");
}

/* The root as RFC 6962 defines it, written down another way: level by level, what has no partner rises. */
static SealDigest
root_by_levels(const SealDigest *leaves, int n)
{
	SealDigest	level[MOST_LEAVES];

	memcpy(level, leaves, sizeof(SealDigest) * n);
	for (; n > 1; n = (n + 1) / 2)
		for (int i = 0; i < n; i += 2)
		{
			uint8		form[1 + 2 * SEAL_DIGEST_SIZE] = {SEAL_NODE};

			memcpy(form + 1, &level[i], SEAL_DIGEST_SIZE);
			if (i + 1 < n)
			{
				memcpy(form + 1 + SEAL_DIGEST_SIZE, &level[i + 1], SEAL_DIGEST_SIZE);
				test_hash(form, sizeof(form), &level[i / 2]);
			}
			else
				level[i / 2] = level[i];
		}
	return level[0];
}

/* The root that a path leads to, as RFC 9162 (2.1.3.2) computes it: from the leaf's number and the size alone. */
static SealDigest
root_by_path(SealDigest node, int leaf, int n, const SealDigest *path, int length)
{
	int			last = n - 1;

	for (int i = 0; i < length; i++)
	{
		uint8		form[1 + 2 * SEAL_DIGEST_SIZE] = {SEAL_NODE};
		bool		is_right = leaf % 2 == 1 || leaf == last;

		memcpy(form + 1, is_right ? &path[i] : &node, SEAL_DIGEST_SIZE);
		memcpy(form + 1 + SEAL_DIGEST_SIZE, is_right ? &node : &path[i], SEAL_DIGEST_SIZE);
		test_hash(form, sizeof(form), &node);
		while (is_right && leaf % 2 == 0 && leaf > 0)
		{
			leaf /= 2;
			last /= 2;
		}
		leaf /= 2;
		last /= 2;
	}
	return node;
}

static void
test_trees(void)
{
	SealDigest	leaves[MOST_LEAVES];
	int			wrong_roots = 0;
	int			wrong_paths = 0;
	int			longest = 0;

	for (int i = 0; i < MOST_LEAVES; i++)
		test_hash(&i, sizeof(i), &leaves[i]);
	for (int n = 1; n <= MOST_LEAVES; n++)
	{
		SealDigest	expected = root_by_levels(leaves, n);
		SealDigest	root;

		seal_root(leaves, n, test_hash, &root);
		wrong_roots += memcmp(&root, &expected, sizeof(root)) != 0;
		for (int leaf = 0; leaf < n; leaf++)
		{
			SealDigest	path[SEAL_PATH_MAX];
			int			length = seal_path(leaves, n, leaf, test_hash, path);

			longest = Max(longest, length);
			root = root_by_path(leaves[leaf], leaf, n, path, length);
			wrong_paths += memcmp(&root, &expected, sizeof(root)) != 0;
		}
	}
	is_int(wrong_roots, 0, "roots of all sizes are the RFC's");
	is_int(wrong_paths, 0, "paths of all leaves lead to them");
	is_int(longest, 7, "... and are as long as the tree is high");
}

int
main(void)
{
	test_form();
	test_trees();
	return done_testing();
}
