/*-------------------------------------------------------------------------
 *
 * wire_value.h
 *	  The names, ids, flags and texts of which answers consist.
 *
 * IDENTIFICATION
 *	  src/protocol/wire_value.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WAWP_WIRE_VALUE_H
#define WAWP_WIRE_VALUE_H

#include "protocol/jid.h"
#include "protocol/json.h"

/* names are compared by their letters and digits alone; a longer one is none of those that are known */
#define WIRE_LONGEST_NAME 40

/* in an entry, the objects that name the same person are at most so deep: content.attrs */
#define WIRE_MAX_INNER_PERSON 2

/* Answers are wrapped in envelopes, at most three deep in those that were seen. */
#define WIRE_MAX_WRAPPING 6

/* The two JIDs of one person; invalid where the entry has none. */
typedef struct WireIds
{
	Jid			phone;
	Jid			lid;
	Jid			listed;			/* the one that the entry goes by */
} WireIds;

extern const char *const wire_list_keys[];

extern bool wire_key_is(const char *key, const char *name);
extern bool wire_name_contains(const char *key, const char *word);
extern const JsonNode *wire_get_by_name(const JsonNode *object, const char *name);
extern Jid	wire_jid_of_text(const char *text);
extern const char *wire_id_text(const JsonNode *node);
extern const char *wire_id_in(const JsonNode *object);
extern Jid	wire_jid_of_id(const char *text);
extern void wire_add_jid(Jid jid, WireIds *ids);
extern bool wire_repeats_lid(const Jid *phone, const Jid *lid);
extern Jid	wire_lid_in(const JsonNode *object);
extern void wire_add_ids(const JsonNode *object, int depth, WireIds *ids);
extern WireIds wire_ids_of(const JsonNode *object);
extern const JsonNode *wire_first_list(const JsonNode *object, const char *const *keys);
extern const JsonNode *wire_list_in(const JsonNode *object);
extern void wire_plain_name(const char *key, char name[WIRE_LONGEST_NAME + 1]);
extern bool wire_means_success(const char *word);
extern bool wire_means_failure(const char *word);
extern int	wire_read_flag(const JsonNode *flag);
extern int	wire_read_number_flag(const JsonNode *flag);
extern int	wire_code_in_text(const char *text);
extern const char *wire_message_text(const JsonNode *node);
extern const char *wire_body_beginning(const char *body, size_t len);
extern bool wire_is_named_after_person(const JsonNode *child);
extern bool wire_is_place(const char *key);
extern bool wire_is_digits(const char *text);
extern void wire_read_ids(const JsonNode *node, Jid *phone, Jid *lid);
extern bool wire_read_account(const JsonNode *me, Jid *phone, Jid *lid);
extern Jid	wire_read_group_id(const JsonNode *node);
extern bool wire_is_set(const JsonNode *node);
extern bool wire_is_keyed_list(const JsonNode *node);
extern bool wire_word_is(const char *word, const char *const *words);

#endif							/* WAWP_WIRE_VALUE_H */
