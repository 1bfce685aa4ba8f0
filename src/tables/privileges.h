/*-------------------------------------------------------------------------
 *
 * privileges.h
 *	  Privileges on the extension's own objects.
 *
 * IDENTIFICATION
 *	  src/tables/privileges.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_PRIVILEGES_H
#define WAWP_PRIVILEGES_H

extern void privileges_reset_table(const char *table);

#endif							/* WAWP_PRIVILEGES_H */
