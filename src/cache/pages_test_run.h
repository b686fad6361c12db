/* pages_test_run: for the tests of the pages: a cache without a fetcher, over a real table and a
 * real index; requests as text, whose answers may come later; and questions about the page. */
#ifndef TARN_CACHE_PAGES_TEST_RUN_H
#define TARN_CACHE_PAGES_TEST_RUN_H

#include "cache/cache_dir_test_run.h"
#include "cache/pages_internal.h"
#include "req/req_test_run.h"

#include <netinet/in.h>

enum { NOW = 1700000000 }; /* Tue 14 Nov 2023, 22:13:20 UTC */

struct scene {
    struct world *world; /* with the site behind the cache: empty */
    struct cache_dir dir;
    struct cache cache;
    struct cache_worker worker;
    struct loop *loop;
    struct cidr_list allow, trusted;
    int listener, client, server; /* a connection on loopback; the request's is `server` */
};

static inline void
scene_note(void *arg, const char *line)
{
    fail_msg("note: %s", line);
}

static inline enum index_loaded
scene_loaded(void *arg, const struct cache_entry *entry)
{
    return INDEX_TAKEN;
}

static inline void
scene_connect(struct scene *scene)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    scene->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    scene->client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(scene->listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(scene->listener, 1), 0);
    assert_int_equal(getsockname(scene->listener, (struct sockaddr *)&address, &len), 0);
    assert_int_equal(connect(scene->client, (struct sockaddr *)&address, len), 0);
    scene->server = accept(scene->listener, NULL, NULL);
    assert_true(scene->server >= 0);
}

static inline void
scene_woken(struct req *req)
{
    struct cache_worker *worker = req->env->action.arg;
    loop_stop(worker->loop);
}

static inline int
scene_setup(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    struct error error;
    struct cache *cache = &scene->cache;
    const struct table_config table = {.quota = 100 << 20, .clean_percent = 75, .open_max = 4};
    if (!scene || world_setup((void **)&scene->world) != 0)
        return -1;
    cache_dir_init(&scene->dir);
    assert_shell(&scene->dir, "mkdir cache");
    if (index_open(&cache->index, scene->dir.path, scene_loaded, scene_note, NULL, &error) != 0 ||
        loop_new(&scene->loop, LOOP_EPOLL, &error) != 0)
        fail_msg("%s", error.text);
    cache->table = table_new(&table);
    pthread_mutex_init(&cache->lock, NULL);
    snprintf(cache->instance, sizeof cache->instance, "build<farm>");
    cache->config = (struct cache_config){
        .quota = 100 << 20,
        .clean_percent = 75,
        .default_ttl_s = 10 * 86400,
        .max_ttl_s = 30 * 86400,
        .allow_networks = &scene->allow,
        .trusted_proxies = &scene->trusted,
        .version = "1.2.3",
    };
    scene->worker.cache = cache;
    scene->worker.loop = scene->loop;
    scene_connect(scene);
    scene->world->env.now_s = NOW;
    scene->world->env.action = (struct req_action){cache_answer, &scene->worker};
    scene->world->req.woken = scene_woken;
    *state = scene;
    return 0;
}

static inline bool
scene_drop_flight(void *arg, const struct cache_flight *flight)
{
    *(struct cache_flight **)arg = (struct cache_flight *)flight;
    return false;
}

static inline int
scene_teardown(void **state)
{
    struct scene *scene = *state;
    req_end(&scene->world->req);
    for (struct cache_flight *flight = NULL;; flight = NULL) {
        table_each_flight(scene->cache.table, scene_drop_flight, &flight);
        if (!flight)
            break;
        table_hold(scene->cache.table, flight, 0);
    }
    index_detach(scene->cache.index, scene->loop);
    index_close(scene->cache.index);
    loop_free(scene->loop);
    table_free(scene->cache.table);
    pthread_mutex_destroy(&scene->cache.lock);
    close(scene->server);
    close(scene->client);
    close(scene->listener);
    cache_dir_deinit(&scene->dir);
    world_teardown((void **)&scene->world);
    free(scene);
    return 0;
}

#define scene_test(test) cmocka_unit_test_setup_teardown(test, scene_setup, scene_teardown)

/* --- asking --- */

/* Runs a request, as far as it goes by itself. `fields`: header lines. */
static inline void
scene_begin(struct scene *scene, const char *start, const char *fields)
{
    struct world *world = scene->world;
    struct req *req = &world->req;
    char *text = NULL;
    req_end(req);
    free(world->head);
    buf_clear(&world->body);
    int len = asprintf(&text, "%s HTTP/1.1\r\n%s\r\n", start, fields);
    assert_true(len > 0);
    world->head = text;
    h1_head_decoder_init(&world->decoder, &req->head, HEAD_MAX);
    if (h1_head_decode(&world->decoder, text, (size_t)len) != H1_DONE)
        fail_msg("not a request: %s", text);
    req->fd = scene->server;
    req_run(req);
}

/* Waits for the answer, and checks what holds for every page. */
static inline int
scene_finish(struct scene *scene)
{
    struct world *world = scene->world;
    struct req *req = &world->req;
    const struct loop_hooks hooks = {0};
    if (req->waits)
        loop_run(scene->loop, &hooks);
    assert_false(req->waits);
    if (req->head.method != HTTP_METHOD_HEAD)
        world_collect_body(world);
    assert_false(world->body_failed);
    assert_well_formed(world);
    assert_true(str_is_utf8(buf_str(&world->body)));
    return req->response.status;
}

static inline int
get_with(struct scene *scene, const char *path, const char *fields)
{
    char *start = NULL;
    assert_true(asprintf(&start, "GET %s", path) > 0);
    scene_begin(scene, start, fields);
    free(start);
    return scene_finish(scene);
}

/* A GET that must find a page. */
static inline void
get(struct scene *scene, const char *path)
{
    int status = get_with(scene, path, "Host: cache.example:8001\r\n");
    if (status != 200)
        fail_msg("%s: %d", path, status);
}

static inline size_t
count_of(const struct scene *scene, const char *needle)
{
    struct str rest = buf_str(&scene->world->body), wanted = str_from_cstr(needle);
    size_t count = 0;
    for (size_t at; (at = str_find(rest, wanted)) < rest.len; count++)
        rest = str_skip(rest, at + wanted.len);
    return count;
}

static inline void
expect_count(const struct scene *scene, size_t count, const char *needle)
{
    if (count_of(scene, needle) != count)
        fail_msg("%zu times \"%s\", want %zu", count_of(scene, needle), needle, count);
}

static inline void
expect(const struct scene *scene, const char *needle)
{
    if (count_of(scene, needle) == 0)
        fail_msg("no \"%s\" in:\n%.*s", needle, STR_ARG(buf_str(&scene->world->body)));
}

/* They stand in this order, NULL at the end. */
static inline void
expect_order(const struct scene *scene, const char *const *needles)
{
    struct str rest = buf_str(&scene->world->body);
    for (; *needles; needles++) {
        size_t at = str_find(rest, str_from_cstr(*needles));
        if (at == rest.len)
            fail_msg("\"%s\" is not there, or not in its place", *needles);
        rest = str_skip(rest, at + 1);
    }
}

#endif
