/* The lists of resources: what is in them, in which order, on which page; in HTML and in JSON. */
#include "cache/pages_test_run.h"

#include "base/limits.h"

#define SUCCESSES "/resources/successes/"
#define DOWNLOADING "/resources/downloading/"
#define SCHEDULED "/resources/scheduled/"
#define FAILURES "/resources/failures/"
#define CELL(label, text) "<td data-label=\"" label "\">" text

/* --- what is on the disk --- */

struct sample {
    const char *url;
    uint64_t len;
    uint32_t uses;
    int64_t age_s, used_s; /* ago */
};

static void
put(struct scene *scene, uint64_t id, const struct sample *sample)
{
    const struct cache_entry entry = {
        .id = id,
        .url = str_from_cstr(sample->url),
        .content_type = STR("text/<plain>"),
        .etag = STR("\"v1\""),
        .len = sample->len,
        .sha256 = {0xab, 0xcd},
        .last_modified_s = -1,
        .created_s = NOW - sample->age_s,
        .last_used_s = NOW - sample->used_s,
        .ttl_s = 86400,
        .use_count = sample->uses,
    };
    index_put(scene->cache.index, &entry);
    assert_int_equal(table_load(scene->cache.table, &entry), 0);
}

static void
put_three(struct scene *scene)
{
    static const struct sample samples[] = {
        {"https://b.example/one/Image.gz", 3 << 20, 10, 7200, 60},
        {"https://c.example/two/modules.tar.xz", 500, 1234, 90000, 30},
        {"https://a.example/three/initrd", 40000, 2, 600, 500},
    };
    for (unsigned i = 0; i < 3; i++)
        put(scene, i + 1, &samples[i]);
}

static void
a_resource_has_its_figures(void **state)
{
    struct scene *scene = *state;
    put_three(scene);
    get(scene, SUCCESSES);
    expect(scene, "<tr><td class=\"u\"><a href=\"../../api/v1/fetch?url=https://b.example/one/"
                  "Image.gz\" title=\"https://b.example/one/Image.gz\"><i>https://</i>"
                  "<span class=\"h\">b.example/one/</span><span>Image.gz</span></a>");
    expect(scene, CELL("Size", "<data title=\"3,145,728 bytes\" value=\"3145728\">3.0 MiB</data>"));
    expect(scene, CELL("Uses", "1,234"));
    expect(scene, CELL("Age", "<time datetime=\"2023-11-14T20:13:20Z\" "
                              "title=\"2023-11-14 20:13 UTC\">2 h</time>"));
    expect(scene, CELL("Expires in", "<time datetime=\"2023-11-15T20:13:20Z\" "
                                     "title=\"2023-11-15 20:13 UTC\">22 h</time>"));
    expect(scene, CELL("Expires in", "<span class=\"soft\">expired</span>"));
    expect(scene, "\">30 s</time> ago\n");
    expect(scene, "3 resources, 3.0 MiB</p>");
    expect(scene, "Ready <b data-live=\"resources_successes\" data-as=\"count\">3</b>");
    expect_count(scene, 3, "<tr><td class=\"u\">");
    expect_count(scene, 0, "class=\"paging\"");
    expect(scene, "<p class=\"empty\" id=\"empty\" hidden>");
}

static void
an_empty_list_says_so(void **state)
{
    struct scene *scene = *state;
    static const struct {
        const char *path, *says;
    } cases[] = {
        {SUCCESSES, "id=\"empty\">Nothing is on the disk yet.</p>"},
        {DOWNLOADING, "id=\"empty\">Nothing is being downloaded.</p>"},
        {SCHEDULED, "id=\"empty\">Nothing waits in line.</p>"},
        {FAILURES, "id=\"empty\">Nothing has failed lately.</p>"},
        {SUCCESSES "?search=x", "id=\"empty\">Nothing like that is here.</p>"},
        {FAILURES "?search=x&page=9", "id=\"empty\">Nothing like that is here.</p>"},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        get(scene, cases[i].path);
        expect(scene, cases[i].says);
        expect(scene, "id=\"list\" hidden>");
        expect(scene, "<p role=\"status\">0 resources");
        expect_count(scene, 0, "<td");
    }
}

static void
every_column_sorts_both_ways(void **state)
{
    struct scene *scene = *state;
    static const struct {
        const char *sort, *first, *second, *third;
    } cases[] = {
        {"url", "a.example", "b.example", "c.example"},
        {"size", "c.example", "a.example", "b.example"},
        {"uses", "a.example", "b.example", "c.example"},
        {"age", "a.example", "b.example", "c.example"},
        {"used", "c.example", "b.example", "a.example"},
    };
    put_three(scene);
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++)
        for (unsigned falls = 0; falls < 2; falls++) {
            char path[100];
            const char *up[] = {cases[i].first, cases[i].second, cases[i].third, NULL};
            const char *down[] = {cases[i].third, cases[i].second, cases[i].first, NULL};
            snprintf(path, sizeof path, SUCCESSES "?sort=%s&order=%s", cases[i].sort,
                     falls ? "desc" : "asc");
            get(scene, path);
            expect_order(scene, falls ? down : up);
            expect_count(scene, 1, " aria-sort=");
            expect(scene, falls ? "aria-sort=\"descending\"><a href=\"?sort="
                                : "aria-sort=\"ascending\"><a href=\"?sort=");
        }
}

static void
columns_link_to_the_other_order(void **state)
{
    struct scene *scene = *state;
    put_three(scene);
    get(scene, SUCCESSES);
    expect(scene, "aria-sort=\"ascending\"><a href=\"?sort=used&amp;order=desc\">Last used</a>");
    expect(scene, "<a href=\"?sort=size&amp;order=desc\">Size</a>");
    expect(scene, "<a href=\"?sort=url&amp;order=asc\">Resource</a>");
    get(scene, SUCCESSES "?sort=size&search=ex%26mple");
    expect(scene, "<a href=\"?sort=size&amp;order=asc&amp;search=ex%26mple\">Size</a>");
    get(scene, SUCCESSES "?sort=nonsense&order=sideways");
    expect(scene, "aria-sort=\"ascending\"><a href=\"?sort=used&amp;order=desc\">Last used</a>");
}

static void
a_search_finds_parts_of_urls(void **state)
{
    struct scene *scene = *state;
    put_three(scene);
    get(scene, SUCCESSES "?search=+EXAMPLE/t");
    expect(scene, "2 resources");
    expect(scene, " found · <a href=\"?\">Show all</a>");
    expect_count(scene, 2, "<tr><td class=\"u\">");
    expect_count(scene, 0, "b.example");
    get(scene, SUCCESSES "?search=%25");
    expect(scene, "0 resources");
    get(scene, SUCCESSES "?search=%22%3E%3Cb%3E");
    expect(scene, "value=\"&quot;&gt;&lt;b&gt;\"");
    expect_count(scene, 0, "\"><b>");
}

static void
long_lists_have_pages(void **state)
{
    struct scene *scene = *state;
    char url[64];
    for (unsigned i = 0; i < 120; i++) {
        snprintf(url, sizeof url, "https://a.example/%03u/x", i);
        put(scene, i + 1, &(struct sample){url, 1, 1, 100, 100});
    }
    get(scene, SUCCESSES "?sort=url");
    expect_count(scene, CACHE_PAGE_ROWS, "<tr><td class=\"u\">");
    expect(scene, "<span>Page 1 of 3</span>");
    expect(scene, "rel=\"next\" href=\"?sort=url&amp;order=asc&amp;page=2\"");
    expect_count(scene, 0, "rel=\"prev\"");
    expect(scene, "120 resources, 120 B");
    get(scene, SUCCESSES "?sort=url&page=2");
    expect_order(scene, (const char *[]){"/050/", "/099/", NULL});
    expect(scene, "rel=\"prev\" href=\"?sort=url&amp;order=asc\"");
    expect(scene, "rel=\"next\"");
    get(scene, SUCCESSES "?sort=url&page=77");
    expect_count(scene, 20, "<tr><td class=\"u\">");
    expect(scene, "<span>Page 3 of 3</span>");
    expect_count(scene, 0, "rel=\"next\"");
    get(scene, SUCCESSES "?rows=100");
    expect_count(scene, CACHE_PAGE_ROWS, "<tr><td class=\"u\">");
    get(scene, SUCCESSES "?format=json&rows=100&page=2");
    expect(scene, "\"page\": 2, \"page_count\": 2,");
    expect_count(scene, 20, "{\"url\": ");
    static const char *const firsts[] = {"0", "-3", "x", "", "1e1", "%00", "18446744073709551616"};
    for (unsigned i = 0; i < sizeof firsts / sizeof *firsts; i++) {
        char path[100];
        snprintf(path, sizeof path, SUCCESSES "?page=%s", firsts[i]);
        get(scene, path);
        expect(scene, "<span>Page 1 of 3</span>");
    }
}

static void
urls_are_shown_escaped_and_cut_in_their_middle(void **state)
{
    struct scene *scene = *state;
    static const char evil[] = "http://a/<script>alert(1)</script>/'\"&amp;";
    char url[8000];
    int start = snprintf(url, sizeof url, "https://a.example/");
    memset(url + start, 'x', sizeof url - (size_t)start);
    snprintf(url + sizeof url - 60, 60, "/middle/a-file-name-of-more-than-28-letters.tar");
    put(scene, 1, &(struct sample){evil, 1, 1, 1, 1});
    put(scene, 2, &(struct sample){url, 1, 1, 1, 1});
    get(scene, SUCCESSES);
    expect_count(scene, 0, "<script>alert");
    expect(scene, "title=\"http://a/&lt;script&gt;alert(1)&lt;/script&gt;/&#39;&quot;&amp;amp;\"");
    expect(scene, "fetch?url=http://a/%3Cscript%3Ealert%281%29%3C/script%3E/%27%22%26amp%3B\"");
    expect(scene, "…");
    expect(scene, "<span>more-than-28-letters.tar</span>");
    assert_true(scene->world->body.len < 60000);
}

static void
fifty_of_the_longest_urls_fit(void **state)
{
    struct scene *scene = *state;
    static char url[URL_MAX + 1];
    memset(url, '"', URL_MAX);
    memcpy(url, "http://a/", 9);
    for (unsigned i = 0; i < CACHE_PAGE_ROWS; i++) {
        url[10] = (char)('A' + i);
        put(scene, i + 1, &(struct sample){url, 1, 1, 1, 1});
    }
    get(scene, SUCCESSES);
    expect_count(scene, CACHE_PAGE_ROWS, "<tr><td class=\"u\">");
    get(scene, SUCCESSES "?format=json");
}

static void
purging_is_offered_where_it_is_on(void **state)
{
    struct scene *scene = *state;
    put_three(scene);
    get(scene, SUCCESSES);
    expect_count(scene, 0, "<dialog");
    expect_count(scene, 0, " data-purge");
    scene->cache.config.purge_token = "s3cret";
    get(scene, SUCCESSES);
    expect_count(scene, 1, "<dialog");
    expect_count(scene, 1, " data-purge");
    expect_count(scene, 0, "s3cret");
    get(scene, FAILURES);
    expect_count(scene, 0, "<dialog");
}

/* --- what is on its way --- */

static struct cache_flight *
launch(struct scene *scene, const char *url, int64_t age_s)
{
    const struct table_want want = {
        .url = str_from_cstr(url), .now_s = NOW - age_s, .ttl_s = 86400};
    struct table_found found;
    assert_int_equal(table_ask(scene->cache.table, &want, &found), TABLE_FLIGHT);
    assert_true(found.is_new);
    flight_unref(found.flight); /* the table has one */
    return found.flight;
}

static void
set_progress(struct cache_flight *flight, uint64_t received, uint64_t total)
{
    flight_set_asking(flight);
    __atomic_store_n(&flight->received_len, received, __ATOMIC_RELAXED);
    __atomic_store_n(&flight->total_len, total, __ATOMIC_RELAXED);
}

static void
launch_some(struct scene *scene)
{
    struct cache_flight *flight = launch(scene, "https://a.example/slow", 70);
    set_progress(flight, 1 << 20, 4 << 20);
    flight_join(flight);
    flight_join(flight);
    set_progress(launch(scene, "https://b.example/unknown", 30), 12345, OBJECT_LEN_UNKNOWN);
    set_progress(launch(scene, "https://c.example/empty", 10), 0, 0);
    launch(scene, "https://d.example/queued", 3);
    flight = launch(scene, "https://e.example/failed", 20);
    flight_set_failed(flight, 404, 0, "upstream said <i>'no'</i>\xff");
    table_hold(scene->cache.table, flight, NOW + 40);
    flight = launch(scene, "https://f.example/stale", 20); /* stands for an entry */
    flight_set_asking(flight);
    table_hold(scene->cache.table, flight, NOW + 40);
}

static void
each_flight_is_in_its_list(void **state)
{
    struct scene *scene = *state;
    static const struct {
        const char *path, *name, *kept;
        unsigned count;
    } lists[] = {
        {DOWNLOADING, "Downloading", "abc", 3},
        {SCHEDULED, "Scheduled", "d", 1},
        {FAILURES, "Failures", "e", 1},
    };
    launch_some(scene);
    for (unsigned i = 0; i < 3; i++) {
        get(scene, lists[i].path);
        expect_count(scene, lists[i].count, "<tr><td class=\"u\">");
        for (const char *letter = "abcdef"; *letter; letter++) {
            char title[40];
            snprintf(title, sizeof title, "title=\"https://%c.example/", *letter);
            expect_count(scene, strchr(lists[i].kept, *letter) ? 1 : 0, title);
        }
        expect(scene, "resources_downloading\" data-as=\"count\">3</b>");
        expect(scene, "resources_scheduled\" data-as=\"count\">1</b>");
        expect(scene, "resources_failures\" data-as=\"count\">1</b>");
    }
}

static void
downloads_show_their_progress(void **state)
{
    struct scene *scene = *state;
    launch_some(scene);
    get(scene, DOWNLOADING);
    expect(scene, " max=\"4194304\" value=\"1048576\"></progress><span>1.0 MiB · 25.0 %</span>");
    expect(scene, CELL("Clients", "2"));
    expect(scene, "\"Progress\"></progress><span>12.0 KiB</span>");
    expect(scene, CELL("Size", "<span class=\"soft\">unknown</span>"));
    expect(scene, " max=\"1\" value=\"1\"></progress><span>0 B · 0 %</span>");
    expect(scene, "\">1 min</time>\n");
    expect_order(scene, (const char *[]){"a.example", "b.example", "c.example", NULL});
    get(scene, DOWNLOADING "?sort=received");
    expect_order(scene, (const char *[]){"a.example", "b.example", "c.example", NULL});
    get(scene, DOWNLOADING "?sort=size&order=asc");
    expect_order(scene, (const char *[]){"c.example", "a.example", "b.example", NULL});
    get(scene, DOWNLOADING "?sort=age&order=asc");
    expect_order(scene, (const char *[]){"c.example", "b.example", "a.example", NULL});
    get(scene, DOWNLOADING "?sort=url&order=desc&search=UN");
    expect_count(scene, 1, "<tr><td class=\"u\">");
}

static void
failures_show_their_reason(void **state)
{
    struct scene *scene = *state;
    launch_some(scene);
    struct cache_flight *flight = launch(scene, "https://g.example/", 5);
    flight_set_failed(flight, 502, 0, "no such host");
    table_hold(scene->cache.table, flight, NOW + 2);
    get(scene, FAILURES);
    expect(scene, CELL("Status", "<b class=\"bad\">404</b>"));
    expect(scene, "<bdi>upstream said &lt;i&gt;&#39;no&#39;&lt;/i&gt;\xef\xbf\xbd</bdi>");
    expect(scene, CELL("Forgotten in", "40 s"));
    expect(scene, "\">20 s</time> ago\n");
    expect_order(scene, (const char *[]){"g.example", "e.example", NULL});
    get(scene, FAILURES "?sort=status");
    expect_order(scene, (const char *[]){"e.example", "g.example", NULL});
    get(scene, FAILURES "?sort=status&order=desc");
    expect_order(scene, (const char *[]){"g.example", "e.example", NULL});
}

static void
many_flights_have_pages(void **state)
{
    struct scene *scene = *state;
    char url[64];
    for (unsigned i = 0; i < 101; i++) {
        snprintf(url, sizeof url, "https://a.example/%03u/x", i);
        launch(scene, url, 200 - i);
    }
    get(scene, SCHEDULED);
    expect_order(scene, (const char *[]){"/000/", "/049/", "Page 1 of 3", NULL});
    get(scene, SCHEDULED "?page=3");
    expect_count(scene, 1, "<tr><td class=\"u\">");
    expect(scene, "/100/");
    get(scene, SCHEDULED "?page=400&search=/00");
    expect_count(scene, 10, "<tr><td class=\"u\">");
    expect(scene, "10 resources found");
}

static void
lists_load_again_where_that_is_asked_for(void **state)
{
    struct scene *scene = *state;
    get(scene, DOWNLOADING);
    expect_count(scene, 0, "http-equiv=\"refresh\"");
    expect(scene, "<a href=\"?refresh=5\">");
    get(scene, DOWNLOADING "?refresh=5");
    expect(scene, "<noscript><meta http-equiv=\"refresh\" content=\"5\"></noscript>");
    get(scene, DOWNLOADING "?refresh=5;url=http://evil/");
    expect_count(scene, 0, "http-equiv=\"refresh\"");
    get(scene, DOWNLOADING "?refresh=99999");
    expect(scene, "content=\"3600\"");
}

/* --- JSON --- */

static void
the_same_lists_are_json(void **state)
{
    struct scene *scene = *state;
    launch_some(scene);
    put(scene, 1, &(struct sample){"https://a.example/x", 7, 3, 100, 50});
    get(scene, DOWNLOADING "?format=json");
    assert_header(scene->world, "Content-Type", "application/json");
    expect(scene, "{\"state\": \"downloading\", \"timestamp\": 1700000000, \"disk_usage\": 7, "
                  "\"resources_successes\": 1, \"resources_downloading\": 3, "
                  "\"resources_scheduled\": 1, \"resources_failures\": 1, \"match_count\": 3, "
                  "\"page\": 1, \"page_count\": 1,\n\"resources\": [\n");
    expect(scene, "{\"url\": \"https://a.example/slow\", \"started\": 1699999930, \"clients\": 2, "
                  "\"received\": 1048576, \"size\": 4194304},\n");
    expect(scene, "\"received\": 12345, \"size\": null},\n");
    get(scene, SCHEDULED "?format=json");
    expect(scene, "[\n{\"url\": \"https://d.example/queued\", \"started\": 1699999997, "
                  "\"clients\": 0}]}\n");
    get(scene, FAILURES "?format=json");
    expect(scene, "\"status\": 404, \"reason\": \"upstream said \\u003ci\\u003e\\u0027no\\u0027"
                  "\\u003c/i\\u003e\\ufffd\", \"forgotten\": 1700000040}]}\n");
    get(scene, SUCCESSES "?format=json");
    expect(scene, "{\"url\": \"https://a.example/x\", \"size\": 7, \"uses\": 3, \"created\": "
                  "1699999900, \"last_used\": 1699999950, \"expires\": 1700086300, "
                  "\"content_type\": \"text/\\u003cplain\\u003e\", \"etag\": \"\\u0022v1\\u0022\", "
                  "\"sha256\": \"abcd0000");
    get(scene, SUCCESSES "?format=json&search=nothing");
    expect(scene, "\"resources\": []}\n");
}

static void
json_goes_to_who_wants_it_more(void **state)
{
    struct scene *scene = *state;
    static const struct {
        const char *path, *accept, *type;
    } cases[] = {
        {SCHEDULED, "application/json", "application/json"},
        {SCHEDULED, "application/json, text/html;q=0.9", "application/json"},
        {SCHEDULED, "text/html, application/json", "text/html; charset=utf-8"},
        {SCHEDULED, "*/*", "text/html; charset=utf-8"},
        {SCHEDULED, "application/*", "text/html; charset=utf-8"},
        {SCHEDULED "?format=html", "application/json", "text/html; charset=utf-8"},
        {SCHEDULED "?format=json", "text/html", "application/json"},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        char fields[200];
        snprintf(fields, sizeof fields, "Host: a\r\nAccept: %s\r\n", cases[i].accept);
        assert_int_equal(get_with(scene, cases[i].path, fields), 200);
        assert_header(scene->world, "Content-Type", cases[i].type);
        assert_header(scene->world, "Vary", "Accept");
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(a_resource_has_its_figures),
        scene_test(an_empty_list_says_so),
        scene_test(every_column_sorts_both_ways),
        scene_test(columns_link_to_the_other_order),
        scene_test(a_search_finds_parts_of_urls),
        scene_test(long_lists_have_pages),
        scene_test(urls_are_shown_escaped_and_cut_in_their_middle),
        scene_test(fifty_of_the_longest_urls_fit),
        scene_test(purging_is_offered_where_it_is_on),
        scene_test(each_flight_is_in_its_list),
        scene_test(downloads_show_their_progress),
        scene_test(failures_show_their_reason),
        scene_test(many_flights_have_pages),
        scene_test(lists_load_again_where_that_is_asked_for),
        scene_test(the_same_lists_are_json),
        scene_test(json_goes_to_who_wants_it_more),
    };
    return cmocka_run_group_tests_name("pages_list", tests, NULL, NULL);
}
