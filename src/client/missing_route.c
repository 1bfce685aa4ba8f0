/*-------------------------------------------------------------------------
 *
 * missing_route.c
 *	  Routes that the gateway of an instance does not have.
 *
 * A gateway that is too old for a call, or whose engine cannot make it, says so
 * each time.  It is believed for a day, in which the call is not made: so an
 * update of the gateway is noticed without anybody's doing.
 *
 * A few places in shared memory, guarded by a spinlock that is held for a few
 * instructions; the oldest gives way.  Nothing raises an error or is allocated,
 * and nothing outlives the postmaster.
 *
 * IDENTIFICATION
 *	  src/client/missing_route.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/clock.h"
#include "client/missing_route.h"
#include "common/hashfn.h"
#include "storage/shmem.h"
#include "storage/spin.h"
#include "utils/timestamp.h"

#include "compat.h"

#define BELIEVED_US USECS_PER_DAY
#define ROUTES 64

typedef struct MissingRoute
{
	uint64		key;			/* hash of host, instance_id and endpoint */
	int64		until_us;		/* monotonic; 0: a free place */
} MissingRoute;

typedef struct MissingRoutes
{
	slock_t		lock;
	MissingRoute routes[ROUTES];
} MissingRoutes;

static MissingRoutes *wawp_missing_routes = NULL;

/* Return the size of the places, for shmem.c. */
Size
missing_route_shmem_size(void)
{
	return sizeof(MissingRoutes);
}

/* Create or attach to the places; called with AddinShmemInitLock held, once per process. */
void
missing_route_shmem_startup(void)
{
	bool		found;

	wawp_missing_routes = ShmemInitStruct("wawp missing routes", sizeof(MissingRoutes), &found);
	if (found)
		return;
	memset(wawp_missing_routes, 0, sizeof(MissingRoutes));
	SpinLockInit(&wawp_missing_routes->lock);
}

static uint64
missing_route_hash(const char *text, uint64 seed)
{
	return hash_bytes_extended((const unsigned char *) text, strlen(text), seed);
}

static uint64
missing_route_key(const WawpInstance *instance, EndpointId endpoint)
{
	return missing_route_hash(instance->instance_id, missing_route_hash(instance->base.origin, endpoint));
}

/* Remember for a day that the gateway of an instance does not have a route. */
void
missing_route_note(const WawpInstance *instance, EndpointId endpoint)
{
	uint64		key = missing_route_key(instance, endpoint);
	int64		until_us = clock_monotonic_us() + BELIEVED_US;
	MissingRoute *place = &wawp_missing_routes->routes[0];

	SpinLockAcquire(&wawp_missing_routes->lock);
	for (int i = 0; i < ROUTES && place->key != key; i++)
	{
		MissingRoute *route = &wawp_missing_routes->routes[i];

		if (route->key == key || route->until_us < place->until_us)
			place = route;
	}
	*place = (MissingRoute) {key, until_us};
	SpinLockRelease(&wawp_missing_routes->lock);
}

/* Return until when a route is known to be missing; 0 if it is not. */
TimestampTz
missing_route_until(const WawpInstance *instance, EndpointId endpoint)
{
	uint64		key = missing_route_key(instance, endpoint);
	int64		now_us = clock_monotonic_us();
	int64		until_us = 0;

	SpinLockAcquire(&wawp_missing_routes->lock);
	for (int i = 0; i < ROUTES; i++)
		if (wawp_missing_routes->routes[i].key == key)
			until_us = wawp_missing_routes->routes[i].until_us;
	SpinLockRelease(&wawp_missing_routes->lock);
	return until_us > now_us ? GetCurrentTimestamp() + (until_us - now_us) : 0;
}
