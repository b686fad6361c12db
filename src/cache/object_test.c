/* Objects: what of a growing file is shown, which lines it is served with, and when its bytes leave
 * the account. */
#include "cache/table.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { LEN = 1000 };

static const uint8_t digest[CACHE_SHA256_LEN] = {1, 2, 3};

static struct cache_table *
make_table(void)
{
    const struct table_config config = {.quota = 1 << 20, .open_max = 4};
    struct cache_table *table = table_new(&config);
    assert_non_null(table);
    return table;
}

static uint64_t
used(struct cache_table *table)
{
    struct table_stats stats;
    table_stats(table, &stats);
    return stats.used;
}

static struct cache_entry
entry_of(uint64_t len)
{
    return (struct cache_entry){
        .id = 0x2a,
        .url = STR("http://example.com/a"),
        .len = len,
        .last_modified_s = -1,
        .created_s = 77,
        .ttl_s = 100,
    };
}

static int
open_null(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static struct cache_object *
make(struct cache_table *table, uint64_t len)
{
    struct cache_entry entry = entry_of(len);
    struct cache_object *object = object_new(table, open_null(), &entry);
    assert_non_null(object);
    return object;
}

/* --- growing --- */

/* Also not when all of them are in the file. */
static void
the_last_byte_is_shown_at_the_end_only(void **state)
{
    struct cache_table *table = make_table();
    struct cache_object *object = make(table, LEN);
    assert_int_equal(object_state(object), OBJECT_GROWING);
    assert_int_equal(object_len(object), LEN);
    assert_int_equal(object_shown_len(object), 0);
    object_show(object, 10);
    assert_int_equal(object_shown_len(object), 10);
    object_show(object, LEN - 1);
    assert_int_equal(object_shown_len(object), LEN - 1);
    object_show(object, LEN);
    assert_int_equal(object_shown_len(object), LEN - 1);
    assert_int_equal(object_state(object), OBJECT_GROWING);
    object_finish(object, LEN, digest);
    assert_int_equal(object_shown_len(object), LEN);
    assert_int_equal(object_len(object), LEN);
    assert_int_equal(object_state(object), OBJECT_WHOLE);
    assert_memory_equal(object->sha256, digest, sizeof digest);
    object_unref(object);
    table_free(table);
}

/* There the end is what is withheld. */
static void
without_a_length_all_is_shown_but_the_end(void **state)
{
    struct cache_table *table = make_table();
    struct cache_object *object = make(table, OBJECT_LEN_UNKNOWN);
    object_show(object, LEN);
    assert_int_equal(object_shown_len(object), LEN);
    assert_int_equal(object_len(object), OBJECT_LEN_UNKNOWN);
    assert_int_equal(object_state(object), OBJECT_GROWING);
    object_finish(object, LEN, digest);
    assert_int_equal(object_len(object), LEN);
    assert_int_equal(object_state(object), OBJECT_WHOLE);
    object_unref(object);
    table_free(table);
}

static void
one_byte_and_none(void **state)
{
    struct cache_table *table = make_table();
    struct cache_object *one = make(table, 1), *none = make(table, 0);
    object_show(one, 1);
    assert_int_equal(object_shown_len(one), 0);
    object_finish(one, 1, digest);
    assert_int_equal(object_shown_len(one), 1);
    object_show(none, 0);
    assert_int_equal(object_shown_len(none), 0);
    assert_int_equal(object_state(none), OBJECT_GROWING);
    object_finish(none, 0, digest);
    assert_int_equal(object_state(none), OBJECT_WHOLE);
    object_unref(one);
    object_unref(none);
    table_free(table);
}

static void
what_broke_shows_no_more(void **state)
{
    struct cache_table *table = make_table();
    struct cache_object *object = make(table, LEN);
    object_show(object, LEN);
    object_break(object);
    assert_int_equal(object_state(object), OBJECT_BROKEN);
    assert_int_equal(object_shown_len(object), LEN - 1);
    assert_int_equal(object_len(object), LEN);
    object_unref(object);
    table_free(table);
}

struct grown {
    struct cache_object *object;
    bool breaks;
};

static void *
grow(void *arg)
{
    const struct grown *grown = arg;
    for (uint64_t len = 1; len <= LEN; len++)
        object_show(grown->object, len);
    if (grown->breaks)
        object_break(grown->object);
    else
        object_finish(grown->object, LEN, digest);
    return NULL;
}

/* A reader on another thread: the state first, then the lengths. */
static void
who_sees_the_end_sees_the_length(void **state)
{
    struct cache_table *table = make_table();
    for (unsigned i = 0; i < 100; i++) {
        uint64_t declared = i % 2 ? LEN : OBJECT_LEN_UNKNOWN, shown;
        struct grown grown = {make(table, declared), i % 4 >= 2};
        enum object_state seen;
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, grow, &grown), 0);
        do {
            seen = object_state(grown.object);
            shown = object_shown_len(grown.object);
            assert_true(shown <= LEN);
        } while (seen == OBJECT_GROWING);
        if (seen == OBJECT_WHOLE) {
            assert_int_equal(shown, LEN);
            assert_int_equal(object_len(grown.object), LEN);
            assert_memory_equal(grown.object->sha256, digest, sizeof digest);
        } else {
            assert_int_equal(shown, declared == LEN ? LEN - 1 : LEN);
        }
        pthread_join(thread, NULL);
        object_unref(grown.object);
    }
    table_free(table);
}

/* --- lines --- */

static void
assert_head(struct cache_table *table, const struct cache_entry *entry, const char *wanted)
{
    struct cache_object *object = object_new(table, open_null(), entry);
    assert_non_null(object);
    if (!str_eq(object->head, str_from_cstr(wanted)))
        fail_msg("not '%s' but '%.*s'", wanted, STR_ARG(object->head));
    object_unref(object);
}

#define TAIL                                                      \
    "Accept-Ranges: bytes\r\nX-Content-Type-Options: nosniff\r\n" \
    "Content-Security-Policy: sandbox\r\n"

static void
it_is_served_with_what_upstream_said(void **state)
{
    struct cache_table *table = make_table();
    struct cache_entry entry = entry_of(LEN);
    assert_head(table, &entry,
                "Content-Type: application/octet-stream\r\nETag: \"tarn-2a\"\r\n" TAIL);
    entry.content_type = STR("text/html; charset=x");
    entry.etag = STR("W/\"v1\"");
    entry.content_coding = STR("gzip");
    entry.last_modified_s = 784111777;
    assert_head(table, &entry,
                "Content-Type: text/html; charset=x\r\nETag: W/\"v1\"\r\nContent-Encoding: gzip\r\n"
                "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n" TAIL);
    struct cache_object *object = object_new(table, open_null(), &entry);
    assert_true(str_eq(object->etag, STR("W/\"v1\"")));
    assert_int_equal(object->last_modified_s, 784111777);
    assert_int_equal(object_created_s(object), 77);
    object_unref(object);
    table_free(table);
}

/* The longest that are kept fit. */
static void
the_longest_lines(void **state)
{
    static char type[CACHE_FIELD_MAX], etag[CACHE_FIELD_MAX], coding[CACHE_CODING_MAX];
    struct cache_table *table = make_table();
    struct cache_entry entry = entry_of(LEN);
    memset(type, 't', sizeof type);
    memset(etag, 'e', sizeof etag);
    memset(coding, 'c', sizeof coding);
    etag[0] = etag[sizeof etag - 1] = '"';
    entry.id = UINT64_MAX;
    entry.content_type = str_make(type, sizeof type);
    entry.content_coding = str_make(coding, sizeof coding);
    entry.last_modified_s = 253402300799;
    struct cache_object *own = object_new(table, open_null(), &entry);
    assert_true(str_eq(own->etag, STR("\"tarn-ffffffffffffffff\"")));
    object_unref(own);
    entry.etag = str_make(etag, sizeof etag);
    struct cache_object *object = object_new(table, open_null(), &entry);
    assert_non_null(object);
    assert_true(str_eq(object->etag, entry.etag));
    assert_true(str_ends_with(object->head, STR(TAIL)));
    object_unref(object);
    table_free(table);
}

static void
a_head_that_is_too_long_is_refused_and_its_file_closed(void **state)
{
    static char type[CACHE_HEAD_MAX + 1];
    struct cache_table *table = make_table();
    struct cache_entry entry = entry_of(LEN);
    memset(type, 't', sizeof type);
    entry.content_type = str_make(type, sizeof type);
    int fd = open_null();
    assert_null(object_new(table, fd, &entry));
    assert_true(fcntl(fd, F_GETFD) < 0);
    table_free(table);
}

/* --- the account --- */

static void
the_last_reference_closes_the_file(void **state)
{
    struct cache_table *table = make_table();
    struct cache_object *object = make(table, LEN);
    int fd = object->fd;
    assert_ptr_equal(object_ref(object), object);
    object_unref(object);
    assert_true(fcntl(fd, F_GETFD) >= 0);
    object_unref(object);
    assert_true(fcntl(fd, F_GETFD) < 0);
    object_unref(NULL);
    table_free(table);
}

/* Its bytes are on the disk as long as somebody has it open. */
static void
what_was_unlinked_is_charged_until_nobody_reads_it(void **state)
{
    struct cache_table *table = make_table();
    struct cache_object *object = make(table, LEN);
    assert_true(table_charge(table, LEN));
    object_ref(object);
    object_break(object);
    table_unlinked(table, object, LEN); /* takes one */
    assert_int_equal(used(table), LEN);
    object_unref(object);
    assert_int_equal(used(table), 0);
    assert_true(table_charge(table, LEN));
    table_unlinked(table, NULL, LEN);
    assert_int_equal(used(table), 0);
    table_free(table);
}

/* An object that nobody unlinked takes nothing out of the account: its file is there. */
static void
what_is_kept_stays_charged(void **state)
{
    struct cache_table *table = make_table();
    struct cache_object *object = make(table, LEN);
    assert_true(table_charge(table, LEN));
    object_finish(object, LEN, digest);
    object_unref(object);
    assert_int_equal(used(table), LEN);
    table_free(table);
}

static void *
hold_and_let_go(void *arg)
{
    for (unsigned i = 0; i < 20000; i++)
        object_unref(object_ref(arg));
    object_unref(arg);
    return NULL;
}

/* Once, whichever thread is the last. */
static void
many_threads_let_it_go(void **state)
{
    struct cache_table *table = make_table();
    for (unsigned round = 0; round < 20; round++) {
        struct cache_object *object = make(table, LEN);
        pthread_t threads[3];
        assert_true(table_charge(table, LEN));
        for (unsigned i = 0; i < 3; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, hold_and_let_go, object_ref(object)),
                             0);
        table_unlinked(table, object, LEN);
        for (unsigned i = 0; i < 3; i++)
            pthread_join(threads[i], NULL);
        assert_int_equal(used(table), 0);
    }
    table_free(table);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_byte_is_shown_at_the_end_only),
        cmocka_unit_test(without_a_length_all_is_shown_but_the_end),
        cmocka_unit_test(one_byte_and_none),
        cmocka_unit_test(what_broke_shows_no_more),
        cmocka_unit_test(who_sees_the_end_sees_the_length),
        cmocka_unit_test(it_is_served_with_what_upstream_said),
        cmocka_unit_test(the_longest_lines),
        cmocka_unit_test(a_head_that_is_too_long_is_refused_and_its_file_closed),
        cmocka_unit_test(the_last_reference_closes_the_file),
        cmocka_unit_test(what_was_unlinked_is_charged_until_nobody_reads_it),
        cmocka_unit_test(what_is_kept_stays_charged),
        cmocka_unit_test(many_threads_let_it_go),
    };
    return cmocka_run_group_tests_name("object", tests, NULL, NULL);
}
