/* fields: a list of header fields that scripts change, of a request or of a response. Not for
 * other folders.
 *
 * Names keep the case they came in and compare without it; order stays. Text is copied into one
 * growable buffer, which is compacted when more than half of it is dead, so that a script can
 * change fields for ever. Bounds: SCRIPT_FIELDS_MAX bytes of text, SCRIPT_FIELD_COUNT_MAX fields.
 */
#ifndef TARN_SCRIPT_FIELDS_H
#define TARN_SCRIPT_FIELDS_H

#include "base/buf.h"
#include "base/error.h"
#include "http/head.h"

struct script_field {
    uint32_t name_off, value_off; /* of text */
    uint32_t value_len;
    uint16_t name_len;
};

struct script_fields {
    struct buf text;
    struct script_field *list;
    uint32_t count, cap;
    size_t live_len; /* bytes of text that fields use */
};

/* Zeroed memory is an empty list. Empties it and keeps a little memory, or gives all back. */
void script_fields_clear(struct script_fields *fields);
void script_fields_deinit(struct script_fields *fields);

/* Valid until the list changes. */
struct str script_fields_name(const struct script_fields *fields, uint32_t at);
struct str script_fields_value(const struct script_fields *fields, uint32_t at);
/* Value of the last field of that name; ptr NULL: there is none. */
struct str script_fields_last(const struct script_fields *fields, struct str name);

/* Results of changing. */
enum script_fields_result { SCRIPT_FIELDS_OK, SCRIPT_FIELDS_INVALID, SCRIPT_FIELDS_FULL };

/* A token (RFC 9110 section 5.6.2), and a value without control characters but HTAB. */
bool script_field_name_is_valid(struct str name);
bool script_field_value_is_valid(struct str value);

/* White space around a value goes. name and value may lie in `fields` itself; nothing changes
 * unless the result is OK. `set` puts it in place of the first of that name and removes the others;
 * an empty value removes all. */
enum script_fields_result script_fields_append(struct script_fields *fields, struct str name,
                                               struct str value) MUST_USE;
enum script_fields_result script_fields_set(struct script_fields *fields, struct str name,
                                            struct str value) MUST_USE;
/* The same of the field `at`, whose value may become empty. */
enum script_fields_result script_fields_set_value(struct script_fields *fields, uint32_t at,
                                                  struct str value) MUST_USE;

/* Whether the name matches, in any case: exact, "p*", "*s", "*m*", "*". */
bool script_field_matches(struct str name, struct str pattern);
/* Removes the fields whose names match, or those of which `goes` says so. Returns how many. */
unsigned script_fields_remove(struct script_fields *fields, struct str pattern);
unsigned script_fields_remove_if(struct script_fields *fields,
                                 bool (*goes)(struct str name, struct str pattern),
                                 struct str pattern);

/* Adds all fields of a request head, or of a block of "Name: value\r\n" lines. */
enum script_fields_result script_fields_add_head(struct script_fields *fields,
                                                 const struct http_head *head) MUST_USE;
enum script_fields_result script_fields_add_block(struct script_fields *fields,
                                                  struct str block) MUST_USE;
/* "Name: value\r\n" lines of all fields. */
void script_fields_write(const struct script_fields *fields, struct buf *out);

#endif
