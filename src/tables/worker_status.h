/*-------------------------------------------------------------------------
 *
 * worker_status.h
 *	  The state of a database's worker, with the reason if it cannot work.
 *
 * IDENTIFICATION
 *	  src/tables/worker_status.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_WORKER_STATUS_H
#define WAWP_WORKER_STATUS_H

#include "base/shmem.h"
#include "catalog/pg_database.h"

typedef enum WorkerState
{
	WORKER_SERVING,
	WORKER_OFF,
	WORKER_FAILING,
	WORKER_NONE,
	WORKER_COPY
} WorkerState;

/* A database's worker as its slot and this server show it; texts are palloc'd or constant. */
typedef struct WorkerStatus
{
	WorkerState state;
	pid_t		pid;			/* 0: none */
	TimestampTz started_at;
	TimestampTz last_cycle_at;
	int			in_flight;
	WorkerPart	part;			/* that fails */
	TimestampTz since;			/* it fails; 0: not known */
	int			errors_in_a_row;
	int			sqlstate;		/* 0: none */
	const char *last_error;		/* NULL: none */
	const char *why;			/* a sentence; NULL while it serves */
	int			part_errors[WORKER_PARTS];	/* in a row, of those that fail */
	TimestampTz last_failed_at; /* any part; 0: none since the worker's start */
} WorkerStatus;

extern void status_attach(WorkerSlot *slot);
extern void status_note_error(WorkerPart part, bool is_first, int sqlstate, const char *message);
extern void status_note_commit(WorkerPart part, bool is_clean);
extern void status_note_in_flight(int in_flight);
extern void status_note_transaction(bool begins);
extern void status_read(WorkerStatus *status);
extern bool status_may_serve_database(Form_pg_database form);
extern const char *status_state_name(WorkerState state);
extern const char *status_part_name(WorkerPart part);

#endif							/* WAWP_WORKER_STATUS_H */
