/* Text only grows at its end. When there is no room there, what is still in use moves to new
 * memory, so that text of dead fields goes, and what the caller passes may lie in the old one,
 * which is freed last. */
#include "script/fields.h"

#include "base/limits.h"
#include "base/must.h"
#include "http/h1_scan.h"

#include <stdlib.h>

enum {
    FIRST_TEXT = 1024, /* that a list gets at least */
    FIRST_COUNT = 32,
    TEXT_KEPT = 4096, /* by an emptied list */
    COUNT_KEPT = 64,
};

void
script_fields_clear(struct script_fields *fields)
{
    fields->count = 0;
    fields->live_len = 0;
    buf_clear(&fields->text);
    if (fields->text.cap > TEXT_KEPT)
        buf_deinit(&fields->text);
    if (fields->cap > COUNT_KEPT) {
        free(fields->list);
        fields->list = NULL;
        fields->cap = 0;
    }
}

void
script_fields_deinit(struct script_fields *fields)
{
    buf_deinit(&fields->text);
    free(fields->list);
    *fields = (struct script_fields){0};
}

struct str
script_fields_name(const struct script_fields *fields, uint32_t at)
{
    const struct script_field *field = &fields->list[at];
    return str_make(fields->text.ptr + field->name_off, field->name_len);
}

struct str
script_fields_value(const struct script_fields *fields, uint32_t at)
{
    const struct script_field *field = &fields->list[at];
    return str_make(fields->text.ptr + field->value_off, field->value_len);
}

struct str
script_fields_last(const struct script_fields *fields, struct str name)
{
    for (uint32_t i = fields->count; i-- > 0;)
        if (str_ieq(script_fields_name(fields, i), name))
            return script_fields_value(fields, i);
    return (struct str){0};
}

/* --- what may stand in a field --- */

bool
script_field_name_is_valid(struct str name)
{
    if (name.len == 0 || name.len > UINT16_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (!h1_byte_is(name.ptr[i], H1_BYTE_TOKEN))
            return false;
    return true;
}

bool
script_field_value_is_valid(struct str value)
{
    for (size_t i = 0; i < value.len; i++)
        if (!h1_byte_is(value.ptr[i], H1_BYTE_TEXT))
            return false;
    return true;
}

bool
script_field_matches(struct str name, struct str pattern)
{
    bool open_start = pattern.len && pattern.ptr[0] == '*';
    bool open_end = pattern.len && pattern.ptr[pattern.len - 1] == '*';
    if (open_start && open_end)
        return pattern.len < 2 || str_icontains(name, str_make(pattern.ptr + 1, pattern.len - 2));
    if (open_start)
        pattern = str_skip(pattern, 1);
    if (open_end)
        pattern.len--;
    if (!open_start && !open_end)
        return str_ieq(name, pattern);
    if (name.len < pattern.len)
        return false;
    return str_ieq(open_end ? str_first(name, pattern.len) : str_skip(name, name.len - pattern.len),
                   pattern);
}

/* --- memory --- */

static uint32_t
copy_text(struct buf *to, struct str text)
{
    uint32_t off = (uint32_t)to->len;
    buf_append(to, text);
    return off;
}

/* Room for `need` more bytes of text. What was the text is put into *old, to be freed when nobody
 * looks at it any more. */
static bool
reserve_text(struct script_fields *fields, size_t need, struct buf *old)
{
    struct buf *text = &fields->text, fresh;
    if (text->cap - text->len >= need)
        return true;
    if (need > SCRIPT_FIELDS_MAX - fields->live_len)
        return false;
    size_t len = 2 * (fields->live_len + need);
    len = len < FIRST_TEXT ? FIRST_TEXT : len > SCRIPT_FIELDS_MAX ? SCRIPT_FIELDS_MAX : len;
    buf_init(&fresh, SCRIPT_FIELDS_MAX);
    if (!buf_reserve(&fresh, len))
        return false;
    for (uint32_t i = 0; i < fields->count; i++) {
        struct str name = script_fields_name(fields, i), value = script_fields_value(fields, i);
        fields->list[i].name_off = copy_text(&fresh, name);
        fields->list[i].value_off = copy_text(&fresh, value);
    }
    *old = *text;
    *text = fresh;
    return true;
}

static bool
reserve_count(struct script_fields *fields, uint32_t more)
{
    uint32_t count = fields->count + more;
    if (count > SCRIPT_FIELD_COUNT_MAX)
        return false;
    if (count <= fields->cap)
        return true;
    uint32_t cap = fields->cap ? fields->cap : FIRST_COUNT;
    while (cap < count)
        cap *= 2;
    struct script_field *list = realloc(fields->list, cap * sizeof *list);
    if (!list)
        return false;
    fields->list = list;
    fields->cap = cap;
    return true;
}

/* With room for both. */
static void
put(struct script_fields *fields, struct str name, struct str value)
{
    struct script_field field = {
        .name_len = (uint16_t)name.len,
        .value_len = (uint32_t)value.len,
    };
    field.name_off = copy_text(&fields->text, name);
    field.value_off = copy_text(&fields->text, value);
    fields->list[fields->count++] = field;
    fields->live_len += name.len + value.len;
}

/* --- changes --- */

enum script_fields_result
script_fields_append(struct script_fields *fields, struct str name, struct str value)
{
    struct buf old = {0};
    value = str_trim(value);
    if (!script_field_name_is_valid(name) || !script_field_value_is_valid(value))
        return SCRIPT_FIELDS_INVALID;
    if (name.len + value.len > SCRIPT_FIELDS_MAX - fields->live_len || !reserve_count(fields, 1) ||
        !reserve_text(fields, name.len + value.len, &old))
        return SCRIPT_FIELDS_FULL;
    put(fields, name, value);
    buf_deinit(&old);
    return SCRIPT_FIELDS_OK;
}

enum script_fields_result
script_fields_set_value(struct script_fields *fields, uint32_t at, struct str value)
{
    struct buf old = {0};
    value = str_trim(value);
    if (!script_field_value_is_valid(value))
        return SCRIPT_FIELDS_INVALID;
    size_t others_len = fields->live_len - fields->list[at].value_len;
    if (value.len > SCRIPT_FIELDS_MAX - others_len)
        return SCRIPT_FIELDS_FULL;
    uint32_t before = fields->list[at].value_len;
    fields->list[at].value_len = 0;
    fields->live_len = others_len;
    if (!reserve_text(fields, value.len, &old)) {
        fields->list[at].value_len = before;
        fields->live_len += before;
        return SCRIPT_FIELDS_FULL;
    }
    fields->list[at].value_off = copy_text(&fields->text, value);
    fields->list[at].value_len = (uint32_t)value.len;
    fields->live_len += value.len;
    buf_deinit(&old);
    return SCRIPT_FIELDS_OK;
}

unsigned
script_fields_remove_if(struct script_fields *fields,
                        bool (*goes)(struct str name, struct str pattern), struct str pattern)
{
    uint32_t kept = 0, count = fields->count;
    for (uint32_t i = 0; i < count; i++) {
        const struct script_field field = fields->list[i];
        if (goes(script_fields_name(fields, i), pattern))
            fields->live_len -= field.name_len + field.value_len;
        else
            fields->list[kept++] = field;
    }
    fields->count = kept;
    return count - kept;
}

unsigned
script_fields_remove(struct script_fields *fields, struct str pattern)
{
    return script_fields_remove_if(fields, script_field_matches, pattern);
}

static bool
is_named(struct str name, struct str other)
{
    return str_ieq(name, other);
}

/* Index of the first field of that name, or count. */
static uint32_t
find(const struct script_fields *fields, struct str name)
{
    uint32_t at = 0;
    while (at < fields->count && !str_ieq(script_fields_name(fields, at), name))
        at++;
    return at;
}

/* Removes the fields of that name behind the first, which is at `first`. */
static void
remove_repeated(struct script_fields *fields, uint32_t first)
{
    struct str name = script_fields_name(fields, first);
    uint32_t kept = first + 1;
    for (uint32_t i = first + 1; i < fields->count; i++) {
        const struct script_field field = fields->list[i];
        if (str_ieq(script_fields_name(fields, i), name))
            fields->live_len -= field.name_len + field.value_len;
        else
            fields->list[kept++] = field;
    }
    fields->count = kept;
}

enum script_fields_result
script_fields_set(struct script_fields *fields, struct str name, struct str value)
{
    if (!script_field_name_is_valid(name) || !script_field_value_is_valid(value))
        return SCRIPT_FIELDS_INVALID;
    if (value.len == 0) {
        script_fields_remove_if(fields, is_named, name);
        return SCRIPT_FIELDS_OK;
    }
    uint32_t at = find(fields, name);
    if (at == fields->count)
        return script_fields_append(fields, name, value);
    enum script_fields_result result = script_fields_set_value(fields, at, value);
    if (result == SCRIPT_FIELDS_OK)
        remove_repeated(fields, at);
    return result;
}

/* --- from and to bytes --- */

enum script_fields_result
script_fields_add_head(struct script_fields *fields, const struct http_head *head)
{
    struct buf old = {0};
    size_t len = 0;
    for (unsigned i = 0; i < head->field_count; i++)
        len += head->fields[i].name_len + (size_t)head->fields[i].value_len;
    if (len > SCRIPT_FIELDS_MAX - fields->live_len || !reserve_count(fields, head->field_count) ||
        !reserve_text(fields, len, &old))
        return SCRIPT_FIELDS_FULL;
    for (unsigned i = 0; i < head->field_count; i++)
        put(fields, http_field_name(head, &head->fields[i]),
            http_field_value(head, &head->fields[i]));
    buf_deinit(&old);
    return SCRIPT_FIELDS_OK;
}

enum script_fields_result
script_fields_add_block(struct script_fields *fields, struct str block)
{
    while (block.len) {
        struct str line = str_cut(&block, '\n');
        if (line.len == 0 || line.ptr[line.len - 1] != '\r')
            return SCRIPT_FIELDS_INVALID;
        line.len--;
        if (str_find_char(line, ':') == line.len)
            return SCRIPT_FIELDS_INVALID;
        struct str name = str_cut(&line, ':');
        enum script_fields_result result = script_fields_append(fields, name, line);
        if (result != SCRIPT_FIELDS_OK)
            return result;
    }
    return SCRIPT_FIELDS_OK;
}

void
script_fields_write(const struct script_fields *fields, struct buf *out)
{
    for (uint32_t i = 0; i < fields->count; i++) {
        buf_append(out, script_fields_name(fields, i));
        buf_append(out, STR(": "));
        buf_append(out, script_fields_value(fields, i));
        buf_append(out, STR("\r\n"));
    }
}
