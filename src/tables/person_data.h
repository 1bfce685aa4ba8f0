/*-------------------------------------------------------------------------
 *
 * person_data.h
 *	  All that the tables hold on one person.
 *
 * IDENTIFICATION
 *	  src/tables/person_data.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_PERSON_DATA_H
#define WAWP_PERSON_DATA_H

#include "nodes/pg_list.h"
#include "tables/intent.h"

/* A person by all that they are known by. */
typedef struct Person
{
	List	   *jids;			/* numbers in their forms, privacy ids */
	List	   *contacts;		/* their contact_ids, as int64 pointers; the first is that of the number */
} Person;

/* The rest that an erasure has to look at: what was written since, in tables that were not looked through yet. */
typedef struct PersonRest
{
	const char *since;			/* a transaction (an xid): by it or a later one; NULL: whenever */
	int64		log_id;			/* records with higher numbers ... */
	int64		log_end;		/* ... up to this one */
	int			tables;			/* that were looked through */
} PersonRest;

extern void person_add_contact(Person *person, int64 contact);
extern Person person_find(const char *jid);
extern void person_keep(Person *person);
extern const char *person_pseudonym(const Person *person);
extern const char *person_export(const Person *person);
extern void person_cancel_intents(const Person *person, const IntentRequester *by);
extern int64 person_erase(const Person *person);
extern bool person_erase_rest(const Person *person, PersonRest *rest);
extern void person_erase_notes(const Person *person);

#endif							/* WAWP_PERSON_DATA_H */
