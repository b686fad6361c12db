/* h1_test_run: for the unit tests of the request head: decodes a head in every way it can arrive
 * and checks that all end alike.
 */
#ifndef TARN_HTTP_H1_TEST_RUN_H
#define TARN_HTTP_H1_TEST_RUN_H

#include "http/h1_head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { FIELD_MAX = 20, HEAD_MAX = 4096 };

/* Everything a decode leaves behind. */
struct run {
    enum h1_result result;
    struct http_head head;
    struct http_field fields[FIELD_MAX];
    struct h1_head_decoder decoder;
};

static inline void
run_start_with(struct run *run, uint32_t max, uint16_t field_max)
{
    memset(run, 0, sizeof(*run));
    http_head_init(&run->head, run->fields, field_max);
    h1_head_decoder_init(&run->decoder, &run->head, max);
    run->result = H1_MORE;
}

/* Decodes the first `len` bytes of input from a block of exactly that size at a new address, so
 * that a read past the end, or an address kept from the last call, is caught. */
static inline void
run_feed(struct run *run, struct str input, size_t len)
{
    char *block = malloc(len);
    assert_non_null(block);
    memcpy(block, input.ptr, len);
    run->result = h1_head_decode(&run->decoder, block, len);
    free(block);
    run->head.base = input.ptr;
}

static inline void
assert_same_run(const struct run *a, const struct run *b)
{
    assert_int_equal(a->result, b->result);
    assert_int_equal(a->decoder.error, b->decoder.error);
    assert_int_equal(a->decoder.head_len, b->decoder.head_len);
    assert_int_equal(a->head.field_count, b->head.field_count);
    assert_memory_equal(a->fields, b->fields, a->head.field_count * sizeof(a->fields[0]));
    assert_memory_equal(a->head.first, b->head.first, sizeof(a->head.first));
    assert_int_equal(a->head.method, b->head.method);
    assert_true(str_eq(http_head_method(&a->head), http_head_method(&b->head)));
    assert_true(str_eq(http_head_target(&a->head), http_head_target(&b->head)));
    assert_int_equal(a->head.version_minor, b->head.version_minor);
    assert_int_equal(a->head.body_kind, b->head.body_kind);
    assert_int_equal(a->head.keep_alive, b->head.keep_alive);
    assert_int_equal(a->head.expect_continue, b->head.expect_continue);
    assert_true(a->head.content_length == b->head.content_length);
}

/* Decodes `input` whole, byte by byte and split in two everywhere; all must end alike. */
static inline void
decode_with(struct run *run, struct str input, uint32_t max, uint16_t field_max)
{
    struct run other;
    run_start_with(run, max, field_max);
    run_feed(run, input, input.len);
    run_start_with(&other, max, field_max);
    for (size_t len = 1; len <= input.len && other.result == H1_MORE; len++)
        run_feed(&other, input, len);
    assert_same_run(run, &other);
    for (size_t cut = 1; cut < input.len; cut++) {
        run_start_with(&other, max, field_max);
        run_feed(&other, input, cut);
        if (other.result == H1_MORE)
            run_feed(&other, input, input.len);
        assert_same_run(run, &other);
    }
}

static inline void
decode(struct run *run, struct str input)
{
    decode_with(run, input, HEAD_MAX, FIELD_MAX);
}

static inline void
assert_str(struct str got, const char *wanted)
{
    if (!str_eq(got, str_from_cstr(wanted)))
        fail_msg("got '%.*s', wanted '%s'", STR_ARG(got), wanted);
}

#define GET "GET / HTTP/1.1\r\n"
#define HOST "Host: a\r\n"
#define END "\r\n"

struct refused_row {
    struct str input;
    enum h1_error error;
};

#define REFUSED(literal, name)             \
    {                                      \
        STR_INIT(literal), H1_ERROR_##name \
    }

static inline void
assert_refused(const struct refused_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct run run;
        decode(&run, rows[i].input);
        if (run.result != H1_ERROR || run.decoder.error != rows[i].error)
            fail_msg("row %zu: result %d, error '%s'", i, run.result,
                     h1_error_text(run.decoder.error).ptr);
    }
}

#endif
