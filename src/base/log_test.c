#include "base/log.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct seen {
    char text[8192];
    size_t len;
    unsigned count;
};

static void
keep(void *arg, struct str line)
{
    struct seen *seen = arg;
    assert_true(line.len <= sizeof seen->text);
    memcpy(seen->text, line.ptr, line.len);
    seen->len = line.len;
    seen->count++;
}

static int
teardown(void **state)
{
    log_set_sink(NULL, NULL);
    log_set_level(LOG_INFO);
    return 0;
}

static void
lines_name_their_level(void **state)
{
    struct seen seen = {0};
    log_set_sink(keep, &seen);
    log_info("%d files", 3);
    assert_true(str_eq(str_make(seen.text, seen.len), STR("tarn: 3 files\n")));
    log_warn("careful");
    assert_true(str_eq(str_make(seen.text, seen.len), STR("tarn: warning: careful\n")));
    log_error("wrong");
    assert_true(str_eq(str_make(seen.text, seen.len), STR("tarn: error: wrong\n")));
}

static void
lines_below_the_level_are_dropped(void **state)
{
    struct seen seen = {0};
    log_set_sink(keep, &seen);
    log_debug("not asked for");
    assert_int_equal(seen.count, 0);
    log_set_level(LOG_DEBUG);
    log_debug("asked for");
    assert_true(str_eq(str_make(seen.text, seen.len), STR("tarn: debug: asked for\n")));
    log_set_level(LOG_ERROR);
    log_warn("not asked for");
    assert_int_equal(seen.count, 1);
}

static void
a_line_stays_one_line(void **state)
{
    struct seen seen = {0};
    log_set_sink(keep, &seen);
    log_info("a\nb\r\tc\x1b[31m\x7f \xc3\xa9");
    assert_true(str_eq(str_make(seen.text, seen.len), STR("tarn: a?b??c?[31m? \xc3\xa9\n")));
}

static void
long_lines_are_cut_and_keep_their_end(void **state)
{
    struct seen seen = {0};
    char text[4096];
    memset(text, 'x', sizeof text);
    log_set_sink(keep, &seen);
    for (int len = 2030; len < 2060; len++) {
        log_info("%.*s", len, text);
        assert_int_equal(seen.text[seen.len - 1], '\n');
        assert_null(memchr(seen.text, '\n', seen.len - 1));
        assert_null(memchr(seen.text, '\0', seen.len));
        assert_true(seen.len <= 2048);
    }
}

static void
keep_all(void *arg, struct str line)
{
    struct seen *seen = arg;
    assert_true(seen->len + line.len <= sizeof seen->text);
    memcpy(seen->text + seen->len, line.ptr, line.len);
    seen->len += line.len;
    seen->count++;
}

static void
the_words_of_others_stay_as_they_are(void **state)
{
    struct seen seen = {0};
    log_set_sink(keep_all, &seen);
    log_set_level(LOG_ERROR);
    log_text(STR("a.c:1:2: error: x\n\tint\r;\x1b\x7f\n\n  ^"));
    assert_true(
        str_eq(str_make(seen.text, seen.len), STR("a.c:1:2: error: x\n\tint?;??\n\n  ^\n")));
    assert_int_equal(seen.count, 4);
    log_text((struct str){0});
    assert_int_equal(seen.count, 4);
}

static void
their_long_lines_are_broken(void **state)
{
    struct seen seen = {0};
    char text[4096];
    memset(text, 'x', sizeof text);
    log_set_sink(keep_all, &seen);
    log_text(str_make(text, sizeof text));
    assert_int_equal(seen.count, 3);
    assert_int_equal(seen.len, sizeof text + 3);
}

static void *
log_from_another_thread(void *arg)
{
    (void)arg;
    log_info("from another thread");
    return NULL;
}

/* Without a sink a line is one write to standard error; a sink is for its own thread alone. */
static void
without_a_sink_lines_go_to_standard_error(void **state)
{
    struct seen seen = {0};
    char text[256];
    int fds[2], saved = dup(STDERR_FILENO);
    pthread_t thread;
    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    log_set_sink(keep, &seen);
    dup2(fds[1], STDERR_FILENO);
    int code = pthread_create(&thread, NULL, log_from_another_thread, NULL);
    if (code == 0)
        pthread_join(thread, NULL);
    dup2(saved, STDERR_FILENO);
    close(saved);
    assert_int_equal(code, 0);
    assert_int_equal(seen.count, 0);
    ssize_t len = read(fds[0], text, sizeof text);
    assert_true(len > 0);
    assert_true(str_eq(str_make(text, (size_t)len), STR("tarn: from another thread\n")));
    close(fds[0]);
    close(fds[1]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(lines_name_their_level, teardown),
        cmocka_unit_test_teardown(lines_below_the_level_are_dropped, teardown),
        cmocka_unit_test_teardown(a_line_stays_one_line, teardown),
        cmocka_unit_test_teardown(long_lines_are_cut_and_keep_their_end, teardown),
        cmocka_unit_test_teardown(the_words_of_others_stay_as_they_are, teardown),
        cmocka_unit_test_teardown(their_long_lines_are_broken, teardown),
        cmocka_unit_test_teardown(without_a_sink_lines_go_to_standard_error, teardown),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
