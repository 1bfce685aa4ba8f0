/*-------------------------------------------------------------------------
 *
 * share.h
 *	  Fair shares of the requests that may be under way.
 *
 * IDENTIFICATION
 *	  src/throttle/share.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_SHARE_H
#define WAWP_SHARE_H

/* An instance or a host whose last request took longer than that is slow, as is one of which nothing is known. */
#define SHARE_PROMPT_MS 5000

/* The requests that may be under way, and those that are. */
typedef struct ShareSlots
{
	int			most;
	int			used;
	int			slow;			/* of the used, those of slow instances */
	int			instances;		/* that are known to compete for them ... */
	int			hosts;			/* ... and the hosts they are on */
} ShareSlots;

/* The part of an instance or a host in them. */
typedef struct Share
{
	int			used;
	bool		is_prompt;
} Share;

extern bool share_allows(const ShareSlots *slots, const Share *instance, const Share *host);

#endif							/* WAWP_SHARE_H */
