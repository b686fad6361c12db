#include "site/render.h"

#include "base/arena.h"
#include "base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

struct fixture {
    struct arena arena;
    struct site_rules *rules;
    struct renderer renderer;
    struct render_input input;
    struct site_rep rep;
    struct error error;
};

static int
setup(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){0};
    arena_init(&fixture.arena, 256 << 20, 1 << 20);
    fixture.rules = site_rules_new(&fixture.arena);
    renderer_init(&fixture.renderer, &fixture.arena, fixture.rules);
    fixture.input = (struct render_input){
        .content = {.len = 174},
        .hash = {0x0123456789abcdef, 0xfedcba9876543210},
        .type = STR("text/html; charset=utf-8"),
        .cache_control = STR("no-cache"),
        .mtime = 784111777,
        .coding = HTTP_CODING_IDENTITY,
    };
    *state = &fixture;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *fixture = *state;
    renderer_deinit(&fixture->renderer);
    arena_deinit(&fixture->arena);
    return 0;
}

static void
add_rules(struct fixture *fixture, const char *text)
{
    if (site_rules_parse_headers(fixture->rules, &fixture->arena, str_from_cstr(text),
                                 &fixture->error) < 0)
        fail_msg("%s", fixture->error.text);
}

static void
render(struct fixture *fixture, const char *path)
{
    if (render_rep(&fixture->renderer, &fixture->input, str_from_cstr(path), &fixture->rep,
                   &fixture->error) < 0)
        fail_msg("%s", fixture->error.text);
}

static void
assert_str(struct str got, const char *wanted)
{
    if (!str_eq(got, str_from_cstr(wanted)))
        fail_msg("\n%.*s\nis not\n%s", STR_ARG(got), wanted);
}

static struct str
section(const struct site_rep *rep, size_t from, size_t to)
{
    return str_make(rep->head.ptr + from, to - from);
}

static void
a_plain_head_has_its_sections_in_order(void **state)
{
    struct fixture *fixture = *state;
    const struct site_rep *rep = &fixture->rep;
    render(fixture, "/");
    assert_str(section(rep, 0, rep->type_off), "Content-Length: 174\r\n");
    assert_str(section(rep, rep->type_off, rep->valid_off),
               "Content-Type: text/html; charset=utf-8\r\nAccept-Ranges: bytes\r\n");
    assert_str(section(rep, rep->valid_off, rep->head.len),
               "ETag: \"0123456789abcdeffedcba9876543210\"\r\n"
               "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
               "Cache-Control: no-cache\r\n"
               "X-Content-Type-Options: nosniff\r\n");
    assert_str(rep->type, "text/html; charset=utf-8");
    assert_str(rep->etag, "\"0123456789abcdeffedcba9876543210\"");
    assert_true(rep->etag.ptr > rep->head.ptr && rep->etag.ptr < rep->head.ptr + rep->head.len);
    assert_int_equal(rep->coding, HTTP_CODING_IDENTITY);
}

static void
a_variant_says_its_coding_and_vary(void **state)
{
    struct fixture *fixture = *state;
    const struct site_rep *rep = &fixture->rep;
    fixture->input.coding = HTTP_CODING_ZSTD;
    fixture->input.vary = STR("Accept-Encoding");
    fixture->input.mtime = 0;
    fixture->input.content.len = UINT64_MAX;
    render(fixture, "/");
    assert_str(rep->head, "Content-Length: 18446744073709551615\r\n"
                          "Content-Type: text/html; charset=utf-8\r\n"
                          "Content-Encoding: zstd\r\n"
                          "Accept-Ranges: bytes\r\n"
                          "ETag: \"0123456789abcdeffedcba9876543210\"\r\n"
                          "Cache-Control: no-cache\r\n"
                          "Vary: Accept-Encoding\r\n"
                          "X-Content-Type-Options: nosniff\r\n");
}

static void
rules_keep_the_sections_apart(void **state)
{
    struct fixture *fixture = *state;
    const struct site_rep *rep = &fixture->rep;
    add_rules(fixture, "/docs/*\n  X-Robots-Tag: noindex\n  Content-Type: text/plain\n"
                       "  Cache-Control: max-age=5\n  ! X-Content-Type-Options\n");
    render(fixture, "/docs/a");
    assert_str(section(rep, 0, rep->type_off), "Content-Length: 174\r\n");
    struct str types = section(rep, rep->type_off, rep->valid_off);
    assert_true(str_find(types, STR("Content-Type: text/plain\r\n")) < types.len);
    assert_true(str_find(types, STR("Accept-Ranges: bytes\r\n")) < types.len);
    assert_true(str_find(types, STR("X-Robots-Tag")) == types.len);
    struct str rest = section(rep, rep->valid_off, rep->head.len);
    assert_true(str_find(rest, STR("X-Robots-Tag: noindex\r\n")) < rest.len);
    assert_true(str_find(rest, STR("Cache-Control: max-age=5\r\n")) < rest.len);
    assert_true(str_find(rest, STR("no-cache")) == rest.len);
    assert_true(str_find(rest, STR("nosniff")) == rest.len);
    assert_str(rep->type, "text/plain");
    assert_str(rep->etag, "\"0123456789abcdeffedcba9876543210\"");
    render(fixture, "/other");
    assert_str(rep->type, "text/html; charset=utf-8");
}

static void
a_rule_can_take_the_etag_away(void **state)
{
    struct fixture *fixture = *state;
    add_rules(fixture, "/*\n  ! ETag\n");
    render(fixture, "/a");
    assert_int_equal(fixture->rep.etag.len, 0);
    assert_true(str_find(fixture->rep.head, STR("ETag")) == fixture->rep.head.len);
}

static void
a_head_that_grows_too_large_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    char rules[8 * 4000];
    size_t len = (size_t)snprintf(rules, sizeof rules, "/*\n");
    for (int i = 0; i < 6; i++)
        len += (size_t)snprintf(rules + len, sizeof rules - len, "  X-%d: %03000d\n", i, i);
    add_rules(fixture, rules);
    assert_int_equal(render_rep(&fixture->renderer, &fixture->input, STR("/big"), &fixture->rep,
                                &fixture->error),
                     -1);
    assert_non_null(strstr(fixture->error.text, "'/big'"));
}

static void
heads_are_rendered_fast(void **state)
{
    struct fixture *fixture = *state;
    enum { COUNT = 100000 };
    struct timespec start, end;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
    for (int i = 0; i < COUNT; i++) {
        fixture->input.content.len = (uint64_t)i;
        fixture->input.mtime = 784111777 + i / 10;
        render(fixture, "/a");
    }
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
    double ms =
        (double)(end.tv_sec - start.tv_sec) * 1e3 + (double)(end.tv_nsec - start.tv_nsec) / 1e6;
    print_message("%d heads in %.1f ms\n", COUNT, ms);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_plain_head_has_its_sections_in_order),  TEST(a_variant_says_its_coding_and_vary),
        TEST(rules_keep_the_sections_apart),           TEST(a_rule_can_take_the_etag_away),
        TEST(a_head_that_grows_too_large_is_an_error), TEST(heads_are_rendered_fast),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
