/*-------------------------------------------------------------------------
 *
 * contact.h
 *	  People: the only place with a number.
 *
 * IDENTIFICATION
 *	  src/contact.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_CONTACT_H
#define WAWP_CONTACT_H

extern int64 contact_id(const char *jid);

#endif							/* WAWP_CONTACT_H */
