/* The HTTP/1 session: large heads and bodies, slow readers, transfers that break; on both backends.
 */
#include "conn/conn_test_run.h"

#include <pthread.h>

enum { BIG_LEN = 4000000 };

static void
make_big(struct scene *scene)
{
    scene_make(scene, "seq 1 1000000 >big && truncate -s %d big && printf small >small", BIG_LEN);
}

static void
assert_big(struct scene *scene, struct str got)
{
    char path[256];
    char *wanted = malloc(BIG_LEN);
    snprintf(path, sizeof path, "%s/in/big", scene->fixture->dir);
    FILE *file = fopen(path, "rb");
    assert_true(wanted && file);
    assert_int_equal(fread(wanted, 1, BIG_LEN, file), BIG_LEN);
    fclose(file);
    assert_int_equal(got.len, BIG_LEN);
    assert_memory_equal(got.ptr, wanted, BIG_LEN);
    free(wanted);
}

/* From pages in memory, and from a file. */
static const uint64_t preload_maxes[] = {1 << 24, 0};

static void
large_bodies_reach_slow_readers_whole(void **state)
{
    struct scene *scene = *state;
    for (unsigned i = 0; i < 2; i++) {
        struct client client;
        scene->fixture->config.preload_max = preload_maxes[i];
        make_big(scene);
        client_open(&client, scene);
        client.read_step = 50000;
        client_get(&client, "/big");
        client_get(&client, "/small");
        client_get(&client, "/big");
        assert_int_equal(client_next(&client, false), 200);
        assert_big(scene, client.body);
        assert_next(&client, 200, "small");
        assert_int_equal(client_next(&client, false), 200);
        assert_big(scene, client.body);
        client_close(&client);
    }
}

static void
several_ranges_of_a_large_file_are_sent(void **state)
{
    struct scene *scene = *state;
    for (unsigned i = 0; i < 2; i++) {
        struct client client;
        scene->fixture->config.preload_max = preload_maxes[i];
        make_big(scene);
        client_open(&client, scene);
        client_say(&client, "GET /big HTTP/1.1\r\nHost: a\r\n"
                            "Range: bytes=0-1,100-40099,1000000-3999999\r\n\r\n");
        client_get(&client, "/small");
        assert_int_equal(client_next(&client, false), 206);
        assert_true(client.body.len > 3040002);
        assert_true(str_ends_with(client.body, STR("--\r\n")));
        assert_next(&client, 200, "small");
        client_close(&client);
    }
}

/* Header lines that do not fit the buffer for heads, also behind others in it. */
static void
large_heads_are_sent_whole(void **state)
{
    struct scene *scene = *state;
    struct client client;
    scene_make(scene, "printf body >a && printf '/*\\n  X-Long: %%0%dd\\n' 1 >_headers",
               CONN_OUT_LEN - 96);
    client_open(&client, scene);
    for (unsigned i = 0; i < 20; i++) {
        client_get(&client, "/a");
        client_get(&client, "/none");
        client_say(&client, "HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    for (unsigned i = 0; i < 20; i++) {
        assert_next(&client, 200, "body");
        assert_int_equal(client_header(&client, "X-Long").len, CONN_OUT_LEN - 96);
        assert_next(&client, 404, "404 Not Found\n");
        assert_int_equal(client_header(&client, "X-Long").len, CONN_OUT_LEN - 96);
        assert_int_equal(client_next(&client, true), 200);
        assert_int_equal(client_header(&client, "X-Long").len, CONN_OUT_LEN - 96);
    }
    assert_int_equal(scene->record_count, 60);
    assert_int_equal(scene->records[0].bytes, 4);
    assert_int_equal(scene->records[2].bytes, 0);
    client_close(&client);
}

/* A head that fills the rest of the buffer to the byte, more or less. */
static void
heads_of_every_length_fit(void **state)
{
    struct scene *scene = *state;
    char path[256];
    scene_make(scene, "printf body >a");
    for (unsigned len = CONN_OUT_LEN - 450; len < CONN_OUT_LEN - 250; len += 3) {
        struct client client;
        snprintf(path, sizeof path, "%s/in/_headers", scene->fixture->dir);
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        fprintf(file, "/*\n  X-Long: %0*d\n", (int)len, 1);
        fclose(file);
        load(scene->fixture);
        scene->pin.site = scene->fixture->site;
        client_open(&client, scene);
        client_get(&client, "/a");
        client_get(&client, "/a");
        assert_next(&client, 200, "body");
        assert_next(&client, 200, "body");
        assert_int_equal(client_header(&client, "X-Long").len, len);
        client_close(&client);
        run_for(scene->world, 0);
    }
}

/* While its answers are not read, a peer may go on asking: it is not read from for a while, and
 * loses nothing. That must not change when the first bytes of a head were there early. */
static void
a_flood_of_requests_waits_for_its_reader(void **state)
{
    enum { FLOOD = 100000 };
    struct scene *scene = *state;
    struct client client;
    make_big(scene);
    client_open_unix(&client, scene);
    client.read_step = 0;
    client_say(&client, "GET /sm");
    unsigned asked = 0;
    do {
        client_say(&client, "all HTTP/1.1\r\nHost: a\r\n\r\nGET /sm");
        client_run_for(&client, 0);
        asked++;
    } while (scene->env.counters.requests == asked);
    for (; asked < FLOOD; asked++)
        buf_append(&client.out, STR("all HTTP/1.1\r\nHost: a\r\n\r\nGET /sm"));
    client_run_for(&client, 300);
    assert_true(client.out.len > FLOOD);
    client.read_step = SIZE_MAX;
    for (unsigned i = 0; i < FLOOD; i++)
        assert_next(&client, 200, "small");
    assert_int_equal(scene->env.counters.requests, FLOOD);
    client_close(&client);
}

static bool
all_have_ended(void *arg)
{
    const struct scene *scene = arg;
    return scene->pool.counters.active == 0;
}

enum { TURN_ASKED = 40 };

struct turn_watch {
    struct scene *scene;
    uint64_t seen, most; /* bytes out: at the last look, and of one turn */
};

static bool
all_is_out(void *arg)
{
    struct turn_watch *watch = arg;
    uint64_t out = watch->scene->pool.counters.bytes_out;
    if (out - watch->seen > watch->most)
        watch->most = out - watch->seen;
    watch->seen = out;
    return out >= (uint64_t)TURN_ASKED * BIG_LEN && watch->scene->record_count == TURN_ASKED;
}

static void *
read_all(void *arg)
{
    static char bytes[1 << 20];
    const int *fd = arg;
    while (recv(*fd, bytes, sizeof bytes, 0) > 0)
        continue;
    return NULL;
}

/* A peer that takes everything at once, and asks for much, does not hold up the others. */
static void
a_fast_reader_gets_no_more_than_its_turn(void **state)
{
    struct scene *scene = *state;
    for (unsigned i = 0; i < 2; i++) {
        struct client client;
        struct turn_watch watch = {.scene = scene, .seen = scene->pool.counters.bytes_out};
        pthread_t reader;
        scene->fixture->config.preload_max = preload_maxes[i];
        scene->record_count = 0;
        make_big(scene);
        client_open_tcp(&client, scene, false);
        for (unsigned asked = 0; asked < TURN_ASKED; asked++)
            client_get(&client, "/big");
        fcntl(client.fd, F_SETFL, 0);
        assert_int_equal(pthread_create(&reader, NULL, read_all, &client.fd), 0);
        scene->pool.counters.bytes_out = 0;
        watch.seen = 0;
        run_until(scene->world, all_is_out, &watch);
        assert_true(watch.most >= CONN_TURN_MAX);
        assert_true(watch.most < CONN_TURN_MAX + CONN_SEND_FILE_MAX + CONN_OUT_LEN);
        shutdown(client.fd, SHUT_RDWR);
        pthread_join(reader, NULL);
        client_close(&client);
        run_until(scene->world, all_have_ended, scene);
    }
}

static void
a_file_that_shrinks_breaks_the_transfer(void **state)
{
    struct scene *scene = *state;
    struct client client;
    scene->fixture->config.preload_max = 0;
    make_big(scene);
    client_open(&client, scene);
    client.read_step = 0;
    client_get(&client, "/big");
    client_run_for(&client, 20);
    run(scene->fixture, "truncate -s 1000 in/big");
    client.read_step = SIZE_MAX;
    run_until(scene->world, client_was_ended, &client);
    assert_int_equal(client.end, -ECONNRESET);
    assert_true(client.in.len < BIG_LEN);
    run_until(scene->world, all_have_ended, scene);
    assert_ends(scene, CONN_END_BODY_FAILED, 1);
    assert_int_equal(scene->record_count, 1);
    assert_false(scene->records[0].complete);
    assert_true(scene->records[0].bytes < BIG_LEN);
    client_close(&client);
}

static void
who_goes_in_the_middle_is_counted(void **state)
{
    struct scene *scene = *state;
    for (unsigned i = 0; i < 2; i++) {
        struct client client;
        scene->fixture->config.preload_max = preload_maxes[i];
        make_big(scene);
        client_open(&client, scene);
        client.read_step = 0;
        client_get(&client, "/big");
        client_run_for(&client, 20);
        client_reset(&client);
        run_until(scene->world, all_have_ended, scene);
        assert_ends(scene, CONN_END_PEER_RESET, i + 1);
        assert_int_equal(scene->record_count, i + 1);
        assert_false(scene->records[i].complete);
    }
}

static void
who_does_not_read_is_cut_off(void **state)
{
    struct scene *scene = *state;
    struct client client;
    scene->pool.config.io_timeout_ns = 50 * MS;
    make_big(scene);
    client_open(&client, scene);
    client.read_step = 0;
    client_get(&client, "/big");
    client_run_for(&client, 30);
    assert_int_equal(scene->pool.counters.active, 1);
    run_until(scene->world, all_have_ended, scene);
    assert_ends(scene, CONN_END_IO_TIMEOUT, 1);
    client.read_step = SIZE_MAX;
    run_until(scene->world, client_was_ended, &client);
    assert_int_equal(client.end, -ECONNRESET);
    client_close(&client);
}

/* The deadline is for progress, not for the whole. */
static void
who_reads_slowly_is_not_cut_off(void **state)
{
    struct scene *scene = *state;
    struct client client;
    scene->pool.config.io_timeout_ns = 100 * MS;
    make_big(scene);
    client_open(&client, scene);
    client.read_step = 20000;
    uint64_t before_ns = loop_now_ns(scene->world->loop);
    client_get(&client, "/big");
    assert_int_equal(client_next(&client, false), 200);
    assert_big(scene, client.body);
    assert_true(loop_now_ns(scene->world->loop) - before_ns > 100 * MS);
    client_close(&client);
}

static void
without_memory_for_a_head_the_connection_breaks(void **state)
{
    struct scene *scene = *state;
    struct client client;
    scene->pool.config.head_max = 1 << 20;
    scene_make(scene, "printf body >a && printf '/*\\n  X-A: %%03000d\\n  X-B: %%03000d\\n' 1 1 "
                      ">_headers");
    client_open(&client, scene);
    buf_append(&client.out, STR("GET "));
    for (unsigned i = 0; i < REQ_ARENA_MAX - 4000; i++)
        buf_append_char(&client.out, '/');
    client_say(&client, "a HTTP/1.1\r\nHost: a\r\n\r\n");
    run_until(scene->world, client_was_ended, &client);
    assert_int_equal(client.in.len, 0);
    run_until(scene->world, all_have_ended, scene);
    assert_ends(scene, CONN_END_NO_MEMORY, 1);
    client_close(&client);
}

/* --- the access log --- */

static void
each_request_is_logged_once_as_it_came(void **state)
{
    struct scene *scene = *state;
    struct client client;
    make_big(scene);
    client_open(&client, scene);
    client_say(&client, "GET /small?q HTTP/1.1\r\nHost: h.example\r\nUser-Agent: t/1\r\n\r\n"
                        "HEAD /big HTTP/1.1\r\nHost: a\r\n\r\n"
                        "POST /none HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab"
                        "GET /big HTTP/1.1\r\nHost: a\r\n\r\nbroken");
    client.end_after_out = true;
    run_until(scene->world, client_was_ended, &client);
    assert_int_equal(scene->record_count, 5);
    assert_string_equal(scene->records[0].method, "GET");
    assert_string_equal(scene->records[0].target, "/small?q");
    assert_string_equal(scene->records[0].host, "h.example");
    assert_string_equal(scene->records[0].agent, "t/1");
    static const int statuses[] = {200, 200, 405, 200, 400};
    static const uint64_t lens[] = {5, 0, 23, BIG_LEN, 0};
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(scene->records[i].status, statuses[i]);
        assert_true(scene->records[i].complete);
        if (i < 4)
            assert_int_equal(scene->records[i].bytes, lens[i]);
    }
    assert_string_equal(scene->records[2].method, "POST");
    client_close(&client);
}

static int
run_group(const char *name)
{
    const struct CMUnitTest tests[] = {
        scene_test(large_bodies_reach_slow_readers_whole),
        scene_test(several_ranges_of_a_large_file_are_sent),
        scene_test(large_heads_are_sent_whole),
        scene_test(heads_of_every_length_fit),
        scene_test(a_flood_of_requests_waits_for_its_reader),
        scene_test(a_fast_reader_gets_no_more_than_its_turn),
        scene_test(a_file_that_shrinks_breaks_the_transfer),
        scene_test(who_goes_in_the_middle_is_counted),
        scene_test(who_does_not_read_is_cut_off),
        scene_test(who_reads_slowly_is_not_cut_off),
        scene_test(without_memory_for_a_head_the_connection_breaks),
        scene_test(each_request_is_logged_once_as_it_came),
    };
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int
main(void)
{
    return run_on_both("h1 transfer", run_group);
}
