/* h1_fields: the field lines of an HTTP/1 head up to the empty line behind the last one (RFC 9112
 * section 5), for the decoders of requests (h1_head) and responses (h1_response), which read the
 * start line themselves. Pure; resumable at any byte; linear when bytes come one by one.
 *
 * Refused: bare CR, bare LF, a folded line, white space before a colon, a name that is no token,
 * control characters in a value, more lines than there is room for.
 */
#ifndef TARN_HTTP_H1_FIELDS_H
#define TARN_HTTP_H1_FIELDS_H

#include "http/h1_error.h"
#include "http/head.h"

struct h1_fields {
    struct http_field *fields; /* owner's array of max */
    uint16_t *first;           /* by id: index + 1 of the first field of that name; 0: none */
    enum http_field_id (*id_of)(struct str name);
    uint64_t repeated; /* bit 1 << id: the name came more than once */
    uint32_t scan_off; /* bytes of the head already decoded; the next call goes on there */
    uint16_t count;    /* complete lines */
    uint16_t max;
    uint8_t state;
    uint8_t error; /* enum h1_error */
};

/* Starts a new head. `fields` has room for `max` entries; `first` has an entry, which is 0, for
 * each id that `id_of` can give. Both are borrowed until the decoder is done. */
static inline void
h1_fields_init(struct h1_fields *lines, struct http_field *fields, uint16_t max, uint16_t *first,
               enum http_field_id (*id_of)(struct str name))
{
    *lines = (struct h1_fields){.fields = fields, .first = first, .id_of = id_of, .max = max};
}

/* Decodes [p, end): p is where the start line ended, and then base + lines->scan_off. Offsets are
 * relative to `base`, which may move between calls. H1_MORE: all was read. H1_DONE: lines->scan_off
 * is behind the empty line. H1_ERROR: lines->error is set. Not to be called again after the last
 * two. */
enum h1_result h1_fields_decode(struct h1_fields *lines, const char *base, const char *p,
                                const char *end);

static inline bool
h1_fields_have(const struct h1_fields *lines, enum http_field_id id)
{
    return lines->first[id] != 0;
}

static inline bool
h1_fields_repeat(const struct h1_fields *lines, enum http_field_id id)
{
    return (lines->repeated >> id & 1) != 0;
}

/* The lines of one name, in a head decoded at `base`. */
static inline struct http_lines
h1_fields_lines(const struct h1_fields *lines, const char *base, enum http_field_id id)
{
    unsigned first = lines->first[id];
    unsigned end = h1_fields_repeat(lines, id) ? lines->count : first; /* else no search for more */
    return (struct http_lines){
        .base = base,
        .next = lines->fields + (first ? first - 1 : 0),
        .end = lines->fields + end,
        .id = id,
    };
}

#endif
