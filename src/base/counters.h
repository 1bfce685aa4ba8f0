/*-------------------------------------------------------------------------
 *
 * counters.h
 *	  Counters in shared memory, by instance.
 *
 * IDENTIFICATION
 *	  src/base/counters.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_COUNTERS_H
#define WAWP_COUNTERS_H

#include "postgres.h"

#include "protocol/outcome.h"

#include "compat.h"

/* An HTTP request's end. */
typedef enum AnswerClass
{
	ANSWER_2XX,
	ANSWER_3XX,
	ANSWER_4XX,
	ANSWER_5XX,
	ANSWER_NONE,				/* sent, and no whole answer came */
	ANSWER_NOT_SENT
} AnswerClass;

#define ANSWER_CLASSES (ANSWER_NOT_SENT + 1)
#define DURATION_BUCKETS 11

/* The counters of an instance of this database since the server started, or since it was not used for long. */
typedef struct InstanceCounters
{
	int64		outcomes[WAWP_OUTCOMES];	/* audit records that were committed */
	int64		answers[ANSWER_CLASSES];	/* HTTP requests that ended */
	int64		durations[DURATION_BUCKETS];	/* likewise, those sent; not cumulative */
	int64		duration_ms;	/* the sum */
} InstanceCounters;

extern Size counters_shmem_size(void);
extern void counters_shmem_startup(void);
extern void counters_note_outcome(const char *instance, const char *outcome);
extern void counters_note_request(const char *instance, AnswerClass class, int duration_ms);
extern void counters_read(const char *instance, InstanceCounters *copy);
extern int64 counters_missed(void);
extern const char *counters_class_name(AnswerClass class);
extern double counters_bucket_limit(int bucket);

#endif							/* WAWP_COUNTERS_H */
