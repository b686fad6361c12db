/* The pages but for the lists: routes, what is typed, who asks, figures, a client that leaves. */
#include "cache/pages_test_run.h"

#include "cache/pages_assets.h"
#include "tls/digest.h"

#include <sqlite3.h>

/* --- the frame --- */

static void
base64_of(struct str text, char out[static 45])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t bytes[DIGEST_SHA256_LEN + 1] = {0};
    digest_of(DIGEST_SHA256, text, bytes);
    for (unsigned i = 0; i < 43; i++) {
        unsigned bit = i * 6, pair = (unsigned)bytes[bit / 8] << 8 | bytes[bit / 8 + 1];
        out[i] = digits[pair >> (10 - bit % 8) & 63];
    }
    strcpy(out + 43, "=");
}

static void
the_policy_allows_this_style_and_this_script(void **state)
{
    char hash[45], wanted[80];
    const struct str texts[] = {pages_style, pages_script};
    static const char *const names[] = {"style", "script"};
    for (unsigned i = 0; i < 2; i++) {
        base64_of(texts[i], hash);
        snprintf(wanted, sizeof wanted, "%s-src 'sha256-%s'", names[i], hash);
        if (str_find(pages_policy, str_from_cstr(wanted)) == pages_policy.len)
            fail_msg("the policy must say %s", wanted);
    }
    assert_int_equal(str_find(pages_script, STR("</")), pages_script.len);
    assert_int_equal(str_find(pages_script, STR("innerHTML")), pages_script.len);
}

static const char *const all_pages[] = {
    "/",
    "/help/",
    "/statistics/",
    "/resources/successes/",
    "/resources/downloading/",
    "/resources/scheduled/",
    "/resources/failures/",
};

static void
every_page_stands_alone(void **state)
{
    struct scene *scene = *state;
    for (unsigned i = 0; i < sizeof all_pages / sizeof *all_pages; i++) {
        get(scene, all_pages[i]);
        const struct world *world = scene->world;
        assert_header(world, "Content-Type", "text/html; charset=utf-8");
        assert_header(world, "Cache-Control", "no-store");
        assert_header(world, "Referrer-Policy", "no-referrer");
        assert_true(str_eq(header(world, "Content-Security-Policy"), pages_policy));
        expect_count(scene, 1, "<!doctype html>");
        expect_count(scene, 1, "</html>");
        expect_count(scene, 1, "<h1");
        expect(scene, " aria-current=\"page\">");
        expect_count(scene, 0, " style=");
        expect_count(scene, 0, " src=");
        expect_count(scene, 0, "onclick=\"");
        expect_count(scene, 0, "build<farm>");
        expect(scene, "build&lt;farm&gt;");
        expect(scene, "tarn 1.2.3");
        assert_true(world->body.len < 128 << 10);
    }
}

static void
a_head_request_gets_the_head_of_the_page(void **state)
{
    struct scene *scene = *state;
    get(scene, "/statistics/");
    uint64_t len = scene->world->req.response.body_len;
    scene_begin(scene, "HEAD /statistics/", "Host: cache.example:8001\r\n");
    assert_int_equal(scene_finish(scene), 200);
    assert_int_equal(scene->world->req.response.body_len, len);
}

/* --- routes --- */

static void
paths_without_their_slash_are_sent_to_it(void **state)
{
    struct scene *scene = *state;
    static const struct {
        const char *path;
        int status;
        const char *location;
    } cases[] = {
        {"/help", 308, "help/"},
        {"/statistics?a=b%20c", 308, "statistics/?a=b%20c"},
        {"/resources", 302, "resources/successes/"},
        {"/resources/", 302, "successes/"},
        {"/resources/?search=x", 302, "successes/?search=x"},
        {"/resources/failures", 308, "failures/"},
        {"/resources/failures?page=2", 308, "failures/?page=2"},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(get_with(scene, cases[i].path, "Host: a\r\n"), cases[i].status);
        assert_header(scene->world, "Location", cases[i].location);
    }
    static const char *const none[] = {
        "/resources/success", "/resources/failures/x", "/resources/x/", "/helpx", "/help/x", "/x",
        "/resourcesx"};
    for (unsigned i = 0; i < sizeof none / sizeof *none; i++)
        assert_int_equal(get_with(scene, none[i], "Host: a\r\n"), 404);
    scene_begin(scene, "POST /help/", "Host: a\r\nContent-Length: 0\r\n");
    assert_int_equal(scene_finish(scene), 405);
}

static void
pages_work_below_a_prefix(void **state)
{
    struct scene *scene = *state;
    scene->cache.config.path = STR("/build cache/it's");
    assert_int_equal(get_with(scene, "/build%20cache/it's", "Host: a\r\n"), 308);
    assert_header(scene->world, "Location", "it%27s/");
    get(scene, "/build%20cache/it's/help/");
    expect(scene, "&#39;http://cache.example:8001/build%20cache/it%27s/api/v1/fetch?url=https://");
    expect(scene, "<a href=\"../statistics/\">");
    get(scene, "/build%20cache/it's/resources/scheduled/");
    expect(scene, "<a class=\"brand\" href=\"../../\">");
}

/* --- how the client calls us --- */

static void
links_name_the_cache_as_the_client_does(void **state)
{
    struct scene *scene = *state;
    struct error error;
    const char *forwarded = "Host: a.example\r\nX-Forwarded-Proto: https\r\n";
    struct sockaddr_in address;
    socklen_t len = sizeof address;
    char own[64];
    assert_int_equal(getsockname(scene->server, (struct sockaddr *)&address, &len), 0);
    snprintf(own, sizeof own, "http://127.0.0.1:%u/api/v1/fetch?", ntohs(address.sin_port));
    get(scene, "/help/");
    expect(scene, "http://cache.example:8001/api/v1/fetch?");
    get_with(scene, "/help/", "Host: [::1]:80\r\n");
    expect(scene, "http://[::1]:80/api/v1/fetch?");
    get_with(scene, "http://b.example/help/", "Host: b.example\r\n");
    expect(scene, "http://b.example/api/v1/fetch?");
    get_with(scene, "/help/", "Host: a';$(reboot)\r\n");
    expect(scene, own);
    expect_count(scene, 0, "reboot");
    get_with(scene, "/help/", forwarded);
    expect_count(scene, 0, "https://a.example");
    assert_int_equal(cidr_list_add(&scene->trusted, STR("127.0.0.0/8"), &error), 0);
    get_with(scene, "/help/", forwarded);
    expect(scene, "https://a.example/api/v1/fetch?");
    scene->world->req.is_tls = true;
    get_with(scene, "/help/", "Host: c.example\r\n");
    expect(scene, "https://c.example/api/v1/fetch?");
    scene->world->req.is_tls = false;
}

static void
the_help_says_whether_this_address_may_fetch(void **state)
{
    struct scene *scene = *state;
    struct error error;
    get(scene, "/help/");
    expect(scene, "<b>Yes.</b> Your address <b>127.0.0.1</b>");
    get(scene, "/");
    expect_count(scene, 0, "Your address may not fetch");
    assert_int_equal(cidr_list_add(&scene->allow, STR("192.0.2.0/24"), &error), 0);
    get(scene, "/help/");
    expect(scene, "<b>No.</b> Your address <b>127.0.0.1</b>");
    get(scene, "/");
    expect(scene, "Your address may not fetch");
    assert_int_equal(cidr_list_add(&scene->trusted, STR("127.0.0.0/8"), &error), 0);
    get_with(scene, "/help/", "Host: a\r\nX-Forwarded-For: 2001:db8::1, ::ffff:192.0.2.7\r\n");
    expect(scene, "<b>Yes.</b> Your address <b>192.0.2.7</b>");
    get_with(scene, "/help/", "Host: a\r\nX-Forwarded-For: 2001:db8::1\r\n");
    expect(scene, "<b>No.</b> Your address <b>2001:db8::1</b>");
    get_with(scene, "/help/", "Host: a\r\nX-Forwarded-For: <script>\r\n");
    expect(scene, "<b>No.</b> Your address <b>unknown</b>");
}

static void
the_help_explains_purging_only_where_it_is_on(void **state)
{
    struct scene *scene = *state;
    get(scene, "/help/");
    expect(scene, "Purging is off here");
    expect_count(scene, 0, "curl -f -X DELETE");
    scene->cache.config.purge_token = "s3cret";
    get(scene, "/help/");
    expect(scene, "curl -f -X DELETE");
    expect_count(scene, 0, "s3cret");
}

/* --- the form --- */

#define LINK "<pre><code>http://cache.example:8001/api/v1/fetch"

static void
the_form_makes_the_link(void **state)
{
    struct scene *scene = *state;
    get(scene, "/");
    expect_count(scene, 0, "id=\"link\"");
    expect(scene, "placeholder=\"10d\"");
    scene->cache.config.default_ttl_s = 5400;
    get(scene, "/");
    expect(scene, "placeholder=\"90m\"");
    get(scene, "/?url=https%3A%2F%2FA.example%2Fx%2FImage.gz%3Fa%3D1%26b%3D%2B%23f&ttl=&name=");
    expect(scene, LINK "?url=https://a.example/x/Image.gz%3Fa%3D1%26b%3D%2B</code>");
    expect(scene, "curl -fLo Image.gz &#39;http://cache.example:8001/api/v1/fetch?url=https://a.");
    expect(scene, "wget -cO Image.gz &#39;http://cache.example:8001/api/v1/fetch?url=https://a.");
    expect(scene, "value=\"https://A.example/x/Image.gz?a=1&amp;b=+#f\"");
    get(scene, "/?url=+http://a/+&ttl=12h&name=my+root%27s.img");
    expect(scene, LINK "/my%20root%27s.img?url=http://a/&amp;ttl=12h</code>");
    expect(scene, "curl -fLo download &#39;");
    get(scene, "/?url=http://a/b%27%3Breboot%3B%27&name=-rf");
    expect(scene, LINK "/-rf?url=http://a/b%27%3Breboot%3B%27</code>");
    expect(scene, "curl -fLo download &#39;");
    get(scene, "/?url=http://a/&ttl=31d");
    expect(scene, "Nothing is kept here for more than 30 d");
}

static void
the_form_says_what_is_wrong(void **state)
{
    struct scene *scene = *state;
    static const struct {
        const char *query, *says;
    } cases[] = {
        {"url=ftp://a/", "id=\"url-problem\">An http or https URL"},
        {"url=a.example/x", "id=\"url-problem\">"},
        {"url=http://u:p@a/", "id=\"url-problem\">"},
        {"url=http://a/&ttl=12x", "id=\"ttl-problem\">A positive number"},
        {"url=http://a/&ttl=0s", "id=\"ttl-problem\">"},
        {"url=http://a/&name=a/b", "id=\"name-problem\">A name without slashes"},
        {"url=http://a/&name=..", "id=\"name-problem\">This is no file name"},
        {"url=http://a/&name=%ff", "id=\"name-problem\">This is no file name"},
        {"url=http://a/&name=a%0d%0ab", "id=\"name-problem\">A name without"},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[200];
        snprintf(path, sizeof path, "/?%s", cases[i].query);
        get(scene, path);
        expect(scene, cases[i].says);
        expect(scene, "aria-invalid=\"true\"");
        expect_count(scene, 0, "id=\"link\"");
    }
}

static void
what_is_typed_stays_text(void **state)
{
    struct scene *scene = *state;
    static const char *const names[] = {"url",   "ttl",  "name",    "search", "sort",
                                        "order", "page", "refresh", "format"};
    static const char *const values[] = {
        "\"><script>alert(1)</script>",
        "%22%3E%3Cscript%3Ealert(1)%3C/script%3E",
        "%00",
        "%",
        "%ff%fe",
        "%0d%0aX-Evil:%20yes",
        "-1",
        "99999999999999999999",
        "1e9",
        "%E2%80%AE",
    };
    for (unsigned p = 0; p < sizeof all_pages / sizeof *all_pages; p++)
        for (unsigned n = 0; n < sizeof names / sizeof *names; n++)
            for (unsigned v = 0; v < sizeof values / sizeof *values; v++) {
                char path[300];
                snprintf(path, sizeof path, "%s?%s=%s&=&&%s", all_pages[p], names[n], values[v],
                         names[n]);
                get(scene, path);
                expect_count(scene, 0, "<script>alert");
                expect_count(scene, 1, "<script>");
                assert_header(scene->world, "X-Evil", NULL);
                path[strlen(path) - strlen(names[n]) - 4] = '\0';
                get(scene, path);
                expect_count(scene, 0, "<script>alert");
                assert_header(scene->world, "X-Evil", NULL);
            }
}

/* --- figures --- */

static void
the_home_page_has_the_figures_of_the_moment(void **state)
{
    struct scene *scene = *state;
    assert_true(table_charge(scene->cache.table, 25 << 20));
    get(scene, "/");
    expect(scene, "data-as=\"size\">25.0 MiB</b> <span>of 100 MiB used");
    expect(scene, "data-as=\"share\">25.0 %</em>");
    expect(scene, "<progress max=\"104857600\" value=\"26214400\"");
    expect(scene, "Above 75 %");
    table_discharge(scene->cache.table, 25 << 20);
}

static void
without_a_quota_there_is_no_bar(void **state)
{
    struct scene *scene = *state;
    const struct table_config config = {.open_max = 1};
    table_free(scene->cache.table);
    scene->cache.table = table_new(&config);
    get(scene, "/");
    expect(scene, "without a limit");
    expect_count(scene, 0, "<progress");
}

static void
statistics_show_what_the_index_has_counted(void **state)
{
    struct scene *scene = *state;
    struct cache_totals totals = {{0}};
    totals.values[CACHE_TOTAL_REQUESTS] = 1234;
    totals.values[CACHE_TOTAL_HITS] = 1200;
    totals.values[CACHE_TOTAL_UPLOAD] = (uint64_t)30 << 30;
    totals.values[CACHE_TOTAL_DOWNLOAD] = (uint64_t)2 << 30;
    totals.values[CACHE_TOTAL_SUCCESSES] = 30;
    totals.values[CACHE_TOTAL_FAILURES] = 4;
    get(scene, "/statistics/");
    expect_count(scene, 4, ">Nothing yet</text>");
    index_add_totals(scene->cache.index, NOW - 3600, &totals);
    assert_true(index_flush(scene->cache.index));
    scene->cache.totals_at_start = totals;
    get(scene, "/statistics/");
    expect(scene, "<b>97.2 %</b><i>1,200 of 1,234 requests</i>");
    expect(scene, "<span>Saved</span><b>28.0 GiB</b>");
    expect(scene, "<b>15.0×</b><i>30.0 GiB served, 2.0 GiB downloaded</i>");
    expect(scene, "<b>34</b><i>30 ended well, 4 failed</i>");
    expect_count(scene, 0, "Nothing yet");
    expect(scene, "<th scope=\"row\">Tue 14 Nov, 21:00<td>1,234<td>1,200<td>30.0 GiB<td>2.0 GiB"
                  "<td>4\n");
    expect(scene, "<th scope=\"row\">Tue 14 Nov<td>1,234<td>1,200<td>30.0 GiB<td>2.0 GiB<td>4\n");
    expect(scene, "<title>Tue 14 Nov, 21:00\n1,234 requests\n1,200 of them from the disk</title>");
    expect_count(scene, 2 * 48 + 2 * 30, "<g><title>");
    expect_count(scene, 48 + 30, "<th scope=\"row\">");
    expect(scene, ">2k</text>");
    expect(scene, ">40 GiB</text>");
}

/* --- waiting --- */

static void
a_client_that_leaves_takes_its_question_along(void **state)
{
    struct scene *scene = *state;
    for (unsigned i = 0; i < 50; i++) {
        scene_begin(scene, i % 2 ? "GET /statistics/" : "GET /resources/successes/", "Host: a\r\n");
        assert_true(scene->world->req.waits);
        req_end(&scene->world->req);
        assert_false(scene->world->req.waits);
    }
    get(scene, "/statistics/"); /* the loop runs, and nobody of before is told */
    get(scene, "/resources/successes/");
}

static void
an_index_that_cannot_be_read_is_a_503(void **state)
{
    struct scene *scene = *state;
    char path[100];
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/index.db", scene->dir.path);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "DROP TABLE total", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_int_equal(get_with(scene, "/statistics/", "Host: a\r\n"), 503);
    assert_header(scene->world, "Retry-After", "2");
    get(scene, "/");
}

static void
the_head_may_move_while_a_request_waits(void **state)
{
    struct scene *scene = *state;
    scene->world->req.head_moves = true;
    scene_begin(scene, "GET /resources/successes/?search=needle&sort=size", "Host: a\r\n");
    memset(scene->world->head, 'x', strlen(scene->world->head));
    assert_int_equal(scene_finish(scene), 200);
    expect(scene, "value=\"needle\"");
    scene->world->req.head_moves = false;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(the_policy_allows_this_style_and_this_script),
        scene_test(every_page_stands_alone),
        scene_test(a_head_request_gets_the_head_of_the_page),
        scene_test(paths_without_their_slash_are_sent_to_it),
        scene_test(pages_work_below_a_prefix),
        scene_test(links_name_the_cache_as_the_client_does),
        scene_test(the_help_says_whether_this_address_may_fetch),
        scene_test(the_help_explains_purging_only_where_it_is_on),
        scene_test(the_form_makes_the_link),
        scene_test(the_form_says_what_is_wrong),
        scene_test(what_is_typed_stays_text),
        scene_test(the_home_page_has_the_figures_of_the_moment),
        scene_test(without_a_quota_there_is_no_bar),
        scene_test(statistics_show_what_the_index_has_counted),
        scene_test(a_client_that_leaves_takes_its_question_along),
        scene_test(an_index_that_cannot_be_read_is_a_503),
        scene_test(the_head_may_move_while_a_request_waits),
    };
    return cmocka_run_group_tests_name("pages", tests, NULL, NULL);
}
