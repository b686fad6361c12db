/* The static action: files, variants, conditions, ranges. */
#include "req/req_test_run.h"

static void
a_file_is_answered_whole(void **state)
{
    struct world *world = *state;
    world_make(world, "printf hello >a.txt && : >empty.txt");
    assert_int_equal(ask(world, "GET /a.txt", ""), 200);
    assert_answer(world, "hello");
    assert_header(world, "Content-Type", "text/plain; charset=utf-8");
    assert_header(world, "Content-Length", "5");
    assert_header(world, "Accept-Ranges", "bytes");
    assert_header(world, "X-Content-Type-Options", "nosniff");
    assert_header(world, "Cache-Control", "public, max-age=3600");
    assert_true(header(world, "ETag").ptr && header(world, "Last-Modified").ptr);
    assert_false(world->req.response.close);
    assert_int_equal(ask(world, "GET /empty.txt", ""), 200);
    assert_header(world, "Content-Length", "0");
    assert_answer(world, "");
}

static void
head_is_get_without_the_body(void **state)
{
    struct world *world = *state;
    world_make(world, "printf hello >a.txt && mkdir d && printf x >d/index.html");
    static const char *const paths[] = {"/a.txt", "/d", "/none"};
    for (unsigned i = 0; i < 3; i++) {
        char get[64], head[64], blocks[4096];
        size_t len = 0;
        snprintf(get, sizeof get, "GET %s", paths[i]);
        snprintf(head, sizeof head, "HEAD %s", paths[i]);
        int status = ask(world, get, "");
        for (unsigned j = 0; j < world->req.response.block_count; j++) {
            struct str block = world->req.response.blocks[j];
            memcpy(blocks + len, block.ptr, block.len);
            len += block.len;
        }
        assert_int_equal(ask(world, head, ""), status);
        size_t at = 0;
        for (unsigned j = 0; j < world->req.response.block_count; j++) {
            struct str block = world->req.response.blocks[j];
            assert_true(at + block.len <= len);
            assert_memory_equal(blocks + at, block.ptr, block.len);
            at += block.len;
        }
        assert_int_equal(at, len);
    }
}

static void
other_methods_are_named(void **state)
{
    struct world *world = *state;
    world_make(world, "printf hello >a.txt");
    static const char *const wrong[] = {"POST /a.txt", "DELETE /a.txt", "PATCH /none", "TRACE /",
                                        "get /a.txt",  "BREW /pot",     "CONNECT a:80"};
    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(ask(world, wrong[i], ""), 405);
        assert_header(world, "Allow", "GET, HEAD, OPTIONS");
    }
    assert_int_equal(ask(world, "OPTIONS /a.txt", ""), 204);
    assert_header(world, "Allow", "GET, HEAD, OPTIONS");
    assert_header(world, "Content-Length", NULL);
    assert_int_equal(ask(world, "OPTIONS *", ""), 204);
}

static void
a_large_body_is_refused_before_it_comes(void **state)
{
    struct world *world = *state;
    world_make(world, "printf hello >a.txt");
    assert_int_equal(ask(world, "GET /a.txt", "Content-Length: 262145\r\n"), 413);
    assert_true(world->req.response.close);
    assert_int_equal(ask(world, "GET /a.txt", "Content-Length: 262144\r\n"), 200);
    assert_int_equal(ask(world, "GET /a.txt", "Transfer-Encoding: chunked\r\n"), 200);
}

static void
missing_paths_get_the_page_of_the_site(void **state)
{
    struct world *world = *state;
    world_make(world, "printf home >index.html");
    assert_int_equal(ask(world, "GET /none", ""), 404);
    assert_answer(world, "404 Not Found\n");
    world_make(world, "printf lost >404.html && gzip -k 404.html");
    assert_int_equal(ask(world, "GET /none", ""), 404);
    assert_answer(world, "lost");
    assert_header(world, "Content-Type", "text/html; charset=utf-8");
    assert_header(world, "Cache-Control", "no-store");
    assert_header(world, "X-Content-Type-Options", "nosniff");
    assert_header(world, "Vary", "Accept-Encoding");
    assert_header(world, "ETag", NULL);
    assert_header(world, "Accept-Ranges", NULL);
    /* Conditions and ranges are about what was asked for, and that is not there. */
    assert_int_equal(ask(world, "GET /none", "If-None-Match: *\r\nRange: bytes=0-1\r\n"), 404);
    assert_answer(world, "lost");
    assert_int_equal(ask(world, "GET /none", "Accept-Encoding: gzip\r\n"), 404);
    assert_header(world, "Content-Encoding", "gzip");
    assert_int_equal(ask(world, "GET /none", "Accept-Encoding: identity;q=0\r\n"), 404);
    assert_answer(world, "lost");
}

static void
variants_are_negotiated(void **state)
{
    struct world *world = *state;
    world_make(world, "seq 1 1000 >a.txt && gzip -k a.txt && printf plain >b.txt");
    assert_int_equal(ask(world, "GET /a.txt", ""), 200);
    assert_header(world, "Content-Encoding", NULL);
    assert_header(world, "Vary", "Accept-Encoding");
    assert_int_equal(world->body.len, 3893);
    char plain_tag[64];
    snprintf(plain_tag, sizeof plain_tag, "%.*s", STR_ARG(header(world, "ETag")));
    assert_int_equal(ask(world, "GET /a.txt", "Accept-Encoding: br, gzip;q=0.5\r\n"), 200);
    assert_header(world, "Content-Encoding", "gzip");
    assert_header(world, "Content-Type", "text/plain; charset=utf-8");
    assert_memory_equal(world->body.ptr, "\x1f\x8b", 2);
    assert_false(str_eq(header(world, "ETag"), str_from_cstr(plain_tag)));
    ask(world, "GET /a.txt", "Accept-Encoding: gzip;q=0\r\nAccept-Encoding: deflate\r\n");
    assert_header(world, "Content-Encoding", NULL);
    assert_int_equal(ask(world, "GET /b.txt", "Accept-Encoding: identity;q=0, gzip\r\n"), 406);
    assert_int_equal(ask(world, "GET /b.txt", "Accept-Encoding: *;q=0\r\n"), 406);
    assert_int_equal(ask(world, "GET /b.txt", "Accept-Encoding: \r\n"), 200);
    assert_int_equal(ask(world, "GET /a.txt", "Accept-Encoding: identity;q=0, gzip\r\n"), 200);
    assert_header(world, "Content-Encoding", "gzip");
}

static void
conditions_decide_before_the_content(void **state)
{
    struct world *world = *state;
    char fields[256];
    world_make(world, "printf hello >a.txt && touch -d '2020-01-02 03:04:05Z' a.txt");
    ask(world, "GET /a.txt", "");
    char tag[64];
    snprintf(tag, sizeof tag, "%.*s", STR_ARG(header(world, "ETag")));
    assert_header(world, "Last-Modified", "Thu, 02 Jan 2020 03:04:05 GMT");

    snprintf(fields, sizeof fields, "If-None-Match: \"other\", W/%s\r\n", tag);
    assert_int_equal(ask(world, "GET /a.txt", fields), 304);
    assert_header(world, "ETag", tag);
    assert_header(world, "Cache-Control", "public, max-age=3600");
    assert_header(world, "Content-Type", NULL);
    assert_header(world, "Content-Length", NULL);
    assert_int_equal(ask(world, "HEAD /a.txt", fields), 304);
    assert_int_equal(ask(world, "GET /a.txt", "If-None-Match: \"other\"\r\n"), 200);
    snprintf(fields, sizeof fields, "If-Match: %s\r\n", tag);
    assert_int_equal(ask(world, "GET /a.txt", fields), 200);
    assert_int_equal(ask(world, "GET /a.txt", "If-Match: \"other\"\r\n"), 412);
    static const char *const since = "If-Modified-Since: Thu, 02 Jan 2020 03:04:05 GMT\r\n";
    assert_int_equal(ask(world, "GET /a.txt", since), 304);
    static const char *const before = "If-Modified-Since: Thu, 02 Jan 2020 03:04:04 GMT\r\n";
    assert_int_equal(ask(world, "GET /a.txt", before), 200);
    static const char *const unless = "If-Unmodified-Since: Thu, 02 Jan 2020 03:04:04 GMT\r\n";
    assert_int_equal(ask(world, "GET /a.txt", unless), 412);
}

static void
one_range_is_answered_with_it(void **state)
{
    static const struct {
        const char *range, *content_range, *body;
    } rows[] = {
        {"bytes=0-0", "bytes 0-0/10", "0"},          {"bytes=3-5", "bytes 3-5/10", "345"},
        {"bytes=7-", "bytes 7-9/10", "789"},         {"bytes=-2", "bytes 8-9/10", "89"},
        {"bytes=-99", "bytes 0-9/10", "0123456789"}, {"bytes=5-99", "bytes 5-9/10", "56789"},
        {"bytes=1-2,2-4", "bytes 1-4/10", "1234"},
    };
    struct world *world = *state;
    for (int preloaded = 0; preloaded < 2; preloaded++) {
        world->fixture->config.preload_max = preloaded ? 1000 : 0;
        world_make(world, "printf 0123456789 >a.txt");
        for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
            char fields[64];
            snprintf(fields, sizeof fields, "Range: %s\r\n", rows[i].range);
            assert_int_equal(ask(world, "GET /a.txt", fields), 206);
            assert_header(world, "Content-Range", rows[i].content_range);
            assert_header(world, "Content-Type", "text/plain; charset=utf-8");
            assert_true(header(world, "ETag").ptr != NULL);
            assert_answer(world, rows[i].body);
        }
    }
}

static void
ranges_that_do_not_count_give_everything(void **state)
{
    struct world *world = *state;
    world_make(world, "printf 0123456789 >a.txt");
    static const char *const ignored[] = {
        "Range: bytes=5-3\r\n",
        "Range: lines=1-2\r\n",
        "Range: bytes\r\n",
        "Range: bytes=x-\r\n",
        "Range: bytes=0-1\r\nIf-Range: \"other\"\r\n",
        "Range: bytes=0-1\r\nIf-Range: Thu, 02 Jan 2020 03:04:05 GMT\r\n"};
    for (unsigned i = 0; i < sizeof ignored / sizeof *ignored; i++) {
        assert_int_equal(ask(world, "GET /a.txt", ignored[i]), 200);
        assert_answer(world, "0123456789");
        assert_header(world, "Content-Range", NULL);
    }
    assert_int_equal(ask(world, "HEAD /a.txt", "Range: bytes=0-1\r\n"), 200);
    assert_header(world, "Content-Length", "10");
}

static void
if_range_with_the_tag_lets_the_range_count(void **state)
{
    struct world *world = *state;
    char fields[128];
    world_make(world, "printf 0123456789 >a.txt");
    ask(world, "GET /a.txt", "");
    snprintf(fields, sizeof fields, "Range: bytes=0-1\r\nIf-Range: %.*s\r\n",
             STR_ARG(header(world, "ETag")));
    assert_int_equal(ask(world, "GET /a.txt", fields), 206);
    /* A condition that fails comes first. */
    snprintf(fields, sizeof fields, "Range: bytes=0-1\r\nIf-None-Match: %.*s\r\n",
             STR_ARG(header(world, "ETag")));
    assert_int_equal(ask(world, "GET /a.txt", fields), 304);
}

static void
a_range_behind_the_end_is_not_satisfiable(void **state)
{
    struct world *world = *state;
    world_make(world, "printf 0123456789 >a.txt && : >empty.txt");
    assert_int_equal(ask(world, "GET /a.txt", "Range: bytes=10-\r\n"), 416);
    assert_header(world, "Content-Range", "bytes */10");
    assert_header(world, "Cache-Control", "no-store");
    assert_int_equal(ask(world, "GET /a.txt", "Range: bytes=-0\r\n"), 416);
    assert_int_equal(ask(world, "GET /empty.txt", "Range: bytes=0-\r\n"), 416);
    assert_header(world, "Content-Range", "bytes */0");
}

static void
several_ranges_are_parts_of_one_body(void **state)
{
    struct world *world = *state;
    char expected[1024];
    for (int preloaded = 0; preloaded < 2; preloaded++) {
        world->fixture->config.preload_max = preloaded ? 1000 : 0;
        world_make(world, "printf 0123456789 >a.txt");
        assert_int_equal(ask(world, "GET /a.txt", "Range: bytes=8-8,0-1,-1\r\n"), 206);
        struct str type = header(world, "Content-Type");
        struct str intro = STR("multipart/byteranges; boundary=");
        assert_true(str_starts_with(type, intro));
        struct str boundary = str_skip(type, intro.len);
        snprintf(expected, sizeof expected,
                 "--%.*s\r\nContent-Type: text/plain; charset=utf-8\r\n"
                 "Content-Range: bytes 8-9/10\r\n\r\n89\r\n"
                 "--%.*s\r\nContent-Type: text/plain; charset=utf-8\r\n"
                 "Content-Range: bytes 0-1/10\r\n\r\n01\r\n--%.*s--\r\n",
                 STR_ARG(boundary), STR_ARG(boundary), STR_ARG(boundary));
        assert_answer(world, expected);
        assert_header(world, "Content-Range", NULL);
        assert_header(world, "Accept-Ranges", "bytes");
        assert_true(header(world, "ETag").ptr != NULL);
    }
}

static void
content_inside_a_tar_is_sent_from_its_place(void **state)
{
    struct world *world = *state;
    world->fixture->config.preload_max = 0;
    run(world->fixture, "cd in && printf other >a.txt && printf 0123456789 >b.txt && "
                        "tar cf ../site.tar a.txt b.txt");
    set_source(world->fixture, "site.tar");
    world_load(world);
    assert_int_equal(ask(world, "GET /b.txt", ""), 200);
    assert_answer(world, "0123456789");
    assert_int_equal(ask(world, "GET /b.txt", "Range: bytes=3-5\r\n"), 206);
    assert_answer(world, "345");
}

static void
a_file_that_changed_since_it_was_loaded_is_an_error(void **state)
{
    struct world *world = *state;
    world->fixture->config.preload_max = 0;
    world_make(world, "printf 0123456789 >a.txt");
    run(world->fixture, "printf other >in/a.txt");
    world->fixture->warning_count = 0;
    assert_int_equal(ask(world, "GET /a.txt", ""), 500);
    assert_header(world, "ETag", NULL);
    assert_header(world, "Content-Range", NULL);
    assert_int_equal(world->fixture->warning_count, 1);
    assert_int_equal(ask(world, "GET /a.txt", "Range: bytes=0-1\r\n"), 500);
    assert_int_equal(ask(world, "GET /a.txt", "Range: bytes=0-1,5-6\r\n"), 500);
    run(world->fixture, "rm in/a.txt");
    assert_int_equal(ask(world, "GET /a.txt", ""), 500);
}

static void
own_folders_are_never_served(void **state)
{
    struct world *world = *state;
    static const char *const internal[] = {"GET /.tarn/index", "GET /.zeroserve/x", "GET /.tarn",
                                           "GET /x/../.%74arn/y", "HEAD /.zeroserve"};
    world_make(world, "printf all >one.txt");
    set_source(world->fixture, "in/one.txt");
    world_load(world);
    assert_int_equal(ask(world, "GET /any/path", ""), 200);
    assert_int_equal(ask(world, "GET /.tarnish", ""), 200);
    for (unsigned i = 0; i < sizeof internal / sizeof *internal; i++)
        assert_int_equal(ask(world, internal[i], ""), 404);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(a_file_is_answered_whole),
        world_test(head_is_get_without_the_body),
        world_test(other_methods_are_named),
        world_test(a_large_body_is_refused_before_it_comes),
        world_test(missing_paths_get_the_page_of_the_site),
        world_test(variants_are_negotiated),
        world_test(conditions_decide_before_the_content),
        world_test(one_range_is_answered_with_it),
        world_test(ranges_that_do_not_count_give_everything),
        world_test(if_range_with_the_tag_lets_the_range_count),
        world_test(a_range_behind_the_end_is_not_satisfiable),
        world_test(several_ranges_are_parts_of_one_body),
        world_test(content_inside_a_tar_is_sent_from_its_place),
        world_test(a_file_that_changed_since_it_was_loaded_is_an_error),
        world_test(own_folders_are_never_served),
    };
    return cmocka_run_group_tests_name("static", tests, NULL, NULL);
}
