/* zs_log and the lines that come of it. */
#include "base/log.h"
#include "script/helpers.h"
#include "script/scene_test_run.h"

enum { LINES_MAX = 256 };

static struct {
    char lines[LINES_MAX][1024];
    unsigned count;
} seen;

static void
keep(void *arg, struct str line)
{
    must(seen.count < LINES_MAX && line.len <= sizeof seen.lines[0]);
    snprintf(seen.lines[seen.count++], sizeof seen.lines[0], "%.*s", (int)line.len - 1, line.ptr);
}

static int
setup(void **state)
{
    seen.count = 0;
    log_set_sink(keep, NULL);
    *state = scene_new();
    return 0;
}

static int
teardown(void **state)
{
    scene_free(*state);
    log_set_sink(NULL, NULL);
    return 0;
}

static void
put(struct scene *scene, struct str text)
{
    memcpy(scene->memory, text.ptr, text.len);
    assert_int_equal(scene_call(scene, zs_log, (uint64_t[]){scene_at(0), text.len, 0, 0, 0}, NULL),
                     0);
    assert_false(scene->trapped);
}

static void
expect_lines(unsigned count, ...)
{
    va_list args;
    assert_int_equal(seen.count, count);
    va_start(args, count);
    for (unsigned i = 0; i < count; i++)
        assert_string_equal(seen.lines[i], va_arg(args, const char *));
    va_end(args);
}

static uint64_t
counted(const struct scene *scene)
{
    return atomic_load(&scene->counters->log_lines);
}

static void
text_waits_for_its_newline(void **state)
{
    struct scene *scene = *state;
    put(scene, STR("one"));
    put(scene, STR(""));
    expect_lines(0);
    put(scene, STR(" line\nand"));
    expect_lines(1, "tarn: script test.o: one line");
    script_log_flush(&scene->frame);
    expect_lines(2, "tarn: script test.o: one line", "tarn: script test.o: and");
    script_log_flush(&scene->frame);
    assert_int_equal(seen.count, 2);
    assert_int_equal(counted(scene), 2);
}

static void
each_newline_ends_a_line(void **state)
{
    put(*state, STR("a\nb\n\nc\n"));
    expect_lines(4, "tarn: script test.o: a", "tarn: script test.o: b",
                 "tarn: script test.o: ", "tarn: script test.o: c");
}

static void
long_text_is_cut_into_lines(void **state)
{
    struct scene *scene = *state;
    char text[1200], expected[600];
    memset(text, 'x', sizeof text);
    put(scene, str_make(text, SCRIPT_LOG_LEN));
    expect_lines(0);
    put(scene, STR("\n"));
    snprintf(expected, sizeof expected, "tarn: script test.o: %.512s", text);
    expect_lines(1, expected);
    seen.count = 0;
    put(scene, str_make(text, sizeof text));
    script_log_flush(&scene->frame);
    char rest[300];
    snprintf(rest, sizeof rest, "tarn: script test.o: %.176s", text);
    expect_lines(3, expected, expected, rest);
}

static void
characters_are_not_cut(void **state)
{
    /* Each at each place around the end of the first line. */
    static const char *const characters[] = {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    for (unsigned which = 0; which < 3; which++)
        for (unsigned at = SCRIPT_LOG_LEN - 5; at <= SCRIPT_LOG_LEN; at++) {
            struct scene *scene = *state;
            char text[SCRIPT_LOG_LEN + 16], joined[1200];
            size_t len = strlen(characters[which]);
            memset(text, 'x', sizeof text);
            memcpy(text + at, characters[which], len);
            seen.count = 0;
            scene->frame.log_line_count = 0;
            put(scene, str_make(text, at + len + 8));
            script_log_flush(&scene->frame);
            assert_int_equal(seen.count, 2);
            snprintf(joined, sizeof joined, "%.600s%.500s", seen.lines[0] + 21, seen.lines[1] + 21);
            assert_int_equal(strlen(joined), at + len + 8);
            assert_memory_equal(joined, text, at + len + 8);
        }
}

static void
what_a_terminal_would_obey_is_shown_as_a_question_mark(void **state)
{
    put(*state, STR("a\x1b[31mb\rc\td\x7f"
                    "e\xc2\x9b"
                    "f\xc2\xa0g \xc3\xa9\n"));
    expect_lines(1, "tarn: script test.o: a?[31mb?c?d?e?f\xc2\xa0g \xc3\xa9");
    seen.count = 0;
    put(*state, STR("\0nul \xff\xfe \xc3( \xe2\x82 \xed\xa0\x80 \xf5\x80\x80\x80\n"));
    expect_lines(1, "tarn: script test.o: ?nul ?? ?( ?? ??? ????");
    seen.count = 0;
    put(*state, STR("cut \xf0\x9f\n"));
    expect_lines(1, "tarn: script test.o: cut ??");
}

static void
the_request_is_named(void **state)
{
    struct scene *scene = *state;
    scene_set_head(scene, "GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: 7f-\xc2\x9b!\r\n\r\n");
    put(scene, STR("hello\n"));
    expect_lines(1, "tarn: script test.o [7f-?!]: hello");
}

static void
long_request_ids_are_cut(void **state)
{
    char head[400], expected[200];
    snprintf(head, sizeof head, "GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: %0200d\r\n\r\n", 0);
    scene_set_head(*state, head);
    put(*state, STR("hello\n"));
    snprintf(expected, sizeof expected, "tarn: script test.o [%064d]: hello", 0);
    expect_lines(1, expected);
}

static void
a_flood_is_counted_and_dropped(void **state)
{
    struct scene *scene = *state;
    for (unsigned i = 0; i < SCRIPT_LOG_LINES_MAX + 20; i++)
        put(scene, STR("again\n"));
    assert_int_equal(seen.count, SCRIPT_LOG_LINES_MAX + 1);
    assert_string_equal(seen.lines[SCRIPT_LOG_LINES_MAX - 1], "tarn: script test.o: again");
    assert_string_equal(seen.lines[SCRIPT_LOG_LINES_MAX],
                        "tarn: script test.o: more than 100 lines: the rest is dropped");
    assert_int_equal(counted(scene), SCRIPT_LOG_LINES_MAX + 20);
    put(scene, STR("a\nb\nc"));
    script_log_line(&scene->frame, STR("by another helper"));
    script_log_flush(&scene->frame);
    assert_int_equal(seen.count, SCRIPT_LOG_LINES_MAX + 1);
    assert_int_equal(counted(scene), SCRIPT_LOG_LINES_MAX + 23);
}

static void
a_flood_in_one_call_too(void **state)
{
    struct scene *scene = *state;
    memset(scene->memory, '\n', SCENE_MEMORY);
    scene_call(scene, zs_log, (uint64_t[]){scene_at(0), SCENE_MEMORY, 0, 0, 0}, NULL);
    assert_int_equal(seen.count, SCRIPT_LOG_LINES_MAX + 1);
    assert_int_equal(counted(scene), SCENE_MEMORY);
    memset(scene->memory, 'x', SCENE_MEMORY);
    scene->frame.log_line_count = 0;
    seen.count = 0;
    scene_call(scene, zs_log, (uint64_t[]){scene_at(0), SCENE_MEMORY, 0, 0, 0}, NULL);
    assert_int_equal(seen.count, SCRIPT_LOG_LINES_MAX + 1);
}

static void
callees_share_the_limit(void **state)
{
    struct scene *scene = *state;
    struct script_frame callee = {
        .caller = &scene->frame, .task = &scene->task, .script = &scene->script};
    scene->frame.log_line_count = SCRIPT_LOG_LINES_MAX;
    script_log_line(&callee, STR("one more"));
    script_log_line(&callee, STR("and another"));
    expect_lines(1, "tarn: script test.o: more than 100 lines: the rest is dropped");
}

static void
bad_memory_traps(void **state)
{
    struct scene *scene = *state;
    scene_call(scene, zs_log, (uint64_t[]){0, 1, 0, 0, 0}, NULL);
    assert_true(scene->trapped);
    scene_call(scene, zs_log, (uint64_t[]){scene_at(0), 1ULL << 40, 0, 0, 0}, NULL);
    assert_true(scene->trapped);
    scene_call(scene, zs_log, (uint64_t[]){0, 0, 0, 0, 0}, NULL);
    assert_false(scene->trapped);
    assert_int_equal(seen.count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(text_waits_for_its_newline),
        TEST(each_newline_ends_a_line),
        TEST(long_text_is_cut_into_lines),
        TEST(characters_are_not_cut),
        TEST(what_a_terminal_would_obey_is_shown_as_a_question_mark),
        TEST(the_request_is_named),
        TEST(long_request_ids_are_cut),
        TEST(a_flood_is_counted_and_dropped),
        TEST(a_flood_in_one_call_too),
        TEST(callees_share_the_limit),
        TEST(bad_memory_traps),
    };
    return cmocka_run_group_tests_name("script_log", tests, NULL, NULL);
}
