#include "base/buf.h"
#include "base/limits.h"
#include "http/client_hello.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* --- building a message --- */

struct hello {
    struct buf bytes;
};

static void
put_number(struct buf *out, unsigned width, size_t value)
{
    while (width--)
        buf_append_char(out, (char)(value >> 8 * width));
}

static void
put_extension(struct buf *out, unsigned type, struct str content)
{
    put_number(out, 2, type);
    put_number(out, 2, content.len);
    buf_append(out, content);
}

#define SNI_CONTENT STR("\0\x0e\0\0\13example.com")
#define ALPN_CONTENT STR("\0\x0c\2h2\x08http/1.1")
#define ALGORITHMS_CONTENT STR("\0\4\4\3\x08\4")
#define VERSIONS_CONTENT STR("\6\x0a\x0a\3\4\3\3")

static void
put_usual_extensions(struct buf *out)
{
    put_extension(out, 0x1a1a, STR(""));
    put_extension(out, 0, SNI_CONTENT);
    put_extension(out, 16, ALPN_CONTENT);
    put_extension(out, 13, ALGORITHMS_CONTENT);
    put_extension(out, 43, VERSIONS_CONTENT);
}

/* The message around a block of extensions; with `block` NULL without one. */
static void
put_hello_with(struct buf *out, struct str ciphers, const struct buf *block)
{
    struct buf body;
    buf_init(&body, 1 << 20);
    put_number(&body, 2, 0x0303);
    for (unsigned i = 0; i < 32; i++)
        buf_append_char(&body, (char)i);
    put_number(&body, 1, 3);
    buf_append(&body, STR("sid"));
    put_number(&body, 2, ciphers.len);
    buf_append(&body, ciphers);
    buf_append(&body, STR("\1\0"));
    if (block) {
        put_number(&body, 2, block->len);
        buf_append(&body, buf_str(block));
    }
    put_number(out, 1, 1);
    put_number(out, 3, body.len);
    buf_append(out, buf_str(&body));
    assert_false(buf_overflowed(&body) || buf_overflowed(out));
    buf_deinit(&body);
}

#define CIPHERS STR("\x3a\x3a\x13\1\x13\2")

static int
setup(void **state)
{
    struct hello *hello = calloc(1, sizeof *hello);
    struct buf block;
    buf_init(&block, 1 << 20);
    put_usual_extensions(&block);
    buf_init(&hello->bytes, 1 << 20);
    put_hello_with(&hello->bytes, CIPHERS, &block);
    buf_deinit(&block);
    *state = hello;
    return 0;
}

static int
teardown(void **state)
{
    struct hello *hello = *state;
    buf_deinit(&hello->bytes);
    free(hello);
    return 0;
}

/* Parses a copy of exact size, so that a read past its end is seen. */
static bool
parses(struct str message)
{
    struct client_hello out;
    char *copy = malloc(message.len ? message.len : 1);
    memcpy(copy, message.ptr, message.len);
    bool good = client_hello_parse(&out, copy, message.len);
    free(copy);
    return good;
}

/* Whether a message with this one extension parses. */
static bool
extension_parses(unsigned type, struct str content)
{
    struct buf block, message;
    buf_init(&block, 1 << 20);
    buf_init(&message, 1 << 20);
    put_extension(&block, type, content);
    put_hello_with(&message, CIPHERS, &block);
    bool good = parses(buf_str(&message));
    buf_deinit(&block);
    buf_deinit(&message);
    return good;
}

#define assert_str(s, expected)                                           \
    do {                                                                  \
        struct str checked = (s);                                         \
        assert_int_equal(checked.len, sizeof(expected) - 1);              \
        assert_memory_equal(checked.ptr, expected, sizeof(expected) - 1); \
    } while (0)

/* --- the message --- */

static void
test_fields_are_found(void **state)
{
    const struct hello *hello = *state;
    struct client_hello out;
    assert_true(client_hello_parse(&out, hello->bytes.ptr, hello->bytes.len));
    assert_int_equal(out.legacy_version, 0x0303);
    assert_int_equal(out.random.len, 32);
    assert_int_equal(out.random.ptr[31], 31);
    assert_str(out.session_id, "sid");
    assert_str(out.ciphers, "\x3a\x3a\x13\1\x13\2");
    assert_int_equal(out.cipher_count, 3);
    assert_int_equal(client_hello_u16(out.ciphers, 2), 0x1302);
    assert_int_equal(out.extension_count, 5);
    assert_true(out.has_sni);
    assert_str(out.sni, "example.com");
    assert_str(out.signature_algorithms, "\4\3\x08\4");
    assert_str(out.versions, "\x0a\x0a\3\4\3\3");
    assert_str(client_hello_next_alpn(&out.alpn), "h2");
    assert_str(client_hello_next_alpn(&out.alpn), "http/1.1");
    assert_int_equal(out.alpn.len, 0);
}

static void
test_extensions_are_walked_in_order(void **state)
{
    const struct hello *hello = *state;
    const unsigned expected[] = {0x1a1a, 0, 16, 13, 43};
    struct client_hello out;
    unsigned count = 0;
    assert_true(client_hello_parse(&out, hello->bytes.ptr, hello->bytes.len));
    while (out.extensions.len) {
        struct client_hello_extension extension = client_hello_next_extension(&out.extensions);
        assert_true(count < 5);
        assert_int_equal(extension.type, expected[count++]);
    }
    assert_int_equal(count, 5);
}

static void
test_body_alone_is_the_same(void **state)
{
    const struct hello *hello = *state;
    struct client_hello whole, body;
    assert_true(client_hello_parse(&whole, hello->bytes.ptr, hello->bytes.len));
    assert_true(client_hello_parse_body(&body, hello->bytes.ptr + 4, hello->bytes.len - 4));
    assert_memory_equal(&whole, &body, sizeof whole);
}

static void
test_hello_without_extensions(void **state)
{
    struct client_hello out;
    struct buf message;
    buf_init(&message, 4096);
    put_hello_with(&message, CIPHERS, NULL);
    assert_true(client_hello_parse(&out, message.ptr, message.len));
    assert_int_equal(out.extension_count, 0);
    assert_false(out.has_sni);
    assert_int_equal(out.sni.len + out.alpn.len + out.versions.len, 0);
    buf_deinit(&message);
}

/* The lengths of message and block are made to fit, so that the inner ones decide. */
static void
test_every_truncation_is_refused(void **state)
{
    const struct hello *hello = *state;
    for (size_t len = 0; len < hello->bytes.len; len++) {
        char copy[512];
        memcpy(copy, hello->bytes.ptr, len);
        assert_false(parses(str_make(copy, len)));
        if (len < 4)
            continue;
        copy[1] = 0;
        copy[2] = (char)((len - 4) >> 8);
        copy[3] = (char)(len - 4);
        /* up to the end of the compression methods it is a hello without extensions */
        assert_int_equal(parses(str_make(copy, len)), len == 4 + 2 + 32 + 4 + 2 + 6 + 2);
    }
}

static void
test_bytes_behind_are_refused(void **state)
{
    struct hello *hello = *state;
    buf_append_char(&hello->bytes, 0);
    assert_false(parses(buf_str(&hello->bytes)));
    hello->bytes.ptr[3]++;
    assert_false(parses(buf_str(&hello->bytes)));
}

static void
test_other_messages_are_refused(void **state)
{
    struct hello *hello = *state;
    hello->bytes.ptr[0] = 2;
    assert_false(parses(buf_str(&hello->bytes)));
    hello->bytes.ptr[0] = 1;
    hello->bytes.ptr[1] = 1;
    assert_false(parses(buf_str(&hello->bytes)));
}

static void
test_repeated_extension_is_refused(void **state)
{
    struct buf block, message;
    buf_init(&block, 4096);
    buf_init(&message, 4096);
    put_extension(&block, 0xfafa, STR(""));
    put_extension(&block, 10, STR("x"));
    put_hello_with(&message, CIPHERS, &block);
    assert_true(parses(buf_str(&message)));
    put_extension(&block, 0xfafa, STR(""));
    buf_clear(&message);
    put_hello_with(&message, CIPHERS, &block);
    assert_false(parses(buf_str(&message)));
    buf_deinit(&block);
    buf_deinit(&message);
}

static void
test_cipher_list_must_be_pairs(void **state)
{
    struct buf message;
    buf_init(&message, 4096);
    put_hello_with(&message, STR(""), NULL);
    assert_false(parses(buf_str(&message)));
    buf_clear(&message);
    put_hello_with(&message, STR("\x13\1\x13"), NULL);
    assert_false(parses(buf_str(&message)));
    buf_deinit(&message);
}

static void
test_server_name_is_strict(void **state)
{
    assert_true(extension_parses(0, SNI_CONTENT));
    assert_false(extension_parses(0, STR("")));
    assert_false(extension_parses(0, STR("\0\0")));
    assert_false(extension_parses(0, STR("\0\3\0\0\0")));           /* no name in it */
    assert_false(extension_parses(0, STR("\0\4\1\0\1a")));          /* another type */
    assert_false(extension_parses(0, STR("\0\x08\0\0\1a\0\0\1b"))); /* two */
    assert_false(extension_parses(0, STR("\0\4\0\0\1a!")));         /* behind the list */
    assert_false(extension_parses(0, STR("\0\x0e\0\0\x0a"
                                         "example.com"))); /* behind the name */
    assert_false(extension_parses(0, STR("\0\x0e\0\0\x0c"
                                         "example.com")));
}

static void
test_alpn_is_strict(void **state)
{
    assert_true(extension_parses(16, ALPN_CONTENT));
    assert_false(extension_parses(16, STR("")));
    assert_false(extension_parses(16, STR("\0\0")));
    assert_false(extension_parses(16, STR("\0\1\0")));
    assert_false(extension_parses(16, STR("\0\4\2h2\0")));
    assert_false(extension_parses(16, STR("\0\3\3h2")));
    assert_false(extension_parses(16, STR("\0\3\2h2!")));
}

static void
test_lists_of_numbers_are_strict(void **state)
{
    assert_true(extension_parses(13, ALGORITHMS_CONTENT));
    assert_false(extension_parses(13, STR("\0\0")));
    assert_false(extension_parses(13, STR("\0\3\4\3\x08")));
    assert_false(extension_parses(13, STR("\0\2\4\3\x08\4")));
    assert_true(extension_parses(43, VERSIONS_CONTENT));
    assert_false(extension_parses(43, STR("\0")));
    assert_false(extension_parses(43, STR("\1\3")));
    assert_false(extension_parses(43, STR("\2\3\4\3\3")));
}

static void
test_message_over_the_bound_is_refused(void **state)
{
    struct buf block, message;
    char *filling = calloc(1, CLIENT_HELLO_MAX);
    buf_init(&block, 1 << 20);
    buf_init(&message, 1 << 20);
    size_t around = 4 + 2 + 32 + 4 + 2 + 6 + 2 + 2 + 4;
    put_extension(&block, 21, str_make(filling, CLIENT_HELLO_MAX - around));
    put_hello_with(&message, CIPHERS, &block);
    assert_int_equal(message.len, CLIENT_HELLO_MAX);
    assert_true(parses(buf_str(&message)));
    buf_clear(&block);
    buf_clear(&message);
    put_extension(&block, 21, str_make(filling, CLIENT_HELLO_MAX - around + 1));
    put_hello_with(&message, CIPHERS, &block);
    assert_false(parses(buf_str(&message)));
    buf_deinit(&block);
    buf_deinit(&message);
    free(filling);
}

static void
test_grease(void **state)
{
    assert_true(client_hello_is_grease(0x0a0a));
    assert_true(client_hello_is_grease(0xfafa));
    assert_false(client_hello_is_grease(0x0a1a));
    assert_false(client_hello_is_grease(0x0b0b));
    assert_false(client_hello_is_grease(0x1301));
}

/* --- records --- */

static void
put_record(struct buf *out, struct str content)
{
    buf_append(out, STR("\x16\3\1"));
    put_number(out, 2, content.len);
    buf_append(out, content);
}

static enum client_hello_result
find(struct str wire, struct str *message)
{
    static char joined[CLIENT_HELLO_MAX];
    static char *copy; /* the message borrows from it until the next call */
    free(copy);
    copy = malloc(wire.len ? wire.len : 1);
    memcpy(copy, wire.ptr, wire.len);
    *message = str_make(NULL, 0);
    return client_hello_find(copy, wire.len, joined, message);
}

/* Every prefix says MORE, the whole is the message, and what follows does not matter. */
static void
assert_found(struct buf *wire, struct str expected)
{
    struct str message;
    for (size_t len = 0; len < wire->len; len++)
        assert_int_equal(find(str_make(wire->ptr, len), &message), CLIENT_HELLO_MORE);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(find(buf_str(wire), &message), CLIENT_HELLO_DONE);
        assert_true(str_eq(message, expected));
        buf_append(wire, STR("\x17what follows"));
    }
}

static void
test_message_in_one_record(void **state)
{
    const struct hello *hello = *state;
    struct buf wire;
    buf_init(&wire, 4096);
    put_record(&wire, buf_str(&hello->bytes));
    assert_found(&wire, buf_str(&hello->bytes));
    buf_deinit(&wire);
}

static void
test_message_cut_anywhere(void **state)
{
    const struct hello *hello = *state;
    struct str bytes = buf_str(&hello->bytes);
    struct buf wire;
    buf_init(&wire, 8192);
    for (size_t cut = 1; cut < bytes.len; cut++) {
        buf_clear(&wire);
        put_record(&wire, str_first(bytes, cut));
        put_record(&wire, str_skip(bytes, cut));
        assert_found(&wire, bytes);
    }
    buf_deinit(&wire);
}

static void
test_message_in_small_pieces(void **state)
{
    const struct hello *hello = *state;
    struct str bytes = buf_str(&hello->bytes);
    struct buf wire;
    buf_init(&wire, 8192);
    for (size_t step = 1; step <= bytes.len; step++) {
        buf_clear(&wire);
        for (struct str rest = bytes; rest.len; rest = str_skip(rest, step))
            put_record(&wire, str_first(rest, step));
        struct str message;
        bool few = (bytes.len + step - 1) / step <= CLIENT_HELLO_RECORDS_MAX;
        if (few)
            assert_found(&wire, bytes);
        else
            assert_int_equal(find(buf_str(&wire), &message), CLIENT_HELLO_MALFORMED);
    }
    buf_deinit(&wire);
}

static void
test_message_that_shares_its_last_record(void **state)
{
    const struct hello *hello = *state;
    struct str bytes = buf_str(&hello->bytes), message;
    struct buf wire, rest;
    buf_init(&wire, 8192);
    buf_init(&rest, 8192);
    buf_append(&rest, str_skip(bytes, 10));
    buf_append(&rest, STR("another message"));
    put_record(&wire, str_first(bytes, 10));
    put_record(&wire, buf_str(&rest));
    assert_int_equal(find(buf_str(&wire), &message), CLIENT_HELLO_DONE);
    assert_true(str_eq(message, bytes));
    buf_deinit(&rest);
    buf_deinit(&wire);
}

static void
assert_malformed(struct str wire)
{
    struct str message;
    assert_int_equal(find(wire, &message), CLIENT_HELLO_MALFORMED);
}

static void
test_what_is_not_a_hello_is_refused_early(void **state)
{
    assert_malformed(STR("G"));
    assert_malformed(STR("\x15"));
    assert_malformed(STR("\x16\2"));
    assert_malformed(STR("\x16\3\1\0\0"));                  /* an empty record */
    assert_malformed(STR("\x16\3\1\x40\1"));                /* a record over the bound */
    assert_malformed(STR("\x16\3\1\0\x10\2"));              /* another message */
    assert_malformed(STR("\x16\3\1\0\4\1\0\x40\1"));        /* a message over the bound */
    assert_malformed(STR("\x16\3\1\0\2\1\0\x17\3\1\0\1x")); /* another record in between */
}

static void
test_largest_message_in_two_records(void **state)
{
    char *bytes = calloc(1, CLIENT_HELLO_MAX);
    struct str message;
    struct buf wire;
    memcpy(bytes, "\1\0\x40", 4);
    bytes[CLIENT_HELLO_MAX - 1] = 'x';
    buf_init(&wire, 1 << 20);
    put_record(&wire, str_make(bytes, 16384));
    put_record(&wire, str_make(bytes + 16384, 4));
    assert_int_equal(find(buf_str(&wire), &message), CLIENT_HELLO_DONE);
    assert_true(str_eq(message, str_make(bytes, CLIENT_HELLO_MAX)));
    buf_deinit(&wire);
    free(bytes);
}

#define with_hello(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        with_hello(test_fields_are_found),
        with_hello(test_extensions_are_walked_in_order),
        with_hello(test_body_alone_is_the_same),
        cmocka_unit_test(test_hello_without_extensions),
        with_hello(test_every_truncation_is_refused),
        with_hello(test_bytes_behind_are_refused),
        with_hello(test_other_messages_are_refused),
        cmocka_unit_test(test_repeated_extension_is_refused),
        cmocka_unit_test(test_cipher_list_must_be_pairs),
        cmocka_unit_test(test_server_name_is_strict),
        cmocka_unit_test(test_alpn_is_strict),
        cmocka_unit_test(test_lists_of_numbers_are_strict),
        cmocka_unit_test(test_message_over_the_bound_is_refused),
        cmocka_unit_test(test_grease),
        with_hello(test_message_in_one_record),
        with_hello(test_message_cut_anywhere),
        with_hello(test_message_in_small_pieces),
        with_hello(test_message_that_shares_its_last_record),
        cmocka_unit_test(test_what_is_not_a_hello_is_refused_early),
        cmocka_unit_test(test_largest_message_in_two_records),
    };
    return cmocka_run_group_tests_name("client_hello", tests, NULL, NULL);
}
