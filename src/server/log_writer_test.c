#include "server/log_writer.h"

#include "base/limits.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static struct log_writer *
new_writer(const char *path, int fd)
{
    struct log_writer *writer;
    struct error error;
    if (log_writer_new(&writer, path, fd, &error) != 0)
        fail_msg("%s", error.text);
    return writer;
}

static struct log_ring *
new_ring(struct log_writer *writer)
{
    struct log_ring *ring = log_writer_add_ring(writer);
    assert_non_null(ring);
    return ring;
}

/* Line `number` of a worker; of a length that has no common measure with the ring's. */
static struct str
line_of(char out[512], unsigned worker, unsigned number)
{
    int len = snprintf(out, 512, "worker %u line %u %0*d\n", worker, number,
                       (int)(number * 37 % 300) + 1, 7);
    return str_make(out, (size_t)len);
}

static uint64_t
now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void
pause_ms(unsigned ms)
{
    const struct timespec pause = {.tv_nsec = (long)ms * 1000000};
    nanosleep(&pause, NULL);
}

/* Puts a line, waiting while the ring is full. */
static void
put_patiently(struct log_ring *ring, struct str line)
{
    for (unsigned i = 0; !log_ring_put(ring, line); i++) {
        assert_true(i < 10000);
        log_ring_flush(ring);
        pause_ms(1);
    }
    log_ring_flush(ring);
}

static char *
make_directory(char dir[64])
{
    strcpy(dir, "/tmp/tarn-log-XXXXXX");
    assert_non_null(mkdtemp(dir));
    return dir;
}

static void
assert_file(const char *path, const char *wanted)
{
    char text[4096];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t len = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[len] = '\0';
    assert_string_equal(text, wanted);
}

static void
lines_go_round_the_ring_in_order(void **state)
{
    enum { LINES = 5 * LOG_RING_LEN / 170 };
    char dir[64], path[128], line[512], got[512];
    snprintf(path, sizeof path, "%s/log", make_directory(dir));
    struct log_writer *writer = new_writer(path, -1);
    struct log_ring *ring = new_ring(writer);
    for (unsigned i = 0; i < LINES; i++)
        put_patiently(ring, line_of(line, 0, i));
    log_writer_free(writer);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    for (unsigned i = 0; i < LINES; i++) {
        assert_non_null(fgets(got, sizeof got, file));
        assert_true(str_eq(str_from_cstr(got), line_of(line, 0, i)));
    }
    assert_null(fgets(got, sizeof got, file));
    fclose(file);
    unlink(path);
    rmdir(dir);
}

/* Reads whole lines from a pipe until its end, checking that they are of workers' lines in order,
 * with gaps only where lines were dropped. How many. */
static unsigned
count_lines(FILE *pipe, unsigned workers, unsigned *next)
{
    char got[512], wanted[512];
    unsigned count = 0, worker, number;
    while (fgets(got, sizeof got, pipe)) {
        if (sscanf(got, "worker %u line %u", &worker, &number) != 2 || worker >= workers)
            fail_msg("not a line: %s", got);
        assert_true(str_eq(str_from_cstr(got), line_of(wanted, worker, number)));
        assert_true(number >= next[worker]);
        next[worker] = number + 1;
        count++;
    }
    return count;
}

struct reader {
    pthread_t thread;
    FILE *pipe;
    unsigned next, count;
};

static void *
read_all(void *arg)
{
    struct reader *reader = arg;
    reader->count = count_lines(reader->pipe, 1, &reader->next);
    return NULL;
}

static void
a_blocked_reader_costs_lines_and_no_time(void **state)
{
    enum { LINES = 10000 };
    char line[512];
    int fds[2];
    unsigned put = 0;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    struct log_writer *writer = new_writer(NULL, fds[1]);
    struct log_ring *ring = new_ring(writer);
    uint64_t before_ms = now_ms();
    for (unsigned i = 0; i < LINES; i++) {
        put += log_ring_put(ring, line_of(line, 0, i));
        log_ring_flush(ring);
    }
    assert_true(now_ms() - before_ms < 1000);
    assert_true(put > 100 && put < LINES);
    assert_int_equal(log_writer_dropped(writer), LINES - put);
    /* The reader wakes up: what was put is all there, each line whole. */
    struct reader reader = {.pipe = fdopen(fds[0], "r")};
    assert_non_null(reader.pipe);
    assert_int_equal(pthread_create(&reader.thread, NULL, read_all, &reader), 0);
    log_writer_free(writer);
    close(fds[1]);
    pthread_join(reader.thread, NULL);
    assert_int_equal(reader.count, put);
    fclose(reader.pipe);
}

static struct log_writer *abandoned; /* reachable, so that nobody calls it a leak */

static void
the_end_does_not_wait_for_a_reader_for_ever(void **state)
{
    char line[512];
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    abandoned = new_writer(NULL, fds[1]);
    struct log_ring *ring = new_ring(abandoned);
    for (unsigned i = 0; log_ring_put(ring, line_of(line, 0, i)); i++)
        log_ring_flush(ring);
    uint64_t before_ms = now_ms();
    log_writer_free(abandoned);
    assert_true(now_ms() - before_ms >= 900);
    assert_true(now_ms() - before_ms < 5000);
}

static void
a_reader_that_has_gone_is_counted(void **state)
{
    int fds[2];
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    struct log_writer *writer = new_writer(NULL, fds[1]);
    struct log_ring *ring = new_ring(writer);
    close(fds[0]);
    put_patiently(ring, STR("lost\n"));
    for (unsigned i = 0; i < 1000 && log_writer_dropped(writer) == 0; i++)
        pause_ms(1);
    assert_true(log_writer_dropped(writer) > 0);
    log_writer_free(writer);
    close(fds[1]);
}

static void
a_line_larger_than_the_ring_is_dropped(void **state)
{
    int fds[2];
    char got[16] = {0};
    char *large = calloc(1, LOG_RING_LEN + 1);
    assert_non_null(large);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    struct log_writer *writer = new_writer(NULL, fds[1]);
    struct log_ring *ring = new_ring(writer);
    assert_false(log_ring_put(ring, str_make(large, LOG_RING_LEN + 1)));
    assert_true(log_ring_put(ring, STR("small\n")));
    assert_int_equal(log_writer_dropped(writer), 1);
    log_writer_free(writer);
    assert_int_equal(read(fds[0], got, sizeof got - 1), 6);
    assert_string_equal(got, "small\n");
    close(fds[0]);
    close(fds[1]);
    free(large);
}

static bool
file_is(const char *path, off_t len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    off_t end = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
    if (fd >= 0)
        close(fd);
    return end == len;
}

static void
wait_for_file(const char *path, off_t len)
{
    for (unsigned i = 0; i < 2000 && !file_is(path, len); i++)
        pause_ms(1);
    assert_true(file_is(path, len));
}

static void
a_renamed_file_is_let_go(void **state)
{
    char dir[64], path[128], old[128];
    struct error error;
    snprintf(path, sizeof path, "%s/log", make_directory(dir));
    snprintf(old, sizeof old, "%s/log.1", dir);
    struct log_writer *writer = new_writer(path, -1);
    struct log_ring *ring = new_ring(writer);
    put_patiently(ring, STR("one\n"));
    wait_for_file(path, 4);
    assert_int_equal(rename(path, old), 0);
    put_patiently(ring, STR("two\n"));
    wait_for_file(old, 8);
    assert_int_equal(log_writer_reopen(writer, &error), 0);
    put_patiently(ring, STR("three\n"));
    log_writer_free(writer);
    assert_file(old, "one\ntwo\n");
    assert_file(path, "three\n");
    /* What is there already is kept. */
    writer = new_writer(path, -1);
    put_patiently(new_ring(writer), STR("four\n"));
    log_writer_free(writer);
    assert_file(path, "three\nfour\n");
    unlink(path);
    unlink(old);
    rmdir(dir);
}

static void
a_file_that_cannot_be_opened_again_is_kept(void **state)
{
    char dir[64], sub[128], path[192], moved[128], moved_path[192];
    struct error error;
    snprintf(sub, sizeof sub, "%s/sub", make_directory(dir));
    snprintf(moved, sizeof moved, "%s/moved", dir);
    assert_int_equal(mkdir(sub, 0755), 0);
    snprintf(path, sizeof path, "%s/log", sub);
    snprintf(moved_path, sizeof moved_path, "%s/log", moved);
    struct log_writer *writer = new_writer(path, -1);
    struct log_ring *ring = new_ring(writer);
    assert_int_equal(rename(sub, moved), 0);
    assert_int_equal(log_writer_reopen(writer, &error), -1);
    assert_non_null(strstr(error.text, path));
    put_patiently(ring, STR("kept\n"));
    log_writer_free(writer);
    assert_file(moved_path, "kept\n");
    unlink(moved_path);
    rmdir(moved);
    rmdir(dir);
}

static void
a_path_that_cannot_be_opened_is_named(void **state)
{
    struct log_writer *writer;
    struct error error;
    assert_int_equal(log_writer_new(&writer, "/nonexistent/log", -1, &error), -1);
    assert_non_null(strstr(error.text, "/nonexistent/log"));
    log_writer_free(NULL);
}

enum { WORKERS = 4, WORKER_LINES = 5000 };

struct producer {
    pthread_t thread;
    struct log_ring *ring;
    unsigned number, put;
};

static void *
produce(void *arg)
{
    struct producer *producer = arg;
    char line[512];
    for (unsigned i = 0; i < WORKER_LINES; i++) {
        producer->put += log_ring_put(producer->ring, line_of(line, producer->number, i));
        if (i % 7 == 0)
            log_ring_flush(producer->ring);
        if (i % 500 == 0)
            pause_ms(3); /* lets the writer fall asleep */
    }
    log_ring_flush(producer->ring);
    return NULL;
}

/* Rings are added while others are in use; every line arrives or is counted. */
static void
many_workers_write_at_once(void **state)
{
    struct producer producers[WORKERS] = {0};
    unsigned next[WORKERS] = {0}, put = 0;
    FILE *file = tmpfile();
    assert_non_null(file);
    struct log_writer *writer = new_writer(NULL, fileno(file));
    for (unsigned i = 0; i < WORKERS; i++) {
        producers[i].ring = new_ring(writer);
        producers[i].number = i;
        assert_int_equal(pthread_create(&producers[i].thread, NULL, produce, &producers[i]), 0);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        log_writer_dropped(writer);
        pthread_join(producers[i].thread, NULL);
        put += producers[i].put;
    }
    assert_int_equal(log_writer_dropped(writer), WORKERS * WORKER_LINES - put);
    log_writer_free(writer);
    rewind(file);
    assert_int_equal(count_lines(file, WORKERS, next), put);
    fclose(file);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_go_round_the_ring_in_order),
        cmocka_unit_test(a_blocked_reader_costs_lines_and_no_time),
        cmocka_unit_test(the_end_does_not_wait_for_a_reader_for_ever),
        cmocka_unit_test(a_reader_that_has_gone_is_counted),
        cmocka_unit_test(a_line_larger_than_the_ring_is_dropped),
        cmocka_unit_test(a_renamed_file_is_let_go),
        cmocka_unit_test(a_file_that_cannot_be_opened_again_is_kept),
        cmocka_unit_test(a_path_that_cannot_be_opened_is_named),
        cmocka_unit_test(many_workers_write_at_once),
    };
    return cmocka_run_group_tests_name("log_writer", tests, NULL, NULL);
}
