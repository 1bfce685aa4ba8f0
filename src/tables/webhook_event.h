/*-------------------------------------------------------------------------
 *
 * webhook_event.h
 *	  Events that the gateway has sent, and those that were refused.
 *
 * IDENTIFICATION
 *	  src/tables/webhook_event.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_WEBHOOK_EVENT_H
#define WAWP_WEBHOOK_EVENT_H

#include "nodes/pg_list.h"
#include "utils/timestamp.h"

/* The effect of an event that is about another account than the instance's. */
#define WEBHOOK_OTHER_ACCOUNT "other_account: it is about another account than the session's"
/* The effect of one that says whose account it is about in a form that is not understood. */
#define WEBHOOK_UNREAD_ACCOUNT "not understood: the account that it is about"

/* The key of an event, and what it came with. */
typedef struct WebhookEvent
{
	const char *instance;
	const char *event;
	const char *id;
	const char *instance_id;
	Datum		body;			/* a text; 0: none */
	const char *detail;			/* why it is not applied; NULL: it is */
} WebhookEvent;

/* An event that is to be applied. */
typedef struct WebhookTask
{
	WebhookEvent key;
	const char *body;			/* in the database's encoding */
	TimestampTz received_at;
	int			tries;			/* that have failed */
	const char *progress;		/* a letter for each of its people, by events.c; NULL: it was applied to none */
} WebhookTask;

extern bool webhook_event_insert_plain(const WebhookEvent *event);
extern bool webhook_event_insert(const WebhookEvent *event);
extern bool webhook_note_refusal(const char *instance, const char *body, size_t len, const char *reason);
extern List *webhook_take_waiting(int limit);
extern TimestampTz webhook_next(void);
extern void webhook_end(const WebhookEvent *key, TimestampTz happened_at, const char *detail);
extern void webhook_put_off(const WebhookEvent *key, TimestampTz until, bool has_failed, const char *progress, const char *detail);
extern bool webhook_status_is_later(const WebhookEvent *key, TimestampTz at);
extern void webhook_rename_instance(const char *from, const char *to);
extern void webhook_forget(const WebhookEvent *key);
extern bool webhook_prune(int retention_minutes);
extern void webhook_prune_refusals(void);
extern bool webhook_is_opt_out(const char *text);

#endif							/* WAWP_WEBHOOK_EVENT_H */
