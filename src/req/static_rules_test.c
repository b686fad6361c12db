/* The static action: redirects, rewrites, header rules, single-page applications, listings. */
#include "req/req_test_run.h"

static void
a_directory_without_its_slash_is_moved(void **state)
{
    struct world *world = *state;
    world_make(world, "mkdir 'a b' && printf x >'a b/index.html'");
    assert_int_equal(ask(world, "GET /a%20b", ""), 308);
    assert_header(world, "Location", "/a%20b/");
    assert_int_equal(ask(world, "GET //a%20b?q=1&r", ""), 308);
    assert_header(world, "Location", "/a%20b/?q=1&r");
    assert_int_equal(ask(world, "GET /a%20b?", ""), 308);
    assert_header(world, "Location", "/a%20b/?");
    assert_int_equal(ask(world, "GET /a%20b?a=\"<\xc3\xa9", ""), 308);
    assert_header(world, "Location", "/a%20b/?a=%22%3C%C3%A9");
    assert_int_equal(ask(world, "GET /a%20b/", ""), 200);
}

static void
rules_redirect_in_their_order(void **state)
{
    struct world *world = *state;
    world_make(world, "printf real >real.txt && printf real >forced.txt && "
                      "printf '/old/* /new/:splat\\n/found /x 302\\n/real.txt /never\\n"
                      "/forced.txt /there 307!\\n/q /t?own=1 303\\n' >_redirects");
    assert_int_equal(ask(world, "GET /old/a%20b?q=1", ""), 301);
    assert_header(world, "Location", "/new/a%20b?q=1");
    assert_int_equal(ask(world, "GET /found", ""), 302);
    assert_header(world, "Location", "/x");
    assert_header(world, "Cache-Control", NULL);
    assert_int_equal(ask(world, "GET /real.txt", ""), 200);
    assert_int_equal(ask(world, "GET /forced.txt", ""), 307);
    assert_int_equal(ask(world, "GET /q?a=b", ""), 303);
    assert_header(world, "Location", "/t?own=1");
    assert_int_equal(ask(world, "HEAD /found", ""), 302);
    assert_int_equal(ask(world, "POST /found", ""), 405);
    assert_int_equal(ask(world, "GET /_redirects", ""), 404);
}

static void
rules_rewrite_inside_the_site(void **state)
{
    struct world *world = *state;
    world_make(world, "printf app >app.html && mkdir d && printf deep >d/index.html && "
                      "printf '/app/* /app.html 200\\n/nothing /none.html 200\\n"
                      "/gone /app.html 410\\n/lost /none.html 404\\n/dir /d/ 200\\n' >_redirects");
    assert_int_equal(ask(world, "GET /app/x/y", ""), 200);
    assert_answer(world, "app");
    assert_true(header(world, "ETag").ptr != NULL);
    assert_int_equal(ask(world, "GET /app/x", "Range: bytes=0-0\r\n"), 206);
    assert_int_equal(ask(world, "GET /nothing", ""), 404);
    assert_int_equal(ask(world, "GET /gone", ""), 410);
    assert_answer(world, "app");
    assert_header(world, "ETag", NULL);
    assert_int_equal(ask(world, "GET /lost", ""), 404);
    assert_int_equal(ask(world, "GET /dir", ""), 200);
    assert_answer(world, "deep");
}

static void
a_rule_by_host_looks_at_the_host(void **state)
{
    struct world *world = *state;
    world_make(world, "printf x >index.html && "
                      "printf 'http://site.example/a /here\\n/a /elsewhere\\n' >_redirects");
    ask(world, "GET /a", "");
    assert_header(world, "Location", "/here");
    ask(world, "GET http://other.example/a", "");
    assert_header(world, "Location", "/elsewhere");
}

static void
header_rules_reach_every_answer(void **state)
{
    struct world *world = *state;
    world_make(world, "printf x >index.html && mkdir d && printf d >d/index.html && printf l "
                      ">404.html && printf '/r /index.html 302\\n' >_redirects && "
                      "printf '/*\\n  X-Frame-Options: DENY\\n  Cache-Control: no-cache\\n' "
                      ">_headers");
    static const char *const starts[] = {"GET /", "GET /d", "GET /none", "GET /r"};
    static const int statuses[] = {200, 308, 404, 302};
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(ask(world, starts[i], ""), statuses[i]);
        assert_header(world, "X-Frame-Options", "DENY");
        assert_header(world, "Cache-Control", "no-cache");
    }
    assert_int_equal(ask(world, "GET /", "Range: bytes=0-0\r\n"), 206);
    assert_header(world, "X-Frame-Options", "DENY");
    assert_int_equal(ask(world, "GET /", "If-None-Match: *\r\n"), 304);
    assert_header(world, "X-Frame-Options", "DENY");
}

static void
navigations_of_an_application_get_its_page(void **state)
{
    struct world *world = *state;
    const char *html = "Accept: text/html,*/*;q=0.8\r\n";
    world->fixture->config.spa = world->env.spa = true;
    world_make(world, "printf app >index.html && printf x >x.css");
    assert_int_equal(ask(world, "GET /deep/link", html), 200);
    assert_answer(world, "app");
    assert_int_equal(ask(world, "HEAD /deep/link", html), 200);
    assert_int_equal(ask(world, "GET /deep/link.js", html), 404);
    assert_int_equal(ask(world, "GET /v1.2/link", html), 200);
    assert_int_equal(ask(world, "GET /deep/link", "Accept: */*\r\n"), 404);
    assert_int_equal(ask(world, "GET /deep/link", ""), 404);
    assert_int_equal(ask(world, "GET /deep/link", "Accept: text/html;q=0\r\n"), 404);
    assert_int_equal(ask(world, "POST /deep/link", html), 405);
    assert_int_equal(ask(world, "GET /x.css", html), 200);
    assert_answer(world, "x");
    world->env.spa = false;
    assert_int_equal(ask(world, "GET /deep/link", html), 404);
}

static void
listings_are_pages_or_documents(void **state)
{
    struct world *world = *state;
    world->fixture->config.browse = true;
    world_make(world, "mkdir d && printf x >d/file.txt");
    assert_int_equal(ask(world, "GET /d/", ""), 200);
    assert_header(world, "Content-Type", "text/html; charset=utf-8");
    assert_header(world, "Vary", "Accept");
    assert_true(str_find(buf_str(&world->body), STR("file.txt")) < world->body.len);
    assert_int_equal(ask(world, "GET /d/", "Accept: application/json\r\n"), 200);
    assert_true(str_starts_with(header(world, "Content-Type"), STR("application/json")));
    assert_int_equal(world->body.ptr[0] == '{' || world->body.ptr[0] == '[', 1);
    ask(world, "GET /d/", "Accept: text/html, application/json;q=0.9\r\n");
    assert_header(world, "Content-Type", "text/html; charset=utf-8");
    ask(world, "GET /d/", "Accept: */*\r\n");
    assert_header(world, "Content-Type", "text/html; charset=utf-8");
    assert_int_equal(ask(world, "GET /d/", "If-None-Match: *\r\n"), 304);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(a_directory_without_its_slash_is_moved),
        world_test(rules_redirect_in_their_order),
        world_test(rules_rewrite_inside_the_site),
        world_test(a_rule_by_host_looks_at_the_host),
        world_test(header_rules_reach_every_answer),
        world_test(navigations_of_an_application_get_its_page),
        world_test(listings_are_pages_or_documents),
    };
    return cmocka_run_group_tests_name("static rules", tests, NULL, NULL);
}
