/* Members that only request scripts can read. */
#include "site/private.h"

#include "site/pack.h"
#include "site/site_test_run.h"

static void
fill(struct fixture *fixture)
{
    run(fixture, "cd in && mkdir -p .tarn/scripts .zeroserve/data/deep .git data");
    run(fixture, "cd in && printf '{\"a\":1}' >.tarn/flags.json && printf '[2]' "
                 ">.zeroserve/data/deep/x.json && printf '[3]' >data/flags.json && printf '<p>' "
                 ">index.html && printf about >about.html && : >.tarn/empty");
    run(fixture, "cd in && printf o >.git/config && printf h >.hidden && printf s >.tarnish && "
                 "printf '[4]' >.tarn/scripts/data.json && printf '# x' >_headers");
    run(fixture, "touch -d @1600000000 in/.tarn/flags.json in/data/flags.json && touch -d "
                 "'2100-01-01' in/.zeroserve/data/deep/x.json");
}

static void
assert_member(struct fixture *fixture, const char *name, const char *content)
{
    struct site_member member;
    if (!site_find_member(fixture->site, str_from_cstr(name), &member))
        fail_msg("no member %s", name);
    const struct site_rep rep = {.content = *member.content};
    assert_body(fixture, &rep, content);
    assert_int_equal(member.etag.len, CONTENT_ETAG_LEN);
}

static void
assert_no_member(const struct fixture *fixture, const char *name)
{
    struct site_member member;
    if (site_find_member(fixture->site, str_from_cstr(name), &member))
        fail_msg("%s should be no member", name);
}

static void
assert_all(struct fixture *fixture)
{
    static const char *const absent[] = {
        "",
        "/",
        "data",
        "data/",
        "about",
        "/data/flags.json",
        "./data/flags.json",
        "data//flags.json",
        ".tarn",
        ".tarn/",
        "/.tarn/flags.json",
        ".tarn/flags.jso",
        ".tarn/flags.json/",
        ".tarn/index",
        ".git/config",
        ".hidden",
        ".tarnish",
        "_headers",
        "nothing",
    };
    assert_member(fixture, ".tarn/flags.json", "{\"a\":1}");
    assert_member(fixture, ".tarn/empty", "");
    assert_member(fixture, ".zeroserve/data/deep/x.json", "[2]");
    assert_member(fixture, ".tarn/scripts/data.json", "[4]");
    assert_member(fixture, "data/flags.json", "[3]");
    assert_member(fixture, "about.html", "about");
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
        assert_no_member(fixture, absent[i]);
    assert_missing(fixture, "/.tarn/flags.json");
    assert_missing(fixture, "/.zeroserve/data/deep/x.json");
}

static void
scripts_find_what_nobody_can_ask_for(void **state)
{
    struct fixture *fixture = *state;
    struct site_member member;
    fill(fixture);
    fixture->config.try_html = true;
    load(fixture);
    assert_all(fixture);
    assert_true(site_find_member(fixture->site, STR(".tarn/flags.json"), &member));
    assert_int_equal(member.mtime, 1600000000);
    assert_true(site_find_member(fixture->site, STR("data/flags.json"), &member));
    assert_int_equal(member.mtime, 1600000000);
    assert_true(site_find_member(fixture->site, STR(".zeroserve/data/deep/x.json"), &member));
    assert_in_range(member.mtime, 1600000000, 4000000000);
    assert_int_equal(site_stats(fixture->site)->file_count, 3);
}

static void
they_are_read_by_range_when_there_is_no_memory(void **state)
{
    struct fixture *fixture = *state;
    struct site_member member;
    fill(fixture);
    fixture->config.preload_max = 0;
    load(fixture);
    assert_all(fixture);
    assert_true(site_find_member(fixture->site, STR(".tarn/flags.json"), &member));
    assert_null(member.content->mem);
}

static void
public_files_come_first_when_memory_ends(void **state)
{
    struct fixture *fixture = *state;
    struct site_member member;
    fill(fixture);
    run(fixture, "rm in/about.html in/index.html");
    fixture->config.preload_total = 9;
    load(fixture);
    assert_true(site_find_member(fixture->site, STR("data/flags.json"), &member));
    assert_non_null(member.content->mem);
    assert_true(site_find_member(fixture->site, STR(".tarn/flags.json"), &member));
    assert_null(member.content->mem);
    assert_true(site_find_member(fixture->site, STR(".zeroserve/data/deep/x.json"), &member));
    assert_non_null(member.content->mem);
    assert_int_equal(site_stats(fixture->site)->preloaded_len, 9);
    /* the same of a tar, where memory is given away before anything is read */
    run(fixture, "tar -C in -cf in.tar .");
    set_source(fixture, "in.tar");
    load(fixture);
    assert_true(site_find_member(fixture->site, STR(".tarn/flags.json"), &member));
    assert_null(member.content->mem);
    assert_true(site_stats(fixture->site)->preloaded_len == 9);
    assert_member(fixture, ".tarn/flags.json", "{\"a\":1}");
}

static void
in_a_tar_and_in_a_packed_one(void **state)
{
    struct fixture *fixture = *state;
    char in[128], out[128];
    fill(fixture);
    run(fixture, "tar -C in -cf in.tar .");
    set_source(fixture, "in.tar");
    for (int preload = 0; preload < 2; preload++) {
        fixture->config.preload_max = preload ? 1 << 20 : 0;
        load(fixture);
        run(fixture, "mv in.tar moved.tar"); /* it is still open */
        assert_all(fixture);
        run(fixture, "mv moved.tar in.tar");
    }
    snprintf(in, sizeof in, "%s/in", fixture->dir);
    snprintf(out, sizeof out, "%s/out.tar", fixture->dir);
    struct pack_config config = {.source = in, .output = out, .threads = 1};
    struct pack_stats stats;
    if (pack_write(&config, &stats, &fixture->error) < 0)
        fail_msg("%s", fixture->error.text);
    set_source(fixture, "out.tar");
    load(fixture);
    assert_true(site_stats(fixture->site)->from_index);
    assert_all(fixture);
}

static void
a_site_without_any_has_none(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, "echo x >in/index.html");
    load(fixture);
    assert_no_member(fixture, ".tarn/flags.json");
    assert_member(fixture, "index.html", "x\n");
    set_source(fixture, "in/index.html");
    load(fixture);
    assert_no_member(fixture, "index.html");
    assert_no_member(fixture, "anything");
    fixture->config.source = NULL;
    fixture->config.allow_empty = true;
    load(fixture);
    assert_no_member(fixture, "index.html");
    assert_no_member(fixture, "");
}

static void
a_name_of_any_length_is_looked_up(void **state)
{
    struct fixture *fixture = *state;
    struct site_member member;
    static char name[1 << 16];
    memset(name, 'a', sizeof name);
    run(fixture, "echo x >in/index.html");
    load(fixture);
    for (size_t len = 4090; len < 4100; len++)
        assert_false(site_find_member(fixture->site, str_make(name, len), &member));
    assert_false(site_find_member(fixture->site, str_make(name, sizeof name), &member));
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(scripts_find_what_nobody_can_ask_for),
        TEST(they_are_read_by_range_when_there_is_no_memory),
        TEST(public_files_come_first_when_memory_ends),
        TEST(in_a_tar_and_in_a_packed_one),
        TEST(a_site_without_any_has_none),
        TEST(a_name_of_any_length_is_looked_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
