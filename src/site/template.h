/* template: places in static pages that scripts fill in: "<zs-meta>key</zs-meta>".
 *
 * Which pages have such places is found when a site is loaded, so that others pay nothing. White
 * space around the key does not count; with "<zs-meta raw>" the value goes in as it is, else
 * escaped for HTML. What is no such tag to the letter, and a tag that is not closed, is text.
 *
 * Bounds: SITE_TEMPLATE_LEN_MAX bytes of a page, SITE_TEMPLATE_HOLES_MAX places in it. Immutable
 * once found; any thread may read it.
 */
#ifndef TARN_SITE_TEMPLATE_H
#define TARN_SITE_TEMPLATE_H

#include "base/arena.h"
#include "base/error.h"

/* What goes into one or more places. */
struct site_slot {
    struct str key; /* lies in the page */
    bool raw;
};

struct site_hole {
    uint32_t off, len; /* of the page: the whole tag */
    uint32_t slot;
};

struct site_template {
    const struct site_hole *holes; /* in order */
    const struct site_slot *slots; /* all different */
    uint32_t hole_count, slot_count;
};

/* Whether pages of that media type, which may have parameters, can have places: HTML and XML. */
bool site_template_type(struct str type);

/* Looks for places in a page; the result borrows `text` and lies in the arena. *out NULL: there are
 * none, or the page is longer than SITE_TEMPLATE_LEN_MAX. -1: too many, or no memory. */
int site_template_find(struct str text, struct arena *arena, const struct site_template **out,
                       struct error *error) MUST_USE;

/* Of a block of "Name: value\r\n" lines those that hold whatever goes into the places, in the
 * arena: none about length, coding, ranges, validators, caching, digests, and no Content-Type. An
 * empty str with NULL pointer: no memory. */
struct str site_template_lines(struct str head, struct arena *arena);

/* Bytes that a value takes when it is escaped for HTML, and the escaping; `out` has room for them.
 */
size_t site_template_escaped_len(struct str value);
char *site_template_escape(struct str value, char *out);

#endif
