/*-------------------------------------------------------------------------
 *
 * shape.h
 *	  The form of a JSON text without its contents.
 *
 * IDENTIFICATION
 *	  src/protocol/shape.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_SHAPE_H
#define WAWP_SHAPE_H

#include "protocol/json.h"

/* the longest shape, with its terminator */
#define SHAPE_SIZE 600

extern char *shape_of_nodes(const JsonNode *const *nodes, int n);
extern char *shape_of_body(const char *body, size_t len);

#endif							/* WAWP_SHAPE_H */
