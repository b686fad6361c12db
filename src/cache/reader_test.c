/* Readers: what each request gets of a resource that is there, grows, breaks or starts over, who is
 * woken and when; and the list of readers while any of them comes and goes. */
#include "cache/cache_test_run.h"

#define URL "http://example.com/a"
#define OTHER "http://example.com/b"
#define DIGITS "0123456789"
#define HUNDRED DIGITS DIGITS DIGITS DIGITS DIGITS DIGITS DIGITS DIGITS DIGITS DIGITS

struct setting {
    struct world *world;
    struct stage stage;
    unsigned fds_before;
};

static int
reader_setup(void **state)
{
    struct setting *setting = calloc(1, sizeof *setting);
    if (!setting)
        return -1;
    setting->fds_before = open_fd_count();
    if (world_setup((void **)&setting->world) != 0)
        return -1;
    stage_init(&setting->stage);
    stage_open(&setting->stage, setting->world);
    *state = setting;
    return 0;
}

static int
reader_teardown(void **state)
{
    struct setting *setting = *state;
    stage_close(&setting->stage);
    world_teardown((void **)&setting->world);
    assert_int_equal(open_fd_count(), setting->fds_before);
    free(setting);
    return 0;
}

/* Lets the posts come. */
static void
settle(struct setting *setting)
{
    run_for(setting->world, 0);
}

/* --- from the first byte to the last --- */

static void
a_miss_waits_and_streams(void **state)
{
    struct setting *setting = *state;
    struct call first, second, third;
    struct growing growing;
    call_get(&first, &setting->stage, URL, "");
    call_get(&second, &setting->stage, URL, "");
    assert_true(first.req.waits && second.req.waits);
    take_off(&growing, &setting->stage, URL);
    settle(setting);
    assert_int_equal(first.wake_count, 0);
    grow(&growing, 10, "\"v1\"");
    assert_true(first.req.waits); /* never from within a call */
    settle(setting);
    assert_int_equal(first.wake_count, 1);
    assert_status(&first, 200);
    assert_line(&first, "Content-Length", "10");
    assert_line(&first, "Content-Type", "text/x-test");
    assert_line(&first, "ETag", "\"v1\"");
    assert_line(&first, "Accept-Ranges", "bytes");
    assert_line(&first, "Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_line(&first, "Age", "0");
    assert_line(&first, "X-Cache", "miss");
    assert_line(&second, "X-Cache", "stream");
    assert_false(first.req.response.unknown_len);
    assert_int_equal(first.req.response.body_len, 10);
    assert_came(&first, BODY_PENDING, "");
    grow_text(&growing, "01234");
    settle(setting);
    assert_int_equal(first.wake_count, 2);
    assert_int_equal(second.wake_count, 1); /* it did not ask for more yet */
    assert_came(&first, BODY_PENDING, "01234");
    call_get(&third, &setting->stage, URL, "");
    assert_status(&third, 200); /* at once */
    assert_came(&third, BODY_PENDING, "01234");
    grow_text(&growing, "56789");
    settle(setting);
    assert_came(&first, BODY_PENDING, "012345678");
    grow_finish(&growing);
    settle(setting);
    assert_came(&first, BODY_END, DIGITS);
    assert_came(&second, BODY_END, DIGITS);
    assert_came(&third, BODY_END, DIGITS);
    call_end(&first);
    call_end(&second);
    call_end(&third);
}

static void
without_a_length(void **state)
{
    struct setting *setting = *state;
    struct call call;
    struct growing growing;
    call_get(&call, &setting->stage, URL, "");
    take_off(&growing, &setting->stage, URL);
    grow(&growing, OBJECT_LEN_UNKNOWN, NULL);
    settle(setting);
    assert_status(&call, 200);
    assert_line(&call, "Content-Length", NULL);
    assert_line(&call, "ETag", "\"tarn-3e8\"");
    assert_true(call.req.response.unknown_len);
    grow_text(&growing, "0123");
    settle(setting);
    assert_came(&call, BODY_PENDING, "0123"); /* all of it, but not its end */
    grow_finish(&growing);
    settle(setting);
    assert_came(&call, BODY_END, "0123");
    call_end(&call);
    call_get(&call, &setting->stage, URL, "");
    assert_status(&call, 200);
    assert_line(&call, "Content-Length", "4");
    assert_false(call.req.response.unknown_len);
    assert_came(&call, BODY_END, "0123");
    call_end(&call);
}

static void
a_hit_waits_for_nothing(void **state)
{
    struct setting *setting = *state;
    struct cache_figures figures;
    struct call call;
    put_whole(&setting->stage, URL, "\"v1\"", HUNDRED);
    setting->stage.env.now_s += 42;
    call_get(&call, &setting->stage, URL, "");
    assert_status(&call, 200);
    assert_line(&call, "X-Cache", "hit");
    assert_line(&call, "Age", "42");
    assert_line(&call, "Content-Length", "100");
    assert_came(&call, BODY_END, HUNDRED);
    assert_int_equal(call.wake_count, 0);
    call_end(&call);
    cache_figures(setting->stage.cache, &figures);
    assert_int_equal(figures.totals.values[CACHE_TOTAL_REQUESTS], 2);
    assert_int_equal(figures.totals.values[CACHE_TOTAL_HITS], 1);
    assert_int_equal(figures.totals.values[CACHE_TOTAL_UPLOAD], 100);
    assert_null(setting->stage.worker->watched[0]);
}

static void
an_empty_resource(void **state)
{
    struct setting *setting = *state;
    struct call call;
    put_whole(&setting->stage, URL, NULL, "");
    call_get(&call, &setting->stage, URL, "");
    assert_status(&call, 200);
    assert_line(&call, "Content-Length", "0");
    assert_came(&call, BODY_END, "");
    call_end(&call);
    call_get(&call, &setting->stage, URL, "Range: bytes=0-0\r\n");
    assert_status(&call, 416);
    assert_line(&call, "Content-Range", "bytes */0");
    call_end(&call);
}

static void
a_large_one_comes_in_pieces_of_the_file(void **state)
{
    enum { LEN = (2 << 20) + 12345 };
    struct setting *setting = *state;
    struct growing growing;
    struct call call;
    char *text = malloc(LEN + 1);
    pattern_fill(text, 0, LEN);
    text[LEN] = '\0';
    call_get(&call, &setting->stage, URL, "");
    take_off(&growing, &setting->stage, URL);
    grow(&growing, LEN, NULL);
    grow_add(&growing, text, LEN);
    settle(setting);
    assert_int_equal(call_pull(&call), BODY_PENDING);
    assert_int_equal(call.body.len, LEN - 1);
    grow_finish(&growing);
    settle(setting);
    assert_int_equal(call_pull(&call), BODY_END);
    assert_int_equal(call.body.len, LEN);
    assert_memory_equal(call.body.ptr, text, LEN);
    call_end(&call);
    call_get(&call, &setting->stage, URL, "");
    struct body_piece piece;
    uint64_t total = 0;
    while (body_pull(&call.req.body, &piece) == BODY_PIECE) {
        assert_true(piece.len <= 1 << 20);
        assert_true(piece.mem.ptr || piece.off == total);
        total += piece.len;
    }
    assert_int_equal(total, LEN);
    call_end(&call);
    free(text);
}

/* Somebody has changed the file under us. */
static void
a_file_that_was_cut_breaks_the_transfer(void **state)
{
    struct setting *setting = *state;
    struct call call;
    put_whole(&setting->stage, URL, NULL, HUNDRED);
    call_get(&call, &setting->stage, URL, "");
    assert_status(&call, 200);
    assert_shell(&setting->stage.dir, "truncate -s 50 $(find . -mindepth 3 -type f)");
    assert_int_equal(call_pull(&call), BODY_FAILED);
    call_end(&call);
    assert_shell(&setting->stage.dir, "truncate -s 100 $(find . -mindepth 3 -type f)");
}

static void
an_entry_without_its_file_is_asked_for_again(void **state)
{
    struct setting *setting = *state;
    struct growing growing;
    struct call call;
    put_whole(&setting->stage, URL, NULL, HUNDRED);
    cache_worker_free(setting->stage.worker);
    cache_close(setting->stage.cache);
    stage_open(&setting->stage, setting->world); /* nothing is open now */
    call_get(&call, &setting->stage, URL, "");
    assert_status(&call, 200);
    assert_came(&call, BODY_END, HUNDRED);
    call_end(&call);
    cache_worker_free(setting->stage.worker);
    cache_close(setting->stage.cache);
    assert_shell(&setting->stage.dir, "find . -mindepth 3 -type f -delete");
    stage_open(&setting->stage, setting->world);
    call_get(&call, &setting->stage, URL, "");
    assert_true(call.req.waits);
    assert_int_equal(stage_used(&setting->stage), 0);
    take_off(&growing, &setting->stage, URL);
    crash(&growing, 502, 0, "no", 0);
    settle(setting);
    call_end(&call);
}

/* --- failures --- */

static void
a_failure_says_why(void **state)
{
    struct setting *setting = *state;
    struct call call, later;
    struct growing growing;
    call_get(&call, &setting->stage, URL, "");
    take_off(&growing, &setting->stage, URL);
    crash(&growing, 503, 7, "upstream answered 503", 60);
    settle(setting);
    assert_status(&call, 503);
    assert_line(&call, "Retry-After", "7");
    assert_line(&call, "Cache-Control", "no-store");
    assert_came(&call, BODY_END, "503: upstream answered 503\n");
    call_get(&later, &setting->stage, URL, ""); /* it is remembered */
    assert_status(&later, 503);
    assert_came(&later, BODY_END, "503: upstream answered 503\n");
    call_end(&call);
    call_end(&later);
}

/* Who has bytes is cut, who waits for the head sees nothing of it. */
static void
what_starts_over_breaks_who_has_begun(void **state)
{
    struct setting *setting = *state;
    struct call begun, waits;
    struct growing growing;
    call_get(&begun, &setting->stage, URL, "");
    take_off(&growing, &setting->stage, URL);
    grow(&growing, 10, NULL);
    grow_text(&growing, "01234");
    settle(setting);
    assert_came(&begun, BODY_PENDING, "01234");
    grow_break(&growing);
    call_get(&waits, &setting->stage, URL, "");
    settle(setting);
    assert_came(&begun, BODY_FAILED, "01234");
    assert_true(waits.req.waits);
    call_end(&begun);
    grow(&growing, 3, NULL);
    grow_text(&growing, "abc");
    grow_finish(&growing);
    settle(setting);
    assert_status(&waits, 200);
    assert_came(&waits, BODY_END, "abc");
    call_end(&waits);
}

/* Between the break and the news of it: what broke is no answer for anybody new. */
static void
what_has_just_broken_is_not_begun_with(void **state)
{
    struct setting *setting = *state;
    struct call call;
    struct growing growing;
    struct cache *cache = setting->stage.cache;
    call_get(&call, &setting->stage, OTHER, "");
    take_off(&growing, &setting->stage, OTHER);
    grow(&growing, 10, NULL);
    call_end(&call);
    object_break(growing.object);
    call_get(&call, &setting->stage, OTHER, "");
    assert_true(call.req.waits);
    flight_set_over(growing.flight);
    store_remove_part(cache->store, growing.entry.url, growing.entry.id);
    table_unlinked(cache->table, growing.object, 10);
    settle(setting);
    assert_true(call.req.waits);
    grow(&growing, 3, NULL);
    grow_text(&growing, "abc");
    grow_finish(&growing);
    settle(setting);
    assert_status(&call, 200);
    assert_came(&call, BODY_END, "abc");
    call_end(&call);
}

static void
other_sources_say_so(void **state)
{
    static const struct {
        enum flight_source source;
        const char *text;
    } cases[] = {{FLIGHT_REVALIDATED, "revalidated"}, {FLIGHT_STALE, "stale"}};
    struct setting *setting = *state;
    put_whole(&setting->stage, URL, NULL, HUNDRED);
    for (unsigned i = 0; i < 2; i++) {
        struct call call;
        struct growing growing;
        struct table_found found;
        setting->stage.env.now_s += CALL_TTL_S + 10;
        call_get(&call, &setting->stage, URL, "");
        assert_true(call.req.waits);
        take_off(&growing, &setting->stage, URL);
        assert_true(table_find(setting->stage.cache->table, STR(URL), &found));
        flight_set_answered(growing.flight, cases[i].source, found.object);
        object_unref(found.object);
        settle(setting);
        assert_status(&call, 200);
        assert_line(&call, "X-Cache", cases[i].text);
        assert_came(&call, BODY_END, HUNDRED);
        call_end(&call);
        table_hold(setting->stage.cache->table, growing.flight, 0);
        flight_unref(growing.flight);
    }
}

static void
too_many_flights(void **state)
{
    struct setting *setting = *state;
    static struct call calls[CACHE_FLIGHTS_MAX + 1];
    char url[64];
    for (unsigned i = 0; i <= CACHE_FLIGHTS_MAX; i++) {
        snprintf(url, sizeof url, "http://example.com/%u", i);
        call_get(&calls[i], &setting->stage, url, "");
    }
    for (unsigned i = 0; i < CACHE_FLIGHTS_MAX; i++)
        assert_true(calls[i].req.waits);
    assert_status(&calls[CACHE_FLIGHTS_MAX], 503);
    assert_line(&calls[CACHE_FLIGHTS_MAX], "Retry-After", "1");
    for (unsigned i = 0; i <= CACHE_FLIGHTS_MAX; i++)
        call_end(&calls[i]);
}

/* --- digests --- */

static void
hex_of(const char *text, char out[static 65])
{
    uint8_t digest[CACHE_SHA256_LEN];
    digest_of(DIGEST_SHA256, str_from_cstr(text), digest);
    for (unsigned i = 0; i < sizeof digest; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

/* Nothing before all of it was checked. */
static void
who_asks_for_a_digest_gets_nothing_unchecked(void **state)
{
    struct setting *setting = *state;
    struct call call, wrong, hit;
    struct growing growing;
    char url[256], other[256], hex[65];
    hex_of(DIGITS, hex);
    snprintf(url, sizeof url, URL "&sha256=%s", hex);
    hex_of("other", hex);
    snprintf(other, sizeof other, URL "&sha256=%s", hex);
    call_get(&call, &setting->stage, url, "");
    call_get(&wrong, &setting->stage, other, "");
    take_off(&growing, &setting->stage, URL);
    grow(&growing, 10, NULL);
    grow_text(&growing, DIGITS);
    settle(setting);
    assert_true(call.req.waits && wrong.req.waits);
    grow_break(&growing);
    settle(setting);
    assert_true(call.req.waits && wrong.req.waits);
    grow(&growing, 10, NULL);
    grow_text(&growing, DIGITS);
    settle(setting);
    grow_finish(&growing);
    settle(setting);
    assert_status(&call, 200);
    assert_line(&call, "X-Cache", "miss");
    assert_came(&call, BODY_END, DIGITS);
    assert_status(&wrong, 502);
    assert_came(&wrong, BODY_END, "502: the digest is not the right one\n");
    call_end(&call);
    call_end(&wrong);
    call_get(&hit, &setting->stage, url, "");
    assert_status(&hit, 200);
    assert_line(&hit, "X-Cache", "hit");
    call_end(&hit);
}

/* --- ranges --- */

struct range_case {
    const char *value;
    int status;
    uint64_t off, len;
};

static void
assert_range(struct setting *setting, const struct range_case *wanted, const char *total, bool ends)
{
    struct call call;
    char lines[128], text[64];
    snprintf(lines, sizeof lines, "Range: %s\r\n", wanted->value);
    call_get(&call, &setting->stage, URL, lines);
    if (call.req.response.status != wanted->status)
        fail_msg("%s: %d", wanted->value, call.req.response.status);
    if (wanted->status == 206) {
        snprintf(text, sizeof text, "bytes %llu-%llu/%s", (unsigned long long)wanted->off,
                 (unsigned long long)(wanted->off + wanted->len - 1), total);
        assert_line(&call, "Content-Range", text);
        snprintf(text, sizeof text, "%llu", (unsigned long long)wanted->len);
        assert_line(&call, "Content-Length", text);
        assert_int_equal(call.req.response.body_len, wanted->len);
        assert_false(call.req.response.unknown_len);
    } else if (wanted->status == 416) {
        assert_line(&call, "Content-Range", "bytes */100");
    } else {
        assert_line(&call, "Content-Range", NULL);
    }
    if (ends && wanted->status == 206) {
        assert_int_equal(call_pull(&call), BODY_END);
        assert_int_equal(call.body.len, wanted->len);
        assert_memory_equal(call.body.ptr, &HUNDRED[wanted->off], wanted->len);
    }
    call_end(&call);
}

static const struct range_case known_cases[] = {
    {"bytes=0-9", 206, 0, 10},     {"bytes=0-0", 206, 0, 1},      {"bytes=90-", 206, 90, 10},
    {"bytes=99-", 206, 99, 1},     {"bytes=-5", 206, 95, 5},      {"bytes=-500", 206, 0, 100},
    {"bytes=50-500", 206, 50, 50}, {"bytes=0-", 206, 0, 100},     {"bytes=100-", 416, 0, 0},
    {"bytes=100-200", 416, 0, 0},  {"bytes=-0", 416, 0, 0},       {"bytes=0-1,5-6", 200, 0, 0},
    {"bytes=0-4,5-9", 206, 0, 10}, {"bytes=0-1,200-", 206, 0, 2}, {"bytes=5-2", 200, 0, 0},
    {"items=0-1", 200, 0, 0},      {"bytes", 200, 0, 0},          {"bytes=", 200, 0, 0},
    {"bytes=a-b", 200, 0, 0},
};

static void
ranges_of_what_is_there(void **state)
{
    struct setting *setting = *state;
    put_whole(&setting->stage, URL, "\"v1\"", HUNDRED);
    for (unsigned i = 0; i < sizeof known_cases / sizeof *known_cases; i++)
        assert_range(setting, &known_cases[i], "100", true);
}

/* The same answers; the bytes when they are there. */
static void
ranges_of_what_grows(void **state)
{
    struct setting *setting = *state;
    struct growing growing;
    struct call call, ahead, last;
    call_get(&call, &setting->stage, URL, "");
    take_off(&growing, &setting->stage, URL);
    grow(&growing, 100, "\"v1\"");
    grow_add(&growing, HUNDRED, 40);
    for (unsigned i = 0; i < sizeof known_cases / sizeof *known_cases; i++)
        assert_range(setting, &known_cases[i], "100",
                     known_cases[i].off + known_cases[i].len <= 40);
    call_get(&ahead, &setting->stage, URL, "Range: bytes=38-61\r\n");
    call_get(&last, &setting->stage, URL, "Range: bytes=-1\r\n");
    settle(setting);
    assert_came(&ahead, BODY_PENDING, "89");
    assert_came(&last, BODY_PENDING, "");
    grow_add(&growing, HUNDRED, 30);
    settle(setting);
    assert_int_equal(last.wake_count, 0); /* nothing of interest */
    assert_came(&ahead, BODY_END, "890123456789012345678901");
    grow_add(&growing, HUNDRED, 30);
    settle(setting);
    assert_came(&last, BODY_PENDING, "");
    grow_finish(&growing);
    settle(setting);
    assert_came(&last, BODY_END, "9");
    call_end(&call);
    call_end(&ahead);
    call_end(&last);
}

/* Who has all of a range has it, whatever comes after. */
static void
a_break_is_none_of_a_range_that_is_through(void **state)
{
    struct setting *setting = *state;
    struct growing growing;
    struct call call, through, halfway;
    call_get(&call, &setting->stage, URL, "");
    take_off(&growing, &setting->stage, URL);
    grow(&growing, 100, NULL);
    grow_add(&growing, HUNDRED, 40);
    call_get(&through, &setting->stage, URL, "Range: bytes=0-39\r\n");
    call_get(&halfway, &setting->stage, URL, "Range: bytes=0-40\r\n");
    grow_break(&growing);
    settle(setting);
    assert_int_equal(call_pull(&through), BODY_END);
    assert_int_equal(call_pull(&halfway), BODY_FAILED);
    assert_int_equal(halfway.body.len, 40);
    call_end(&call);
    call_end(&through);
    call_end(&halfway);
    crash(&growing, 502, 0, "no", 0);
}

/* Only ranges with both ends can be promised while nobody knows the length. */
static void
ranges_of_an_unknown_length(void **state)
{
    static const struct range_case cases[] = {
        {"bytes=0-9", 206, 0, 10},   {"bytes=30-39", 206, 30, 10}, {"bytes=0-4,5-9", 206, 0, 10},
        {"bytes=0-", 200, 0, 0},     {"bytes=10-", 200, 0, 0},     {"bytes=-5", 200, 0, 0},
        {"bytes= -5", 200, 0, 0},    {"bytes=,-5", 200, 0, 0},     {"bytes=, 10-", 200, 0, 0},
        {"bytes=-5,", 200, 0, 0},    {"bytes=10-,", 200, 0, 0},    {"bytes=0-1,5-6", 200, 0, 0},
        {"bytes=0-1,5-", 200, 0, 0}, {"bytes=5-,0-1", 200, 0, 0},  {"bytes=-5,0-1", 200, 0, 0},
        {"bytes=0-1,-5", 200, 0, 0}, {"bytes=5-2", 200, 0, 0},     {"items=0-1", 200, 0, 0},
        {"bytes=10- ", 200, 0, 0},
    };
    struct setting *setting = *state;
    struct growing growing;
    struct call call, over, behind;
    call_get(&call, &setting->stage, URL, "");
    take_off(&growing, &setting->stage, URL);
    grow(&growing, OBJECT_LEN_UNKNOWN, NULL);
    grow_add(&growing, HUNDRED, 40);
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_range(setting, &cases[i], "*", true);
    /* what turns out not to be there was promised: that breaks */
    call_get(&over, &setting->stage, URL, "Range: bytes=35-44\r\n");
    call_get(&behind, &setting->stage, URL, "Range: bytes=50-59\r\n");
    assert_status(&over, 206);
    assert_came(&over, BODY_PENDING, "56789");
    assert_came(&behind, BODY_PENDING, "");
    grow_finish(&growing);
    settle(setting);
    assert_came(&over, BODY_FAILED, "56789");
    assert_came(&behind, BODY_FAILED, "");
    call_end(&call);
    call_end(&over);
    call_end(&behind);
}

static void
if_range(void **state)
{
    static const struct {
        const char *lines;
        int status;
    } cases[] = {
        {"If-Range: \"v1\"\r\n", 206},
        {"If-Range: \"v2\"\r\n", 200},
        {"If-Range: W/\"v1\"\r\n", 200},
        {"If-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 206},
        {"If-Range: Sun, 06 Nov 1994 08:49:38 GMT\r\n", 200},
    };
    struct setting *setting = *state;
    put_whole(&setting->stage, URL, "\"v1\"", HUNDRED);
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct call call;
        char lines[128];
        snprintf(lines, sizeof lines, "Range: bytes=0-0\r\n%s", cases[i].lines);
        call_get(&call, &setting->stage, URL, lines);
        assert_status(&call, cases[i].status);
        call_end(&call);
    }
}

/* --- conditions --- */

static void
conditions(void **state)
{
    static const struct {
        const char *lines;
        int status;
    } cases[] = {
        {"If-None-Match: \"v1\"\r\n", 304},
        {"If-None-Match: W/\"v1\"\r\n", 304},
        {"If-None-Match: \"v2\"\r\n", 200},
        {"If-None-Match: *\r\n", 304},
        {"If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 304},
        {"If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n", 200},
        {"If-Match: \"v1\"\r\n", 200},
        {"If-Match: \"v2\"\r\n", 412},
        {"If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n", 412},
        {"If-None-Match: \"v1\"\r\nRange: bytes=0-1\r\n", 304},
    };
    struct setting *setting = *state;
    for (unsigned grown = 0; grown < 2; grown++) {
        struct growing growing;
        struct call call, first;
        call_get(&first, &setting->stage, URL, "");
        if (!grown) { /* the same while it is coming in, and when it is there */
            take_off(&growing, &setting->stage, URL);
            grow(&growing, 100, "\"v1\"");
        }
        for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
            call_get(&call, &setting->stage, URL, cases[i].lines);
            assert_status(&call, cases[i].status);
            if (cases[i].status == 304) {
                assert_line(&call, "ETag", "\"v1\"");
                assert_line(&call, "Content-Length", NULL);
                assert_line(&call, "X-Cache", grown ? "hit" : "stream");
            }
            call_end(&call);
        }
        call_end(&first);
        if (!grown) {
            grow_text(&growing, HUNDRED);
            grow_finish(&growing);
        }
        settle(setting);
    }
}

/* --- who waits --- */

static uint32_t
waiters(struct cache_flight *flight)
{
    uint64_t left_ns;
    return flight_waiters(flight, &left_ns);
}

/* Each of them once, whether it has left, is answered, or both. */
static void
who_leaves_waits_no_longer(void **state)
{
    struct setting *setting = *state;
    struct call calls[4];
    struct growing growing;
    for (unsigned i = 0; i < 4; i++)
        call_get(&calls[i], &setting->stage, URL, i == 3 ? "If-None-Match: *\r\n" : "");
    take_off(&growing, &setting->stage, URL);
    assert_int_equal(waiters(growing.flight), 4);
    body_left(&calls[0].req.body);
    body_left(&calls[0].req.body);
    assert_int_equal(waiters(growing.flight), 3);
    call_end(&calls[0]);
    assert_int_equal(waiters(growing.flight), 3);
    body_left(&calls[1].req.body);
    assert_int_equal(waiters(growing.flight), 2);
    grow(&growing, 100, NULL);
    settle(setting);
    assert_status(&calls[1], 200); /* it may still read */
    assert_int_equal(waiters(growing.flight), 2);
    assert_status(&calls[3], 304);
    body_close(&calls[3].req.body);
    assert_int_equal(waiters(growing.flight), 1);
    grow_add(&growing, HUNDRED, 100);
    assert_int_equal(call_pull(&calls[1]), BODY_PENDING);
    assert_int_equal(call_pull(&calls[2]), BODY_PENDING);
    grow_finish(&growing);
    settle(setting);
    assert_came(&calls[1], BODY_END, HUNDRED);
    assert_came(&calls[2], BODY_END, HUNDRED);
    for (unsigned i = 1; i < 4; i++)
        call_end(&calls[i]);
}

/* What a failure is told with takes the place of the reader. */
static void
who_was_told_of_a_failure_waits_no_longer(void **state)
{
    struct setting *setting = *state;
    struct call call;
    struct growing growing;
    call_get(&call, &setting->stage, URL, "");
    take_off(&growing, &setting->stage, URL);
    struct cache_flight *flight = flight_ref(growing.flight);
    crash(&growing, 502, 0, "no", 60);
    settle(setting);
    assert_status(&call, 502);
    assert_int_equal(waiters(flight), 0);
    assert_null(flight->watches);
    body_left(&call.req.body);
    call_end(&call);
    flight_unref(flight);
}

static unsigned
watch_count(const struct cache_flight *flight)
{
    unsigned count = 0;
    for (const struct cache_watch *watch = flight->watches; watch; watch = watch->next)
        count++;
    return count;
}

/* However many of them there are. */
static void
a_worker_watches_once(void **state)
{
    struct setting *setting = *state;
    struct call calls[20];
    struct growing growing;
    for (unsigned i = 0; i < 20; i++)
        call_get(&calls[i], &setting->stage, URL, "");
    take_off(&growing, &setting->stage, URL);
    assert_int_equal(watch_count(growing.flight), 1);
    for (unsigned i = 0; i < 19; i++)
        call_end(&calls[i]);
    assert_int_equal(watch_count(growing.flight), 1);
    call_end(&calls[19]);
    assert_int_equal(watch_count(growing.flight), 0);
    /* gone with news on the way, and back before they come */
    call_get(&calls[0], &setting->stage, URL, "");
    flight_tell(growing.flight);
    call_end(&calls[0]);
    call_get(&calls[0], &setting->stage, URL, "");
    assert_int_equal(watch_count(growing.flight), 1);
    settle(setting);
    crash(&growing, 502, 0, "no", 0);
    settle(setting);
    assert_status(&calls[0], 502);
    call_end(&calls[0]);
}

/* The worker ends, its loop runs no more, and the post will never come. */
static void
news_that_never_come(void **state)
{
    struct setting *setting = *state;
    struct call calls[3];
    struct growing growing;
    for (unsigned i = 0; i < 3; i++)
        call_get(&calls[i], &setting->stage, i == 2 ? OTHER : URL, "");
    take_off(&growing, &setting->stage, URL);
    flight_tell(growing.flight);
    flight_unref(growing.flight);
    take_off(&growing, &setting->stage, OTHER);
    flight_tell(growing.flight);
    flight_unref(growing.flight);
    for (unsigned i = 0; i < 3; i++)
        call_end(&calls[i]);
    assert_non_null(setting->stage.worker->ended);
}

/* --- the list of readers while it is gone through --- */

enum { CROWD = 24, CROWD_STEPS = 40 };

static struct {
    struct setting *setting;
    struct call calls[CROWD];
    unsigned round, round_of[CROWD]; /* of news; in which each was told last */
    uint32_t random;
} crowd;

static unsigned
some(unsigned below)
{
    crowd.random = crowd.random * 1664525 + 1013904223;
    return (crowd.random >> 8) % below;
}

static void crowd_wake(struct call *call);

static void
crowd_join(unsigned i)
{
    struct call *call = &crowd.calls[i];
    if (call->open)
        return;
    call_get(call, &crowd.setting->stage, URL, some(3) ? "" : "If-None-Match: *\r\n");
    call->on_wake = crowd_wake;
    crowd.round_of[i] = crowd.round; /* it has seen what there is */
    if (!call->req.waits && some(2))
        call_pull(call);
}

/* Whoever is woken does something, to itself or to others, or brings somebody along. */
static void
crowd_wake(struct call *call)
{
    unsigned me = (unsigned)(call - crowd.calls);
    assert_true(call->open);
    assert_false(call->req.waits);
    if (crowd.round_of[me] == crowd.round)
        fail_msg("%u was told twice", me);
    crowd.round_of[me] = crowd.round;
    if (call->req.response.status == 200)
        call_pull(call);
    for (unsigned i = some(4); i > 0; i--)
        switch (some(6)) {
        case 0:
            call_end(call);
            break;
        case 1:
        case 2:
            call_end(&crowd.calls[some(CROWD)]);
            break;
        case 3:
            for (unsigned all = 0; all < CROWD; all++)
                if (some(2))
                    call_end(&crowd.calls[all]);
            break;
        default:
            crowd_join(some(CROWD));
        }
}

static void
readers_come_and_go_in_the_middle_of_news(void **state)
{
    struct setting *setting = *state;
    memset(&crowd, 0, sizeof crowd);
    crowd.setting = setting;
    for (crowd.random = 1; crowd.random < 40; crowd.random++) {
        uint32_t seed = crowd.random;
        struct growing growing = {0};
        for (unsigned i = 0; i < CROWD; i++)
            crowd_join(i);
        take_off(&growing, &setting->stage, URL);
        for (unsigned step = 0; step < CROWD_STEPS; step++) {
            crowd.round++;
            if (!growing.object)
                grow(&growing, OBJECT_LEN_UNKNOWN, NULL);
            else if (some(8) == 0)
                grow_break(&growing);
            else
                grow_text(&growing, "x");
            settle(setting);
            for (unsigned i = some(6); i > 0; i--)
                crowd_join(some(CROWD));
        }
        crowd.round++;
        if (growing.object)
            grow_break(&growing);
        settle(setting);
        crowd.round++;
        crash(&growing, 502, 0, "no", 0);
        settle(setting);
        for (unsigned i = 0; i < CROWD; i++) /* those who joined a flight that was no more */
            call_end(&crowd.calls[i]);
        struct cache_flight *left = stage_flight(&setting->stage, URL);
        if (left) {
            table_hold(setting->stage.cache->table, left, 0);
            flight_unref(left);
        }
        settle(setting);
        assert_int_equal(stage_used(&setting->stage), 0);
        crowd.random = seed;
    }
}

/* Nobody who waits is passed over. */
static void
everybody_is_told(void **state)
{
    struct setting *setting = *state;
    struct growing growing;
    memset(&crowd, 0, sizeof crowd);
    for (unsigned i = 0; i < CROWD; i++)
        call_get(&crowd.calls[i], &setting->stage, URL, "");
    take_off(&growing, &setting->stage, URL);
    grow(&growing, 100, NULL);
    settle(setting);
    for (unsigned i = 0; i < CROWD; i++) {
        assert_int_equal(crowd.calls[i].wake_count, 1);
        assert_came(&crowd.calls[i], BODY_PENDING, "");
    }
    for (unsigned more = 2; more < 10; more++) {
        grow_text(&growing, "x");
        settle(setting);
        for (unsigned i = 0; i < CROWD; i++) {
            assert_int_equal(crowd.calls[i].wake_count, more);
            assert_int_equal(call_pull(&crowd.calls[i]), BODY_PENDING);
        }
    }
    for (unsigned i = 0; i < CROWD; i++)
        call_end(&crowd.calls[i]);
    grow_break(&growing);
    crash(&growing, 502, 0, "no", 0);
}

#define reader_test(test) cmocka_unit_test_setup_teardown(test, reader_setup, reader_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        reader_test(a_miss_waits_and_streams),
        reader_test(without_a_length),
        reader_test(a_hit_waits_for_nothing),
        reader_test(an_empty_resource),
        reader_test(a_large_one_comes_in_pieces_of_the_file),
        reader_test(a_file_that_was_cut_breaks_the_transfer),
        reader_test(an_entry_without_its_file_is_asked_for_again),
        reader_test(a_failure_says_why),
        reader_test(what_starts_over_breaks_who_has_begun),
        reader_test(what_has_just_broken_is_not_begun_with),
        reader_test(other_sources_say_so),
        reader_test(too_many_flights),
        reader_test(who_asks_for_a_digest_gets_nothing_unchecked),
        reader_test(ranges_of_what_is_there),
        reader_test(ranges_of_what_grows),
        reader_test(a_break_is_none_of_a_range_that_is_through),
        reader_test(ranges_of_an_unknown_length),
        reader_test(if_range),
        reader_test(conditions),
        reader_test(who_leaves_waits_no_longer),
        reader_test(who_was_told_of_a_failure_waits_no_longer),
        reader_test(a_worker_watches_once),
        reader_test(news_that_never_come),
        reader_test(readers_come_and_go_in_the_middle_of_news),
        reader_test(everybody_is_told),
    };
    return cmocka_run_group_tests_name("reader", tests, NULL, NULL);
}
