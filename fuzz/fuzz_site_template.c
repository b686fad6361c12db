/* Fuzzes the search for places for metadata in pages.
 *
 * Checked: the places are those of a plain model, which looks at each byte anew; slots are all
 * different and each is used; what is escaped has no character that means something in HTML, and
 * says the same.
 */
#include "base/arena.h"
#include "base/html.h"
#include "site/template.h"

#include <stdlib.h>

enum { INPUT_MAX = 8 << 10, ARENA_MAX = 16 << 20 };

static void
check(bool holds)
{
    if (!holds)
        abort();
}

/* --- places --- */

static bool
is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\v' || c == '\f' || c == '\r';
}

/* Length of an opening tag at the start of s; 0: there is none. */
static size_t
opening_len(struct str s, bool *raw)
{
    size_t at = 8;
    *raw = false;
    if (!str_starts_with(s, STR("<zs-meta")))
        return 0;
    if (at < s.len && s.ptr[at] == '>')
        return at + 1;
    if (at == s.len || !is_space(s.ptr[at]))
        return 0;
    while (at < s.len && is_space(s.ptr[at]))
        at++;
    if (!str_starts_with(str_skip(s, at), STR("raw")))
        return 0;
    at += 3;
    while (at < s.len && is_space(s.ptr[at]))
        at++;
    *raw = true;
    return at < s.len && s.ptr[at] == '>' ? at + 1 : 0;
}

static struct str
trimmed(struct str s)
{
    while (s.len && is_space(s.ptr[0]))
        s = str_skip(s, 1);
    while (s.len && is_space(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

static void
check_places(struct str text, const struct site_template *template)
{
    uint32_t count = 0;
    for (size_t at = 0; at < text.len;) {
        bool raw;
        struct str rest = str_skip(text, at);
        size_t opening = opening_len(rest, &raw);
        size_t key_len = 0;
        while (opening && opening + key_len < rest.len &&
               !str_starts_with(str_skip(rest, opening + key_len), STR("</zs-meta>")))
            key_len++;
        if (!opening || opening + key_len == rest.len) {
            at++;
            continue;
        }
        check(template && count < template->hole_count);
        const struct site_hole *hole = &template->holes[count++];
        const struct site_slot *slot = &template->slots[hole->slot];
        check(hole->slot < template->slot_count && hole->off == at);
        check(hole->len == opening + key_len + 10 && slot->raw == raw);
        check(str_eq(slot->key, trimmed(str_make(rest.ptr + opening, key_len))));
        at += hole->len;
    }
    check(count == (template ? template->hole_count : 0));
}

static void
check_slots(const struct site_template *template)
{
    for (uint32_t i = 0; i < template->slot_count; i++) {
        bool used = false;
        for (uint32_t j = 0; j < i; j++)
            check(template->slots[i].raw != template->slots[j].raw ||
                  !str_eq(template->slots[i].key, template->slots[j].key));
        for (uint32_t j = 0; j < template->hole_count; j++)
            used |= template->holes[j].slot == i;
        check(used);
    }
}

/* --- escaping --- */

static void
check_escaping(struct str value)
{
    size_t len = site_template_escaped_len(value), at = 0;
    char *out = malloc(len + 1);
    check(out && site_template_escape(value, out) == out + len);
    for (size_t i = 0; i < value.len; i++) {
        struct str reference = html_reference(value.ptr[i]);
        struct str wanted = reference.len ? reference : str_make(value.ptr + i, 1);
        check(str_starts_with(str_make(out + at, len - at), wanted));
        at += wanted.len;
    }
    check(at == len);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    const struct site_template *template;
    struct error error;
    if (size > INPUT_MAX)
        return 0;
    /* Exactly as long as it is, so that a read behind the end is seen. */
    char *copy = malloc(size ? size : 1);
    check(copy);
    if (size)
        memcpy(copy, data, size);
    struct str text = str_make(copy, size);
    arena_init(&arena, ARENA_MAX, 4096);
    if (site_template_find(text, &arena, &template, &error) == 0) {
        check_places(text, template);
        if (template)
            check_slots(template);
    }
    check_escaping(text);
    arena_deinit(&arena);
    free(copy);
    return 0;
}
