#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void
assert_str(struct str got, const char *wanted)
{
    if (!str_eq(got, str_from_cstr(wanted)))
        fail_msg("'%.*s' is not '%s'", STR_ARG(got), wanted);
}

static void
an_empty_str_may_have_no_pointer(void **state)
{
    const struct str none = {0};
    size_t at = str_find_char(none, 'x') + str_find_last_char(none, 'x') + str_find(none, STR("x"));
    uint64_t number;
    assert_int_equal(at, 0);
    assert_int_equal(str_from_cstr(NULL).len, 0);
    assert_true(str_eq(none, STR("")));
    assert_true(str_ieq(none, STR("")));
    assert_int_equal(str_cmp(none, STR("")), 0);
    assert_true(str_starts_with(none, STR("")));
    assert_true(str_ends_with(none, none));
    assert_int_equal(str_skip(none, 5).len, 0);
    assert_int_equal(str_first(none, 5).len, 0);
    assert_int_equal(str_trim(none).len, 0);
    assert_true(str_is_utf8(none));
    assert_false(str_to_u64(none, &number));
    assert_int_equal(str_distance(none, none, 3), 0);
}

static void
equality_is_of_length_and_bytes(void **state)
{
    assert_true(str_eq(STR("ab"), STR("ab")));
    assert_false(str_eq(STR("ab"), STR("abc")));
    assert_false(str_eq(STR("ab"), STR("aB")));
    assert_true(str_eq(STR("a\0b"), STR("a\0b")));
    assert_false(str_eq(STR("a\0b"), STR("a\0c")));
    assert_true(str_ieq(STR("Content-LENGTH"), STR("content-length")));
    assert_false(str_ieq(STR("a"), STR("ab")));
    /* '[' and '{' differ by the bit that makes a letter small, and so do '@' and '`'. */
    assert_false(str_ieq(STR("["), STR("{")));
    assert_false(str_ieq(STR("@"), STR("`")));
    assert_false(str_ieq(STR("\xc4"), STR("\xe4")));
}

static void
order_is_by_bytes_then_length(void **state)
{
    const struct str sorted[] = {STR(""), STR("A"), STR("a"), STR("a\0"), STR("aa"), STR("\xff")};
    const size_t count = sizeof sorted / sizeof *sorted;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < count; j++) {
            int order = str_cmp(sorted[i], sorted[j]);
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
        }
}

static void
parts_are_cut_within_bounds(void **state)
{
    assert_str(str_skip(STR("abc"), 0), "abc");
    assert_str(str_skip(STR("abc"), 2), "c");
    assert_str(str_skip(STR("abc"), 3), "");
    assert_str(str_skip(STR("abc"), SIZE_MAX), "");
    assert_str(str_first(STR("abc"), 2), "ab");
    assert_str(str_first(STR("abc"), SIZE_MAX), "abc");
    assert_true(str_starts_with(STR("abc"), STR("ab")));
    assert_false(str_starts_with(STR("a"), STR("ab")));
    assert_true(str_ends_with(STR("abc"), STR("bc")));
    assert_false(str_ends_with(STR("c"), STR("bc")));
}

static void
searches_end_at_the_length_when_there_is_nothing(void **state)
{
    assert_int_equal(str_find_char(STR("a/b/c"), '/'), 1);
    assert_int_equal(str_find_last_char(STR("a/b/c"), '/'), 3);
    assert_int_equal(str_find_char(STR("abc"), '/'), 3);
    assert_int_equal(str_find_last_char(STR("abc"), '/'), 3);
    assert_int_equal(str_find(STR("abcbc"), STR("bc")), 1);
    assert_int_equal(str_find(STR("abc"), STR("cb")), 3);
    assert_int_equal(str_find(STR("abc"), STR("")), 0);
    assert_int_equal(str_find(str_first(STR("abc"), 2), STR("bc")), 2);
    assert_true(str_icontains(STR("a/B/c"), STR("/b")) && str_icontains(STR("abc"), STR("BC")));
    assert_true(str_icontains(STR("abc"), STR("")) && str_icontains((struct str){0}, STR("")));
    assert_false(str_icontains(STR("abc"), STR("abcd")) || str_icontains(STR("a@"), STR("a`")));
    assert_false(str_icontains(str_first(STR("abc"), 2), STR("bc")));
}

static void
trim_takes_blanks_at_both_ends(void **state)
{
    assert_str(str_trim(STR(" \t a b\t ")), "a b");
    assert_str(str_trim(STR(" \t")), "");
    assert_str(str_trim(STR("\r\na\v")), "\r\na\v");
}

static void
cut_gives_one_piece_after_the_other(void **state)
{
    struct str rest = STR("a,,b,");
    assert_str(str_cut(&rest, ','), "a");
    assert_str(str_cut(&rest, ','), "");
    assert_str(str_cut(&rest, ','), "b");
    assert_int_equal(rest.len, 0);
    assert_str(str_cut(&rest, ','), "");
    rest = STR("whole");
    assert_str(str_cut(&rest, ','), "whole");
    assert_int_equal(rest.len, 0);
}

static void
numbers_are_digits_within_range(void **state)
{
    static const char *const wrong[] = {"",
                                        "-1",
                                        "+1",
                                        " 1",
                                        "1 ",
                                        "0x",
                                        "1.0",
                                        "1e2",
                                        "/",
                                        ":",
                                        "18446744073709551616",
                                        "99999999999999999999999"};
    uint64_t value = 7;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_false(str_to_u64(str_from_cstr(wrong[i]), &value));
        assert_int_equal(value, 7);
    }
    assert_true(str_to_u64(STR("0"), &value) && value == 0);
    assert_true(str_to_u64(STR("0009"), &value) && value == 9);
    assert_true(str_to_u64(STR("18446744073709551615"), &value) && value == UINT64_MAX);
}

/* Decodes one sequence by arithmetic, without a table of bounds. */
static size_t
model_utf8_len(const unsigned char *p, size_t left)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = p[0] < 0x80           ? 1
                 : (p[0] >> 5) == 0x06 ? 2
                 : (p[0] >> 4) == 0x0e ? 3
                 : (p[0] >> 3) == 0x1e ? 4
                                       : 0;
    if (len < 2)
        return len;
    if (left < len)
        return 0;
    uint32_t code = p[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (p[i] & 0x3f);
    }
    return code < least[len] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? 0 : len;
}

static void
utf8_agrees_with_arithmetic(void **state)
{
    static const unsigned char tails[] = {0x00, 0x7f, 0x80, 0x8f, 0x90,
                                          0x9f, 0xa0, 0xbf, 0xc0, 0xff};
    enum { TAILS = sizeof tails };
    for (unsigned first = 0; first < 256; first++)
        for (unsigned i = 0; i < TAILS * TAILS * TAILS; i++)
            for (size_t len = 1; len <= 4; len++) {
                const unsigned char bytes[4] = {(unsigned char)first, tails[i % TAILS],
                                                tails[i / TAILS % TAILS], tails[i / TAILS / TAILS]};
                size_t at = 0, step;
                while (at < len && (step = model_utf8_len(bytes + at, len - at)) != 0)
                    at += step;
                if (str_is_utf8(str_make((const char *)bytes, len)) != (at == len))
                    fail_msg("%02x %02x %02x %02x, %zu bytes", bytes[0], bytes[1], bytes[2],
                             bytes[3], len);
            }
}

static void
distance_counts_edits_up_to_a_cap(void **state)
{
    char longest[65];
    memset(longest, 'a', sizeof longest);
    assert_int_equal(str_distance(STR("kitten"), STR("sitting"), 9), 3);
    assert_int_equal(str_distance(STR("sitting"), STR("kitten"), 9), 3);
    assert_int_equal(str_distance(STR(""), STR("abc"), 9), 3);
    assert_int_equal(str_distance(STR("same"), STR("same"), 0), 0);
    assert_int_equal(str_distance(STR("port"), STR("prot"), 9), 2);
    assert_int_equal(str_distance(STR("kitten"), STR("sitting"), 2), 3);
    assert_int_equal(str_distance(str_make(longest, 63), str_make(longest, 62), 9), 1);
    assert_int_equal(str_distance(str_make(longest, 64), str_make(longest, 64), 9), 10);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_str_may_have_no_pointer),
        cmocka_unit_test(equality_is_of_length_and_bytes),
        cmocka_unit_test(order_is_by_bytes_then_length),
        cmocka_unit_test(parts_are_cut_within_bounds),
        cmocka_unit_test(searches_end_at_the_length_when_there_is_nothing),
        cmocka_unit_test(trim_takes_blanks_at_both_ends),
        cmocka_unit_test(cut_gives_one_piece_after_the_other),
        cmocka_unit_test(numbers_are_digits_within_range),
        cmocka_unit_test(utf8_agrees_with_arithmetic),
        cmocka_unit_test(distance_counts_edits_up_to_a_cap),
    };
    return cmocka_run_group_tests_name("str", tests, NULL, NULL);
}
