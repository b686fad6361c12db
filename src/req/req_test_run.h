/* req_test_run: for the tests of the pipeline: a small site, requests as text, and questions about
 * the response.
 */
#ifndef TARN_REQ_REQ_TEST_RUN_H
#define TARN_REQ_REQ_TEST_RUN_H

#include "http/h1_head.h"
#include "req/req.h"
#include "site/site_test_run.h"

#include "base/buf.h"
#include "base/limits.h"

enum { HEAD_MAX = 400 << 10, FIELDS_MAX = 32, BODY_MAX = 8 << 20 };

struct world {
    struct fixture *fixture;
    struct site_pin pin;
    struct req_env env;
    int health;
    uint64_t generation;
    struct req req;
    struct http_field fields[FIELDS_MAX];
    struct h1_head_decoder decoder;
    char *head;      /* what the request borrows from */
    struct buf body; /* what world_ask collected */
    bool body_failed;
    unsigned unused_count;
};

static inline void
world_pin_unused(struct site_pin *pin)
{
    struct world *world = (struct world *)((char *)pin - offsetof(struct world, pin));
    world->unused_count++;
}

static inline int
world_setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    if (!world || setup((void **)&world->fixture) != 0)
        return -1;
    world->pin.unused = world_pin_unused;
    world->env = (struct req_env){.pin = &world->pin,
                                  .generation = &world->generation,
                                  .health = &world->health,
                                  .now_s = 1700000000};
    http_date_format(world->env.now_s, world->env.date);
    req_init(&world->req, &world->env, world->fields, FIELDS_MAX);
    buf_init(&world->body, BODY_MAX);
    *state = world;
    return 0;
}

static inline int
world_teardown(void **state)
{
    struct world *world = *state;
    req_end(&world->req);
    req_deinit(&world->req);
    buf_deinit(&world->body);
    free(world->head);
    teardown((void **)&world->fixture);
    free(world);
    return 0;
}

/* Loads what the fixture's directory holds. */
static inline void
world_load(struct world *world)
{
    req_end(&world->req);
    load(world->fixture);
    world->pin.site = world->fixture->site;
}

/* Makes a site of the files that a shell command leaves behind, and loads it. */
#define world_make(world, ...)                         \
    do {                                               \
        run((world)->fixture, "cd in && "__VA_ARGS__); \
        world_load(world);                             \
    } while (0)

static inline void
world_collect_body(struct world *world)
{
    struct body_piece piece;
    enum body_result result;
    while ((result = body_pull(&world->req.body, &piece)) == BODY_PIECE) {
        char *room = buf_reserve(&world->body, piece.len);
        assert_non_null(room);
        if (piece.mem.ptr) {
            assert_int_equal(piece.mem.len, piece.len);
            memcpy(room, piece.mem.ptr, piece.len);
        } else if (pread(piece.fd, room, piece.len, (off_t)piece.off) != (ssize_t)piece.len) {
            fail_msg("the file gives less than the piece");
        }
        buf_commit(&world->body, piece.len);
    }
    world->body_failed = result == BODY_FAILED;
}

/* Value of the response's header line; NULL pointer: none. More than one is a mistake. */
static inline struct str
header(const struct world *world, const char *name)
{
    struct str found = {0};
    size_t name_len = strlen(name);
    for (unsigned i = 0; i < world->req.response.block_count; i++) {
        struct str rest = world->req.response.blocks[i];
        while (rest.len) {
            struct str line = str_first(rest, str_find(rest, STR("\r\n")));
            rest = str_skip(rest, line.len + 2);
            if (line.len > name_len && line.ptr[name_len] == ':' &&
                str_ieq(str_first(line, name_len), str_from_cstr(name))) {
                if (found.ptr)
                    fail_msg("%s stands twice", name);
                found = str_trim(str_skip(line, name_len + 1));
            }
        }
    }
    return found;
}

static inline void
assert_header(const struct world *world, const char *name, const char *wanted)
{
    struct str got = header(world, name);
    if (!wanted && got.ptr)
        fail_msg("%s: %.*s should not be there", name, STR_ARG(got));
    if (wanted && !str_eq(got, str_from_cstr(wanted)))
        fail_msg("%s is '%.*s', not '%s'", name, STR_ARG(got), wanted);
}

/* Every line whole; and the length that is announced is the one that comes. */
static inline void
assert_well_formed(const struct world *world)
{
    const struct response *response = &world->req.response;
    bool is_head = world->req.head.method == HTTP_METHOD_HEAD;
    struct str announced = header(world, "Content-Length");
    uint64_t len = 0;
    assert_true(response->status >= 200 && response->status < 600);
    for (unsigned i = 0; i < response->block_count; i++) {
        assert_true(str_ends_with(response->blocks[i], STR("\r\n")));
        assert_int_equal(str_find(response->blocks[i], STR("\r\n\r\n")), response->blocks[i].len);
    }
    if (announced.ptr)
        assert_true(str_to_u64(announced, &len));
    else
        assert_true(response->status == 204 || response->status == 304);
    if (response->status != 304)
        assert_int_equal(len, response->body_len);
    if (!is_head && !world->body_failed)
        assert_int_equal(world->body.len, response->status == 304 ? 0 : len);
}

/* Decodes a request, runs it, pulls its body and checks what holds for every response. */
static inline void
world_ask_bytes(struct world *world, struct str text)
{
    req_end(&world->req);
    free(world->head);
    buf_clear(&world->body);
    world->head = malloc(text.len);
    assert_non_null(world->head);
    memcpy(world->head, text.ptr, text.len);
    h1_head_decoder_init(&world->decoder, &world->req.head, HEAD_MAX);
    if (h1_head_decode(&world->decoder, world->head, text.len) != H1_DONE)
        fail_msg("not a request: %.*s", STR_ARG(text));
    req_run(&world->req);
    if (world->req.head.method != HTTP_METHOD_HEAD)
        world_collect_body(world);
    assert_well_formed(world);
}

/* `start`: "GET /path"; `fields`: the header lines, each with its end. */
static inline int
ask_host(struct world *world, const char *start, const char *fields)
{
    static char text[HEAD_MAX];
    int len = snprintf(text, sizeof text, "%s HTTP/1.1\r\n%s\r\n", start, fields);
    assert_true(len > 0 && (size_t)len < sizeof text);
    world_ask_bytes(world, str_make(text, (size_t)len));
    return world->req.response.status;
}

/* The same with a Host; `fields` may be "". */
static inline int
ask(struct world *world, const char *start, const char *fields)
{
    char all[HEAD_MAX];
    int len = snprintf(all, sizeof all, "Host: site.example\r\n%s", fields);
    assert_true(len > 0 && (size_t)len < sizeof all);
    return ask_host(world, start, all);
}

static inline void
assert_answer(const struct world *world, const char *wanted)
{
    struct str got = buf_str(&world->body);
    if (!str_eq(got, str_from_cstr(wanted)))
        fail_msg("the body is '%.*s', not '%s'", STR_ARG(got), wanted);
}

#define world_test(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)

#endif
