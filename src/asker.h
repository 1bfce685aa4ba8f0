/*-------------------------------------------------------------------------
 *
 * asker.h
 *	  Who asks, and from where.
 *
 * IDENTIFICATION
 *	  src/asker.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_ASKER_H
#define WAWP_ASKER_H

extern const char *asker_login_role(void);
extern const char *asker_client_address(void);

#endif							/* WAWP_ASKER_H */
