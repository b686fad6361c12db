#include "script/child.h"

#include "script/folder_test_run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

struct result {
    struct child_end end;
    char out[4096], err[4096];
    struct error error;
};

static void
read_all(int fd, char *to, size_t len)
{
    ssize_t got = pread(fd, to, len - 1, 0);
    assert_true(got >= 0);
    to[got] = '\0';
    close(fd);
}

static int
run(const char *command, unsigned timeout_ms, uint64_t file_len_max, struct result *result)
{
    char *const argv[] = {"sh", "-c", (char *)command, NULL};
    struct child child = {
        .path = "/bin/sh", .argv = argv, .timeout_ms = timeout_ms, .file_len_max = file_len_max};
    child.out_fd = child_file_open("out", &result->error);
    child.err_fd = child_file_open("err", &result->error);
    assert_true(child.out_fd > 2 && child.err_fd > 2);
    int code = child_run(&child, &result->end, &result->error);
    read_all(child.out_fd, result->out, sizeof result->out);
    read_all(child.err_fd, result->err, sizeof result->err);
    return code;
}

static void
output_and_exit_code_come_back(void **state)
{
    struct result result;
    assert_int_equal(run("echo one; echo two >&2; exit 7", 5000, 1 << 20, &result), 0);
    assert_string_equal(result.out, "one\n");
    assert_string_equal(result.err, "two\n");
    assert_int_equal(result.end.exit_code, 7);
    assert_int_equal(result.end.signal_number, 0);
    assert_false(result.end.timed_out);
}

static void
it_has_no_input_and_none_of_our_descriptors(void **state)
{
    struct result result;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int high = fcntl(fd, F_DUPFD_CLOEXEC, 777);
    assert_true(high >= 777);
    assert_int_equal(run("cat; ls /proc/self/fd", 5000, 1 << 20, &result), 0);
    assert_contains(result.out, "0\n1\n");
    assert_null(strstr(result.out, "777"));
    close(high);
    close(fd);
}

static void
descriptors_that_are_named_are_kept(void **state)
{
    char command[64];
    struct result result;
    struct error error;
    int kept = child_file_open("kept", &error);
    assert_true(write(kept, "content", 7) == 7);
    snprintf(command, sizeof command, "cat /proc/self/fd/%d", kept);
    char *const argv[] = {"sh", "-c", command, NULL};
    struct child child = {
        .path = "/bin/sh",
        .argv = argv,
        .out_fd = child_file_open("out", &error),
        .err_fd = child_file_open("err", &error),
        .kept_fds = &kept,
        .kept_count = 1,
        .timeout_ms = 5000,
        .file_len_max = 1 << 20,
    };
    assert_int_equal(child_run(&child, &result.end, &error), 0);
    read_all(child.out_fd, result.out, sizeof result.out);
    close(child.err_fd);
    assert_string_equal(result.out, "content");
    assert_true(fcntl(kept, F_GETFD) & FD_CLOEXEC);
    close(kept);
}

/* As those of a server are. */
static void
it_does_not_inherit_what_we_do_with_signals(void **state)
{
    struct result result;
    sigset_t blocked, before;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(run("kill -TERM $$; exit 5", 5000, 1 << 20, &result), 0);
    assert_int_equal(result.end.signal_number, SIGTERM);
    assert_int_equal(run("kill -PIPE $$; exit 5", 5000, 1 << 20, &result), 0);
    assert_int_equal(result.end.signal_number, SIGPIPE);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

static uint64_t
now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* With what it has started. */
static void
its_time_is_limited(void **state)
{
    struct result result;
    uint64_t begun = now_ms();
    assert_int_equal(run("sleep 60 & echo $!; sleep 60", 200, 1 << 20, &result), 0);
    assert_true(now_ms() - begun < 10000);
    assert_true(result.end.timed_out);
    assert_int_equal(result.end.exit_code, -1);
    assert_int_equal(result.end.signal_number, SIGKILL);
    pid_t grandchild = (pid_t)atoi(result.out);
    assert_true(grandchild > 1);
    while (kill(grandchild, 0) == 0) { /* until it was buried */
        assert_true(now_ms() - begun < 20000);
        usleep(1000);
    }
    assert_int_equal(errno, ESRCH);
}

static void
what_it_writes_is_limited(void **state)
{
    struct result result;
    assert_int_equal(run("sleep 0.1; head -c 100000 /dev/zero", 5000, 1000, &result), 0);
    assert_true(result.end.exit_code != 0);
}

static void
a_death_by_signal_is_told(void **state)
{
    struct result result;
    assert_int_equal(run("kill -SEGV $$", 5000, 1 << 20, &result), 0);
    assert_int_equal(result.end.exit_code, -1);
    assert_int_equal(result.end.signal_number, SIGSEGV);
}

/* A supervisor may have us started so. */
static void
children_that_are_ignored_are_waited_for(void **state)
{
    struct result result;
    signal(SIGCHLD, SIG_IGN);
    assert_int_equal(run("sleep 0.1; exit 3", 5000, 1 << 20, &result), 0);
    assert_int_equal(result.end.exit_code, 3);
}

static void
what_is_not_there_is_an_error(void **state)
{
    struct child_end end;
    struct error error;
    char *const argv[] = {"x", NULL};
    struct child child = {
        .path = "/nonexistent/program", .argv = argv, .out_fd = 1, .err_fd = 2, .timeout_ms = 1000};
    assert_int_equal(child_run(&child, &end, &error), -1);
    assert_string_equal(error.text, "cannot run '/nonexistent/program': No such file or directory");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_and_exit_code_come_back),
        cmocka_unit_test(it_has_no_input_and_none_of_our_descriptors),
        cmocka_unit_test(descriptors_that_are_named_are_kept),
        cmocka_unit_test(it_does_not_inherit_what_we_do_with_signals),
        cmocka_unit_test(its_time_is_limited),
        cmocka_unit_test(what_it_writes_is_limited),
        cmocka_unit_test(a_death_by_signal_is_told),
        cmocka_unit_test(children_that_are_ignored_are_waited_for),
        cmocka_unit_test(what_is_not_there_is_an_error),
    };
    return cmocka_run_group_tests_name("child", tests, NULL, NULL);
}
