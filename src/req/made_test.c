/* Pages with places for metadata, and documents made for a request. */
#include "req/made.h"
#include "req/req_test_run.h"
#include "site/packidx.h"

#define DOCUMENT "made for this"

/* A filter that knows some values, or that makes the answer itself. */
static const char *document_lines;
static bool has_lookup_values;

static enum req_step
filter_request(struct req *req, void *arg)
{
    req->filter_state = arg;
    if (!document_lines)
        return REQ_ACT;
    req_serve_made(req, STR("text/plain"), str_from_cstr(document_lines), STR(DOCUMENT));
    return REQ_RESPONDED;
}

static char large_value[100 << 10];

/* Values change behind the page's back. */
static enum req_step
filter_response(struct req *req, void *arg)
{
    if (large_value[0] == 'v')
        large_value[0] = 'w';
    return REQ_OUT;
}

static void
filter_end(struct req *req, void *arg)
{
    req->filter_state = NULL;
}

static bool
filter_lookup(struct req *req, struct str key, struct str *value)
{
    static const char *const values[][2] = {
        {"name", "A<d>a"}, {"empty", ""}, {"two words", "yes"}, {"large", large_value}};
    for (unsigned i = 0; has_lookup_values && i < 4; i++)
        if (str_eq(key, str_from_cstr(values[i][0]))) {
            *value = str_from_cstr(values[i][1]);
            return true;
        }
    return false;
}

static const struct req_filter_ops filter = {filter_request, filter_response, filter_end,
                                             filter_lookup};

static void
add_filter(struct world *world)
{
    static int state;
    world->fixture->config.templates = true;
    world->pin.filter = &state;
    world->env.filter = &filter;
    world->env.filter_arg = &state;
    document_lines = NULL;
    has_lookup_values = true;
}

static void
places_are_filled_in(void **state)
{
    struct world *world = *state;
    add_filter(world);
    world_make(world, "printf '<p><zs-meta>name</zs-meta>|<zs-meta raw>name</zs-meta>|<zs-meta> "
                      "two words </zs-meta>|<zs-meta>empty</zs-meta>|<zs-meta>none</zs-meta>|"
                      "<zs-meta>open' >a.html && printf plain >b.html");
    assert_int_equal(ask(world, "GET /a.html", ""), 200);
    assert_answer(world, "<p>A&lt;d&gt;a|A<d>a|yes|||<zs-meta>open");
    assert_header(world, "Content-Type", "text/html; charset=utf-8");
    assert_header(world, "Cache-Control", "no-cache");
    assert_header(world, "X-Content-Type-Options", "nosniff");
    assert_header(world, "Last-Modified", NULL);
    assert_header(world, "Accept-Ranges", NULL);
    assert_int_equal(ask(world, "HEAD /a.html", ""), 200);
    assert_header(world, "Content-Length", "40");
    assert_answer(world, "");
    /* Nothing is known: the places vanish all the same. */
    has_lookup_values = false;
    assert_int_equal(ask(world, "GET /a.html", ""), 200);
    assert_answer(world, "<p>|||||<zs-meta>open");
    /* A page without places is what it always is. */
    assert_int_equal(ask(world, "GET /b.html", ""), 200);
    assert_answer(world, "plain");
    assert_true(header(world, "Last-Modified").ptr != NULL);
}

static void
without_a_filter_pages_are_as_they_are(void **state)
{
    struct world *world = *state;
    add_filter(world);
    world->pin.filter = NULL;
    world_make(world, "printf '<zs-meta>name</zs-meta>' >a.html && gzip -k a.html");
    assert_int_equal(ask(world, "GET /a.html", ""), 200);
    assert_answer(world, "<zs-meta>name</zs-meta>");
    assert_int_equal(ask(world, "GET /a.html", "Accept-Encoding: gzip\r\n"), 200);
    assert_header(world, "Content-Encoding", "gzip");
}

static void
variants_and_ranges_are_of_the_raw_text(void **state)
{
    struct world *world = *state;
    add_filter(world);
    world_make(world, "printf '<zs-meta>name</zs-meta>' >a.html && gzip -k a.html");
    assert_int_equal(ask(world, "GET /a.html", "Accept-Encoding: gzip\r\n"), 200);
    assert_header(world, "Content-Encoding", NULL);
    assert_answer(world, "A&lt;d&gt;a");
    assert_int_equal(ask(world, "GET /a.html", "Range: bytes=0-1\r\n"), 200);
    assert_answer(world, "A&lt;d&gt;a");
}

static void
the_tag_is_of_the_bytes(void **state)
{
    struct world *world = *state;
    char fields[128];
    add_filter(world);
    world_make(world, "printf '<zs-meta>name</zs-meta>' >a.html");
    assert_int_equal(ask(world, "GET /a.html", ""), 200);
    snprintf(fields, sizeof fields, "If-None-Match: %.*s\r\n", STR_ARG(header(world, "ETag")));
    assert_int_equal(ask(world, "GET /a.html", fields), 304);
    assert_header(world, "Cache-Control", "no-cache");
    assert_true(header(world, "ETag").len == 34);
    assert_header(world, "Content-Type", NULL);
    has_lookup_values = false;
    assert_int_equal(ask(world, "GET /a.html", fields), 200);
    assert_int_equal(ask(world, "GET /a.html", "If-Match: \"x\"\r\n"), 412);
    /* There is no time that it could have changed at. */
    assert_int_equal(
        ask(world, "GET /a.html", "If-Modified-Since: Tue, 01 Jan 2030 00:00:00 GMT\r\n"), 200);
}

static void
a_long_page_comes_in_pieces(void **state)
{
    struct world *world = *state;
    char fields[128];
    add_filter(world);
    memset(large_value, 'v', sizeof large_value - 1);
    world_make(world,
               "{ seq 1 20000; printf '<zs-meta raw>large</zs-meta><zs-meta>name</zs-meta>'; "
               "printf '<zs-meta>none</zs-meta>'; seq 1 20000; } >a.html");
    assert_int_equal(ask(world, "GET /a.html", ""), 200);
    assert_int_equal(world->body.len, 2 * 108894 + sizeof large_value - 1 + 11);
    assert_int_equal(large_value[0], 'w');
    large_value[0] = 'v';
    assert_memory_equal(world->body.ptr + 108894, large_value, sizeof large_value - 1);
    assert_memory_equal(world->body.ptr + 108894 + sizeof large_value - 1, "A&lt;d&gt;a1\n2\n", 15);
    snprintf(fields, sizeof fields, "If-None-Match: %.*s\r\n", STR_ARG(header(world, "ETag")));
    assert_int_equal(ask(world, "GET /a.html", fields), 304);
    large_value[0] = 'v';
    assert_int_equal(ask(world, "HEAD /a.html", ""), 200);
    assert_answer(world, "");
}

static void
one_piece_and_many_have_the_same_tag(void **state)
{
    struct world *world = *state;
    add_filter(world);
    has_lookup_values = true;
    /* 16 KiB is the limit of one piece. */
    world_make(world, "printf '<zs-meta>none</zs-meta>' >a.html; head -c 16384 /dev/zero >>a.html; "
                      "cp a.html b.html; printf x >>b.html");
    assert_int_equal(ask(world, "GET /a.html", ""), 200);
    assert_int_equal(world->body.len, 16384);
    assert_true(world->req.body.ops == NULL || world->req.body.content == NULL);
    assert_int_equal(ask(world, "GET /b.html", ""), 200);
    assert_int_equal(world->body.len, 16385);
    char etag[CONTENT_ETAG_LEN];
    content_etag(content_hash(buf_str(&world->body)), etag);
    assert_true(str_eq(header(world, "ETag"), str_make(etag, sizeof etag)));
}

static void
values_that_need_too_much_memory_are_500(void **state)
{
    struct world *world = *state;
    add_filter(world);
    memset(large_value, '<', sizeof large_value - 1);
    world_make(world, "printf '<zs-meta>large</zs-meta>' >a.html");
    assert_int_equal(ask(world, "GET /a.html", ""), 500);
}

static void
pages_of_errors_are_filled_in_too(void **state)
{
    struct world *world = *state;
    add_filter(world);
    world_make(world, "printf 'lost <zs-meta>name</zs-meta>' >404.html && gzip -k 404.html && "
                      "printf '/*\\n  X-A: 1\\n' >_headers");
    assert_int_equal(ask(world, "GET /none", "Accept-Encoding: gzip\r\n"), 404);
    assert_answer(world, "lost A&lt;d&gt;a");
    assert_header(world, "Cache-Control", "no-store");
    assert_header(world, "ETag", NULL);
    assert_header(world, "X-A", "1");
    assert_int_equal(ask(world, "HEAD /none", ""), 404);
    assert_answer(world, "");
}

static void
rules_apply_but_for_caching(void **state)
{
    struct world *world = *state;
    add_filter(world);
    world_make(world, "printf '<zs-meta>name</zs-meta>' >index.html && "
                      "printf '/*\\n  X-A: 1\\n  Cache-Control: public, max-age=9\\n' >_headers");
    assert_int_equal(ask(world, "GET /", ""), 200);
    assert_answer(world, "A&lt;d&gt;a");
    assert_header(world, "X-A", "1");
    assert_header(world, "Cache-Control", "no-cache");
}

static void
a_document_has_a_tag_and_obeys_rules(void **state)
{
    struct world *world = *state;
    char fields[128];
    add_filter(world);
    document_lines = "Vary: Accept\r\n";
    world_make(world, "printf x >a && printf '/*\\n  X-A: 1\\n' >_headers");
    assert_int_equal(ask(world, "GET /any", ""), 200);
    assert_answer(world, DOCUMENT);
    assert_header(world, "Content-Type", "text/plain");
    assert_header(world, "Vary", "Accept");
    assert_header(world, "X-A", "1");
    snprintf(fields, sizeof fields, "If-None-Match: %.*s\r\n", STR_ARG(header(world, "ETag")));
    assert_int_equal(ask(world, "GET /any", fields), 304);
    assert_header(world, "X-A", "1");
    assert_int_equal(ask(world, "GET /any", "If-Match: \"x\"\r\n"), 412);
    document_lines = "";
    assert_int_equal(ask(world, "HEAD /any", ""), 200);
    assert_header(world, "Vary", NULL);
    assert_header(world, "Content-Length", "13");
    document_lines = NULL;
}

/* --- routes for actions --- */

static void
a_route_is_served_with_another_status(void **state)
{
    struct world *world = *state;
    world_make(world, "seq 1 1000 >a.txt && gzip -k a.txt && brotli -k a.txt 2>/dev/null || "
                      "cp a.txt a.txt.br; mkdir d && printf x >d/index.html");
    const struct site_route *route = find(world->fixture, "/a.txt");
    assert_int_equal(ask(world, "GET /none", "Accept-Encoding: gzip\r\nIf-None-Match: *\r\n"), 404);
    body_close(&world->req.body);
    world->req.response = (struct response){0};
    req_serve_route(&world->req, route, 403, 1u << HTTP_CODING_GZIP);
    assert_int_equal(world->req.response.status, 403);
    assert_header(world, "Content-Encoding", "gzip");
    assert_header(world, "Cache-Control", "no-store");
    /* With its conditions. */
    body_close(&world->req.body);
    world->req.response = (struct response){0};
    req_serve_route(&world->req, route, 0, 0);
    assert_int_equal(world->req.response.status, 304);
    /* Only what may be sent. */
    assert_int_equal(ask(world, "GET /none", "Accept-Encoding: br, gzip\r\n"), 404);
    body_close(&world->req.body);
    world->req.response = (struct response){0};
    req_serve_route(&world->req, route, 0, 0);
    assert_int_equal(world->req.response.status, 200);
    assert_header(world, "Content-Encoding", NULL);
    /* A directory without its slash is a redirect, whatever the status. */
    body_close(&world->req.body);
    world->req.response = (struct response){0};
    req_serve_route(&world->req, find(world->fixture, "/d"), 404, 0);
    assert_int_equal(world->req.response.status, 308);
    /* Other methods have no conditions. */
    assert_int_equal(ask(world, "POST /a.txt", "If-None-Match: *\r\nContent-Length: 0\r\n"), 405);
    body_close(&world->req.body);
    world->req.response = (struct response){0};
    req_serve_route(&world->req, route, 0, 0);
    assert_int_equal(world->req.response.status, 200);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(places_are_filled_in),
        world_test(without_a_filter_pages_are_as_they_are),
        world_test(variants_and_ranges_are_of_the_raw_text),
        world_test(the_tag_is_of_the_bytes),
        world_test(a_long_page_comes_in_pieces),
        world_test(one_piece_and_many_have_the_same_tag),
        world_test(values_that_need_too_much_memory_are_500),
        world_test(pages_of_errors_are_filled_in_too),
        world_test(rules_apply_but_for_caching),
        world_test(a_document_has_a_tag_and_obeys_rules),
        world_test(a_route_is_served_with_another_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
