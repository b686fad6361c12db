#include "http/head.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct name_row {
    enum http_field_id id;
    struct str text;
};

static const struct name_row names[] = {
#define X(name, text) {HTTP_FIELD_##name, STR_INIT(text)},
    HTTP_FIELD_TABLE(X) HTTP_RESPONSE_FIELD_TABLE(X)
#undef X
};

enum { NAME_COUNT = sizeof(names) / sizeof(names[0]) };

/* Of requests the first of them are known, of responses all. */
struct lookup {
    enum http_field_id (*id_of)(struct str name);
    unsigned count;
};

static const struct lookup lookups[] = {
    {http_field_id, HTTP_FIELD_ID_COUNT - 1},
    {http_response_field_id, NAME_COUNT},
};

static char
upper_char(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 0x20) : c;
}

static void
assert_found_in_any_case(const struct lookup *lookup, const struct name_row *row)
{
    char text[32];
    for (unsigned pattern = 0; pattern < 3; pattern++) {
        for (size_t at = 0; at < row->text.len; at++) {
            char c = row->text.ptr[at];
            bool upper = pattern == 1 || (pattern == 2 && at % 2 == 0);
            text[at] = upper ? upper_char(c) : c;
        }
        if (lookup->id_of(str_make(text, row->text.len)) != row->id)
            fail_msg("'%.*s' is not found", (int)row->text.len, text);
    }
}

static void
every_known_name_is_found_in_any_case(void **state)
{
    assert_int_equal(NAME_COUNT, HTTP_RESPONSE_FIELD_ID_COUNT - 1);
    for (unsigned l = 0; l < 2; l++)
        for (unsigned i = 0; i < lookups[l].count; i++)
            assert_found_in_any_case(&lookups[l], &names[i]);
}

static void
names_of_responses_are_other_in_requests(void **state)
{
    for (unsigned i = HTTP_FIELD_ID_COUNT - 1; i < NAME_COUNT; i++)
        assert_int_equal(http_field_id(names[i].text), HTTP_FIELD_OTHER);
}

static enum http_field_id
searched_id(const struct lookup *lookup, struct str name)
{
    for (unsigned k = 0; k < lookup->count; k++)
        if (str_ieq(name, names[k].text))
            return names[k].id;
    return HTTP_FIELD_OTHER;
}

/* One byte changed in any way but case, one dropped, or one added: another name. */
static void
assert_near_are_other(const struct lookup *lookup, struct str name)
{
    char text[32];
    size_t len = name.len;
    for (size_t at = 0; at < len; at++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            memcpy(text, name.ptr, len);
            text[at] = (char)byte;
            struct str near = str_make(text, len);
            if (lookup->id_of(near) != searched_id(lookup, near))
                fail_msg("'%.*s' is taken for a known name", (int)len, text);
        }
    }
    memcpy(text, name.ptr, len);
    text[len] = 's';
    assert_int_equal(lookup->id_of(str_make(text, len + 1)), HTTP_FIELD_OTHER);
    struct str shorter = str_make(text, len - 1);
    assert_int_equal(lookup->id_of(shorter), searched_id(lookup, shorter));
}

static void
names_near_a_known_one_are_other(void **state)
{
    for (unsigned l = 0; l < 2; l++) {
        for (unsigned i = 0; i < NAME_COUNT; i++)
            assert_near_are_other(&lookups[l], names[i].text);
        assert_int_equal(lookups[l].id_of((struct str){0}), HTTP_FIELD_OTHER);
        assert_int_equal(lookups[l].id_of(STR("if-unmodified-since-then")), HTTP_FIELD_OTHER);
    }
}

static void
methods_are_case_sensitive(void **state)
{
    const char *texts[] = {"GET",    "HEAD",  "OPTIONS", "POST", "PUT",
                           "DELETE", "PATCH", "CONNECT", "TRACE"};
    for (unsigned i = 0; i < 9; i++) {
        struct str text = str_from_cstr(texts[i]);
        assert_int_equal(http_method_id(text), HTTP_METHOD_GET + i);
        for (size_t at = 0; at < text.len; at++) {
            char other[8];
            memcpy(other, text.ptr, text.len);
            other[at] = (char)(other[at] | 0x20);
            assert_int_equal(http_method_id(str_make(other, text.len)), HTTP_METHOD_OTHER);
        }
        assert_int_equal(http_method_id(str_first(text, text.len - 1)), HTTP_METHOD_OTHER);
    }
    assert_int_equal(http_method_id((struct str){0}), HTTP_METHOD_OTHER);
    assert_int_equal(http_method_id(STR("PROPFIND")), HTTP_METHOD_OTHER);
}

/* base "abcdef": values are cut out of it. */
static void
add_value(struct http_head *head, enum http_field_id id, uint32_t off, uint32_t len)
{
    assert_true(http_head_add(head, 0, 1, off, len, id));
}

static void
first_of_a_name_is_remembered(void **state)
{
    struct http_field fields[3];
    struct http_head head;
    http_head_init(&head, fields, 3);
    head.base = "abcdef";
    add_value(&head, HTTP_FIELD_OTHER, 0, 1);
    add_value(&head, HTTP_FIELD_COOKIE, 1, 2);
    add_value(&head, HTTP_FIELD_COOKIE, 3, 2);
    assert_true(str_eq(http_head_value(&head, HTTP_FIELD_COOKIE), STR("bc")));
    assert_false(http_head_has(&head, HTTP_FIELD_OTHER));
    assert_false(http_head_has(&head, HTTP_FIELD_HOST));
    assert_false(http_head_add(&head, 0, 1, 0, 1, HTTP_FIELD_HOST));
    assert_false(http_head_has(&head, HTTP_FIELD_HOST));
    assert_int_equal(head.field_count, 3);
}

static void
init_empties_a_used_head(void **state)
{
    struct http_field fields[2];
    struct http_head head;
    memset(&head, 0xff, sizeof(head));
    http_head_init(&head, fields, 2);
    struct http_head wanted;
    memset(&wanted, 0, sizeof(wanted));
    wanted.fields = fields;
    wanted.field_max = 2;
    assert_memory_equal(&head, &wanted, sizeof(head));
}

static void
list_joins_all_lines_of_a_name(void **state)
{
    struct http_field fields[5];
    struct http_head head;
    char scratch[16];
    struct str list;
    http_head_init(&head, fields, 5);
    head.base = "abcdef";
    assert_true(http_head_list(&head, HTTP_FIELD_ACCEPT, NULL, 0, &list));
    assert_null(list.ptr);
    add_value(&head, HTTP_FIELD_ACCEPT, 0, 2);
    assert_true(http_head_list(&head, HTTP_FIELD_ACCEPT, NULL, 0, &list));
    assert_ptr_equal(list.ptr, head.base);
    add_value(&head, HTTP_FIELD_RANGE, 0, 6);
    add_value(&head, HTTP_FIELD_ACCEPT, 2, 0);
    add_value(&head, HTTP_FIELD_OTHER, 0, 6);
    add_value(&head, HTTP_FIELD_ACCEPT, 3, 3);
    assert_true(http_head_list(&head, HTTP_FIELD_ACCEPT, scratch, 9, &list));
    assert_true(str_eq(list, STR("ab, , def")));
    for (size_t len = 0; len < 9; len++)
        assert_false(http_head_list(&head, HTTP_FIELD_ACCEPT, scratch, len, &list));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_known_name_is_found_in_any_case),
        cmocka_unit_test(names_of_responses_are_other_in_requests),
        cmocka_unit_test(names_near_a_known_one_are_other),
        cmocka_unit_test(methods_are_case_sensitive),
        cmocka_unit_test(first_of_a_name_is_remembered),
        cmocka_unit_test(init_empties_a_used_head),
        cmocka_unit_test(list_joins_all_lines_of_a_name),
    };
    return cmocka_run_group_tests_name("head", tests, NULL, NULL);
}
