/*-------------------------------------------------------------------------
 *
 * missing_route.h
 *	  Routes that the gateway of an instance does not have.
 *
 * IDENTIFICATION
 *	  src/client/missing_route.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_MISSING_ROUTE_H
#define WAWP_MISSING_ROUTE_H

#include "datatype/timestamp.h"

#include "client/instance.h"
#include "protocol/endpoint.h"

extern Size missing_route_shmem_size(void);
extern void missing_route_shmem_startup(void);
extern void missing_route_note(const WawpInstance *instance, EndpointId endpoint);
extern TimestampTz missing_route_until(const WawpInstance *instance, EndpointId endpoint);

#endif							/* WAWP_MISSING_ROUTE_H */
