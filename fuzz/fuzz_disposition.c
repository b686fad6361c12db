/* Fuzzes names in Content-Disposition. Input: the decoded name.
 *
 * Checked: the line is one line, its parameters can be read back, nothing that does not belong into
 * a file name is in them, and a name that needs no change comes back as it is.
 */
#include "http/disposition.h"

#include <stdlib.h>

#include "base/limits.h"

enum { INPUT_MAX = 1024 };

static void
check(bool holds)
{
    if (!holds)
        abort();
}

static void
check_name(struct str name)
{
    check(name.len > 0 && name.len <= DISPOSITION_NAME_MAX && str_is_utf8(name));
    check(!str_eq(name, STR(".")) && !str_eq(name, STR("..")));
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        check(c >= 0x20 && c != 0x7f && c != '/' && c != '\\');
        check(c != 0xc2 || (unsigned char)name.ptr[i + 1] >= 0xa0);
    }
    static const char *const turning[] = {"\xe2\x80\xae", "\xe2\x80\xaa", "\xe2\x81\xa6",
                                          "\xe2\x80\xa8", "\xe2\x80\x8f", "\xd8\x9c"};
    for (size_t i = 0; i < sizeof turning / sizeof *turning; i++)
        check(str_find(name, str_from_cstr(turning[i])) == name.len);
}

/* Reads a quoted string from the front of *s. Returns the length of its content. */
static size_t
read_quoted(struct str *s, char *out)
{
    size_t len = 0, i = 1;
    check(s->len && s->ptr[0] == '"');
    for (; i < s->len && s->ptr[i] != '"'; i++) {
        if (s->ptr[i] == '\\')
            check(++i < s->len);
        check(s->ptr[i] >= 0x20 && s->ptr[i] < 0x7f);
        out[len++] = s->ptr[i];
    }
    check(i < s->len);
    *s = str_skip(*s, i + 1);
    return len;
}

static size_t
read_extended(struct str s, char *out)
{
    static const struct str start = STR_INIT("; filename*=UTF-8''");
    size_t len = 0;
    check(str_starts_with(s, start));
    for (size_t i = start.len; i < s.len; i++) {
        out[len] = s.ptr[i];
        if (s.ptr[i] == '%') {
            check(s.len - i > 2);
            char digits[3] = {s.ptr[i + 1], s.ptr[i + 2], '\0'};
            check(strspn(digits, "0123456789ABCDEF") == 2);
            out[len] = (char)strtol(digits, NULL, 16);
            i += 2;
        } else {
            check(s.ptr[i] > 0x20 && s.ptr[i] < 0x7f && !strchr("()<>@,;:\\\"/[]?={}*'", s.ptr[i]));
        }
        len++;
    }
    return len;
}

/* Whether the name may stand as it is: printable ASCII without separators, and no special name. */
static bool
is_harmless(struct str name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] < 0x20 || name.ptr[i] >= 0x7f || strchr("/\\", name.ptr[i]))
            return false;
    return name.len && name.len <= DISPOSITION_NAME_MAX && !str_eq(name, STR(".")) &&
           !str_eq(name, STR(".."));
}

static void
check_line(struct str line, struct str name)
{
    static const struct str start = STR_INIT("Content-Disposition: attachment; filename=");
    char quoted[DISPOSITION_NAME_MAX], extended[3 * DISPOSITION_NAME_MAX];
    check(str_starts_with(line, start) && str_ends_with(line, STR("\r\n")));
    struct str rest = str_skip(str_first(line, line.len - 2), start.len);
    struct str got = str_make(quoted, read_quoted(&rest, quoted));
    check_name(got);
    check(!is_harmless(name) || str_eq(got, name));
    check((rest.len > 0) == (str_find_char(got, '%') < got.len) ||
          str_find_char(got, '_') < got.len);
    if (rest.len) {
        got = str_make(extended, read_extended(rest, extended));
        check_name(got);
        check(!is_harmless(name) || str_eq(got, name));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    if (size > INPUT_MAX)
        return 0;
    char *exact = malloc(size ? size : 1);
    check(exact != NULL);
    memcpy(exact, data, size);
    struct str name = str_make(exact, size);
    arena_init(&arena, 8 * INPUT_MAX, 1024);
    struct str line = disposition_line(name, &arena);
    check(line.ptr && !arena_overflowed(&arena));
    check_line(line, name);
    arena_deinit(&arena);
    free(exact);
    return 0;
}
