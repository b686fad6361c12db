/* zs_file_server: its options, patterns, what it finds, listings. */
#include "script/answer_test_run.h"
#include "script/file_server.h"

/* --- options --- */

static bool
read_options(const char *text, struct script_file_options *out, char *fault_out)
{
    static struct arena arena;
    static bool used;
    struct str fault;
    if (used)
        arena_deinit(&arena);
    used = true;
    arena_init(&arena, 64 << 10, 4096);
    bool good = script_file_options_read(str_from_cstr(text), &arena, out, &fault);
    sprintf(fault_out, "%.*s", STR_ARG(fault));
    if (!text[0])
        arena_deinit(&arena), used = false;
    return good;
}

static void
options_have_defaults(void **state)
{
    struct script_file_options options;
    char fault[64];
    assert_true(read_options("{}", &options, fault));
    assert_true(options.canonical_uris && !options.browse && !options.pass_thru);
    assert_true(!options.hide && !options.has_index_names && options.root.len == 0);
    assert_int_equal(options.codings, UINT8_MAX);
    assert_true(read_options("{\"root\":null,\"hide\":null,\"index_names\":null,\"browse\":null,"
                             "\"canonical_uris\":null,\"status_code\":null,\"pass_thru\":null,"
                             "\"precompressed\":null,\"unknown\":[{}]}",
                             &options, fault));
    assert_true(options.canonical_uris && !options.has_index_names);
    assert_int_equal(options.codings, UINT8_MAX);
    read_options("", &options, fault);
}

static void
options_are_read(void **state)
{
    struct script_file_options options;
    char fault[64];
    assert_true(read_options("{\"root\":\"a\\u00e4\",\"hide\":[\"x\",\"y\"],\"index_names\":[],"
                             "\"browse\":{\"sort\":[\"size\"]},\"canonical_uris\":false,"
                             "\"status_code\":404,\"pass_thru\":true,\"fs\":\"default\","
                             "\"precompressed\":{\"gzip\":{},\"br\":null,\"other\":1}}",
                             &options, fault));
    assert_str(options.root, "a\xc3\xa4");
    assert_str(options.hide->text, "x");
    assert_str(options.hide->next->text, "y");
    assert_null(options.hide->next->next);
    assert_true(options.has_index_names && !options.index_names);
    assert_true(options.browse && !options.canonical_uris && options.pass_thru);
    assert_str(options.status_code, "404");
    assert_int_equal(options.codings,
                     1 << HTTP_CODING_GZIP | 1 << HTTP_CODING_BR | 1 << HTTP_CODING_IDENTITY);
    assert_true(read_options("{\"status_code\":\"500\",\"browse\":true}", &options, fault));
    assert_str(options.status_code, "500");
    assert_true(options.browse);
    read_options("", &options, fault);
}

static void
options_of_another_kind_are_refused(void **state)
{
    static const char *const bad[][2] = {
        {"{\"root\":1}", "root"},
        {"{\"hide\":\"x\"}", "hide"},
        {"{\"hide\":[1]}", "hide"},
        {"{\"hide\":[\"a\" \"b\"]}", "hide"},
        {"{\"index_names\":{}}", "index_names"},
        {"{\"browse\":1}", "browse"},
        {"{\"canonical_uris\":\"true\"}", "canonical_uris"},
        {"{\"pass_thru\":0}", "pass_thru"},
        {"{\"status_code\":-1}", "status_code"},
        {"{\"status_code\":[]}", "status_code"},
        {"{\"precompressed\":[\"gzip\"]}", "precompressed"},
        {"{\"root\":\"\\ud800\"}", "root"},
        {"[]", ""},
        {"{", ""},
        {"{} x", ""},
        {"", ""},
        {"null", ""},
    };
    struct script_file_options options;
    char fault[64];
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (read_options(bad[i][0], &options, fault))
            fail_msg("%s is taken", bad[i][0]);
        assert_string_equal(fault, bad[i][1]);
    }
    read_options("", &options, fault);
}

/* --- patterns --- */

static bool
matches(const char *pattern, const char *name)
{
    uint32_t steps = 1000000;
    return script_glob_matches(str_from_cstr(pattern), str_from_cstr(name), &steps);
}

static void
patterns_match_names(void **state)
{
    static const char *const yes[][2] = {
        {"", ""},        {"a", "a"},           {"*", ""},          {"*", "abc"},   {"a*", "a"},
        {"a*c", "abbc"}, {"*.php", "x.php"},   {"*a*b*", "xaxbx"}, {"?", "x"},     {"a?c", "abc"},
        {"[ab]", "a"},   {"[a-c]x", "bx"},     {"[^a]", "b"},      {"\\*", "*"},   {"[\\]]", "]"},
        {"[[]", "["},    {"[a-cx-z]", "y"},    {"**", "a"},        {"a\\b", "ab"}, {"[!]", "!"},
        {"*ab", "aab"},  {"[A-Z][0-9]", "A5"},
    };
    static const char *const no[][2] = {
        {"", "a"},     {"a", ""},           {"a", "b"},  {"a*", "ba"}, {"?", ""},     {"?", "ab"},
        {"[ab]", "c"}, {"[^a]", "a"},       {"[a", "a"}, {"[]", "]"},  {"[-a]", "a"}, {"[a-]", "a"},
        {"\\", "\\"},  {"*.php", "x.phpx"}, {"A", "a"},  {"[a-", "a"}, {"[", "["},    {"[\\", "\\"},
    };
    for (unsigned i = 0; i < sizeof yes / sizeof *yes; i++)
        if (!matches(yes[i][0], yes[i][1]))
            fail_msg("'%s' does not match '%s'", yes[i][0], yes[i][1]);
    for (unsigned i = 0; i < sizeof no / sizeof *no; i++)
        if (matches(no[i][0], no[i][1]))
            fail_msg("'%s' matches '%s'", no[i][0], no[i][1]);
}

static bool
hidden(const char *pattern, const char *path)
{
    const struct script_name name = {.text = str_from_cstr(pattern)};
    struct script_hide hide = {&name, 1000000};
    return script_is_hidden(&hide, str_from_cstr(path));
}

static void
patterns_hide_paths(void **state)
{
    assert_true(hidden(".git", ".git/config"));
    assert_true(hidden("*.php", "a/b.php"));
    assert_true(hidden(" *.php ", "a.php/x"));
    assert_true(hidden("a/b", "a/b"));
    assert_true(hidden("a/b", "a/b/c"));
    assert_true(hidden("a/*", "a/b"));
    assert_false(hidden("a/*", "a/b/c"));
    assert_false(hidden("a/b", "a/bc"));
    assert_false(hidden("a/b", "x/a/b"));
    assert_false(hidden("/a/b", "a/b"));
    assert_false(hidden("", "a"));
    assert_false(hidden("  ", "a"));
    assert_false(hidden("*", ""));
    assert_false(hidden("b", "a/bc/d"));
}

static void
patterns_that_cost_too_much_hide(void **state)
{
    uint32_t steps = 100;
    assert_true(script_glob_matches(STR("*a*a*a*a*b"),
                                    STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                                        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                                        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
                                    &steps));
    assert_int_equal(steps, 0);
    /* A long class costs as much as it is long. */
    char class[1003] = "*[";
    memset(class + 2, 'b', 999);
    class[1001] = ']';
    steps = 5000;
    assert_true(script_glob_matches(str_make(class, 1002), STR("aaaaaaaaaaaaaaaaaaaa"), &steps));
    assert_int_equal(steps, 0);
}

/* --- finding --- */

static char request_head[1024];

static void
request(struct stage *stage, const char *start, const char *fields)
{
    arena_reset(&stage->scene->req.arena);
    snprintf(request_head, sizeof request_head, "%s HTTP/1.1\r\nHost: h\r\n%s\r\n", start, fields);
    stage_drop_response(stage);
    scene_set_head(stage->scene, request_head);
}

/* Asks, with these options, and applies the answer. */
static unsigned
serve(struct stage *stage, const char *start, const char *options)
{
    request(stage, start, "");
    script_answer_clear(&stage->scene->task.answer);
    EXPECT(0, CALL(zs_file_server, T(options)));
    assert_true(script_answer_apply(&stage->scene->task));
    stage_collect(stage);
    return stage->scene->req.response.status;
}

#define EXPECT_FILE(text, start, options)                    \
    do {                                                     \
        assert_int_equal(serve(stage, start, options), 200); \
        assert_str(buf_str(&stage->body), text);             \
    } while (0)

#define EXPECT_REDIRECT(location, start, options)            \
    do {                                                     \
        assert_int_equal(serve(stage, start, options), 308); \
        stage_head_has(stage, "Location: " location "\r\n"); \
    } while (0)

static void
files_are_found(void **state)
{
    struct stage *stage = *state;
    stage_site(stage,
               "mkdir -p d/e x && printf a >a.txt && printf i >index.html && "
               "printf di >d/index.html && printf t >d/e/index.txt && printf p >x/page.html");
    EXPECT_FILE("a", "GET /a.txt", "{}");
    EXPECT_FILE("i", "GET /", "{}");
    EXPECT_FILE("di", "GET /d/", "{}");
    EXPECT_FILE("t", "GET /d/e/", "{}");
    EXPECT_FILE("p", "GET /", "{\"root\":\"./x//\",\"index_names\":[\"page.html\"]}");
    assert_int_equal(serve(stage, "GET /none", "{}"), 404);
    assert_int_equal(serve(stage, "GET /x/", "{}"), 404);
    assert_int_equal(serve(stage, "GET /d/", "{\"index_names\":[]}"), 404);
    assert_int_equal(serve(stage, "GET /a.txt/b", "{}"), 404);
}

static void
a_root_is_below_the_site(void **state)
{
    struct stage *stage = *state;
    stage_site(stage, "mkdir -p d/e && printf in >d/e/a.txt && printf out >a.txt");
    EXPECT_FILE("in", "GET /a.txt", "{\"root\":\"d/e\"}");
    EXPECT_FILE("in", "GET /e/a.txt", "{\"root\":\"./d/\"}");
    EXPECT_FILE("out", "GET /a.txt", "{\"root\":\".\"}");
    assert_int_equal(serve(stage, "GET /d/e/a.txt", "{\"root\":\"d/e\"}"), 404);
    static const char *const bad[] = {"{\"root\":\"/d\"}",      "{\"root\":\"..\"}",
                                      "{\"root\":\"d/../..\"}", "{\"root\":\"d\\u0000\"}",
                                      "{\"fs\":\"other\"}",     "{\"status_code\":\"x\"}",
                                      "{\"status_code\":204}",  "{\"status_code\":99}"};
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        request(stage, "GET /a.txt", "");
        script_answer_clear(&stage->scene->task.answer);
        EXPECT(2, CALL(zs_file_server, T(bad[i])));
        assert_non_null(strstr(stage->fixture->last_warning, "zs_file_server"));
        assert_true(script_answer_apply(&stage->scene->task));
        assert_int_equal(stage->scene->req.response.status, 500);
    }
}

static void
what_is_missed_may_be_passed_on(void **state)
{
    struct stage *stage = *state;
    stage_site(stage, "mkdir d && printf a >a.txt && printf b >d/b.txt && printf lost >404.html");
    static const char *const paths[] = {"GET /none", "GET /d/", "GET /a.txt/x", "POST /none"};
    for (unsigned i = 0; i < 4; i++) {
        request(stage, paths[i], "Content-Length: 0\r\n");
        script_answer_clear(&stage->scene->task.answer);
        EXPECT(1, CALL(zs_file_server, T("{\"pass_thru\":true}")));
        assert_false(script_answer_apply(&stage->scene->task));
    }
    request(stage, "GET /a.txt", "");
    EXPECT(0, CALL(zs_file_server, T("{\"pass_thru\":true}")));
    assert_true(script_answer_apply(&stage->scene->task));
    assert_int_equal(serve(stage, "GET /none", "{}"), 404);
    assert_str(buf_str(&stage->body), "lost");
}

static void
what_is_hidden_is_not_there(void **state)
{
    struct stage *stage = *state;
    stage_site(stage, "mkdir -p d/s && printf x >d/s/a.txt && printf y >d/a.php && "
                      "printf i >d/index.html && printf t >d/index.txt");
    assert_int_equal(serve(stage, "GET /d/a.php", "{\"hide\":[\"*.php\"]}"), 404);
    assert_int_equal(serve(stage, "GET /d/s/a.txt", "{\"hide\":[\"no\",\"s\"]}"), 404);
    assert_int_equal(serve(stage, "GET /d/s/a.txt", "{\"hide\":[\"d/s\"]}"), 404);
    assert_int_equal(serve(stage, "GET /s/a.txt", "{\"root\":\"d\",\"hide\":[\"d/s\"]}"), 404);
    EXPECT_FILE("x", "GET /d/s/a.txt", "{\"hide\":[\"/d/s\",\"S\"]}");
    EXPECT_FILE("t", "GET /d/", "{\"hide\":[\"*.html\"]}");
}

/* With --try-html there is another path to a file than its own. */
static void
an_alias_does_not_show_what_is_hidden(void **state)
{
    struct stage *stage = *state;
    stage->fixture->config.try_html = true;
    stage_site(stage, "printf x >secret.html");
    assert_non_null(find(stage->fixture, "/secret"));
    assert_int_equal(serve(stage, "GET /secret", "{\"hide\":[\"*.html\"]}"), 404);
}

static void
paths_are_brought_to_their_form(void **state)
{
    struct stage *stage = *state;
    stage_site(stage, "mkdir -p 'd e' && printf i >'d e/index.html' && printf a >a.txt && "
                      "mkdir evil && printf e >evil/index.html");
    EXPECT_REDIRECT("/d%20e/?q=%C3%A4", "GET /d%20e?q=\xc3\xa4", "{}");
    EXPECT_REDIRECT("/a.txt", "GET /a.txt/", "{}");
    EXPECT_REDIRECT("/a.txt?", "GET /a.txt/?", "{}");
    EXPECT_REDIRECT("/evil/", "GET //evil", "{}");
    EXPECT_FILE("i", "GET /d%20e", "{\"canonical_uris\":false}");
    EXPECT_FILE("a", "GET /a.txt/", "{\"canonical_uris\":false}");
    EXPECT_FILE("i", "GET /d%20e/", "{}");
    /* Below a root it is the client's path that counts. */
    EXPECT_REDIRECT("/evil/", "GET /evil", "{\"root\":\".\"}");
}

static void
a_rewritten_path_is_not_redirected(void **state)
{
    struct stage *stage = *state;
    struct script_request *request_state = &stage->scene->task.request;
    stage_site(stage, "mkdir d && printf i >d/index.html && printf a >a.txt");
    buf_init(&request_state->target, 1024);
    request_state->target_changed = true;
    buf_append(&request_state->target, STR("/d?x=y"));
    EXPECT_FILE("i", "GET /other", "{}");
    EXPECT_FILE("i", "GET /other/", "{}");
    /* With the same name it is; to where the client was. */
    EXPECT_REDIRECT("/below/d/?q=1", "GET /below/d?q=1", "{}");
    buf_clear(&request_state->target);
    buf_append(&request_state->target, STR("/%2e%2e/a.txt"));
    assert_int_equal(serve(stage, "GET /x", "{}"), 404);
    buf_clear(&request_state->target);
    buf_append(&request_state->target, STR("no path"));
    assert_int_equal(serve(stage, "GET /x", "{}"), 404);
    buf_deinit(&request_state->target);
    request_state->target_changed = false;
}

static void
other_methods_are_refused(void **state)
{
    struct stage *stage = *state;
    stage_site(stage, "printf a >a.txt");
    assert_int_equal(serve(stage, "POST /a.txt", "{}"), 405);
    stage_head_has(stage, "Allow: GET, HEAD\r\n");
    assert_int_equal(serve(stage, "OPTIONS /a.txt", "{}"), 405);
    assert_int_equal(serve(stage, "HEAD /a.txt", "{}"), 200);
    /* A page for an error is one for every method. */
    assert_int_equal(serve(stage, "POST /a.txt", "{\"status_code\":500}"), 500);
    assert_str(buf_str(&stage->body), "a");
}

static void
status_and_codings_are_chosen(void **state)
{
    struct stage *stage = *state;
    stage_site(stage, "seq 1 1000 >a.txt && gzip -k a.txt && cp a.txt a.txt.br");
    assert_int_equal(serve(stage, "GET /a.txt", "{\"status_code\":\"404\"}"), 404);
    stage_head_has(stage, "Cache-Control: no-store\r\n");
    static const struct {
        const char *options, *coding;
    } cases[] = {{"{}", "br"},
                 {"{\"precompressed\":{}}", NULL},
                 {"{\"precompressed\":{\"gzip\":{}}}", "gzip"},
                 {"{\"precompressed\":{\"zstd\":{}}}", NULL},
                 {"{\"precompressed\":{\"gzip\":{},\"br\":{}}}", "br"}};
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        request(stage, "GET /a.txt", "Accept-Encoding: br, gzip\r\n");
        EXPECT(0, CALL(zs_file_server, T(cases[i].options)));
        assert_true(script_answer_apply(&stage->scene->task));
        char line[64];
        snprintf(line, sizeof line, "Content-Encoding: %s\r\n", cases[i].coding);
        if (cases[i].coding)
            stage_head_has(stage, line);
        else
            stage_head_has_not(stage, "Content-Encoding");
    }
    request(stage, "GET /a.txt", "Range: bytes=0-1\r\n");
    EXPECT(0, CALL(zs_file_server, T("{\"status_code\":200}")));
    assert_true(script_answer_apply(&stage->scene->task));
    assert_int_equal(stage->scene->req.response.status, 206);
}

/* --- listings --- */

static void
directories_are_listed(void **state)
{
    struct stage *stage = *state;
    stage_site(stage, "mkdir -p d/b/c d/b-x && printf 1 >d/z.txt && printf 22 >d/a.txt && "
                      "gzip -k d/a.txt && : >d/b/c/f && : >d/b-x/f && printf '/*\\n X-A: 1\\n' "
                      ">_headers");
    assert_int_equal(serve(stage, "GET /d/", "{}"), 404);
    assert_int_equal(serve(stage, "GET /d/", "{\"browse\":true}"), 200);
    stage_head_has(stage, "Content-Type: text/html; charset=utf-8\r\n");
    stage_head_has(stage, "Vary: Accept\r\n");
    stage_head_has(stage, "X-A: 1\r\n");
    stage_head_has(stage, "Cache-Control: no-cache\r\n");
    assert_true(str_find(buf_str(&stage->body), STR("a.txt</bdi>")) < stage->body.len);
    request(stage, "GET /d/", "Accept: application/json\r\n");
    EXPECT(0, CALL(zs_file_server, T("{\"browse\":{}}")));
    assert_true(script_answer_apply(&stage->scene->task));
    stage_collect(stage);
    struct str text = buf_str(&stage->body);
    size_t last = 0;
    static const char *const names[] = {"\"b\"", "\"b-x\"", "\"a.txt\"", "\"z.txt\""};
    for (unsigned i = 0; i < 4; i++) {
        size_t at = str_find(text, str_from_cstr(names[i]));
        assert_true(at < text.len && at >= last);
        last = at;
    }
    assert_int_equal(str_find(text, STR("a.txt.gz")), text.len);
    /* Its tag is that of its bytes. */
    char fields[256];
    const char *etag = strstr(stage_head(stage), "ETag: ") + 6;
    snprintf(fields, sizeof fields, "Accept: application/json\r\nIf-None-Match: %.34s\r\n", etag);
    request(stage, "GET /d/", fields);
    EXPECT(0, CALL(zs_file_server, T("{\"browse\":true}")));
    assert_true(script_answer_apply(&stage->scene->task));
    assert_int_equal(stage->scene->req.response.status, 304);
}

static void
listings_leave_out_what_is_hidden(void **state)
{
    struct stage *stage = *state;
    stage_site(stage, "mkdir -p d/s/t d/o && : >d/s/t/f && : >d/o/f && : >d/a.php && : >d/b.txt");
    assert_int_equal(serve(stage, "GET /d/", "{\"browse\":true,\"hide\":[\"*.php\",\"d/s\",\"\"]}"),
                     200);
    struct str text = buf_str(&stage->body);
    assert_int_equal(str_find(text, STR("a.php")), text.len);
    assert_int_equal(str_find(text, STR("s/</bdi>")), text.len);
    assert_true(str_find(text, STR("b.txt")) < text.len);
    assert_true(str_find(text, STR("o/</bdi>")) < text.len);
    assert_int_equal(serve(stage, "GET /d/s/", "{\"browse\":true,\"hide\":[\"s\"]}"), 404);
    assert_int_equal(serve(stage, "GET /", "{\"browse\":true,\"hide\":[\"*\"]}"), 200);
    assert_int_equal(str_find(buf_str(&stage->body), STR("</bdi>")), stage->body.len);
}

static void
listings_are_asked_for_with_a_slash(void **state)
{
    struct stage *stage = *state;
    stage_site(stage, "mkdir -p d && : >d/f");
    EXPECT_REDIRECT("/d/", "GET /d", "{\"browse\":true,\"canonical_uris\":false}");
    assert_int_equal(serve(stage, "POST /d/", "{\"browse\":true}"), 405);
    assert_int_equal(serve(stage, "HEAD /d/", "{\"browse\":true}"), 200);
    assert_int_equal(serve(stage, "GET /", "{\"browse\":true}"), 200);
    assert_true(str_find(buf_str(&stage->body), STR("d/</bdi>")) < stage->body.len);
}

static void
a_rendered_listing_is_used(void **state)
{
    struct stage *stage = *state;
    stage->fixture->config.browse = true;
    stage_site(stage, "mkdir -p d/empty && : >d/f");
    assert_int_equal(serve(stage, "GET /d/", "{\"browse\":true}"), 200);
    assert_ptr_equal(stage->scene->task.answer.file, find(stage->fixture, "/d/"));
    /* Nothing hidden shows through it; nor through that of the site when it is not wanted. */
    assert_int_equal(serve(stage, "GET /d/", "{\"browse\":true,\"hide\":[\"f\"]}"), 200);
    assert_int_equal(str_find(buf_str(&stage->body), STR("f</bdi>")), stage->body.len);
    assert_int_equal(serve(stage, "GET /d/", "{}"), 404);
}

static void
a_listing_below_a_root_shows_the_clients_path(void **state)
{
    struct stage *stage = *state;
    stage_site(stage, "mkdir -p deep/er/d && : >deep/er/d/f");
    assert_int_equal(serve(stage, "GET /d/", "{\"browse\":true,\"root\":\"deep/er\"}"), 200);
    struct str text = buf_str(&stage->body);
    assert_true(str_find(text, STR(">d</span>")) < text.len);
    assert_int_equal(str_find(text, STR("deep")), text.len);
}

static void
long_listings_are_cut(void **state)
{
    struct stage *stage = *state;
    stage_site(stage, "mkdir d && cd d && seq -f 'f%%06g' 1 10001 | xargs touch");
    unsigned before = stage->fixture->warning_count;
    assert_int_equal(serve(stage, "GET /d/", "{\"browse\":true}"), 200);
    assert_true(str_find(buf_str(&stage->body), STR("f010000</bdi>")) < stage->body.len);
    assert_int_equal(str_find(buf_str(&stage->body), STR("f010001</bdi>")), stage->body.len);
    assert_int_equal(stage->fixture->warning_count, before + 1);
    assert_non_null(strstr(stage->fixture->last_warning, "more than 10000 entries"));
}

static void
patterns_that_cost_too_much_end_a_listing(void **state)
{
    struct stage *stage = *state;
    static char options[SCRIPT_FILE_OPTIONS_MAX];
    stage_site(stage, "mkdir d && cd d && seq -f 'file-number-%%06g' 1 400 | xargs touch");
    int len = sprintf(options, "{\"browse\":true,\"hide\":[\"*[");
    memset(options + len, 'x', 8000);
    strcpy(options + len + 8000, "]\"]}");
    unsigned before = stage->fixture->warning_count;
    assert_int_equal(serve(stage, "GET /d/", options), 200);
    assert_true(str_find(buf_str(&stage->body), STR("000001</bdi>")) < stage->body.len);
    assert_int_equal(str_find(buf_str(&stage->body), STR("000400</bdi>")), stage->body.len);
    assert_int_equal(stage->fixture->warning_count, before + 1);
    assert_non_null(strstr(stage->fixture->last_warning, "'hide' has too much to compare with"));
}

static void
a_site_of_one_file_has_it_everywhere(void **state)
{
    struct stage *stage = *state;
    run(stage->fixture, "rmdir in && printf one >in");
    load(stage->fixture);
    stage->scene->pin.site = stage->fixture->site;
    EXPECT_FILE("one", "GET /any/path", "{}");
    assert_int_equal(serve(stage, "GET /.tarn/x", "{}"), 404);
}

static void
the_file_server_wants_good_arguments(void **state)
{
    struct stage *stage = *state;
    stage_site(stage, "printf a >a.txt");
    request(stage, "GET /a.txt", "");
    CALL(zs_file_server, T(""));
    EXPECT_TRAP("zs_file_server: expected a JSON object of options");
    CALL(zs_file_server, T("[]"));
    EXPECT_TRAP("zs_file_server: expected a JSON object of options");
    CALL(zs_file_server, T("{\"hide\":1}"));
    EXPECT_TRAP("zs_file_server: 'hide' is not what it should be");
    CALL(zs_file_server, T("{\"root\":\"\xff\"}"));
    EXPECT_TRAP("zs_file_server: the options is not UTF-8");
    CALL(zs_file_server, STAGE_OUTSIDE, 2);
    EXPECT_TRAP("outside of");
    memset(stage->scene->memory, ' ', SCRIPT_FILE_OPTIONS_MAX + 1);
    memcpy(stage->scene->memory, "{}", 2);
    CALL(zs_file_server, scene_at(0), SCRIPT_FILE_OPTIONS_MAX + 1);
    EXPECT_TRAP("zs_file_server: 16385 bytes of options, at most 16384");
    EXPECT(0, CALL(zs_file_server, scene_at(0), SCRIPT_FILE_OPTIONS_MAX));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_have_defaults),
        cmocka_unit_test(options_are_read),
        cmocka_unit_test(options_of_another_kind_are_refused),
        cmocka_unit_test(patterns_match_names),
        cmocka_unit_test(patterns_hide_paths),
        cmocka_unit_test(patterns_that_cost_too_much_hide),
        stage_test(files_are_found),
        stage_test(a_root_is_below_the_site),
        stage_test(what_is_missed_may_be_passed_on),
        stage_test(what_is_hidden_is_not_there),
        stage_test(an_alias_does_not_show_what_is_hidden),
        stage_test(paths_are_brought_to_their_form),
        stage_test(a_rewritten_path_is_not_redirected),
        stage_test(other_methods_are_refused),
        stage_test(status_and_codings_are_chosen),
        stage_test(directories_are_listed),
        stage_test(listings_leave_out_what_is_hidden),
        stage_test(listings_are_asked_for_with_a_slash),
        stage_test(a_rendered_listing_is_used),
        stage_test(a_listing_below_a_root_shows_the_clients_path),
        stage_test(long_listings_are_cut),
        stage_test(patterns_that_cost_too_much_end_a_listing),
        stage_test(a_site_of_one_file_has_it_everywhere),
        stage_test(the_file_server_wants_good_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
