/* Downloads that do not come off at the first attempt: what is tried again and what is not, how
 * long, and what is gone on with. Many cases are made to wait for their second attempts together,
 * which come in the order of the first ones. */
#include "cache/fetcher_test_run.h"

enum { CASES_MAX = 16, APART_MS = 15, BACKOFF_MS = 60, TOGETHER_MS = 400 };

#define V1 "ETag: \"v1\"\r\n"
#define PART(range, more) HEAD("206 Partial Content", "Content-Range: bytes " range "\r\n" more)

static int
retry_setup(void **state)
{
    int result = rig_setup(state);
    struct rig *rig = *state;
    rig->config.retry_ns = 5000 * MS;
    rig->config.backoff_ms = BACKOFF_MS;
    rig->config.max_downloads = CASES_MAX;
    return result;
}

#define retry_test(test) cmocka_unit_test_setup_teardown(test, retry_setup, rig_teardown)

struct retries {
    struct rig *rig;
    uint64_t wanted;
};

static bool
so_many_are_tried_again(void *arg)
{
    const struct retries *retries = arg;
    return rig_count(retries->rig, retried) >= retries->wanted;
}

/* Until so many attempts in all were put off. */
static void
wait_retries(struct rig *rig, uint64_t count)
{
    struct retries retries = {rig, count};
    rig_wait(rig, so_many_are_tried_again, &retries);
}

static void
path_of(unsigned i, char out[static 24])
{
    snprintf(out, 24, "/case-%u", i);
}

/* Asks for as many resources as there are answers, each of which is a first attempt that comes to
 * nothing; `answers` are for the second ones, which come in the same order. */
static void
fail_first(struct rig *rig, struct asked *asked, unsigned count, const struct fake_answer *first,
           unsigned first_step, const struct fake_answer *second)
{
    assert_true(count <= CASES_MAX);
    rig->config.backoff_ms = TOGETHER_MS;
    for (unsigned i = 0; i < count; i++) {
        char path[24];
        path_of(i, path);
        rig->fake.answers = &first[i * first_step];
        rig->fake.answer_count = 1;
        rig->fake.answered = 0;
        ask(&asked[i], rig, path);
        wait_retries(rig, i + 1);
        asked_look(&asked[i]);
        rig_run_for(rig, APART_MS);
    }
    rig->fake.answers = second;
    rig->fake.answer_count = count;
    rig->fake.answered = 0;
}

/* --- what is tried again --- */

static void
statuses_that_pass_are_tried_again(void **state)
{
    static const struct fake_answer first[] = {
        {.text = EMPTY("408 x")}, {.text = EMPTY("425 x")}, {.text = EMPTY("429 x")},
        {.text = EMPTY("500 x")}, {.text = EMPTY("502 x")}, {.text = EMPTY("503 x")},
        {.text = EMPTY("504 x")},
    };
    static const struct fake_answer second[] = {
        {.text = OK("1", "", "0")}, {.text = OK("1", "", "1")}, {.text = OK("1", "", "2")},
        {.text = OK("1", "", "3")}, {.text = OK("1", "", "4")}, {.text = OK("1", "", "5")},
        {.text = OK("1", "", "6")},
    };
    enum { COUNT = sizeof first / sizeof *first };
    struct rig *rig = *state;
    struct asked asked[COUNT];
    uint64_t before_ms = now_ms();
    fail_first(rig, asked, COUNT, first, 1, second);
    for (unsigned i = 0; i < COUNT; i++) {
        const char text[] = {(char)('0' + i), '\0'};
        assert_whole(&asked[i], text);
        asked_end(&asked[i]);
    }
    assert_true(now_ms() - before_ms >= TOGETHER_MS);
    assert_count(rig, retried, COUNT);
    assert_count(rig, successes, COUNT);
    assert_count(rig, failures, 0);
}

static void
broken_connections_are_tried_again(void **state)
{
    static const struct fake_answer first[] = {
        {.text = "", .end = FAKE_CLOSES},
        {.text = "", .end = FAKE_RESETS},
        {.text = "HTTP/1.1 20", .end = FAKE_CLOSES},
        {.text = "nonsense\r\n\r\n", .end = FAKE_CLOSES},
        {.text = OK("2", "", "x"), .end = FAKE_CLOSES},
        {.text = OK("2", "", "x"), .end = FAKE_RESETS},
        {.text = HEAD("200 OK", "Transfer-Encoding: chunked\r\n") "3\r\nabc\r\n",
         .end = FAKE_CLOSES},
        {.text = HEAD("200 OK", "Transfer-Encoding: chunked\r\n") "zz\r\n"},
    };
    enum { COUNT = sizeof first / sizeof *first };
    static struct fake_answer second[COUNT];
    struct rig *rig = *state;
    struct asked asked[COUNT];
    for (unsigned i = 0; i < COUNT; i++)
        second[i].text = OK("5", "", "hello");
    fail_first(rig, asked, COUNT, first, 1, second);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_whole(&asked[i], "hello");
        asked_end(&asked[i]);
    }
    assert_used(rig, COUNT * 5);
}

static void
what_upstream_means_is_not_tried_again(void **state)
{
    static const struct fake_answer answers[] = {
        {.text = EMPTY("404 x")}, {.text = EMPTY("501 x")}, {.text = EMPTY("505 x")},
        {.text = EMPTY("403 x")}, {.text = EMPTY("204 x")}, {.text = EMPTY("400 x")},
    };
    struct rig *rig = *state;
    rig->fake.answers = answers;
    rig->fake.answer_count = sizeof answers / sizeof *answers;
    for (unsigned i = 0; i < rig->fake.answer_count; i++) {
        struct asked asked;
        char path[24];
        path_of(i, path);
        ask(&asked, rig, path);
        wait_over(&asked);
        assert_int_equal(asked.view.state, FLIGHT_FAILED);
        asked_end(&asked);
    }
    assert_count(rig, retried, 0);
}

static void
somebody_who_does_not_listen(void **state)
{
    struct rig *rig = *state;
    struct asked asked, second;
    uint64_t before_ms = now_ms();
    rig->config.retry_ns = 2 * BACKOFF_MS * MS;
    fake_stop_listening(&rig->fake);
    ask(&asked, rig, "/a");
    assert_failed(&asked, 502, "127.0.0.1");
    assert_true(now_ms() - before_ms >= BACKOFF_MS);
    assert_count(rig, retried, 1);
    ask(&second, rig, "/a"); /* the failure is remembered for a moment */
    assert_false(second.is_new);
    asked_end(&second);
    asked_end(&asked);
}

static void
silence_is_tried_again(void **state)
{
    struct rig *rig = *state;
    struct asked asked;
    rig->config.retry_ns = 0;
    rig->config.first_byte_timeout_ns = 50 * MS;
    rig->config.between_bytes_timeout_ns = 50 * MS;
    script(&rig->fake, {.text = ""}, {.text = OK("10", V1, "01234")});
    ask(&asked, rig, "/a");
    assert_failed(&asked, 504, "no answer within");
    asked_end(&asked);
    ask(&asked, rig, "/b");
    assert_failed(&asked, 502, "nothing more");
    asked_end(&asked);
    assert_used(rig, 0);
}

/* --- how long --- */

static void
upstream_says_when_to_come_back(void **state)
{
    struct rig *rig = *state;
    struct asked asked;
    uint64_t before_ms = now_ms();
    script(&rig->fake, {.text = HEAD("503 x", "Retry-After: 1\r\nContent-Length: 0\r\n")},
           {.text = OK("1", "", "x")});
    ask(&asked, rig, "/a");
    assert_whole(&asked, "x");
    assert_true(now_ms() - before_ms >= SECOND_MS);
    asked_end(&asked);
}

static void
nobody_waits_longer_than_they_would(void **state)
{
    struct rig *rig = *state;
    struct asked asked;
    script(&rig->fake, {.text = HEAD("503 x", "Retry-After: 100\r\nContent-Length: 0\r\n")});
    ask(&asked, rig, "/a");
    assert_failed(&asked, 503, "upstream answered 503");
    assert_int_equal(asked.view.retry_after_s, 100);
    assert_count(rig, retried, 0);
    asked_end(&asked);
}

/* What it said of one answer is not said of what came after. */
static void
when_to_come_back_is_forgotten(void **state)
{
    struct rig *rig = *state;
    struct asked asked;
    rig->config.retry_ns = 1300 * MS;
    script(&rig->fake, {.text = HEAD("503 x", "Retry-After: 1\r\nContent-Length: 0\r\n")},
           {.text = EMPTY("404 Not Found")},
           {.text = HEAD("503 x", "Retry-After: 1\r\nContent-Length: 0\r\n")},
           {.text = "", .end = FAKE_CLOSES});
    ask(&asked, rig, "/a");
    assert_failed(&asked, 404, "");
    assert_int_equal(asked.view.retry_after_s, 0);
    asked_end(&asked);
    rig->fake.repeats = true;
    ask(&asked, rig, "/b");
    assert_failed(&asked, 502, "connection closed");
    assert_int_equal(asked.view.retry_after_s, 0);
    asked_end(&asked);
}

static void
pauses_grow_until_it_is_given_up(void **state)
{
    struct rig *rig = *state;
    struct asked asked;
    uint64_t before_ms = now_ms();
    rig->config.retry_ns = (3 * BACKOFF_MS + 100) * MS;
    script(&rig->fake, {.text = EMPTY("503 x")});
    rig->fake.repeats = true;
    ask(&asked, rig, "/a");
    assert_failed(&asked, 503, "upstream answered 503");
    uint64_t took_ms = now_ms() - before_ms;
    assert_true(took_ms >= 3 * BACKOFF_MS);
    assert_int_equal(rig->fake.request_count, 3);
    asked_end(&asked);
}

static void
nothing_is_tried_again_for_nobody(void **state)
{
    struct rig *rig = *state;
    struct asked early, late, halfway;
    struct fake_answer answers[] = {{.text = EMPTY("503 x")},
                                    {.text = EMPTY("503 x")},
                                    {.text = OK("10", V1, "01234"), .end = FAKE_CLOSES}};
    rig->fake.answers = answers;
    rig->fake.answer_count = 0; /* for now */
    rig->config.backoff_ms = TOGETHER_MS;
    ask(&early, rig, "/a");
    asked_end(&early); /* before there is an answer */
    rig->fake.answer_count = 3;
    wait_requests(rig, 1);
    ask(&late, rig, "/b");
    wait_retries(rig, 1);
    asked_end(&late); /* in the pause */
    ask(&halfway, rig, "/c");
    wait_shown(&halfway, 5);
    wait_retries(rig, 2);
    assert_used(rig, 10);
    asked_end(&halfway); /* with a part that could be gone on with */
    rig_run_for(rig, TOGETHER_MS + 50);
    assert_int_equal(rig->fake.request_count, 3);
    assert_used(rig, 0);
    assert_count(rig, failures, 3);
    assert_count(rig, retried, 2); /* those that were left in the pause */
}

/* --- going on --- */

static void
it_goes_on_where_it_broke_off(void **state)
{
    struct rig *rig = *state;
    struct asked asked, late;
    script(&rig->fake, {.text = OK("10", V1, "01234"), .end = FAKE_CLOSES},
           {.text = PART("5-9/10", V1 "Content-Length: 5\r\n") "56789"});
    ask(&asked, rig, "/a");
    wait_shown(&asked, 5);
    wait_retries(rig, 1);
    struct cache_object *object = asked.object;
    ask(&late, rig, "/a"); /* in the pause */
    wait_answered(&late);
    assert_ptr_equal(late.object, object);
    assert_int_equal(object_shown_len(object), 5);
    fake_forget(&rig->fake);
    assert_whole(&asked, "0123456789");
    assert_ptr_equal(asked.object, object);
    assert_whole(&late, "0123456789");
    assert_seen(&rig->fake, "\r\nRange: bytes=5-\r\n");
    assert_seen(&rig->fake, "\r\nIf-Range: \"v1\"\r\n");
    asked_end(&asked);
    asked_end(&late);
    assert_count(rig, resumed, 1);
    assert_count(rig, received, 10);
    assert_used(rig, 10);
    assert_kept(rig, "/a", "0123456789");
}

/* The time is counted from the last byte. */
static void
as_long_as_there_is_progress_it_is_not_given_up(void **state)
{
    struct rig *rig = *state;
    struct asked asked;
    rig->config.retry_ns = (BACKOFF_MS + 60) * MS;
    script(&rig->fake, {.text = OK("10", V1, "012"), .end = FAKE_CLOSES},
           {.text = PART("3-9/10", "Content-Length: 7\r\n") "34", .end = FAKE_CLOSES},
           {.text = PART("5-9/10", "Content-Length: 5\r\n") "56", .end = FAKE_RESETS},
           {.text = PART("7-9/10", "Content-Length: 3\r\n") "789"});
    ask(&asked, rig, "/a");
    wait_over(&asked);
    if (asked.view.state == FLIGHT_FAILED) /* a reset may take the last bytes with it */
        fail_msg("%s", asked.view.reason);
    assert_whole(&asked, "0123456789");
    asked_end(&asked);
    assert_count(rig, resumed, 3);
}

static void
rests_that_are_right(void **state)
{
    static const struct fake_answer first = {.text = OK("10", V1, "01234"), .end = FAKE_CLOSES};
    static const struct fake_answer second[] = {
        {.text = PART("5-9/10", "Content-Length: 5\r\n") "56789"},
        {.text = PART("5-9/*", V1 "Content-Length: 5\r\n") "56789"},
        {.text = PART("5-9/10", V1 "Transfer-Encoding: chunked\r\n") "5\r\n56789\r\n0\r\n\r\n"},
        {.text = PART("5-9/10", V1) "56789", .end = FAKE_CLOSES},
        /* digests of a part would be of the part: only the whole has one */
        {.text = PART("5-9/10",
                      V1 "Content-MD5: AAAAAAAAAAAAAAAAAAAAAA==\r\nContent-Length: 5\r\n") "56789"},
    };
    enum { COUNT = sizeof second / sizeof *second };
    struct rig *rig = *state;
    struct asked asked[COUNT];
    fail_first(rig, asked, COUNT, &first, 0, second);
    for (unsigned i = 0; i < COUNT; i++) {
        struct cache_object *object = asked[i].object;
        assert_non_null(object);
        assert_whole(&asked[i], "0123456789");
        assert_ptr_equal(asked[i].object, object);
        asked_end(&asked[i]);
    }
    assert_count(rig, resumed, COUNT);
}

/* Nothing of them may come behind what is there. */
static void
rests_that_are_not(void **state)
{
    static const struct fake_answer first = {.text = OK("10", V1, "01234"), .end = FAKE_CLOSES};
    static const struct fake_answer second[] = {
        {.text = PART("4-9/10", V1 "Content-Length: 6\r\n") "456789"},
        {.text = PART("6-9/10", V1 "Content-Length: 4\r\n") "6789"},
        {.text = PART("0-9/10", V1 "Content-Length: 10\r\n") "0123456789"},
        {.text = PART("5-10/11", V1 "Content-Length: 6\r\n") "56789a"},
        {.text = PART("5-9/11", V1 "Content-Length: 5\r\n") "56789"},
        {.text = PART("5-8/10", V1 "Content-Length: 4\r\n") "5678"},
        {.text = PART("5-9/10", "ETag: \"v2\"\r\nContent-Length: 5\r\n") "56789"},
        {.text = PART("5-9/10", "ETag: W/\"v1\"\r\nContent-Length: 5\r\n") "56789"},
        {.text = PART("5-9/10", V1 "Content-Length: 6\r\n") "56789a"},
        {.text = PART("*/10", V1 "Content-Length: 5\r\n") "56789"},
        {.text = PART("nonsense", V1 "Content-Length: 5\r\n") "56789"},
        {.text = HEAD("206 Partial Content", V1 "Content-Length: 5\r\n") "56789"},
        {.text = HEAD(
             "206 Partial Content", V1
             "Content-Type: multipart/byteranges; boundary=x\r\nContent-Length: 5\r\n") "--x\r\n"},
        {.text = HEAD("416 Range Not Satisfiable",
                      "Content-Range: bytes */3\r\nContent-Length: 0\r\n")},
    };
    enum { COUNT = sizeof second / sizeof *second };
    struct rig *rig = *state;
    struct asked asked[COUNT];
    rig->config.retry_ns = (TOGETHER_MS + 200) * MS;
    fail_first(rig, asked, COUNT, &first, 0, second);
    for (unsigned i = 0; i < COUNT; i++) {
        struct cache_object *object = asked[i].object;
        assert_non_null(object);
        assert_int_equal(object_shown_len(object), 5);
        wait_over(&asked[i]);
        if (asked[i].view.state != FLIGHT_FAILED || asked[i].view.status != 502)
            fail_msg("%u: %d", i, asked[i].view.status);
        assert_int_equal(object_state(object), OBJECT_BROKEN);
        assert_int_equal(object_shown_len(object), 5);
        assert_bytes(object, "01234", 5);
        asked_end(&asked[i]);
    }
    assert_count(rig, resumed, 0);
    assert_used(rig, 0);
}

/* And after that pause it starts over. */
static void
a_wrong_rest_makes_it_start_over(void **state)
{
    struct rig *rig = *state;
    struct asked asked;
    script(&rig->fake, {.text = OK("10", V1, "01234"), .end = FAKE_CLOSES},
           {.text = PART("5-9/11", V1 "Content-Length: 5\r\n") "xxxxx"},
           {.text = OK("3", V1, "new")});
    ask(&asked, rig, "/a");
    wait_shown(&asked, 5);
    struct cache_object *old = object_ref(asked.object);
    wait_requests(rig, 2);
    fake_forget(&rig->fake);
    wait_requests(rig, 1);
    assert_whole(&asked, "new");
    assert_false(fake_has_seen(&rig->fake, "Range:"));
    assert_int_equal(object_state(old), OBJECT_BROKEN);
    assert_used(rig, 10 + 3);
    object_unref(old);
    assert_used(rig, 3);
    asked_end(&asked);
}

static void
the_whole_instead_of_the_rest(void **state)
{
    struct rig *rig = *state;
    struct asked asked;
    script(&rig->fake, {.text = OK("10", V1, "01234"), .end = FAKE_CLOSES},
           {.text = OK("10", "ETag: \"v2\"\r\n", "abcdefghij")});
    ask(&asked, rig, "/a");
    wait_shown(&asked, 5);
    struct cache_object *old = object_ref(asked.object);
    rig_wait(rig, object_is_broken, old);
    assert_whole(&asked, "abcdefghij");
    assert_ptr_not_equal(asked.object, old);
    assert_int_equal(object_shown_len(old), 5);
    assert_bytes(old, "01234", 5);
    object_unref(old);
    asked_end(&asked);
    assert_count(rig, resumed, 0);
    assert_used(rig, 10);
    assert_kept(rig, "/a", "abcdefghij");
}

/* Without a strong validator, a length, or an upstream that has ranges. */
static void
what_cannot_be_gone_on_with_starts_over_at_once(void **state)
{
    static const struct fake_answer first[] = {
        {.text = OK("10", "", "01234"), .end = FAKE_CLOSES},
        {.text = OK("10", "ETag: W/\"v1\"\r\n", "01234"), .end = FAKE_CLOSES},
        {.text = OK("10", "ETag: v1\r\n", "01234"), .end = FAKE_CLOSES},
        {.text = OK("10", "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n", "01234"),
         .end = FAKE_CLOSES},
        {.text = OK("10", V1 "Accept-Ranges: none\r\n", "01234"), .end = FAKE_CLOSES},
        {.text = HEAD("200 OK", V1 "Transfer-Encoding: chunked\r\n") "5\r\n01234\r\n",
         .end = FAKE_CLOSES},
        {.text = OK("10", V1, ""), .end = FAKE_CLOSES},
    };
    enum { COUNT = sizeof first / sizeof *first };
    static struct fake_answer second[COUNT];
    struct rig *rig = *state;
    struct asked asked[COUNT];
    for (unsigned i = 0; i < COUNT; i++)
        second[i].text = OK("10", V1, "abcdefghij");
    fail_first(rig, asked, COUNT, first, 1, second);
    for (unsigned i = 0; i < COUNT; i++) {
        struct flight_view view;
        flight_look(asked[i].flight, &view);
        assert_int_equal(view.state, FLIGHT_ASKING); /* who comes now waits for the next attempt */
        assert_null(view.object);
        assert_whole(&asked[i], "abcdefghij");
        asked_end(&asked[i]);
    }
    assert_false(fake_has_seen(&rig->fake, "Range:"));
    assert_count(rig, resumed, 0);
}

static void
behind_a_redirect(void **state)
{
    struct rig *rig = *state;
    struct asked asked;
    script(&rig->fake, {.text = REDIRECT("302 Found", "/b")},
           {.text = OK("10", V1, "01234"), .end = FAKE_CLOSES},
           {.text = PART("5-9/10", V1 "Content-Length: 5\r\n") "56789"});
    ask(&asked, rig, "/a");
    assert_whole(&asked, "0123456789");
    asked_end(&asked);
    assert_kept(rig, "/a", "0123456789");
}

/* The digest is of all of it, whatever it came in. */
static void
digests_are_checked_over_the_break(void **state)
{
    struct rig *rig = *state;
    struct asked right, wrong;
    uint8_t digest[CACHE_SHA256_LEN];
    static const struct fake_answer first = {.text = OK("10", V1, "01234"), .end = FAKE_CLOSES};
    static const struct fake_answer second[] = {
        {.text = PART("5-9/10", V1 "Content-Length: 5\r\n") "56789"},
        {.text = PART("5-9/10", V1 "Content-Length: 5\r\n") "5678x"},
    };
    struct asked *const asked[] = {&right, &wrong};
    digest_of(DIGEST_SHA256, STR("0123456789"), digest);
    rig->config.backoff_ms = TOGETHER_MS;
    for (unsigned i = 0; i < 2; i++) {
        rig->fake.answers = &first;
        rig->fake.answer_count = 1;
        rig->fake.answered = 0;
        ask_for_digest(asked[i], rig, i ? "/b" : "/a", digest);
        wait_retries(rig, i + 1);
        rig_run_for(rig, APART_MS);
    }
    rig->fake.answers = second;
    rig->fake.answer_count = 2;
    rig->fake.answered = 0;
    assert_whole(&right, "0123456789");
    assert_failed(&wrong, 502, "the digest is not the right one");
    asked_end(&right);
    asked_end(&wrong);
    assert_used(rig, 10);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        retry_test(statuses_that_pass_are_tried_again),
        retry_test(broken_connections_are_tried_again),
        retry_test(what_upstream_means_is_not_tried_again),
        retry_test(somebody_who_does_not_listen),
        retry_test(silence_is_tried_again),
        retry_test(upstream_says_when_to_come_back),
        retry_test(nobody_waits_longer_than_they_would),
        retry_test(when_to_come_back_is_forgotten),
        retry_test(pauses_grow_until_it_is_given_up),
        retry_test(nothing_is_tried_again_for_nobody),
        retry_test(it_goes_on_where_it_broke_off),
        retry_test(as_long_as_there_is_progress_it_is_not_given_up),
        retry_test(rests_that_are_right),
        retry_test(rests_that_are_not),
        retry_test(a_wrong_rest_makes_it_start_over),
        retry_test(the_whole_instead_of_the_rest),
        retry_test(what_cannot_be_gone_on_with_starts_over_at_once),
        retry_test(behind_a_redirect),
        retry_test(digests_are_checked_over_the_break),
    };
    return cmocka_run_group_tests_name("download, again", tests, NULL, NULL);
}
