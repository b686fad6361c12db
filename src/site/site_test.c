/* Which routes a source makes, and what their heads say. */
#include "site/site_test_run.h"

#include <time.h>

#define HTML "text/html; charset=utf-8"

static void
files_have_routes_heads_and_bodies(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, "cd in && mkdir -p css 'a b' && printf '<p>' >index.html && "
                 "printf 'x{}' >css/app.3f9a1c2b.css && printf png >'a b/ü.png' && : >empty.txt && "
                 "touch -d @784111777 index.html && printf x >later.txt && "
                 "touch -d '2099-01-01' later.txt");
    load(fixture);
    assert_served(fixture, "/index.html", "<p>");
    assert_served(fixture, "/css/app.3f9a1c2b.css", "x{}");
    assert_served(fixture, "/a b/ü.png", "png");
    assert_served(fixture, "/empty.txt", "");
    const struct site_rep *rep = find_rep(fixture, "/index.html", 0);
    assert_str(field(rep, "Content-Length"), "3");
    assert_str(rep->type, HTML);
    assert_str(field(rep, "ETag"), "\"21ce3185d248ac0e495956bc375dcd0a\"");
    assert_str(field(rep, "Last-Modified"), "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_str(field(rep, "Cache-Control"), "no-cache");
    assert_str(field(rep, "Vary"), "");
    assert_int_equal(find(fixture, "/index.html")->mtime, 784111777);
    assert_int_equal(find(fixture, "/index.html")->codings, 1 << HTTP_CODING_IDENTITY);
    assert_str(field(find_rep(fixture, "/css/app.3f9a1c2b.css", 0), "Cache-Control"),
               "public, max-age=31536000, immutable");
    assert_true(find(fixture, "/later.txt")->mtime <= time(NULL));
    assert_missing(fixture, "/css");
    assert_missing(fixture, "/css/");
    assert_missing(fixture, "/nothing");
    assert_null(site_not_found_page(fixture->site));
    assert_null(site_spa_page(fixture->site));
    const struct site_stats *stats = site_stats(fixture->site);
    assert_int_equal(stats->file_count, 5);
    assert_int_equal(stats->content_len, 10);
    assert_int_equal(stats->preloaded_count, 5);
    assert_int_equal(stats->preloaded_len, 10);
    assert_false(stats->from_index);
    assert_true(stats->load_ns > 0);
}

static void
directories_with_an_index_answer_with_and_without_slash(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, "cd in && mkdir -p 'ein ?' sub && printf root >index.html && "
                 "printf main >sub/main.htm && printf i >'ein ?/index.html'");
    fixture->config.index = "index.html, main.htm";
    load(fixture);
    assert_served(fixture, "/", "root");
    assert_served(fixture, "/sub/", "main");
    assert_served(fixture, "/ein ?/", "i");
    assert_int_equal(find(fixture, "/sub")->kind, SITE_ROUTE_REDIRECT);
    assert_str(find(fixture, "/sub")->location, "/sub/");
    assert_str(find(fixture, "/ein ?")->location, "/ein%20%3F/");
    /* Two paths, one set of heads. */
    assert_ptr_equal(find(fixture, "/")->reps, find(fixture, "/index.html")->reps);
    assert_int_equal(find(fixture, "/")->codings, find(fixture, "/index.html")->codings);
    assert_int_equal(find(fixture, "/")->mtime, find(fixture, "/index.html")->mtime);
    assert_missing(fixture, "");
}

static void
variants_join_their_file(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, "cd in && seq 1 50 >a.js && printf br >a.js.br && gzip -k a.js && "
                 "zstd -q a.js -o a.js.zst && printf lone >b.js.gz && mkdir c && printf d >c.gz && "
                 "printf '<p>' >index.html && gzip -k index.html && touch -d @1000000000 a.js*");
    load(fixture);
    const struct site_route *route = find(fixture, "/a.js");
    assert_int_equal(route->rep_count, 4);
    assert_int_equal(route->codings, 15);
    static const enum http_coding codings[] = {HTTP_CODING_IDENTITY, HTTP_CODING_BR,
                                               HTTP_CODING_ZSTD, HTTP_CODING_GZIP};
    static const char *const names[] = {"", "br", "zstd", "gzip"};
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(route->reps[i].coding, codings[i]);
        assert_str(field(&route->reps[i], "Content-Encoding"), names[i]);
        assert_str(field(&route->reps[i], "Vary"), "Accept-Encoding");
        assert_str(route->reps[i].type, "text/javascript; charset=utf-8");
        for (unsigned j = 0; j < i; j++)
            assert_false(str_eq(route->reps[i].etag, route->reps[j].etag));
    }
    assert_body(fixture, &route->reps[1], "br");
    assert_memory_equal(route->reps[3].content.mem, "\037\213", 2);
    /* Their own names stay. */
    assert_served(fixture, "/a.js.br", "br");
    const struct site_rep *own = find_rep(fixture, "/a.js.gz", 0);
    assert_str(field(own, "Content-Encoding"), "");
    assert_str(field(own, "Vary"), "");
    assert_int_equal(find(fixture, "/a.js.gz")->rep_count, 1);
    assert_served(fixture, "/b.js.gz", "lone");
    assert_served(fixture, "/c.gz", "d"); /* beside a directory */
    assert_int_equal(find(fixture, "/")->rep_count, 2);
}

static void
precompress_makes_what_is_missing(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, "cd in && seq 1 500 >a.css && seq 1 500 >b.css && printf mine >b.css.br && "
                 "printf x >tiny.css && seq 1 500 >photo.jpg && seq 1 500 >big.css && "
                 "seq 501 900 >>big.css");
    load(fixture);
    assert_int_equal(find(fixture, "/a.css")->rep_count, 1);
    fixture->config.precompress = true;
    fixture->config.preload_max = 2000;
    load(fixture);
    assert_int_equal(find(fixture, "/a.css")->codings, 15);
    assert_int_equal(find(fixture, "/b.css")->codings, 15);
    assert_body(fixture, &find(fixture, "/b.css")->reps[1], "mine");
    assert_int_equal(find(fixture, "/tiny.css")->rep_count, 1);
    assert_int_equal(find(fixture, "/photo.jpg")->rep_count, 1);
    assert_int_equal(find(fixture, "/big.css")->rep_count, 1);
    assert_missing(fixture, "/a.css.gz");
    const struct site_rep *made = &find(fixture, "/a.css")->reps[3];
    assert_memory_equal(made->content.mem, "\037\213", 2);
    assert_true(made->content.len < 1000);
    assert_int_equal(site_stats(fixture->site)->file_count, 6);
}

static void
hidden_and_rules_files_are_not_served(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, "cd in && mkdir -p .git .well-known/.x .tarn sub && printf 1 >.git/config && "
                 "printf w >.well-known/security.txt && printf 1 >.well-known/.x/f && "
                 "printf 1 >.env && printf 1 >.tarn/f && printf '/*\\n  X-A: b\\n' >_headers && "
                 "printf '/old /new\\n' >_redirects && printf s >sub/_headers");
    load(fixture);
    assert_served(fixture, "/.well-known/security.txt", "w");
    assert_served(fixture, "/sub/_headers", "s");
    assert_missing(fixture, "/.git/config");
    assert_missing(fixture, "/.env");
    assert_missing(fixture, "/.tarn/f");
    assert_missing(fixture, "/.well-known/.x/f");
    assert_missing(fixture, "/_headers");
    assert_missing(fixture, "/_redirects");
    assert_true(site_rules_have_headers(site_rules(fixture->site)));
    assert_true(site_rules_have_redirects(site_rules(fixture->site)));
    assert_str(field(find_rep(fixture, "/sub/_headers", 0), "X-A"), "b");
}

static void
header_rules_apply_by_the_path_that_is_asked(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, "cd in && mkdir sub && printf i >index.html && printf s >sub/index.html && "
                 "printf '/\\n  X-Root: 1\\n/sub/*\\n  Cache-Control: no-store\\n' >_headers && "
                 "printf '%%s' a >about.html && printf '/about\\n  X-About: 1\\n' >>_headers");
    fixture->config.try_html = true;
    load(fixture);
    assert_str(field(find_rep(fixture, "/", 0), "X-Root"), "1");
    assert_str(field(find_rep(fixture, "/index.html", 0), "X-Root"), "");
    assert_str(field(find_rep(fixture, "/sub/", 0), "Cache-Control"), "no-store");
    assert_str(field(find_rep(fixture, "/about", 0), "X-About"), "1");
    assert_str(field(find_rep(fixture, "/about.html", 0), "X-About"), "");
    assert_served(fixture, "/about", "a");
}

static void
bad_rules_are_errors_that_name_the_line(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, "printf x >in/f && printf '/a\\n  X: y\\nnonsense line\\n' >in/_headers");
    load_must_fail(fixture, "/in: _headers line 3");
    run(fixture, "printf '/a\\n  X: y\\n' >in/_headers && printf '/x\\n' >in/_redirects");
    load_must_fail(fixture, "/in: _redirects line 1");
    run(fixture, "rm in/_redirects; printf 'https://a.example/*\\n  X: y\\n' >in/_headers");
    load_must_fail(fixture, "https://host/");
}

static void
try_html_finds_pages_without_extension(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, "cd in && mkdir docs && printf a >about.html && printf d >docs.html && "
                 "printf i >docs/index.html && printf x >both && printf y >both.html");
    load(fixture);
    assert_missing(fixture, "/about");
    fixture->config.try_html = true;
    load(fixture);
    assert_served(fixture, "/about", "a");
    assert_int_equal(find(fixture, "/docs")->kind, SITE_ROUTE_REDIRECT);
    assert_served(fixture, "/both", "x");
}

static void
special_pages_are_named(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, "cd in && printf i >index.html && printf n >404.html");
    fixture->config.spa = true;
    load(fixture);
    assert_ptr_equal(site_not_found_page(fixture->site), find(fixture, "/404.html"));
    assert_ptr_equal(site_spa_page(fixture->site), find(fixture, "/index.html"));
}

static void
options_replace_the_default_fields(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, "printf i >in/index.html && printf x >in/app.3f9a1c2b.js");
    fixture->config.cache_control = "private, max-age=7";
    load(fixture);
    assert_str(field(find_rep(fixture, "/", 0), "Cache-Control"), "private, max-age=7");
    assert_str(field(find_rep(fixture, "/app.3f9a1c2b.js", 0), "Cache-Control"),
               "private, max-age=7");
    fixture->config.cache_control = "a\r\nX: y";
    load_must_fail(fixture, "--cache-control: a control character");
    fixture->config.cache_control = "";
    load_must_fail(fixture, "--cache-control");
}

static bool
contains(struct str text, const char *part)
{
    return str_find(text, str_from_cstr(part)) < text.len;
}

static void
browse_lists_directories_without_index(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, "cd in && mkdir -p pub/sub/deep pub/.hid pub-x with .well-known && "
                 "printf 12345 >pub/file.txt && gzip -k pub/file.txt && printf h >pub/.secret && "
                 "printf i >with/index.html && printf d >pub/sub/deep/f && printf w "
                 ">.well-known/f && printf '/x /y\\n' >_redirects");
    load(fixture);
    assert_missing(fixture, "/");
    assert_missing(fixture, "/pub");
    fixture->config.browse = true;
    load(fixture);
    const struct site_route *route = find(fixture, "/pub/");
    assert_int_equal(route->kind, SITE_ROUTE_LISTING);
    assert_int_equal(route->rep_count, 2);
    assert_str(route->reps[0].type, HTML);
    assert_str(route->reps[1].type, "application/json; charset=utf-8");
    for (unsigned i = 0; i < 2; i++) {
        assert_str(field(&route->reps[i], "Vary"), "Accept");
        assert_str(field(&route->reps[i], "Cache-Control"), "no-cache");
        assert_int_equal(route->reps[i].etag.len, 34);
    }
    struct str html = str_make(route->reps[0].content.mem, route->reps[0].content.len);
    struct str json = str_make(route->reps[1].content.mem, route->reps[1].content.len);
    assert_true(contains(html, "file.txt") && contains(html, "sub/"));
    assert_true(contains(json, "\"file.txt\"") && contains(json, "\"sub\""));
    assert_true(str_find(json, STR("\"sub\"")) < str_find(json, STR("\"file.txt\"")));
    assert_false(contains(json, "deep") || contains(json, "secret") || contains(json, ".hid"));
    assert_false(contains(json, "file.txt.gz"));
    const struct site_rep *root = &find(fixture, "/")->reps[1];
    struct str root_json = str_make(root->content.mem, root->content.len);
    assert_true(contains(root_json, "\"pub\"") && contains(root_json, "\"pub-x\""));
    assert_false(contains(root_json, "_redirects") || contains(root_json, "well-known"));
    assert_int_equal(find(fixture, "/pub/sub")->kind, SITE_ROUTE_REDIRECT);
    assert_int_equal(find(fixture, "/with/")->kind, SITE_ROUTE_FILE);
    assert_int_equal(find(fixture, "/pub-x/")->kind, SITE_ROUTE_LISTING);
    assert_missing(fixture, "/pub/.hid/");
}

static void
one_file_answers_every_path_or_only_one(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, "printf '<p>' >page.html && printf x >mta-sts.txt && printf v >.odd");
    set_source(fixture, "page.html");
    load(fixture);
    assert_served(fixture, "/", "<p>");
    assert_served(fixture, "/any/thing", "<p>");
    assert_str(find_rep(fixture, "/x", 0)->type, HTML);
    set_source(fixture, "mta-sts.txt");
    fixture->config.only_path = "/.well-known/mta%2Dsts.txt";
    fixture->config.content_type = "text/x-policy";
    load(fixture);
    assert_served(fixture, "/.well-known/mta-sts.txt", "x");
    assert_missing(fixture, "/");
    assert_missing(fixture, "/mta-sts.txt");
    assert_str(find_rep(fixture, "/.well-known/mta-sts.txt", 0)->type, "text/x-policy");
    static const char *const bad[] = {"x", "/a?b", "/../x", "/%zz"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        fixture->config.only_path = bad[i];
        load_must_fail(fixture, "--path");
    }
    fixture->config.only_path = NULL;
    fixture->config.content_type = NULL;
    set_source(fixture, ".odd");
    load(fixture);
    assert_served(fixture, "/", "v");
}

static void
load_stdin(struct fixture *fixture, const char *command)
{
    int saved = dup(STDIN_FILENO);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    dup2(fileno(pipe), STDIN_FILENO);
    fixture->config.source = "-";
    load(fixture);
    dup2(saved, STDIN_FILENO);
    close(saved);
    pclose(pipe);
}

static void
standard_input_has_its_type_from_path_or_content(void **state)
{
    struct fixture *fixture = *state;
    load_stdin(fixture, "printf ' <!DOCTYPE html>'");
    assert_str(find_rep(fixture, "/", 0)->type, HTML);
    load_stdin(fixture, "printf 'hell\\303\\266'");
    assert_str(find_rep(fixture, "/", 0)->type, "text/plain; charset=utf-8");
    load_stdin(fixture, "printf '\\000\\001'");
    assert_str(find_rep(fixture, "/", 0)->type, "application/octet-stream");
    fixture->config.only_path = "/data.json";
    load_stdin(fixture, "printf '{}'");
    assert_served(fixture, "/data.json", "{}");
    assert_str(find_rep(fixture, "/data.json", 0)->type, "application/json; charset=utf-8");
}

static void
an_empty_or_missing_site_is_an_error_unless_allowed(void **state)
{
    struct fixture *fixture = *state;
    load_must_fail(fixture, "/in: no file to serve");
    run(fixture, "printf x >in/.hidden && printf '/a /b\\n' >in/_redirects");
    load_must_fail(fixture, "only 1 hidden");
    fixture->config.allow_empty = true;
    load(fixture);
    assert_missing(fixture, "/");
    assert_true(site_rules_have_redirects(site_rules(fixture->site)));
    set_source(fixture, "missing");
    load(fixture);
    assert_missing(fixture, "/");
    assert_int_equal(site_stats(fixture->site)->file_count, 0);
    assert_false(site_rules_have_headers(site_rules(fixture->site)));
    fixture->config.allow_empty = false;
    load_must_fail(fixture, "no site at");
    run(fixture, ": >empty.html");
    set_source(fixture, "empty.html");
    load_must_fail(fixture, "is empty");
}

static void
a_config_map_mount_is_served(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, "cd in && mkdir ..2024_11_21 && printf '<p>' >..2024_11_21/index.html && "
                 "ln -s ..2024_11_21 ..data && ln -s ..data/index.html index.html");
    load(fixture);
    assert_served(fixture, "/", "<p>");
    assert_served(fixture, "/index.html", "<p>");
    assert_missing(fixture, "/..data/index.html");
    assert_int_equal(site_stats(fixture->site)->route_count, 2);
    assert_int_equal(site_stats(fixture->site)->warnings, 0);
}

struct walk {
    struct str last;
    unsigned count;
};

static void
check_order(void *arg, const struct site_route *route)
{
    struct walk *walk = arg;
    assert_true(str_cmp(walk->last, route->path) < 0);
    walk->last = route->path;
    walk->count++;
}

static void
routes_are_visited_in_order(void **state)
{
    struct fixture *fixture = *state;
    struct walk walk = {0};
    run(fixture, "cd in && mkdir -p b/c z && printf 1 >index.html && printf 1 >b-x && "
                 "printf 1 >b/c/index.html && printf 1 >b.html && printf 1 >z/z.html");
    fixture->config.browse = true;
    fixture->config.try_html = true;
    load(fixture);
    site_each(fixture->site, check_order, &walk);
    /* 5 files; / b b/ b/c b/c/ z z/; index, b/c/index, z/z (but b is a directory) */
    assert_int_equal(walk.count, 15);
    assert_int_equal(walk.count, site_stats(fixture->site)->route_count);
}

static void
a_tar_gives_the_same_site_as_its_directory(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, "cd in && mkdir sub && printf i >index.html && seq 1 2000 >sub/page.css && "
                 "gzip -k sub/page.css && ln -s sub/page.css link.css && tar cf ../site.tar .");
    load(fixture);
    struct site *from_dir = fixture->site;
    fixture->site = NULL;
    set_source(fixture, "site.tar");
    load(fixture);
    assert_int_equal(site_stats(from_dir)->route_count, site_stats(fixture->site)->route_count);
    static const char *const paths[] = {"/", "/sub/page.css", "/sub/page.css.gz", "/link.css"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        const struct site_route *a = find(fixture, paths[i]);
        const struct site_route *b = site_find(from_dir, str_from_cstr(paths[i]));
        assert_int_equal(a->rep_count, b->rep_count);
        for (unsigned r = 0; r < a->rep_count; r++)
            assert_true(str_eq(a->reps[r].head, b->reps[r].head));
    }
    site_free(from_dir);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(files_have_routes_heads_and_bodies),
        TEST(directories_with_an_index_answer_with_and_without_slash),
        TEST(variants_join_their_file),
        TEST(precompress_makes_what_is_missing),
        TEST(hidden_and_rules_files_are_not_served),
        TEST(header_rules_apply_by_the_path_that_is_asked),
        TEST(bad_rules_are_errors_that_name_the_line),
        TEST(try_html_finds_pages_without_extension),
        TEST(special_pages_are_named),
        TEST(options_replace_the_default_fields),
        TEST(browse_lists_directories_without_index),
        TEST(one_file_answers_every_path_or_only_one),
        TEST(standard_input_has_its_type_from_path_or_content),
        TEST(an_empty_or_missing_site_is_an_error_unless_allowed),
        TEST(a_config_map_mount_is_served),
        TEST(routes_are_visited_in_order),
        TEST(a_tar_gives_the_same_site_as_its_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
