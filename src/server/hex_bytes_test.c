#include "server/hex_bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { BYTES_MAX = 4 };

/* Reads `text` in pieces of `step` characters. 0 or -1 with `error`. */
static int
read_in_steps(struct buf *out, const char *text, size_t step, struct error *error)
{
    struct hex_bytes hex;
    struct str rest = str_from_cstr(text);
    buf_clear(out);
    hex_bytes_init(&hex, out);
    while (rest.len) {
        if (hex_bytes_read(&hex, str_first(rest, step), error) != 0)
            return -1;
        rest = str_skip(rest, step);
    }
    return hex_bytes_end(&hex, error);
}

static void
check_bytes(const char *text, const char *bytes, size_t len)
{
    struct buf out;
    struct error error;
    buf_init(&out, BYTES_MAX);
    for (size_t step = 1; step < 8; step++) {
        if (read_in_steps(&out, text, step, &error) != 0)
            fail_msg("'%s': %s", text, error.text);
        assert_int_equal(out.len, len);
        if (len)
            assert_memory_equal(out.ptr, bytes, len);
    }
    buf_deinit(&out);
}

static void
check_refused(const char *text, const char *expected)
{
    struct buf out;
    struct error error;
    buf_init(&out, BYTES_MAX);
    for (size_t step = 1; step < 8; step++) {
        assert_int_equal(read_in_steps(&out, text, step, &error), -1);
        assert_string_equal(error.text, expected);
    }
    buf_deinit(&out);
}

static void
test_pairs_with_and_without_blanks(void **state)
{
    check_bytes("", "", 0);
    check_bytes(" \t\r\n", "", 0);
    check_bytes("00", "\0", 1);
    check_bytes("1aFf", "\x1a\xff", 2);
    check_bytes(" 1a  ff\n80 7F ", "\x1a\xff\x80\x7f", 4);
}

static void
test_what_is_no_byte_is_named_by_its_place(void **state)
{
    check_refused("1a f 00", "a hexadecimal digit stands alone at character 4");
    check_refused("1a f", "a hexadecimal digit stands alone at character 4");
    check_refused("0x1a", "'x' at character 2 is no hexadecimal digit");
    check_refused("00 g", "'g' at character 4 is no hexadecimal digit");
    check_refused("\x01", "the byte 0x01 at character 1 is no hexadecimal digit");
    check_refused("00\xc3\xa4", "the byte 0xc3 at character 3 is no hexadecimal digit");
}

static void
test_there_is_a_ceiling(void **state)
{
    check_bytes("01020304", "\1\2\3\4", 4);
    check_refused("0102030405", "no memory, or more than 4 bytes");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs_with_and_without_blanks),
        cmocka_unit_test(test_what_is_no_byte_is_named_by_its_place),
        cmocka_unit_test(test_there_is_a_ceiling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
