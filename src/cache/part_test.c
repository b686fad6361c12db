/* What a download brings, against what it should be, and against the room there is: lengths,
 * digests, the quota, the disk. */
#include "cache/fetcher_test_run.h"
#include "cache/table_internal.h"

enum { MANY = 700000 };

#define SHA256 "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="
#define SHA512                                                                                \
    "m3HSJL1i83hdltRq0+o9czGb+8KJDKra4t/3JRlnPKcjI8PZm6XBHXx6zG4UuMXaDEZjR1wuXDre9G9zvN7AQw=" \
    "="
#define MD5 "XUFAKrxLKna5cZ2REBfFkg=="
#define ZEROS "AAAAAAAAAAAAAAAAAAAAAA"

/* --- digests --- */

static void
right_digests(void **state)
{
    static const struct fake_answer answers[] = {
        {.text = OK("5", "Repr-Digest: sha-256=:" SHA256 ":\r\n", "hello")},
        {.text = OK("5", "Repr-Digest: sha-512=:" SHA512 ":, sha-256=:" SHA256 ":\r\n", "hello")},
        {.text = OK("5", "Content-MD5: " MD5 "\r\n", "hello")},
        {.text = OK("5", "X-Amz-Checksum-SHA256: " SHA256 "\r\n", "hello")},
        {.text = OK("5", "Content-MD5: " MD5 "\r\nRepr-Digest: sha-256=:" SHA256 ":\r\n", "hello")},
        /* what says nothing */
        {.text = OK("5", "Repr-Digest: crc32=:AAAA:\r\nContent-MD5: x\r\n", "hello")},
        {.text = OK("5", "X-Amz-Checksum-SHA256: " ZEROS ZEROS "=-2\r\n", "hello")},
    };
    struct rig *rig = *state;
    rig->fake.answers = answers;
    rig->fake.answer_count = sizeof answers / sizeof *answers;
    for (unsigned i = 0; i < rig->fake.answer_count; i++) {
        char path[16];
        snprintf(path, sizeof path, "/%u", i);
        fetch(rig, path, "hello");
    }
}

/* Nobody ever has all of what is wrong: not its last byte, or not its end. */
static void
wrong_digests(void **state)
{
    static const struct fake_answer answers[] = {
        {.text = OK("5", "Repr-Digest: sha-256=:" SHA256 ":\r\n", "hell0")},
        {.text = OK("5", "Repr-Digest: sha-512=:" SHA512 ":\r\n", "hell0")},
        {.text = OK("5", "Content-MD5: " MD5 "\r\n", "hell0")},
        {.text = OK("5", "X-Amz-Checksum-SHA256: " SHA256 "\r\n", "hell0")},
        {.text =
             OK("5", "Content-MD5: " ZEROS "==\r\nRepr-Digest: sha-256=:" SHA256 ":\r\n", "hello")},
        {.text = HEAD("200 OK",
                      "Content-MD5: " MD5 "\r\nTransfer-Encoding: chunked\r\n") "5\r\nhell0\r\n"},
        {.text = HEAD("200 OK", "Content-MD5: " MD5 "\r\n") "hell0"},
    };
    struct rig *rig = *state;
    for (unsigned i = 0; i < sizeof answers / sizeof *answers; i++) {
        struct asked asked;
        char path[16];
        bool chunked = i == 5, to_the_end = i == 6;
        rig->fake.answers = &answers[i];
        rig->fake.answer_count = 1;
        rig->fake.answered = 0;
        snprintf(path, sizeof path, "/%u", i);
        ask(&asked, rig, path);
        if (chunked || to_the_end) {
            wait_shown(&asked, 5);
            assert_int_equal(object_state(asked.object), OBJECT_GROWING);
        }
        if (chunked)
            fake_say(&rig->fake, "0\r\n\r\n", 5);
        else if (to_the_end)
            fake_close(&rig->fake);
        assert_failed(&asked, 502, "the digest is not the right one");
        if (asked.object) {
            assert_int_equal(object_state(asked.object), OBJECT_BROKEN);
            assert_int_equal(object_shown_len(asked.object), chunked || to_the_end ? 5 : 4);
        }
        asked_end(&asked);
        assert_false(is_kept(rig, path));
    }
    assert_used(rig, 0);
    assert_count(rig, retried, 0);
}

static void
digests_that_contradict_each_other(void **state)
{
    struct rig *rig = *state;
    struct asked asked;
    uint8_t digest[CACHE_SHA256_LEN] = {1};
    script(&rig->fake,
           {.text = OK("5",
                       "Repr-Digest: sha-256=:" SHA256 ":\r\nX-Amz-Checksum-SHA256: " ZEROS
                       "AAAAAAAAAAAAAAAAAAAAA=\r\n",
                       "")},
           {.text = OK("5", "Repr-Digest: sha-256=:" SHA256 ":\r\n", "")});
    ask(&asked, rig, "/a");
    assert_failed(&asked, 502, "contradict each other");
    asked_end(&asked);
    ask_for_digest(&asked, rig, "/b", digest);
    assert_failed(&asked, 502, "contradict each other");
    asked_end(&asked);
    assert_used(rig, 0);
}

static void
the_digest_that_is_asked_for(void **state)
{
    struct rig *rig = *state;
    struct asked asked, other;
    uint8_t digest[CACHE_SHA256_LEN], wrong[CACHE_SHA256_LEN] = {1};
    script(&rig->fake, {.text = OK("5", "", "hello")}, {.text = OK("5", "", "hello")});
    digest_of(DIGEST_SHA256, STR("hello"), digest);
    ask_for_digest(&asked, rig, "/a", digest);
    assert_whole(&asked, "hello");
    asked_end(&asked);
    ask_for_digest(&asked, rig, "/a", digest);
    assert_int_equal(asked.answer, TABLE_HIT);
    asked_end(&asked);
    /* what is wanted is not there; what is there stays, for others */
    ask_for_digest(&asked, rig, "/a", wrong);
    assert_true(asked.is_new);
    ask(&other, rig, "/a");
    assert_int_equal(other.answer, TABLE_HIT);
    asked_end(&other);
    assert_failed(&asked, 502, "the digest is not the right one");
    asked_end(&asked);
    assert_kept(rig, "/a", "hello");
    assert_used(rig, 5);
}

/* --- the quota --- */

static void
what_can_never_fit_is_refused_at_once(void **state)
{
    struct rig *rig = *state;
    struct asked asked;
    rig->table_config.quota = 100;
    script(&rig->fake, {.text = OK("40", "", ""), .pattern_len = 40}, {.text = OK("101", "", "")},
           {.text = OK("9223372036854775807", "", "")},
           {.text = OK("60", "", ""), .pattern_len = 60});
    ask(&asked, rig, "/a");
    assert_whole_pattern(&asked, 40);
    asked_end(&asked);
    ask(&asked, rig, "/b");
    assert_failed(&asked, 507, "the cache is full");
    asked_end(&asked);
    ask(&asked, rig, "/c");
    assert_failed(&asked, 507, "the cache is full");
    asked_end(&asked);
    assert_true(is_kept(rig, "/a")); /* nothing went in vain */
    assert_used(rig, 40);
    assert_count(rig, refused_full, 2);
    ask(&asked, rig, "/d"); /* to the byte */
    assert_whole_pattern(&asked, 60);
    asked_end(&asked);
    assert_used(rig, 100);
    assert_count(rig, evicted, 0);
}

static void
the_least_recently_used_goes(void **state)
{
    struct rig *rig = *state;
    struct asked asked, reads;
    rig->table_config = (struct table_config){.quota = 100, .clean_percent = 100, .open_max = 8};
    script(&rig->fake, {.text = OK("40", "", ""), .pattern_len = 40});
    rig->fake.repeats = true;
    static const char *const paths[] = {"/a", "/b", "/c"};
    for (unsigned i = 0; i < 2; i++) {
        ask(&asked, rig, paths[i]);
        assert_whole_pattern(&asked, 40);
        asked_end(&asked);
    }
    ask(&reads, rig, "/a");
    ask(&asked, rig, "/c");
    assert_whole_pattern(&asked, 40);
    assert_count(rig, evicted, 1);
    assert_true(is_kept(rig, "/a") && !is_kept(rig, "/b") && is_kept(rig, "/c"));
    assert_used(rig, 80);
    /* a and c are being read */
    struct asked more;
    ask(&more, rig, "/b");
    assert_failed(&more, 507, "the cache is full");
    asked_end(&more);
    assert_used(rig, 80);
    asked_end(&reads);
    asked_end(&asked);
    ask(&more, rig, "/b");
    assert_whole_pattern(&more, 40);
    asked_end(&more);
    assert_used(rig, 80);
}

static void
an_unknown_length_is_charged_as_it_grows(void **state)
{
    enum { LEN = CACHE_GRANT_LEN + CACHE_GRANT_LEN / 2 };
    struct rig *rig = *state;
    struct asked asked;
    rig->table_config.quota = 2 * CACHE_GRANT_LEN;
    script(&rig->fake, {.text = HEAD("200 OK", "") "x"});
    ask(&asked, rig, "/a");
    wait_shown(&asked, 1);
    assert_used(rig, CACHE_GRANT_LEN);
    char *text = malloc(LEN);
    memset(text, 'x', LEN);
    fake_say(&rig->fake, text, CACHE_GRANT_LEN - 1);
    wait_shown(&asked, CACHE_GRANT_LEN);
    assert_used(rig, CACHE_GRANT_LEN);
    fake_say(&rig->fake, text, LEN - CACHE_GRANT_LEN);
    wait_shown(&asked, LEN);
    assert_used(rig, 2 * CACHE_GRANT_LEN);
    free(text);
    fake_close(&rig->fake);
    wait_over(&asked);
    assert_int_equal(asked.view.state, FLIGHT_ANSWERED);
    assert_int_equal(object_len(asked.object), LEN);
    assert_used(rig, LEN);
    asked_end(&asked);
}

static void
an_unknown_length_may_be_too_much(void **state)
{
    struct rig *rig = *state;
    struct asked asked;
    rig->table_config.quota = 2 * CACHE_GRANT_LEN - 1;
    script(&rig->fake,
           {.text = HEAD("200 OK", ""), .pattern_len = 3 * CACHE_GRANT_LEN, .end = FAKE_CLOSES});
    ask(&asked, rig, "/a");
    assert_failed(&asked, 507, "the cache is full");
    assert_count(rig, refused_full, 1);
    if (asked.object) {
        assert_int_equal(object_state(asked.object), OBJECT_BROKEN);
        assert_true(object_shown_len(asked.object) <= CACHE_GRANT_LEN);
        assert_used(rig, CACHE_GRANT_LEN);
    }
    asked_end(&asked);
    assert_used(rig, 0);
}

static void
an_unknown_length_makes_others_go(void **state)
{
    struct rig *rig = *state;
    struct asked asked;
    rig->table_config =
        (struct table_config){.quota = 2 * CACHE_GRANT_LEN, .clean_percent = 100, .open_max = 8};
    script(&rig->fake, {.text = OK("700000", "", ""), .pattern_len = MANY},
           {.text = HEAD("200 OK", ""), .pattern_len = 3 * (size_t)MANY / 2, .end = FAKE_CLOSES});
    ask(&asked, rig, "/a");
    assert_whole_pattern(&asked, MANY);
    asked_end(&asked);
    ask(&asked, rig, "/b");
    assert_whole_pattern(&asked, 3 * (size_t)MANY / 2);
    asked_end(&asked);
    assert_false(is_kept(rig, "/a"));
    assert_used(rig, 3 * (size_t)MANY / 2);
}

/* --- the disk --- */

static bool
disk_start(struct rig *rig)
{
    rig->mount_options = "size=1m";
    return rig_start(rig);
}

static void
more_than_the_disk_has(void **state)
{
    struct rig *rig = *state;
    struct asked asked;
    if (!disk_start(rig))
        return;
    script(&rig->fake, {.text = OK("2000000", "", ""), .pattern_len = 2000000},
           {.text = HEAD("200 OK", ""), .pattern_len = 2000000, .end = FAKE_CLOSES});
    ask(&asked, rig, "/a");
    assert_failed(&asked, 507, "the disk is full");
    asked_end(&asked);
    assert_used(rig, 0);
    ask(&asked, rig, "/b");
    assert_failed(&asked, 507, "the disk is full");
    asked_end(&asked);
    assert_used(rig, 0);
}

static void
a_full_disk_makes_others_go(void **state)
{
    struct rig *rig = *state;
    struct asked asked;
    if (!disk_start(rig))
        return;
    script(&rig->fake, {.text = OK("700000", "", ""), .pattern_len = MANY},
           {.text = OK("700000", "", ""), .pattern_len = MANY},
           {.text = HEAD("200 OK", ""), .pattern_len = MANY, .end = FAKE_CLOSES});
    static const char *const paths[] = {"/a", "/b", "/c"};
    for (unsigned i = 0; i < 3; i++) {
        ask(&asked, rig, paths[i]);
        assert_whole_pattern(&asked, MANY);
        asked_end(&asked);
        assert_used(rig, MANY);
        assert_count(rig, evicted, i);
    }
}

/* Files where directories should be. */
static void
a_directory_that_cannot_be_made(void **state)
{
    struct rig *rig = *state;
    struct asked asked;
    assert_true(rig_start(rig));
    assert_shell(&rig->dir, "for i in $(seq 0 255); do touch $(printf %%02x $i); done");
    script(&rig->fake, {.text = OK("5", "", "hello")});
    ask(&asked, rig, "/a");
    assert_failed(&asked, 500, "cannot write");
    asked_end(&asked);
    assert_used(rig, 0);
}

/* Whoever took it away: nobody is shown all of what cannot be kept. */
static void
a_part_that_is_gone(void **state)
{
    struct rig *rig = *state;
    struct asked asked;
    script(&rig->fake, {.text = OK("5", "", "hell")});
    ask(&asked, rig, "/a");
    wait_shown(&asked, 4);
    assert_shell(&rig->dir, FILES " -name '*.part' -delete");
    fake_say(&rig->fake, "o", 1);
    assert_failed(&asked, 500, "cannot write");
    assert_int_equal(object_state(asked.object), OBJECT_BROKEN);
    assert_int_equal(object_shown_len(asked.object), 4);
    asked_end(&asked);
    assert_used(rig, 0);
}

static void
fill_table(struct rig *rig, bool full)
{
    pthread_mutex_lock(&rig->table->lock);
    rig->table->entry_count += full ? CACHE_ENTRIES_MAX : -(size_t)CACHE_ENTRIES_MAX;
    pthread_mutex_unlock(&rig->table->lock);
}

/* Who waits for it gets it all the same. */
static void
a_table_that_takes_no_more(void **state)
{
    static const struct fake_answer answers[] = {
        {.text = OK("5", "", "hell")},
        {.text = HEAD("200 OK", "Transfer-Encoding: chunked\r\n") "5\r\nhell"},
    };
    static const char *const rests[] = {"o", "o\r\n0\r\n\r\n"};
    struct rig *rig = *state;
    rig->fake.answers = answers;
    rig->fake.answer_count = 2;
    for (unsigned i = 0; i < 2; i++) {
        struct asked asked;
        const char *path = i ? "/b" : "/a";
        ask(&asked, rig, path);
        wait_shown(&asked, 4);
        fill_table(rig, true);
        fake_say(&rig->fake, rests[i], strlen(rests[i]));
        assert_whole(&asked, "hello");
        assert_used(rig, 5);
        assert_false(is_kept(rig, path));
        assert_false(asked.flight->in_table);
        asked_end(&asked);
        assert_used(rig, 0);
        fill_table(rig, false);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(right_digests),
        rig_test(wrong_digests),
        rig_test(digests_that_contradict_each_other),
        rig_test(the_digest_that_is_asked_for),
        rig_test(what_can_never_fit_is_refused_at_once),
        rig_test(the_least_recently_used_goes),
        rig_test(an_unknown_length_is_charged_as_it_grows),
        rig_test(an_unknown_length_may_be_too_much),
        rig_test(an_unknown_length_makes_others_go),
        rig_test(more_than_the_disk_has),
        rig_test(a_full_disk_makes_others_go),
        rig_test(a_directory_that_cannot_be_made),
        rig_test(a_part_that_is_gone),
        rig_test(a_table_that_takes_no_more),
    };
    return cmocka_run_group_tests_name("part", tests, NULL, NULL);
}
