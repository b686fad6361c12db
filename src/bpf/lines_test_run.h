/* lines_test_run: for the unit tests of debug information: an object of three sections, the four
 * sections of a file that matter, and how to write into them and look at what was read.
 */
#ifndef TARN_BPF_LINES_TEST_RUN_H
#define TARN_BPF_LINES_TEST_RUN_H

#include "base/buf.h"
#include "base/must.h"
#include "bpf/lines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

enum { INSNS = 100, BUF_MAX = 256 << 20 };

/* Three sections: 40, 40 and 20 instructions. */
static struct bpf_section sections[] = {
    {STR_INIT("request"), 0, 40},
    {STR_INIT(".text"), 40, 40},
    {STR_INIT("call"), 80, 20},
};

struct lines_test {
    struct bpf_object object;
    struct buf btf, btf_ext, line, line_str;
    char *names;
};

static inline void
test_init(struct lines_test *test)
{
    memset(test, 0, sizeof *test);
    test->object.sections = sections;
    test->object.section_count = 3;
    test->object.insn_count = INSNS;
    buf_init(&test->btf, BUF_MAX);
    buf_init(&test->btf_ext, BUF_MAX);
    buf_init(&test->line, BUF_MAX);
    buf_init(&test->line_str, BUF_MAX);
}

static inline void
test_deinit(struct lines_test *test)
{
    free(test->object.lines);
    free(test->names);
    buf_deinit(&test->btf);
    buf_deinit(&test->btf_ext);
    buf_deinit(&test->line);
    buf_deinit(&test->line_str);
}

static inline struct str
exact_copy(const struct buf *buf)
{
    char *copy = malloc(buf->len ? buf->len : 1);
    must(copy && !buf->overflowed);
    if (buf->len)
        memcpy(copy, buf->ptr, buf->len);
    return str_make(copy, buf->len);
}

/* Reads from blocks of exact size, which are gone afterwards. */
static inline void
test_read(struct lines_test *test)
{
    struct bpf_debug debug = {
        .btf = exact_copy(&test->btf),
        .btf_ext = exact_copy(&test->btf_ext),
        .line = exact_copy(&test->line),
        .line_str = exact_copy(&test->line_str),
    };
    free(test->object.lines);
    free(test->names);
    bpf_lines_read(&test->object, &debug, &test->names);
    free((char *)debug.btf.ptr);
    free((char *)debug.btf_ext.ptr);
    free((char *)debug.line.ptr);
    free((char *)debug.line_str.ptr);
    assert_true((test->object.line_count > 0) == (test->object.lines != NULL));
}

static inline void
put(struct buf *buf, uint64_t value, unsigned len)
{
    buf_append(buf, str_make((const char *)&value, len));
}

static inline void
put_text(struct buf *buf, const char *text)
{
    buf_append(buf, str_make(text, strlen(text) + 1));
}

/* Writes `len` bytes of `value` over what is at `off`. */
static inline void
patch(struct buf *buf, size_t off, uint64_t value, unsigned len)
{
    must(off + len <= buf->len);
    memcpy(buf->ptr + off, &value, len);
}

static inline void
assert_line(const struct lines_test *test, uint32_t at, uint32_t insn, const char *file,
            uint32_t line)
{
    assert_true(at < test->object.line_count);
    assert_int_equal(test->object.lines[at].insn, insn);
    assert_int_equal(test->object.lines[at].line, line);
    struct str found = test->object.lines[at].file;
    if (!str_eq(found, str_from_cstr(file)))
        fail_msg("%.*s != %s", STR_ARG(found), file);
}

static inline void
assert_read_fast(struct lines_test *test)
{
    clock_t before = clock();
    test_read(test);
    assert_true(clock() - before < 5 * CLOCKS_PER_SEC);
}

/* BTF: names are offsets into its strings. */
enum { NAME_REQUEST = 1, NAME_TEXT = 9, NAME_A = 15, NAME_B = 20, NAME_OTHER = 25 };

static inline void
begin_btf(struct lines_test *test)
{
    static const char strings[] = "\0request\0.text\0/a.c\0/b.c\0nothing";
    put(&test->btf, 0xeb9f, 2);
    put(&test->btf, 1, 2);
    put(&test->btf, 24, 4);
    put(&test->btf, 0, 4); /* types */
    put(&test->btf, 4, 4);
    put(&test->btf, 4, 4); /* strings */
    put(&test->btf, sizeof strings, 4);
    put(&test->btf, 0, 4);
    buf_append(&test->btf, str_make(strings, sizeof strings));

    put(&test->btf_ext, 0xeb9f, 2);
    put(&test->btf_ext, 1, 2);
    put(&test->btf_ext, 24, 4);
    put(&test->btf_ext, 0, 4); /* functions */
    put(&test->btf_ext, 8, 4);
    put(&test->btf_ext, 8, 4); /* lines; the length is set at the end */
    put(&test->btf_ext, 0, 4);
    put(&test->btf_ext, 0, 8);
    put(&test->btf_ext, 16, 4);
}

static inline void
put_btf_section(struct lines_test *test, uint32_t name, uint32_t count)
{
    put(&test->btf_ext, name, 4);
    put(&test->btf_ext, count, 4);
}

static inline void
put_btf_line(struct lines_test *test, uint32_t insn, uint32_t file, uint32_t line)
{
    put(&test->btf_ext, insn * 8, 4);
    put(&test->btf_ext, file, 4);
    put(&test->btf_ext, 0, 4);
    put(&test->btf_ext, line << 10 | 77, 4);
}

static inline void
end_btf(struct lines_test *test)
{
    patch(&test->btf_ext, 20, test->btf_ext.len - 32, 4);
}

#endif
