/* A page is scanned once for tags; each tag is looked for from where the one before has ended, and
 * when no end is found for one there is none for later ones either, so the scan is linear. Holes
 * with the same key share a slot, found by a hash of the key: at a request each value is looked up
 * and escaped once.
 */
#include "site/template.h"

#include "base/html.h"
#include "base/limits.h"

#include <stdlib.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#define TAG "<zs-meta"
#define TAG_END "</zs-meta>"

static bool
is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct str
trim(struct str s)
{
    while (s.len && is_space(s.ptr[0]))
        s = str_skip(s, 1);
    while (s.len && is_space(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

bool
site_template_type(struct str type)
{
    static const struct str names[] = {STR_INIT("text/html"), STR_INIT("application/xhtml+xml"),
                                       STR_INIT("text/xml"), STR_INIT("application/xml")};
    struct str name = trim(str_first(type, str_find_char(type, ';')));
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (str_ieq(name, names[i]))
            return true;
    return name.len > 4 && str_ieq(str_skip(name, name.len - 4), STR("+xml"));
}

/* --- scanning --- */

/* What a tag says, and where it stands in the page. */
struct tag {
    size_t off, len;
    struct str key;
    bool raw;
};

static bool
take(struct str *s, struct str word)
{
    if (!str_starts_with(*s, word))
        return false;
    *s = str_skip(*s, word.len);
    return true;
}

static bool
take_space(struct str *s)
{
    size_t len = s->len;
    while (s->len && is_space(s->ptr[0]))
        *s = str_skip(*s, 1);
    return s->len < len;
}

/* The rest of an opening tag behind its name. */
static bool
take_opening(struct str *s, bool *raw)
{
    bool space = take_space(s);
    *raw = space && take(s, STR("raw"));
    if (*raw)
        take_space(s);
    return (*raw || !space) && take(s, STR(">"));
}

/* Finds the next tag from *from on, and moves that behind it. */
static bool
find_tag(struct str text, size_t *from, struct tag *tag)
{
    while (*from < text.len) {
        struct str rest = str_skip(text, *from);
        tag->off = *from + str_find(rest, STR(TAG));
        *from = tag->off + sizeof TAG - 1;
        if (tag->off == text.len)
            return false;
        rest = str_skip(text, *from);
        if (!take_opening(&rest, &tag->raw))
            continue;
        size_t key_len = str_find(rest, STR(TAG_END));
        if (key_len == rest.len)
            return false;
        tag->key = trim(str_first(rest, key_len));
        *from = (size_t)(rest.ptr - text.ptr) + key_len + sizeof TAG_END - 1;
        tag->len = *from - tag->off;
        return true;
    }
    return false;
}

/* --- slots --- */

struct finder {
    struct site_hole *holes;
    struct site_slot *slots;
    uint32_t *table; /* 1 + slot, by hash of key and rawness; 0: free */
    uint32_t mask;
    uint32_t hole_count, slot_count;
};

static uint32_t
find_slot(struct finder *finder, struct str key, bool raw)
{
    uint32_t at = (uint32_t)XXH3_64bits_withSeed(key.ptr, key.len, raw) & finder->mask;
    for (; finder->table[at]; at = (at + 1) & finder->mask) {
        const struct site_slot *slot = &finder->slots[finder->table[at] - 1];
        if (slot->raw == raw && str_eq(slot->key, key))
            return finder->table[at] - 1;
    }
    finder->slots[finder->slot_count] = (struct site_slot){.key = key, .raw = raw};
    finder->table[at] = ++finder->slot_count;
    return finder->slot_count - 1;
}

static uint32_t
count_tags(struct str text)
{
    struct tag tag;
    uint32_t count = 0;
    for (size_t from = 0; count <= SITE_TEMPLATE_HOLES_MAX && find_tag(text, &from, &tag);)
        count++;
    return count;
}

static void
fill(struct finder *finder, struct str text)
{
    struct tag tag;
    for (size_t from = 0; find_tag(text, &from, &tag);)
        finder->holes[finder->hole_count++] = (struct site_hole){
            .off = (uint32_t)tag.off,
            .len = (uint32_t)tag.len,
            .slot = find_slot(finder, tag.key, tag.raw),
        };
}

int
site_template_find(struct str text, struct arena *arena, const struct site_template **out,
                   struct error *error)
{
    *out = NULL;
    if (text.len > SITE_TEMPLATE_LEN_MAX)
        return 0;
    uint32_t count = count_tags(text);
    if (count == 0)
        return 0;
    if (count > SITE_TEMPLATE_HOLES_MAX)
        return error_set(error, "more than %d places for metadata (<zs-meta>)",
                         SITE_TEMPLATE_HOLES_MAX);
    struct finder finder = {.mask = 1};
    while (finder.mask < 2 * count)
        finder.mask = 2 * finder.mask + 1;
    struct site_template *template = arena_alloc(arena, sizeof *template);
    finder.holes = arena_alloc(arena, count * sizeof *finder.holes);
    finder.slots = arena_alloc(arena, count * sizeof *finder.slots);
    finder.table = calloc((size_t)finder.mask + 1, sizeof *finder.table);
    if (!template || !finder.holes || !finder.slots || !finder.table) {
        free(finder.table);
        return error_set(error, "no memory for the places for metadata");
    }
    fill(&finder, text);
    free(finder.table);
    *template = (struct site_template){
        .holes = finder.holes,
        .slots = finder.slots,
        .hole_count = finder.hole_count,
        .slot_count = finder.slot_count,
    };
    *out = template;
    return 0;
}

/* --- header lines --- */

static bool
depends_on_content(struct str line)
{
    static const struct str names[] = {
        STR_INIT("Content-Length"), STR_INIT("Content-Type"),   STR_INIT("Content-Encoding"),
        STR_INIT("Accept-Ranges"),  STR_INIT("ETag"),           STR_INIT("Last-Modified"),
        STR_INIT("Cache-Control"),  STR_INIT("Content-Digest"), STR_INIT("Repr-Digest"),
        STR_INIT("Digest"),         STR_INIT("Content-MD5"),
    };
    struct str name = str_first(line, str_find_char(line, ':'));
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (str_ieq(name, names[i]))
            return true;
    return false;
}

struct str
site_template_lines(struct str head, struct arena *arena)
{
    char *text = arena_alloc_text(arena, head.len + 1);
    size_t len = 0;
    if (!text)
        return (struct str){0};
    while (head.len) {
        struct str line = str_first(head, str_find(head, STR("\r\n")) + 2);
        head = str_skip(head, line.len);
        if (depends_on_content(line))
            continue;
        memcpy(text + len, line.ptr, line.len);
        len += line.len;
    }
    return str_make(text, len);
}

/* --- escaping --- */

size_t
site_template_escaped_len(struct str value)
{
    size_t len = 0;
    for (size_t i = 0; i < value.len; i++) {
        struct str escape = html_reference(value.ptr[i]);
        len += escape.len ? escape.len : 1;
    }
    return len;
}

char *
site_template_escape(struct str value, char *out)
{
    for (size_t i = 0; i < value.len; i++) {
        struct str escape = html_reference(value.ptr[i]);
        if (escape.len == 0) {
            *out++ = value.ptr[i];
            continue;
        }
        memcpy(out, escape.ptr, escape.len);
        out += escape.len;
    }
    return out;
}
