/* Downloads, answer by answer: what becomes of each kind of response. Retries and resumed bodies
 * are in download_retry_test.c, content and room in part_test.c. */
#include "cache/fetcher_test_run.h"

/* --- 200 --- */

static void
a_resource_becomes_an_entry(void **state)
{
    struct rig *rig = *state;
    struct asked asked;
    struct table_found found;
    script(&rig->fake, {.text = OK("5",
                                   "Content-Type: text/x-test\r\nETag: \"v1\"\r\n"
                                   "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                                   "Content-Encoding: gzip\r\nX-Other: no\r\n",
                                   "hello")});
    int64_t before_s = now_s();
    ask(&asked, rig, "/a?b=c");
    assert_true(asked.is_new);
    assert_whole(&asked, "hello");
    assert_int_equal(asked.view.source, FLIGHT_FETCHED);
    assert_false(asked.flight->in_table);
    assert_int_equal(asked.flight->received_len, 5);
    assert_int_equal(asked.flight->total_len, 5);
    assert_true(table_find(rig->table, flight_url(asked.flight), &found));
    assert_ptr_equal(found.object, asked.object);
    object_unref(found.object);
    assert_true(str_eq(found.entry.content_type, STR("text/x-test")));
    assert_true(str_eq(found.entry.etag, STR("\"v1\"")));
    assert_true(str_eq(found.entry.content_coding, STR("gzip")));
    assert_int_equal(found.entry.last_modified_s, 784111777);
    assert_int_equal(found.entry.len, 5);
    assert_int_equal(found.entry.ttl_s, ASK_TTL_S);
    assert_in_range(found.entry.created_s, before_s, now_s());
    uint8_t digest[CACHE_SHA256_LEN];
    digest_of(DIGEST_SHA256, STR("hello"), digest);
    assert_memory_equal(found.entry.sha256, digest, sizeof digest);
    asked_end(&asked);
    assert_kept(rig, "/a?b=c", "hello");
    assert_used(rig, 5);
    assert_count(rig, successes, 1);
    assert_count(rig, failures, 0);
    assert_count(rig, received, 5);
}

/* Nothing of a client's, and nothing that could be answered with anything but the resource. */
static void
upstream_is_asked_for_the_resource_and_nothing_else(void **state)
{
    struct rig *rig = *state;
    char host[64];
    script(&rig->fake, {.text = OK("1", "", "x")});
    fetch(rig, "/a%20b?c=d&e", "x");
    assert_seen(&rig->fake, "GET /a%20b?c=d&e HTTP/1.1\r\n");
    assert_seen(&rig->fake, "\r\nAccept-Encoding: identity\r\n");
    assert_seen(&rig->fake, "\r\nUser-Agent: tarn/test\r\n");
    snprintf(host, sizeof host, "\r\nHost: 127.0.0.1:%u\r\n", ntohs(rig->fake.addr.sin_port));
    assert_seen(&rig->fake, host);
    assert_false(fake_has_seen(&rig->fake, "Range"));
    assert_false(fake_has_seen(&rig->fake, "If-"));
}

static void
content_without_a_length(void **state)
{
    struct rig *rig = *state;
    script(&rig->fake,
           {.text = HEAD("200 OK",
                         "Transfer-Encoding: chunked\r\n") "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"},
           {.text = HEAD("200 OK", "") "to the end", .end = FAKE_CLOSES},
           {.text = "HTTP/1.0 200 OK\r\n\r\n", .end = FAKE_CLOSES});
    fetch(rig, "/chunked", "abcdefg");
    assert_used(rig, 7);
    fetch(rig, "/closed", "to the end");
    fetch(rig, "/nothing", "");
    assert_used(rig, 17);
    assert_kept(rig, "/nothing", "");
}

static void
empty_content(void **state)
{
    struct rig *rig = *state;
    script(&rig->fake, {.text = OK("0", "", "")});
    fetch(rig, "/a", "");
    assert_used(rig, 0);
    assert_kept(rig, "/a", "");
}

static void
much_content(void **state)
{
    enum { LEN = 3 << 20 };
    struct rig *rig = *state;
    struct asked asked;
    script(&rig->fake, {.text = OK("3145728", "", ""), .pattern_len = LEN});
    ask(&asked, rig, "/a");
    assert_whole_pattern(&asked, LEN);
    asked_end(&asked);
    assert_used(rig, LEN);
}

/* Readers have what is there; the last byte when all of it is right. */
static void
it_is_shown_as_it_comes(void **state)
{
    struct rig *rig = *state;
    struct asked asked, second;
    script(&rig->fake, {.text = OK("6", "", "abc")});
    ask(&asked, rig, "/a");
    wait_shown(&asked, 3);
    assert_int_equal(object_state(asked.object), OBJECT_GROWING);
    assert_int_equal(object_len(asked.object), 6);
    assert_used(rig, 6); /* declared lengths are charged at once */
    ask(&second, rig, "/a");
    assert_false(second.is_new);
    assert_ptr_equal(second.flight, asked.flight);
    wait_answered(&second);
    assert_ptr_equal(second.object, asked.object);
    fake_say(&rig->fake, "def", 3);
    assert_whole(&asked, "abcdef");
    assert_whole(&second, "abcdef");
    asked_end(&asked);
    asked_end(&second);
    assert_int_equal(rig->fake.request_count, 1);
}

static void
informational_responses_come_before(void **state)
{
    struct rig *rig = *state;
    script(&rig->fake, {.text = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" OK("1", "", "x")});
    fetch(rig, "/a", "x");
}

/* --- what upstream says of it --- */

static void
what_cannot_be_kept_of_a_head_is_left_out(void **state)
{
    static char text[2048], type[CACHE_FIELD_MAX + 2];
    struct rig *rig = *state;
    struct fake_answer answer = {.text = text};
    struct table_found found;
    char url[256];
    const struct {
        const char *etag, *wanted;
    } etags[] = {
        {"v1", ""},           {"\"v1", ""}, {"\"", ""},       {"W/\"v1\"", "W/\"v1\""},
        {"\"a\"b\"", ""},     {"W/v1", ""}, {"w/\"v1\"", ""}, {"\"\"", "\"\""},
        {"\"a\", \"b\"", ""},
    };
    memset(type, 't', sizeof type - 1);
    rig->fake.answers = &answer;
    rig->fake.answer_count = 1;
    for (unsigned i = 0; i < sizeof etags / sizeof *etags; i++) {
        char path[16];
        snprintf(path, sizeof path, "/%u", i);
        snprintf(text, sizeof text,
                 OK("1", "ETag: %s\r\nContent-Type: %s\r\nLast-Modified: %s\r\n", "x"),
                 etags[i].etag, type, "yesterday");
        rig->fake.answered = 0;
        fetch(rig, path, "x");
        url_of(rig, path, url);
        assert_true(table_find(rig->table, str_from_cstr(url), &found));
        object_unref(found.object);
        if (!str_eq(found.entry.etag, str_from_cstr(etags[i].wanted)))
            fail_msg("%s became '%.*s'", etags[i].etag, STR_ARG(found.entry.etag));
        assert_int_equal(found.entry.content_type.len, 0);
        assert_int_equal(found.entry.last_modified_s, -1);
    }
}

/* Better no answer than one with content that is taken for something else. */
static void
a_coding_that_cannot_be_named_is_refused(void **state)
{
    struct rig *rig = *state;
    struct asked asked;
    static const struct fake_answer answers[] = {
        {.text = OK("1", "Content-Encoding: gzip, gzip, gzip, gzip, gzip, gzip, gzip\r\n", "x")},
        {.text = OK("1", "Content-Encoding: gzip\r\nContent-Encoding: br\r\n", "x")},
    };
    rig->fake.answers = answers;
    rig->fake.answer_count = sizeof answers / sizeof *answers;
    for (unsigned i = 0; i < rig->fake.answer_count; i++) {
        ask(&asked, rig, i ? "/b" : "/a");
        assert_failed(&asked, 502, "Content-Encoding");
        asked_end(&asked);
    }
    assert_used(rig, 0);
}

static void
identity_is_no_coding(void **state)
{
    struct rig *rig = *state;
    struct table_found found;
    char url[256];
    script(&rig->fake, {.text = OK("1", "Content-Encoding: Identity\r\n", "x")});
    fetch(rig, "/a", "x");
    url_of(rig, "/a", url);
    assert_true(table_find(rig->table, str_from_cstr(url), &found));
    object_unref(found.object);
    assert_int_equal(found.entry.content_coding.len, 0);
}

/* --- redirects --- */

static void
redirects_are_followed(void **state)
{
    struct rig *rig = *state;
    script(&rig->fake, {.text = REDIRECT("301 Moved Permanently", "/b")},
           {.text = REDIRECT("302 Found", "c/d?e")}, {.text = REDIRECT("303 See Other", "../f#g")},
           {.text = REDIRECT("307 Temporary Redirect", "?h")},
           {.text = REDIRECT("308 Permanent Redirect", "/i")}, {.text = OK("1", "", "x")});
    fetch(rig, "/a", "x");
    static const char *const targets[] = {"GET /a ", "GET /b ",   "GET /c/d?e ",
                                          "GET /f ", "GET /f?h ", "GET /i "};
    for (unsigned i = 0; i < sizeof targets / sizeof *targets; i++)
        assert_seen(&rig->fake, targets[i]);
    assert_kept(rig, "/a", "x"); /* under the name that was asked for, and no other */
    assert_false(is_kept(rig, "/i"));
}

static void
redirects_have_an_end(void **state)
{
    struct rig *rig = *state;
    struct asked asked;
    script(&rig->fake, {.text = REDIRECT("302 Found", "/a")});
    rig->fake.repeats = true;
    ask(&asked, rig, "/a");
    assert_failed(&asked, 502, "more than 20 redirects");
    asked_end(&asked);
    assert_int_equal(rig->fake.request_count, CACHE_REDIRECTS_MAX + 1);
}

static void
redirects_to_no_resource(void **state)
{
    struct rig *rig = *state;
    static const struct fake_answer answers[] = {
        {.text = EMPTY("302 Found")},
        {.text = REDIRECT("302 Found", "ftp://example.com/")},
        {.text = REDIRECT("302 Found", "file:///etc/passwd")},
        {.text = REDIRECT("302 Found", "http://user@127.0.0.1/")},
        {.text = REDIRECT("302 Found", "http:///x")},
        {.text = REDIRECT("302 Found", "//")},
        {.text = REDIRECT("302 Found", "/%zz")},
        {.text = REDIRECT("302 Found", "")},
    };
    rig->fake.answers = answers;
    rig->fake.answer_count = sizeof answers / sizeof *answers;
    for (unsigned i = 0; i < rig->fake.answer_count; i++) {
        struct asked asked;
        char path[16];
        snprintf(path, sizeof path, "/%u", i);
        ask(&asked, rig, path);
        assert_failed(&asked, 502, "redirects to no URL");
        asked_end(&asked);
    }
}

/* Refused after the name was resolved, also when somebody leads there; and not remembered, since it
 * is not upstream's word. */
static void
guarded_addresses_are_refused(void **state)
{
    struct rig *rig = *state;
    struct asked asked;
    static const struct fake_answer answers[] = {
        {.text = REDIRECT("302 Found", "http://127.0.0.2/")},
        {.text = REDIRECT("302 Found", "http://169.254.169.254/latest/meta-data/")},
        {.text = REDIRECT("302 Found", "http://[::1]/")},
        {.text = REDIRECT("302 Found", "http://[::ffff:127.0.0.2]/")},
        {.text = REDIRECT("302 Found", "http://0.0.0.0/")},
    };
    rig->fake.answers = answers;
    rig->fake.answer_count = sizeof answers / sizeof *answers;
    for (unsigned i = 0; i < rig->fake.answer_count; i++) {
        char path[16];
        snprintf(path, sizeof path, "/%u", i);
        ask(&asked, rig, path);
        assert_failed(&asked, 403, "");
        asked_end(&asked);
    }
    ask_url(&asked, rig, "http://127.0.0.3/", 0, NULL);
    assert_failed(&asked, 403, "");
    asked_end(&asked);
    struct table_stats stats;
    table_stats(rig->table, &stats);
    assert_int_equal(stats.failed_count, 0);
}

/* --- refusals --- */

static void
a_refusal_is_passed_on_and_remembered(void **state)
{
    struct rig *rig = *state;
    struct asked asked, second, late;
    script(&rig->fake, {.text = HEAD("404 Gone Fishing", "Content-Length: 3\r\n") "no\n"},
           {.text = OK("1", "", "x")});
    ask(&asked, rig, "/a");
    assert_failed(&asked, 404, "upstream answered 404 Not Found");
    assert_int_equal(asked.view.retry_after_s, 0);
    ask(&second, rig, "/a");
    assert_ptr_equal(second.flight, asked.flight);
    assert_int_equal(rig->fake.request_count, 1);
    asked_end(&asked);
    asked_end(&second);
    /* for --negative-ttl and not longer */
    char url[256];
    url_of(rig, "/a", url);
    ask_url(&late, rig, url, rig->config.negative_ttl_s + 2, NULL);
    assert_true(late.is_new);
    assert_whole(&late, "x");
    asked_end(&late);
    assert_count(rig, failures, 1);
}

static void
a_refusal_need_not_be_remembered(void **state)
{
    struct rig *rig = *state;
    struct asked asked;
    rig->config.negative_ttl_s = 0;
    script(&rig->fake, {.text = EMPTY("410 Gone")}, {.text = OK("1", "", "x")});
    ask(&asked, rig, "/a");
    assert_failed(&asked, 410, "");
    asked_end(&asked);
    fetch(rig, "/a", "x");
}

/* What was not asked for cannot be the resource. */
static void
answers_that_are_none(void **state)
{
    struct rig *rig = *state;
    static const struct {
        struct fake_answer answer;
        int status;
    } cases[] = {
        {{.text = HEAD("204 No Content", "")}, 502},
        {{.text = HEAD("304 Not Modified", "")}, 502},
        {{.text = HEAD("206 Partial Content",
                       "Content-Range: bytes 0-0/1\r\nContent-Length: 1\r\n") "x"},
         502},
        {{.text = EMPTY("416 Range Not Satisfiable")}, 416},
        {{.text = EMPTY("300 Multiple Choices")}, 502},
        {{.text = EMPTY("305 Use Proxy")}, 502},
        {{.text = EMPTY("203 Non-Authoritative Information")}, 502},
        {{.text = EMPTY("600 What")}, 502},
        {{.text = EMPTY("401 Unauthorized")}, 401},
        {{.text = EMPTY("407 Proxy Authentication Required")}, 407},
        {{.text = EMPTY("451 x")}, 451},
        {{.text = EMPTY("599 x")}, 599},
        {{.text = EMPTY("501 x")}, 501},
        {{.text = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"}, 502},
        {{.text = "nonsense\r\n\r\n", .end = FAKE_CLOSES}, 502},
        {{.text = "", .end = FAKE_CLOSES}, 502},
        {{.text = "", .end = FAKE_RESETS}, 502},
        {{.text = "HTTP/1.1 200 OK\r\nContent-Le", .end = FAKE_CLOSES}, 502},
        {{.text = HEAD("200 OK", "Content-Length: 1\r\nContent-Length: 2\r\n") "x"}, 502},
        {{.text = HEAD("200 OK", "Content-Length: 99999999999999999999\r\n") "x"}, 502},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct asked asked;
        char path[16];
        rig->fake.answers = &cases[i].answer;
        rig->fake.answer_count = 1;
        rig->fake.answered = 0;
        snprintf(path, sizeof path, "/%u", i);
        ask(&asked, rig, path);
        wait_over(&asked);
        if (asked.view.state != FLIGHT_FAILED || asked.view.status != cases[i].status)
            fail_msg("'%.20s': %d: %s", cases[i].answer.text, asked.view.status, asked.view.reason);
        asked_end(&asked);
    }
    assert_used(rig, 0);
}

static void
a_name_that_is_none(void **state)
{
    struct rig *rig = *state;
    struct asked asked;
    ask_url(&asked, rig, "http://name.invalid/", 0, NULL);
    wait_over(&asked);
    assert_int_equal(asked.view.state, FLIGHT_FAILED);
    assert_int_equal(asked.view.status, 502);
    asked_end(&asked);
}

static void
without_tls_there_is_no_https(void **state)
{
    struct rig *rig = *state;
    struct asked asked;
    char url[64];
    snprintf(url, sizeof url, "https://127.0.0.1:%u/", ntohs(rig->fake.addr.sin_port));
    ask_url(&asked, rig, url, 0, NULL);
    assert_failed(&asked, 502, "");
    asked_end(&asked);
}

/* --- what is there already --- */

#define V1 "ETag: \"v1\"\r\n"
#define MODIFIED "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n"

static void
what_upstream_confirms_is_young_again(void **state)
{
    struct rig *rig = *state;
    struct asked asked;
    struct table_found found;
    script(&rig->fake, {.text = OK("5", V1 MODIFIED, "hello")},
           {.text = HEAD("304 Not Modified", V1)});
    fetch(rig, "/a", "hello");
    fake_forget(&rig->fake);
    ask_late(&asked, rig, "/a");
    assert_true(asked.is_new);
    assert_whole(&asked, "hello");
    assert_int_equal(asked.view.source, FLIGHT_REVALIDATED);
    assert_false(asked.flight->in_table);
    assert_seen(&rig->fake, "\r\nIf-None-Match: \"v1\"\r\n");
    assert_false(fake_has_seen(&rig->fake, "If-Modified-Since"));
    assert_true(table_find(rig->table, flight_url(asked.flight), &found));
    assert_ptr_equal(found.object, asked.object);
    assert_int_equal(found.entry.created_s, object_created_s(asked.object));
    assert_in_range(now_s() - found.entry.created_s, 0, 2);
    object_unref(found.object);
    asked_end(&asked);
    assert_count(rig, revalidated, 1);
    assert_count(rig, successes, 1);
    assert_used(rig, 5);
}

static void
a_time_is_enough_to_ask(void **state)
{
    struct rig *rig = *state;
    struct asked asked;
    script(&rig->fake, {.text = OK("5", MODIFIED, "hello")},
           {.text = HEAD("304 Not Modified", "")});
    fetch(rig, "/a", "hello");
    ask_late(&asked, rig, "/a");
    assert_whole(&asked, "hello");
    assert_int_equal(asked.view.source, FLIGHT_REVALIDATED);
    assert_seen(&rig->fake, "\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
    asked_end(&asked);
}

/* Those who read the older one go on; its bytes count as long as they do. */
static void
a_newer_version_takes_its_place(void **state)
{
    struct rig *rig = *state;
    struct asked old, asked;
    script(&rig->fake, {.text = OK("5", V1, "older")},
           {.text = OK("6", "ETag: \"v2\"\r\n", "newer!")});
    fetch(rig, "/a", "older");
    ask(&old, rig, "/a");
    assert_int_equal(old.answer, TABLE_HIT);
    ask_late(&asked, rig, "/a");
    assert_whole(&asked, "newer!");
    assert_int_equal(asked.view.source, FLIGHT_FETCHED);
    asked_end(&asked);
    assert_used(rig, 11);
    assert_whole(&old, "older");
    asked_end(&old);
    assert_used(rig, 6);
    assert_kept(rig, "/a", "newer!");
}

static void
without_a_validator_it_is_fetched_again(void **state)
{
    struct rig *rig = *state;
    struct asked asked;
    script(&rig->fake, {.text = OK("5", "", "hello")}, {.text = OK("5", "", "HELLO")});
    fetch(rig, "/a", "hello");
    ask_late(&asked, rig, "/a");
    assert_whole(&asked, "HELLO");
    assert_false(fake_has_seen(&rig->fake, "If-"));
    asked_end(&asked);
    assert_used(rig, 5);
}

/* Who asks for another digest than that of the entry wants other content. */
static void
who_asks_for_another_digest_asks_without_a_condition(void **state)
{
    struct rig *rig = *state;
    struct asked asked;
    uint8_t digest[CACHE_SHA256_LEN];
    script(&rig->fake, {.text = OK("5", V1, "hello")}, {.text = OK("5", V1, "HELLO")});
    fetch(rig, "/a", "hello");
    digest_of(DIGEST_SHA256, STR("HELLO"), digest);
    ask_for_digest(&asked, rig, "/a", digest);
    assert_true(asked.is_new);
    assert_whole(&asked, "HELLO");
    assert_false(fake_has_seen(&rig->fake, "If-"));
    asked_end(&asked);
    assert_kept(rig, "/a", "HELLO");
}

/* Purges as a worker does. */
static unsigned
purge(struct rig *rig, const char *path)
{
    char url[256];
    url_of(rig, path, url);
    return fetcher_drop(rig->fetcher, table_pick_url(rig->table, str_from_cstr(url), 0));
}

static void
what_was_purged_meanwhile_is_fetched_again(void **state)
{
    struct rig *rig = *state;
    struct asked asked;
    script(&rig->fake, {.text = OK("5", V1, "hello")}, {.text = ""},
           {.text = OK("5", V1, "again")});
    fetch(rig, "/a", "hello");
    ask_late(&asked, rig, "/a");
    wait_requests(rig, 2);
    assert_int_equal(purge(rig, "/a"), 1);
    assert_used(rig, 5); /* the download has it open, in case */
    fake_forget(&rig->fake);
    fake_say(&rig->fake, HEAD("304 Not Modified", V1), strlen(HEAD("304 Not Modified", V1)));
    assert_whole(&asked, "again");
    assert_int_equal(asked.view.source, FLIGHT_FETCHED);
    assert_false(fake_has_seen(&rig->fake, "If-None-Match"));
    asked_end(&asked);
    assert_used(rig, 5);
}

/* One object an entry, whoever opened it: or else its file could be thought to be read by nobody
 * while somebody reads it. */
static void
what_was_opened_meanwhile_is_taken(void **state)
{
    struct rig *rig = *state;
    struct asked asked, hit;
    script(&rig->fake, {.text = OK("5", V1, "hello")}, {.text = ""});
    fetch(rig, "/a", "hello");
    rig_stop(rig);
    assert_true(rig_start(rig)); /* nothing is open now */
    ask_late(&asked, rig, "/a");
    wait_requests(rig, 2);
    ask(&hit, rig, "/a");
    assert_int_equal(hit.answer, TABLE_HIT);
    fake_say(&rig->fake, HEAD("304 Not Modified", V1), strlen(HEAD("304 Not Modified", V1)));
    assert_whole(&asked, "hello");
    assert_int_equal(asked.view.source, FLIGHT_REVALIDATED);
    assert_ptr_equal(asked.object, hit.object);
    asked_end(&hit);
    /* it is read, so it stays charged */
    assert_int_equal(purge(rig, "/a"), 1);
    assert_used(rig, 5);
    asked_end(&asked);
    assert_used(rig, 0);
}

static void
an_entry_without_its_file_is_fetched_again(void **state)
{
    struct rig *rig = *state;
    struct asked asked;
    script(&rig->fake, {.text = OK("5", V1, "hello")}, {.text = HEAD("304 Not Modified", V1)},
           {.text = OK("5", V1, "again")});
    fetch(rig, "/a", "hello");
    rig_stop(rig);
    assert_shell(&rig->dir, FILES " -delete");
    assert_true(rig_start(rig));
    ask_late(&asked, rig, "/a");
    assert_whole(&asked, "again");
    asked_end(&asked);
}

/* --- an older one stands in --- */

static void
start_with_an_older_one(struct rig *rig, int64_t stale_if_error_s)
{
    rig->config.stale_if_error_s = stale_if_error_s;
    script(&rig->fake, {.text = OK("5", V1, "hello")}, {.text = EMPTY("500 Oh")},
           {.text = "", .end = FAKE_RESETS}, {.text = EMPTY("404 Not Found")});
    fetch(rig, "/a", "hello");
}

static void
an_older_one_stands_in_for_a_failure(void **state)
{
    struct rig *rig = *state;
    struct asked asked, second;
    start_with_an_older_one(rig, 100);
    ask_late(&asked, rig, "/a");
    assert_whole(&asked, "hello");
    assert_int_equal(asked.view.source, FLIGHT_STALE);
    ask_late(&second, rig, "/a"); /* later than it is held */
    assert_true(second.is_new);
    assert_whole(&second, "hello");
    assert_int_equal(second.view.source, FLIGHT_STALE);
    asked_end(&asked);
    asked_end(&second);
    /* but not when upstream knows what it says */
    ask_late(&asked, rig, "/a");
    assert_failed(&asked, 404, "upstream answered 404");
    asked_end(&asked);
    assert_count(rig, failures, 3);
    assert_used(rig, 5);
}

/* For a short while: upstream is left in peace. */
static void
who_asks_a_moment_later_gets_the_same_older_one(void **state)
{
    struct rig *rig = *state;
    struct asked asked, second;
    struct table_stats stats;
    char url[256];
    start_with_an_older_one(rig, 100);
    rig_stop(rig);
    rig->age_s = ASK_TTL_S + 50;
    assert_true(rig_start(rig));
    ask(&asked, rig, "/a");
    assert_whole(&asked, "hello");
    ask(&second, rig, "/a");
    assert_false(second.is_new);
    assert_ptr_equal(second.flight, asked.flight);
    assert_whole(&second, "hello");
    asked_end(&second);
    table_stats(rig->table, &stats);
    assert_int_equal(stats.running_count + stats.failed_count, 0);
    url_of(rig, "/a", url);
    ask_url(&second, rig, url, CACHE_FAILURE_HOLD_S + 1, NULL);
    assert_true(second.is_new);
    wait_over(&second);
    asked_end(&second);
    asked_end(&asked);
}

static void
one_that_is_too_old_does_not(void **state)
{
    struct rig *rig = *state;
    struct asked asked;
    start_with_an_older_one(rig, 100);
    rig_stop(rig);
    rig->age_s = ASK_TTL_S + 50;
    assert_true(rig_start(rig));
    ask(&asked, rig, "/a");
    assert_true(asked.is_new);
    assert_whole(&asked, "hello");
    assert_int_equal(asked.view.source, FLIGHT_STALE);
    asked_end(&asked);
    rig_stop(rig);
    rig->age_s = ASK_TTL_S + 110;
    rig->fake.answered = 1;
    assert_true(rig_start(rig));
    ask(&asked, rig, "/a");
    assert_failed(&asked, 500, "upstream answered 500");
    asked_end(&asked);
}

static void
it_does_not_when_told_so(void **state)
{
    struct rig *rig = *state;
    struct asked asked;
    start_with_an_older_one(rig, 0);
    ask_late(&asked, rig, "/a");
    assert_failed(&asked, 500, "upstream answered 500");
    asked_end(&asked);
    assert_used(rig, 5); /* it stays, for requests that take it */
    assert_kept(rig, "/a", "hello");
}

static void
it_does_not_for_who_asks_for_a_digest(void **state)
{
    struct rig *rig = *state;
    struct asked asked;
    uint8_t digest[CACHE_SHA256_LEN] = {1};
    start_with_an_older_one(rig, 100);
    ask_for_digest(&asked, rig, "/a", digest);
    assert_failed(&asked, 500, "upstream answered 500");
    asked_end(&asked);
}

/* Whoever purged it does not want it served again. */
static void
what_was_purged_does_not_stand_in(void **state)
{
    struct rig *rig = *state;
    struct asked asked;
    rig->config.stale_if_error_s = 100;
    script(&rig->fake, {.text = OK("5", V1, "hello")}, {.text = ""});
    fetch(rig, "/a", "hello");
    ask_late(&asked, rig, "/a");
    wait_requests(rig, 2);
    assert_int_equal(purge(rig, "/a"), 1);
    fake_say(&rig->fake, EMPTY("500 Oh"), strlen(EMPTY("500 Oh")));
    assert_failed(&asked, 500, "upstream answered 500");
    asked_end(&asked);
    assert_used(rig, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(a_resource_becomes_an_entry),
        rig_test(upstream_is_asked_for_the_resource_and_nothing_else),
        rig_test(content_without_a_length),
        rig_test(empty_content),
        rig_test(much_content),
        rig_test(it_is_shown_as_it_comes),
        rig_test(informational_responses_come_before),
        rig_test(what_cannot_be_kept_of_a_head_is_left_out),
        rig_test(a_coding_that_cannot_be_named_is_refused),
        rig_test(identity_is_no_coding),
        rig_test(redirects_are_followed),
        rig_test(redirects_have_an_end),
        rig_test(redirects_to_no_resource),
        rig_test(guarded_addresses_are_refused),
        rig_test(a_refusal_is_passed_on_and_remembered),
        rig_test(a_refusal_need_not_be_remembered),
        rig_test(answers_that_are_none),
        rig_test(a_name_that_is_none),
        rig_test(without_tls_there_is_no_https),
        rig_test(what_upstream_confirms_is_young_again),
        rig_test(a_time_is_enough_to_ask),
        rig_test(a_newer_version_takes_its_place),
        rig_test(without_a_validator_it_is_fetched_again),
        rig_test(who_asks_for_another_digest_asks_without_a_condition),
        rig_test(what_was_purged_meanwhile_is_fetched_again),
        rig_test(what_was_opened_meanwhile_is_taken),
        rig_test(an_entry_without_its_file_is_fetched_again),
        rig_test(an_older_one_stands_in_for_a_failure),
        rig_test(who_asks_a_moment_later_gets_the_same_older_one),
        rig_test(one_that_is_too_old_does_not),
        rig_test(it_does_not_when_told_so),
        rig_test(it_does_not_for_who_asks_for_a_digest),
        rig_test(what_was_purged_does_not_stand_in),
    };
    return cmocka_run_group_tests_name("download", tests, NULL, NULL);
}
