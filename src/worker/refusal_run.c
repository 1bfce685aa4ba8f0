/*-------------------------------------------------------------------------
 *
 * refusal_run.c
 *	  Refusals of an instance in a row, which say more than each by itself.
 *
 * settle.c counts them and holds what they say is to be held.  verify.c asks
 * whether a row was refused in such a run: the refusal was then the call's, and
 * the row is requested again.
 *
 * The runs live as long as the process, one entry an instance; they change
 * outside transactions, so that an abort leaves them as they are.  No locks.
 *
 * IDENTIFICATION
 *	  src/worker/refusal_run.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker/refusal_run.h"

#include "compat.h"

static HTAB *runs;

/* Return the entry of an instance, kept for the life of the process. */
RefusalRun *
refusal_run_of(const NameData *instance)
{
	HASHCTL		by_name = {.keysize = sizeof(NameData), .entrysize = sizeof(RefusalRun), .hcxt = TopMemoryContext};
	RefusalRun *entry;
	bool		found;

	if (runs == NULL)
		runs = hash_create("wawp refusal runs", 16, &by_name, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	entry = hash_search(runs, instance, HASH_ENTER, &found);
	if (!found)
		memset((char *) entry + sizeof(NameData), 0, sizeof(RefusalRun) - sizeof(NameData));
	return entry;
}

/* End the run of answers that are alike: another one has come. */
void
refusal_run_end_alike(RefusalRun *run)
{
	if (run->alike.n >= ALIKE_TO_HOLD)
		run->last_alike = run->alike;
	run->alike.n = 0;
}

/* Count an answer to a person that is not understood, with its code. */
void
refusal_run_note_alike(RefusalRun *run, const char *person, int code)
{
	if (run->alike.n > 0 && run->alike.code != code)
		refusal_run_end_alike(run);
	run->alike.last_at = GetCurrentTimestamp();
	if (run->alike.n == 0)
	{
		run->alike.code = code;
		run->alike.first_at = run->alike.last_at;
	}
	if (run->alike.n == 0 || strcmp(run->alike_person, person) != 0)
		run->alike.n++;
	strlcpy(run->alike_person, person, sizeof(run->alike_person));
}

/* Clocks of a row's state and of a run differ by a cycle at most. */
#define SAME_TIME_US (60 * INT64CONST(1000000))

static bool
alike_run_covers(const AlikeRun *run, int code, TimestampTz at)
{
	return run->n >= ALIKE_TO_HOLD && run->code == code && at >= run->first_at - SAME_TIME_US && at <= run->last_at + SAME_TIME_US;
}

/* True if a refusal with that code at about that time was one of several people's in a row, for which the instance was held. */
bool
refusal_run_had(const NameData *instance, int code, TimestampTz at)
{
	const RefusalRun *run = refusal_run_of(instance);

	return alike_run_covers(&run->alike, code, at) || alike_run_covers(&run->last_alike, code, at);
}

/* Forget who was refused last, but not how often: somebody was erased. */
void
refusal_run_forget_people(void)
{
	HASH_SEQ_STATUS status;
	RefusalRun *run;

	if (runs == NULL)
		return;
	hash_seq_init(&status, runs);
	while ((run = hash_seq_search(&status)) != NULL)
	{
		memset(run->person, 0, sizeof(run->person));
		memset(run->alike_person, 0, sizeof(run->alike_person));
	}
}
