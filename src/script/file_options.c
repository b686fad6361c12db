/* The options of zs_file_server: their JSON, and the patterns of `hide`. */
#include "script/file_server.h"

#include "base/json.h"
#include "http/accept.h"

/* --- reading --- */

static bool
read_flag(struct json *json, bool *out)
{
    char kind = json_peek(json);
    if (kind == 't' || kind == 'f')
        *out = kind == 't';
    return (kind == 't' || kind == 'f' || kind == 'n') && json_skip(json);
}

static bool
read_text(struct json *json, struct arena *arena, struct str *out)
{
    return json_peek(json) == 'n' ? json_skip(json) : json_string(json, arena, out);
}

static bool
read_names(struct json *json, struct arena *arena, const struct script_name **out)
{
    struct script_name *first = NULL, **end = &first;
    if (json_peek(json) == 'n')
        return json_skip(json);
    if (!json_array(json))
        return false;
    while (json_item(json)) {
        struct script_name *name = arena_alloc(arena, sizeof *name);
        if (!name || !json_string(json, arena, &name->text))
            return false;
        *end = name;
        end = &name->next;
    }
    *out = first;
    return !json->failed;
}

/* true, or an object with options for how it looks, of which we have none. */
static bool
read_browse(struct json *json, bool *out)
{
    if (json_peek(json) != '{')
        return read_flag(json, out);
    *out = true;
    return json_skip(json);
}

static bool
read_codings(struct json *json, uint8_t *out)
{
    struct str name;
    if (json_peek(json) == 'n')
        return json_skip(json);
    if (!json_object(json))
        return false;
    *out = 1 << HTTP_CODING_IDENTITY;
    while (json_member(json, &name)) {
        for (unsigned i = 0; i < HTTP_CODING_COUNT; i++)
            if (str_eq(name, http_coding_name(i)))
                *out |= (uint8_t)(1 << i);
        json_skip(json);
    }
    return !json->failed;
}

/* A number or the same as text. */
static bool
read_status(struct json *json, struct arena *arena, struct str *out)
{
    uint64_t number;
    char kind = json_peek(json);
    if (kind == '"' || kind == 'n')
        return read_text(json, arena, out);
    if (!json_u64(json, &number))
        return false;
    *out = arena_printf(arena, "%llu", (unsigned long long)number);
    return out->ptr;
}

static bool
read_option(struct json *json, struct str name, struct arena *arena,
            struct script_file_options *out)
{
    if (str_eq(name, STR("root")))
        return read_text(json, arena, &out->root);
    if (str_eq(name, STR("fs")))
        return read_text(json, arena, &out->fs);
    if (str_eq(name, STR("hide")))
        return read_names(json, arena, &out->hide);
    if (str_eq(name, STR("index_names"))) {
        out->has_index_names = json_peek(json) == '[';
        return read_names(json, arena, &out->index_names);
    }
    if (str_eq(name, STR("browse")))
        return read_browse(json, &out->browse);
    if (str_eq(name, STR("canonical_uris")))
        return read_flag(json, &out->canonical_uris);
    if (str_eq(name, STR("status_code")))
        return read_status(json, arena, &out->status_code);
    if (str_eq(name, STR("pass_thru")))
        return read_flag(json, &out->pass_thru);
    if (str_eq(name, STR("precompressed")))
        return read_codings(json, &out->codings);
    return json_skip(json);
}

bool
script_file_options_read(struct str text, struct arena *arena, struct script_file_options *out,
                         struct str *fault)
{
    struct json json;
    struct str name;
    *out = (struct script_file_options){.canonical_uris = true, .codings = UINT8_MAX};
    *fault = STR("");
    json_init(&json, text);
    if (!json_object(&json))
        return false;
    while (json_member(&json, &name))
        if (!read_option(&json, name, arena, out)) {
            *fault = name;
            return false;
        }
    return json_done(&json);
}

/* --- patterns --- */

/* One character of a class, which may be written with a backslash. False: there is none. */
static bool
take_class_char(struct str *pattern, char *c)
{
    if (pattern->len > 1 && pattern->ptr[0] == '\\')
        *pattern = str_skip(*pattern, 1);
    if (pattern->len == 0)
        return false;
    *c = pattern->ptr[0];
    *pattern = str_skip(*pattern, 1);
    return true;
}

/* Takes a class from behind its '['. False: malformed, which matches nothing. */
static bool
take_class(struct str *pattern, char c, bool *matches)
{
    bool negated = str_starts_with(*pattern, STR("^")), found = false, empty = true;
    *pattern = str_skip(*pattern, negated);
    while (empty || !str_starts_with(*pattern, STR("]"))) {
        char low, high;
        if (str_starts_with(*pattern, STR("-")) || !take_class_char(pattern, &low))
            return false;
        high = low;
        if (str_starts_with(*pattern, STR("-"))) {
            *pattern = str_skip(*pattern, 1);
            if (str_starts_with(*pattern, STR("]")) || !take_class_char(pattern, &high))
                return false;
        }
        found |= (unsigned char)low <= (unsigned char)c && (unsigned char)c <= (unsigned char)high;
        empty = false;
    }
    *pattern = str_skip(*pattern, 1);
    *matches = found != negated;
    return true;
}

/* Takes from the pattern what stands for one character, which is not "*". */
static bool
take_one(struct str *pattern, char c)
{
    bool matches = true;
    char kind = pattern->ptr[0];
    *pattern = str_skip(*pattern, 1);
    if (kind == '?')
        return true;
    if (kind == '[')
        return take_class(pattern, c, &matches) && matches;
    if (kind == '\\') {
        if (pattern->len == 0)
            return false;
        kind = pattern->ptr[0];
        *pattern = str_skip(*pattern, 1);
    }
    return kind == c;
}

static void
count_steps(uint32_t *steps, size_t count)
{
    *steps -= count < *steps ? (uint32_t)count : *steps;
}

/* Only the last "*" is gone back to: an earlier one could not match more than it does. */
bool
script_glob_matches(struct str pattern, struct str name, uint32_t *steps)
{
    struct str behind_star = {0}, star_name = {0};
    bool has_star = false;
    while (name.len || pattern.len) {
        struct str before = pattern;
        if (*steps == 0)
            return true;
        count_steps(steps, 1);
        if (pattern.len && pattern.ptr[0] == '*') {
            behind_star = pattern = str_skip(pattern, 1);
            star_name = name;
            has_star = true;
            continue;
        }
        bool matches = pattern.len && name.len && take_one(&pattern, name.ptr[0]);
        count_steps(steps, before.len - pattern.len);
        if (matches) {
            name = str_skip(name, 1);
        } else if (has_star && star_name.len) {
            star_name = str_skip(star_name, 1);
            name = star_name;
            pattern = behind_star;
        } else {
            return false;
        }
    }
    return true;
}

/* A pattern with "/": the path itself, or something above it, or as many segments that match. */
static bool
path_matches(struct str pattern, struct str path, uint32_t *steps)
{
    if (str_starts_with(path, pattern) && (path.len == pattern.len || path.ptr[pattern.len] == '/'))
        return true;
    for (;;) {
        bool more = str_find_char(pattern, '/') < pattern.len;
        if (more != (str_find_char(path, '/') < path.len) ||
            !script_glob_matches(str_cut(&pattern, '/'), str_cut(&path, '/'), steps))
            return false;
        if (!more)
            return true;
    }
}

static bool
segment_matches(struct str pattern, struct str path, uint32_t *steps)
{
    while (path.len)
        if (script_glob_matches(pattern, str_cut(&path, '/'), steps))
            return true;
    return false;
}

bool
script_is_hidden(struct script_hide *hide, struct str path)
{
    for (const struct script_name *name = hide->patterns; name && path.len; name = name->next) {
        struct str pattern = str_trim(name->text);
        bool has_slash = str_find_char(pattern, '/') < pattern.len;
        if (pattern.len && (has_slash ? path_matches(pattern, path, &hide->steps_left)
                                      : segment_matches(pattern, path, &hide->steps_left)))
            return true;
    }
    return false;
}
