#include "site/rules_internal.h"

#include "base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct fixture {
    struct arena arena;
    struct buf out;
    struct error error;
    struct site_rules *rules;
};

static int
setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    arena_init(&f->arena, 64 << 20, 64 << 10);
    buf_init(&f->out, SITE_HEAD_MAX);
    f->rules = site_rules_new(&f->arena);
    *state = f;
    return f->rules ? 0 : -1;
}

static int
teardown(void **state)
{
    struct fixture *f = *state;
    buf_deinit(&f->out);
    arena_deinit(&f->arena);
    free(f);
    return 0;
}

static void
parse_headers(struct fixture *f, const char *text)
{
    int result = site_rules_parse_headers(f->rules, &f->arena, str_from_cstr(text), &f->error);
    if (result != 0)
        fail_msg("%s", f->error.text);
}

static void
parse_redirects(struct fixture *f, const char *text)
{
    int result = site_rules_parse_redirects(f->rules, &f->arena, str_from_cstr(text), &f->error);
    if (result != 0)
        fail_msg("%s", f->error.text);
}

static void
expect_text(struct str got, const char *want)
{
    if (!str_eq(got, str_from_cstr(want)))
        fail_msg("got \"%.*s\", want \"%s\"", STR_ARG(got), want);
}

/* want NULL: no rule matches. */
static void
expect_headers(struct fixture *f, const char *path, const char *lines, const char *want)
{
    bool matched =
        site_rules_apply_headers(f->rules, str_from_cstr(path), str_from_cstr(lines), &f->out);
    assert_int_equal(matched, want != NULL);
    expect_text(buf_str(&f->out), want ? want : "");
}

/* `target`: "[host]/path[?query]"; want: "STATUS LOCATION", or NULL for no rule. */
static struct site_redirect
expect_redirect(struct fixture *f, const char *target, const char *want)
{
    struct str path = str_from_cstr(target);
    struct str host = str_first(path, str_find_char(path, '/'));
    struct str query = str_skip(path, host.len);
    struct site_redirect got = {0};
    char line[8192] = "none";
    path = str_cut(&query, '?');
    if (site_rules_find_redirect(f->rules, host, path, query, false, &f->out, &got))
        snprintf(line, sizeof line, "%d %.*s", got.status, STR_ARG(got.location));
    if (strcmp(line, want ? want : "none") != 0)
        fail_msg("%s: got \"%s\", want \"%s\"", target, line, want ? want : "none");
    return got;
}

static void
expect_error(struct fixture *f, bool headers, const char *text, const char *want)
{
    struct str s = str_from_cstr(text);
    f->error.text[0] = '\0';
    int result = headers ? site_rules_parse_headers(f->rules, &f->arena, s, &f->error)
                         : site_rules_parse_redirects(f->rules, &f->arena, s, &f->error);
    if (result != -1 || !strstr(f->error.text, want))
        fail_msg("\"%.60s\": result %d, error \"%s\", want \"%s\"", text, result, f->error.text,
                 want);
}

static void
headers_of_all_matching_rules_apply_in_order(void **state)
{
    struct fixture *f = *state;
    parse_headers(f, "# comment\r\n\r\n/*\r\n  X-A: 1\r\n  X-B: two # no comment\r\n\r\n"
                     "/static/* # comment\n\tX-A: 2\n  # comment\n  X-C:3\n");
    expect_headers(f, "/x", "ETag: \"e\"\r\n",
                   "ETag: \"e\"\r\nX-A: 1\r\nX-B: two # no comment\r\n");
    expect_headers(f, "/static/a/b", "", "X-B: two # no comment\r\nX-A: 1, 2\r\nX-C: 3\r\n");
    assert_true(site_rules_have_headers(f->rules));
    assert_false(site_rules_have_redirects(f->rules));
}

static void
headers_that_stand_once_are_replaced(void **state)
{
    struct fixture *f = *state;
    parse_headers(f, "/*\n Cache-Control: no-store\n X-Frame-Options: DENY\n"
                     "/a\n cache-control: public\n x-frame-options: SAMEORIGIN\n");
    expect_headers(f, "/a", "Cache-Control: no-cache\r\nETag: \"1\"\r\n",
                   "ETag: \"1\"\r\ncache-control: public\r\nx-frame-options: SAMEORIGIN\r\n");
}

static void
headers_replace_defaults_but_add_to_vary(void **state)
{
    struct fixture *f = *state;
    parse_headers(f, "/*\n X-Robots-Tag: noindex\n Vary: Origin\n"
                     "/a\n Vary: Origin\n X-Robots-Tag: nofollow\n");
    expect_headers(f, "/b", "X-Robots-Tag: all\r\nVary: Accept-Encoding\r\n",
                   "X-Robots-Tag: noindex\r\nVary: Accept-Encoding, Origin\r\n");
    expect_headers(f, "/a", "Vary: Origin\r\n",
                   "Vary: Origin\r\nX-Robots-Tag: noindex, nofollow\r\n");
}

static void
headers_are_removed_and_set_again(void **state)
{
    struct fixture *f = *state;
    parse_headers(f, "/*\n X-A: 1\n Content-Security-Policy: default-src 'self'\n"
                     "/page\n ! x-a\n ! ETag\n X-A: 2\n"
                     " Content-Security-Policy: frame-ancestors 'none'\n"
                     "/page\n !X-A\n");
    expect_headers(f, "/page", "ETag: \"e\"\r\nETagX: 1\r\n",
                   "ETagX: 1\r\nContent-Security-Policy: default-src 'self', "
                   "frame-ancestors 'none'\r\n");
}

static void
headers_repeated_fields_keep_their_lines(void **state)
{
    struct fixture *f = *state;
    parse_headers(f, "/*\n Link: </a>; rel=preload\n Set-Cookie: a=1\n"
                     "/x\n Link: </b>; rel=preload\n Set-Cookie: a=1\n");
    expect_headers(f, "/x", "",
                   "Link: </a>; rel=preload\r\nSet-Cookie: a=1\r\n"
                   "Link: </b>; rel=preload\r\nSet-Cookie: a=1\r\n");
    expect_headers(f, "/y", "", "Link: </a>; rel=preload\r\nSet-Cookie: a=1\r\n");
}

static void
headers_fill_placeholders_safely(void **state)
{
    struct fixture *f = *state;
    parse_headers(f, "/m/:title/*\n X-Title: <:title> :splat :other https://x:80\n");
    expect_headers(f, "/m/a,b\r\nEvil: 1/s/t", "",
                   "X-Title: <a%2Cb%0D%0AEvil%3A%201> s/t :other https://x:80\r\n");
    expect_headers(f, "/m/x", "", NULL);
}

static void
headers_overflow_marks_the_buffer(void **state)
{
    struct fixture *f = *state;
    char text[2000];
    memset(text, 'x', sizeof text);
    memcpy(text, "/*\n X-A: ", 9);
    text[sizeof text - 1] = '\0';
    struct buf small;
    buf_init(&small, 100);
    parse_headers(f, text);
    assert_true(site_rules_apply_headers(f->rules, STR("/"), STR("A: b\r\n"), &small));
    assert_true(buf_overflowed(&small));
    buf_deinit(&small);
}

static void
headers_bad_lines_are_named(void **state)
{
    struct fixture *f = *state;
    expect_error(f, true, "\n X-A: 1\n", "_headers line 2: a header line before the first path");
    expect_error(f, true, "/a\n X-A: 1\n/b\n/c\n X: 1\n", "_headers line 3: no indented");
    expect_error(f, true, "/a\n X: 1\n/b\n\n\n", "_headers line 3: no indented");
    expect_error(f, true, "/a\n X A: 1\n", "_headers line 2: 'X A' is not a header name");
    expect_error(f, true, "/a\n X-A 1\n", "_headers line 2: no ':'");
    expect_error(f, true, "/a\n X-A:  \n", "no value for X-A");
    expect_error(f, true, "/a\n :x\n", "is not a header name");
    expect_error(f, true, "/a\n !\n", "is not a header name");
    expect_error(f, true, "/a\n content-length: 3\n", "cannot be changed");
    expect_error(f, true, "/a\n ! Transfer-Encoding\n", "cannot be changed");
    expect_error(f, true, "/a\n Date: now\n", "cannot be changed");
    expect_error(f, true, "/a\n Basic-Auth: a:b\n", "Basic-Auth is not supported");
    expect_error(f, true, "/a /b\n X: 1\n", "line 1: '/b' behind the path");
    expect_error(f, true, "a/b\n X: 1\n", "line 1: 'a/b' starts neither");
    expect_error(f, true, "/a\n X: a\rb\n", "line 2: not UTF-8 text");
    expect_error(f, true, "/\xff\n X: a\n", "line 1: not UTF-8 text");
}

static void
headers_with_a_host_are_told_and_not_applied_by_path(void **state)
{
    struct fixture *f = *state;
    parse_headers(f, "/a\n X: 1\n");
    assert_false(site_rules_need_host(f->rules));
    parse_headers(f, "https://example.com/*\n X: 2\n");
    assert_true(site_rules_need_host(f->rules));
    expect_headers(f, "/a", "", "X: 1\r\n");
}

static void
redirects_first_match_wins_with_default_301(void **state)
{
    struct fixture *f = *state;
    parse_redirects(f, "\xef\xbb\xbf# old pages\n/home /\n/home /never 302\n"
                       "/temp  /x  302  # inline comment\n/gone /gone.html 410\n"
                       "/shop https://shop.example/a?b=c#d\n/frag /page#part 308");
    expect_redirect(f, "/home", "301 /");
    expect_redirect(f, "/temp", "302 /x");
    expect_redirect(f, "/gone", "410 /gone.html");
    assert_true(expect_redirect(f, "/shop?q=1", "301 https://shop.example/a?b=c#d").has_query);
    assert_false(expect_redirect(f, "/temp?q=1", "302 /x").has_query);
    assert_true(expect_redirect(f, "/frag?q=1 2", "308 /page?q=1%202#part").has_query);
    expect_redirect(f, "/frag", "308 /page#part");
    expect_redirect(f, "/Home", NULL);
    expect_redirect(f, "/homer", NULL);
}

static void
redirects_try_the_other_trailing_slash_last(void **state)
{
    struct fixture *f = *state;
    parse_redirects(f, "/a /first\n/b/ /second\n/b /third\n/c/* /d/:splat\n");
    expect_redirect(f, "/a/", "301 /first");
    expect_redirect(f, "/b", "301 /third");
    expect_redirect(f, "/b/", "301 /second");
    expect_redirect(f, "/c", "301 /d/");
    expect_redirect(f, "/a/b", NULL);
}

static void
redirects_to_the_same_url_are_passed_over(void **state)
{
    struct fixture *f = *state;
    parse_redirects(f, "/docs /docs/\n/x/* /x/:splat\nhttp://e.org/* https://e.org/:splat 301!\n"
                       "/s%20p /s%20p\n/q /q?new=1\n");
    expect_redirect(f, "/docs", "301 /docs/");
    expect_redirect(f, "/docs/", NULL);
    expect_redirect(f, "/x/y", NULL);
    expect_redirect(f, "/x/y/", NULL);
    expect_redirect(f, "E.org/z", NULL);
    expect_redirect(f, "/s p", NULL);
    expect_redirect(f, "/q", "301 /q?new=1");
}

static void
redirects_fill_splats_and_placeholders(void **state)
{
    struct fixture *f = *state;
    parse_redirects(f, "/news/:year/:month/:slug /blog/:slug?y=:year&m=:month\n"
                       "/old/*.html /new/:splat\n/p/:page.php /:page\n/v:major/* /r/:major/:splat\n"
                       "/*/print/:n /p/:n/:splat\n/w /wiki/Help:Contents\n");
    expect_redirect(f, "/news/2024/05/a&b=c", "301 /blog/a&b=c?y=2024&m=05");
    expect_redirect(f, "/news/2&x/05/s", "301 /blog/s?y=2%26x&m=05");
    expect_redirect(f, "/news/2024/05/a/b", NULL);
    expect_redirect(f, "/news//05/a", NULL);
    expect_redirect(f, "/old/a/b c.html", "301 /new/a/b%20c");
    expect_redirect(f, "/old/\xc3\xa9%?.html", NULL); /* the query cuts it */
    expect_redirect(f, "/old/\xc3\xa9%.html", "301 /new/%C3%A9%25");
    expect_redirect(f, "/p/x.php", "301 /x");
    expect_redirect(f, "/p/.php", NULL);
    expect_redirect(f, "/v2/a/b", "301 /r/2/a/b");
    expect_redirect(f, "/a/b/print/7", "301 /p/7/a/b");
    expect_redirect(f, "/w", "301 /wiki/Help:Contents");
}

static void
redirects_never_turn_into_another_origin(void **state)
{
    struct fixture *f = *state;
    parse_redirects(f, "/go* /:splat\n/q u=:u /:u\n/two*x /:splat/evil.org\n");
    expect_redirect(f, "/go/evil.org", "301 /evil.org");
    expect_redirect(f, "/go\\evil.org", "301 /%5Cevil.org");
    expect_redirect(f, "/q?u=%2F%2fevil.org", "301 /evil.org");
    expect_redirect(f, "/twox", "301 /evil.org");
}

static void
redirects_match_query_parameters(void **state)
{
    struct fixture *f = *state;
    parse_redirects(f, "/s id=:id tag=red /red/:id\n/s id=:id /blog/:id\n/s a%20b=c+d /space 302\n"
                       "/s /plain\n");
    expect_redirect(f, "/s?tag=red&id=5", "301 /red/5");
    expect_redirect(f, "/s?x&id=a+b%26", "301 /blog/a%20b&");
    expect_redirect(f, "/s?id=", "301 /plain");
    expect_redirect(f, "/s?id", "301 /plain");
    expect_redirect(f, "/s?a+b=c%20d", "302 /space");
    expect_redirect(f, "/s", "301 /plain");
    expect_redirect(f, "/s?id=%zz", "301 /blog/%25zz");
}

static void
redirects_rewrite_to_decoded_paths(void **state)
{
    struct fixture *f = *state;
    parse_redirects(f, "/app/* /app%20home/:splat 200!\n/api/* /api.html 404\n/* /index.html 200");
    struct site_redirect got = expect_redirect(f, "/app/\xc3\xa9 x", "200 /app home/\xc3\xa9 x");
    assert_true(got.force);
    assert_false(expect_redirect(f, "/api/x", "404 /api.html").force);
    expect_redirect(f, "/index.html", "200 /index.html");
    struct str empty = STR("");
    assert_false(
        site_rules_find_redirect(f->rules, empty, STR("/api/x"), empty, true, &f->out, &got));
    assert_true(
        site_rules_find_redirect(f->rules, empty, STR("/app/x"), empty, true, &f->out, &got));
}

static void
redirects_match_hosts(void **state)
{
    struct fixture *f = *state;
    parse_redirects(f, "https://www.Example.com/* https://example.com/:splat 301!\n"
                       "http://:user.pages.example/ https://example.com/~:user\n"
                       "http://:a.old.example/* https://:a.new.example:8443/:splat\n"
                       "https://bare.example /bare\n");
    expect_redirect(f, "WWW.example.com/a", "301 https://example.com/a");
    expect_redirect(f, "example.com/a", NULL);
    expect_redirect(f, "/a", NULL);
    expect_redirect(f, "bob.pages.example/", "301 https://example.com/~bob");
    expect_redirect(f, "x.bob.pages.example/", NULL);
    expect_redirect(f, "a'b.old.example/c", "301 https://a%27b.new.example:8443/c");
    expect_redirect(f, "bare.example/", "301 /bare");
    expect_redirect(f, "bare.example/x", NULL);
}

static void
redirects_bad_lines_are_named(void **state)
{
    struct fixture *f = *state;
    expect_error(f, false, "# x\n\n/a\n", "_redirects line 3: no destination");
    expect_error(f, false, "/a # /b\n", "line 1: no destination");
    expect_error(f, false, "/a b /c\n", "'b' is neither");
    expect_error(f, false, "/a =b /c\n", "no name before '='");
    expect_error(f, false, "/a /b 418\n", "status 418 is not supported");
    expect_error(f, false, "/a /b nope\n", "'nope' is not a status");
    expect_error(f, false, "/a /b !\n", "'!' is not a status");
    expect_error(f, false, "/a /b 301 302\n", "'302' behind the status");
    expect_error(f, false, "/a /b 302 Country=de\n", "condition 'Country=de' is not supported");
    expect_error(f, false, "/a /b Role=admin\n", "condition 'Role=admin' is not supported");
    expect_error(f, false, "/a /b 200 language=en\n", "is not supported");
    expect_error(f, false, "/a /b 200 Cookie=x\n", "is not supported");
    expect_error(f, false, "/api/* https://api.example/:splat 200\n",
                 "_redirects line 1: a 200 answer from another origin");
    expect_error(f, false, "/a //evil.org\n", "starts with '//'");
    expect_error(f, false, "/a ftp://x/\n", "starts neither");
    expect_error(f, false, "/a https:///x\n", "no host");
    expect_error(f, false, "/a /b/:id\n", "':id' is not in the source");
    expect_error(f, false, "/a/:id /b-:splat\n", "':splat' is not in the source");
    expect_error(f, false, "/go/* https://e.org:splat\n", "not a label of the source's");
    expect_error(f, false, "/a?x=1 /b\n", "a query is matched by");
    expect_error(f, false, "/a//b /b\n", "never matches");
    expect_error(f, false, "/a/../b /b\n", "never matches");
    expect_error(f, false, "/a%2fb /b\n", "never matches");
    expect_error(f, false, "/a%2 /b\n", "two hex digits");
    expect_error(f, false, "/a /b%zz\n", "two hex digits");
    expect_error(f, false, "/a /b?x 200\n", "no '?' or '#'");
    expect_error(f, false, "/*/* /b\n", "only once");
    expect_error(f, false, "/:a:b /b\n", "in one segment");
    expect_error(f, false, "/:a/:a /b\n", "used twice");
    expect_error(f, false, "/:splat /b\n", "is the name of what");
    expect_error(f, false, "https://*.example/ /b\n", "cannot stand in the host");
    expect_error(f, false, "https://a.example:80/ /b\n", "a port");
}

static void
bounds_are_errors_with_their_line(void **state)
{
    struct fixture *f = *state;
    struct buf text;
    buf_init(&text, 1 << 20);
    for (int i = 0; i < SITE_RULES_MAX; i++)
        buf_printf(&text, "/%d /x\n", i);
    assert_int_equal(site_rules_parse_redirects(f->rules, &f->arena, buf_str(&text), &f->error), 0);
    buf_append_char(&text, '\0');
    expect_redirect(f, "/9999", "301 /x");
    expect_error(f, false, "\n/one-more /x\n", "line 2: more than 10000 rules");
    f->rules = site_rules_new(&f->arena);
    buf_clear(&text);
    buf_append_char(&text, '/');
    for (int i = 0; i < SITE_RULE_LINE_MAX; i++)
        buf_append_char(&text, 'a');
    buf_append_char(&text, '\0');
    expect_error(f, false, text.ptr, "line 1: longer than 4096 bytes");
    buf_deinit(&text);
    expect_error(f, false, "/:a/:b/:c/:d/:e/:f/:g/:h/:i/:j/:k/:l/:m/:n/:o/:p/:q /x",
                 "more than 16 placeholders");
    struct arena tiny;
    arena_init(&tiny, 64, 64);
    assert_int_equal(site_rules_parse_redirects(f->rules, &tiny, STR("/only /x"), &f->error), -1);
    arena_deinit(&tiny);
}

#define RULES_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        RULES_TEST(headers_of_all_matching_rules_apply_in_order),
        RULES_TEST(headers_that_stand_once_are_replaced),
        RULES_TEST(headers_replace_defaults_but_add_to_vary),
        RULES_TEST(headers_are_removed_and_set_again),
        RULES_TEST(headers_repeated_fields_keep_their_lines),
        RULES_TEST(headers_fill_placeholders_safely),
        RULES_TEST(headers_overflow_marks_the_buffer),
        RULES_TEST(headers_bad_lines_are_named),
        RULES_TEST(headers_with_a_host_are_told_and_not_applied_by_path),
        RULES_TEST(redirects_first_match_wins_with_default_301),
        RULES_TEST(redirects_try_the_other_trailing_slash_last),
        RULES_TEST(redirects_to_the_same_url_are_passed_over),
        RULES_TEST(redirects_fill_splats_and_placeholders),
        RULES_TEST(redirects_never_turn_into_another_origin),
        RULES_TEST(redirects_match_query_parameters),
        RULES_TEST(redirects_rewrite_to_decoded_paths),
        RULES_TEST(redirects_match_hosts),
        RULES_TEST(redirects_bad_lines_are_named),
        RULES_TEST(bounds_are_errors_with_their_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
