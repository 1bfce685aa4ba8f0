/*-------------------------------------------------------------------------
 *
 * text_limit.h
 *	  Limits of the texts that users give.
 *
 * The only place with these numbers; doc/queue.md lists them for users.
 *
 * IDENTIFICATION
 *	  src/base/text_limit.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_TEXT_LIMIT_H
#define WAWP_TEXT_LIMIT_H

#include "fmgr.h"

/* in bytes, as some of them are packed into a box of shared memory of a fixed size */
#define TEXT_MAX_REASON 4000
#define TEXT_MAX_BATCH_ID 500
#define TEXT_MAX_CONTEXT 8192
#define TEXT_MAX_CONTEXT_NUMBERS (2 * TEXT_MAX_CONTEXT)	/* digits, written out: as many as digits that count take */
#define TEXT_MAX_ACTOR 500		/* checked by guc.c */
#define TEXT_MAX_JID 500
#define TEXT_MAX_DETAIL 4000

/* in characters, as WhatsApp counts them */
#define TEXT_MAX_SUBJECT 200
#define TEXT_MAX_INVITE_TEXT 3800	/* the link and the group's name are added */
#define TEXT_MAX_WELCOME_TEXT 3000	/* names are added */

typedef enum TextLimit
{
	TEXT_REASON,
	TEXT_BATCH_ID,
	TEXT_CONTEXT,				/* jsonb; its stored size counts */
	TEXT_GROUP_JID,
	TEXT_JID,
	TEXT_CHAT_JID,
	TEXT_DETAIL,
	TEXT_SUBJECT,
	TEXT_INVITE_TEXT,
	TEXT_WELCOME_TEXT
} TextLimit;

/* SQL that reads no more of a column than its limit: rows may be older than the limit */
#define TEXT_CAP_REASON(column) "pg_catalog.left(" column ", " CppAsString2(TEXT_MAX_REASON) ")"
#define TEXT_CAP_BATCH_ID(column) "pg_catalog.left(" column ", " CppAsString2(TEXT_MAX_BATCH_ID) ")"

extern void text_limit_check(TextLimit limit, Datum value);
extern const char *text_limit_arg(FunctionCallInfo fcinfo, int n, TextLimit limit);
extern const char *text_limit_cut(TextLimit limit, const char *text);
extern int	text_limit_named(const char *name);

#endif							/* WAWP_TEXT_LIMIT_H */
