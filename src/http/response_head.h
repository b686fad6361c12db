/* response_head: a decoded response head, as an upstream sent it.
 *
 * Fields are stored as in head.h: offsets into one block of bytes (`base`), which may move while
 * the head is still arriving or afterwards; the owner sets `base` after each move. Fields of known
 * names (both tables of head.h) carry an id, and the first of each is found without a search.
 * Nothing is allocated: the owner provides the field array. Thread rule: one owner.
 */
#ifndef TARN_HTTP_RESPONSE_HEAD_H
#define TARN_HTTP_RESPONSE_HEAD_H

#include "http/head.h"

struct http_response_head {
    const char *base;
    uint32_t len;              /* of what belongs to a complete head */
    struct http_field *fields; /* owner's array of field_max */
    uint16_t field_count;
    uint16_t field_max;
    uint16_t first[HTTP_RESPONSE_FIELD_ID_COUNT]; /* index + 1 of the first with that id; 0: none */

    uint32_t reason_off, reason_len; /* the phrase may be empty and is for no machine */
    uint16_t status;                 /* 100 to 999 */
    uint8_t version_minor;           /* HTTP/1.x */
    uint8_t body_kind;               /* enum http_body_kind */
    bool keep_alive;         /* another request may follow on the connection (RFC 9112 section 9.3);
                                of a 1xx it means nothing */
    uint64_t content_length; /* of the Content-Length field, 0 without one; with HTTP_BODY_NONE it
                                is what a GET would have got (HEAD, 304) */
};

/* Empties the head. `fields` has room for `field_max` entries and is borrowed. */
static inline void
http_response_head_init(struct http_response_head *head, struct http_field *fields,
                        uint16_t field_max)
{
    *head = (struct http_response_head){.fields = fields, .field_max = field_max};
}

static inline struct str
http_response_reason(const struct http_response_head *head)
{
    return str_make(head->base + head->reason_off, head->reason_len);
}

static inline struct str
http_response_field_name(const struct http_response_head *head, const struct http_field *field)
{
    return str_make(head->base + field->name_off, field->name_len);
}

static inline struct str
http_response_field_value(const struct http_response_head *head, const struct http_field *field)
{
    return str_make(head->base + field->value_off, field->value_len);
}

static inline bool
http_response_has(const struct http_response_head *head, enum http_field_id id)
{
    return head->first[id] != 0;
}

/* Value of the first field with this id; an empty str with NULL pointer when there is none. */
static inline struct str
http_response_value(const struct http_response_head *head, enum http_field_id id)
{
    unsigned at = head->first[id];
    return at ? http_response_field_value(head, &head->fields[at - 1]) : (struct str){0};
}

/* All lines of this id, for http_lines_next. */
static inline struct http_lines
http_response_lines(const struct http_response_head *head, enum http_field_id id)
{
    unsigned at = head->first[id];
    return (struct http_lines){
        .base = head->base,
        .next = head->fields + (at ? at - 1u : head->field_count),
        .end = head->fields + head->field_count,
        .id = id,
    };
}

#endif
