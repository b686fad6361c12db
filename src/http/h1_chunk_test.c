#include "http/h1_chunk.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { BODY_MAX = 16384 };

struct run {
    struct h1_chunk_decoder decoder;
    enum h1_chunk_result result;
    size_t consumed; /* of all input */
    size_t body_len;
    char body[BODY_MAX];
};

static void
run_start(struct run *run)
{
    memset(run, 0, sizeof(*run));
    h1_chunk_decoder_init(&run->decoder);
    run->result = H1_CHUNK_MORE;
}

/* Feeds input[run->consumed .. end), in a block of exactly that size. */
static void
run_feed(struct run *run, struct str input, size_t end)
{
    size_t len = end - run->consumed, at = 0;
    char *block = malloc(len ? len : 1);
    assert_non_null(block);
    memcpy(block, input.ptr + run->consumed, len);
    do {
        size_t consumed;
        struct str data;
        run->result = h1_chunk_decode(&run->decoder, block + at, len - at, &consumed, &data);
        assert_true(consumed <= len - at);
        if (run->result == H1_CHUNK_DATA) {
            assert_true(data.len > 0 && data.ptr + data.len == block + at + consumed);
            assert_true(run->body_len + data.len <= BODY_MAX);
            memcpy(run->body + run->body_len, data.ptr, data.len);
            run->body_len += data.len;
        } else {
            assert_int_equal(data.len, 0);
        }
        if (run->result == H1_CHUNK_MORE)
            assert_int_equal(consumed, len - at);
        at += consumed;
    } while (run->result == H1_CHUNK_DATA);
    run->consumed += at;
    free(block);
}

static void
assert_same_run(const struct run *a, const struct run *b)
{
    assert_int_equal(a->result, b->result);
    assert_int_equal(a->consumed, b->consumed);
    assert_int_equal(a->body_len, b->body_len);
    assert_memory_equal(a->body, b->body, a->body_len);
}

/* Decodes whole, byte by byte, and split in two everywhere; all must end alike. */
static void
decode(struct run *run, struct str input)
{
    struct run *other = malloc(sizeof(*other));
    assert_non_null(other);
    run_start(run);
    run_feed(run, input, input.len);
    run_start(other);
    for (size_t end = 1; end <= input.len && other->result == H1_CHUNK_MORE; end++)
        run_feed(other, input, end);
    assert_same_run(run, other);
    for (size_t cut = 0; cut < input.len && cut < 200; cut++) {
        run_start(other);
        run_feed(other, input, cut);
        if (other->result == H1_CHUNK_MORE)
            run_feed(other, input, input.len);
        assert_same_run(run, other);
    }
    free(other);
}

struct row {
    struct str input;
    enum h1_chunk_result result;
    const char *body;
    size_t left_over; /* bytes that stay with the next message, or from the wrong byte on */
};

#define ROW(literal, result, body, left_over)      \
    {                                              \
        STR_INIT(literal), result, body, left_over \
    }
#define DONE(literal, body, left_over) ROW(literal, H1_CHUNK_DONE, body, left_over)
#define MORE(literal, body) ROW(literal, H1_CHUNK_MORE, body, 0)
#define ERROR(literal, body, left_over) ROW(literal, H1_CHUNK_ERROR, body, left_over)

static const struct row rows[] = {
    DONE("0\r\n\r\n", "", 0),
    DONE("0\r\n\r\nGET /", "", 5),
    DONE("5\r\nhello\r\n0\r\n\r\n", "hello", 0),
    DONE("3\r\nabc\r\nA\r\n0123456789\r\na\r\n0123456789\r\n00\r\n\r\nX", "abc01234567890123456789",
         1),
    DONE("000000000000001\r\nx\r\n0\r\n\r\n", "x", 0),
    DONE("2\r\n\r\n\r\n0\r\n\r\n", "\r\n", 0),
    DONE("1;a=b;c=\"d e\"\r\nx\r\n0;last\r\n\r\n", "x", 0),
    DONE("1 \t;\ta\r\nx\r\n0\r\n\r\n", "x", 0),
    DONE("1;\xff\r\nx\r\n0\r\n\r\n", "x", 0),
    DONE("0\r\nA: b\r\nSum:\t1\xff\r\nC:\r\n\r\n", "", 0),
    MORE("", ""),
    MORE("5", ""),
    MORE("5\r", ""),
    MORE("5 ", ""),
    MORE("5;x", ""),
    MORE("5\r\nhel", "hel"),
    MORE("5\r\nhello\r", "hello"),
    MORE("0\r\n", ""),
    MORE("0\r\nA", ""),
    MORE("0\r\nA: b\r", ""),
    MORE("0\r\n\r", ""),
    MORE("fffffffffffffff\r\nx", "x"),
    ERROR("\r\n", "", 2),
    ERROR("g", "", 1),
    ERROR("-1\r\n", "", 4),
    ERROR("0x1\r\n", "", 4),
    ERROR(" 1\r\n", "", 4),
    ERROR(";a\r\n", "", 4),
    ERROR("0000000000000001", "", 1),
    ERROR("ffffffffffffffff\r\n", "", 3),
    ERROR("1\nx", "", 2),
    ERROR("1\rx", "", 1),
    ERROR("1 \r\n", "", 2),
    ERROR("1 x\r\n", "", 3),
    ERROR("1;a\nb\r\n", "", 4),
    ERROR("1;a\rb", "", 1),
    ERROR("1;\x01\r\n", "", 3),
    ERROR("1;\x7f\r\n", "", 3),
    ERROR("1;\0\r\n", "", 3),
    ERROR("1\r\nxy", "x", 1),
    ERROR("1\r\nx\n", "x", 1),
    ERROR("1\r\nx\r0", "x", 1),
    ERROR("0\r\n\n", "", 1),
    ERROR("0\r\n\rX", "", 1),
    ERROR("0\r\n: b\r\n", "", 5),
    ERROR("0\r\n folded\r\n", "", 9),
    ERROR("0\r\nA\r\n", "", 2),
    ERROR("0\r\nA : b\r\n", "", 6),
    ERROR("0\r\nA: b\nC", "", 2),
    ERROR("0\r\nA: b\rC", "", 1),
    ERROR("0\r\nA: \x02\r\n", "", 3),
};

static void
bodies_are_decoded_alike_however_they_arrive(void **state)
{
    static struct run run;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        decode(&run, rows[i].input);
        if (run.result != rows[i].result || run.consumed != rows[i].input.len - rows[i].left_over)
            fail_msg("row %zu: result %d, consumed %zu", i, run.result, run.consumed);
        assert_int_equal(run.body_len, strlen(rows[i].body));
        assert_memory_equal(run.body, rows[i].body, run.body_len);
    }
}

/* "PREFIX", `fill_len` bytes of 'e', "SUFFIX". */
static enum h1_chunk_result
decode_long(const char *prefix, size_t fill_len, const char *suffix)
{
    static struct run run;
    static char input[BODY_MAX];
    size_t prefix_len = strlen(prefix), suffix_len = strlen(suffix);
    assert_true(prefix_len + fill_len + suffix_len <= sizeof(input));
    memcpy(input, prefix, prefix_len);
    memset(input + prefix_len, 'e', fill_len);
    memcpy(input + prefix_len + fill_len, suffix, suffix_len);
    decode(&run, str_make(input, prefix_len + fill_len + suffix_len));
    return run.result;
}

static void
extension_ceiling_is_exact_and_per_line(void **state)
{
    const char *suffix = "\r\nx\r\n0\r\n\r\n";
    enum { MAX = H1_CHUNK_EXTENSION_MAX };
    assert_int_equal(decode_long("1;", MAX - 1, suffix), H1_CHUNK_DONE);
    assert_int_equal(decode_long("1;", MAX, suffix), H1_CHUNK_ERROR);
    assert_int_equal(decode_long("1 ;", MAX - 1, suffix), H1_CHUNK_ERROR);
    assert_int_equal(decode_long("1;xxxxxxxx\r\nx\r\n1;", MAX - 1, suffix), H1_CHUNK_DONE);
}

static void
trailer_ceiling_is_exact_over_all_lines(void **state)
{
    enum { MAX = H1_CHUNK_TRAILER_MAX };
    assert_int_equal(decode_long("0\r\nA:", MAX - 4, "\r\n\r\n"), H1_CHUNK_DONE);
    assert_int_equal(decode_long("0\r\nA:", MAX - 3, "\r\n\r\n"), H1_CHUNK_ERROR);
    assert_int_equal(decode_long("0\r\nA:\r\nB:", MAX - 8, "\r\n\r\n"), H1_CHUNK_DONE);
    assert_int_equal(decode_long("0\r\nA:\r\nB:", MAX - 7, "\r\n\r\n"), H1_CHUNK_ERROR);
    assert_int_equal(decode_long("0\r\n", MAX + 1, ":\r\n\r\n"), H1_CHUNK_ERROR);
}

static void
result_is_repeated_when_called_again(void **state)
{
    struct h1_chunk_decoder decoder;
    size_t consumed;
    struct str data;
    h1_chunk_decoder_init(&decoder);
    assert_int_equal(h1_chunk_decode(&decoder, "0\r\n\r\n", 5, &consumed, &data), H1_CHUNK_DONE);
    assert_int_equal(h1_chunk_decode(&decoder, "0\r\n\r\n", 5, &consumed, &data), H1_CHUNK_DONE);
    assert_int_equal(consumed, 0);
    h1_chunk_decoder_init(&decoder);
    assert_int_equal(h1_chunk_decode(&decoder, "x", 1, &consumed, &data), H1_CHUNK_ERROR);
    assert_int_equal(h1_chunk_decode(&decoder, "0\r\n\r\n", 5, &consumed, &data), H1_CHUNK_ERROR);
    assert_int_equal(consumed, 0);
}

static void
encoded_heads_are_hex(void **state)
{
    const uint64_t lens[] = {1, 9, 15, 16, 255, 256, 4096, 0xfffff, UINT64_MAX >> 4, UINT64_MAX};
    for (unsigned i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        char out[H1_CHUNK_HEAD_MAX], wanted[32];
        int wanted_len = snprintf(wanted, sizeof(wanted), "%" PRIX64 "\r\n", lens[i]);
        assert_int_equal(h1_chunk_encode_head(out, lens[i]), wanted_len);
        assert_memory_equal(out, wanted, (size_t)wanted_len);
    }
}

static void
encoded_head_decodes_to_its_length(void **state)
{
    for (uint64_t len = 1; len < (uint64_t)1 << 60; len = len * 3 + 1) {
        char out[H1_CHUNK_HEAD_MAX + 1];
        size_t out_len = h1_chunk_encode_head(out, len);
        out[out_len] = 'x';
        struct h1_chunk_decoder decoder;
        size_t consumed;
        struct str data;
        h1_chunk_decoder_init(&decoder);
        assert_int_equal(h1_chunk_decode(&decoder, out, out_len + 1, &consumed, &data),
                         H1_CHUNK_DATA);
        assert_true(data.len == 1 && decoder.left == len - 1);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_are_decoded_alike_however_they_arrive),
        cmocka_unit_test(extension_ceiling_is_exact_and_per_line),
        cmocka_unit_test(trailer_ceiling_is_exact_over_all_lines),
        cmocka_unit_test(result_is_repeated_when_called_again),
        cmocka_unit_test(encoded_heads_are_hex),
        cmocka_unit_test(encoded_head_decodes_to_its_length),
    };
    return cmocka_run_group_tests_name("h1_chunk", tests, NULL, NULL);
}
