#include "server/options_client.h"

#include "server/options_test_run.h"

static void
check_refused(const char *line, const char *environment, const char *expected)
{
    enum options_result result = parse(line, environment);
    if (result != OPTIONS_USAGE)
        fail_msg("'%s' with '%s' gave %d, not a refusal", line, environment, result);
    if (strcmp(error.text, expected) != 0)
        fail_msg("'%s': got  %s\n         expected  %s", line, error.text, expected);
}

static void
test_the_commands_are_two_words(void **state)
{
    check_runs("tarn cache ls", "");
    assert_int_equal(options.command, COMMAND_CACHE_LS);
    check_runs("tarn --search a cache --sort size ls --reverse -n 7", "");
    assert_int_equal(options.command, COMMAND_CACHE_LS);
    assert_string_equal(options.search, "a");
    assert_int_equal(options.sort, OPTIONS_SORT_SIZE);
    assert_true(options.reverse && options.limit == 7);
    check_runs("tarn cache get http://a/b", "");
    assert_int_equal(options.command, COMMAND_CACHE_GET);
    assert_int_equal(options.resources.count, 1);
    assert_string_equal(options.resources.items[0], "http://a/b");
    check_runs("tarn cache purge --purge-token t http://a/ https://b/", "");
    assert_int_equal(options.command, COMMAND_CACHE_PURGE);
    assert_int_equal(options.resources.count, 2);
    assert_string_equal(options.resources.items[1], "https://b/");
    check_runs("tarn cache stats --json", "");
    assert_int_equal(options.command, COMMAND_CACHE_STATS);
    assert_true(options.json);
    assert_null(options.site);
}

static void
test_a_word_that_is_no_command(void **state)
{
    check_refused("tarn cache lst", "",
                  "no command 'tarn cache lst'; did you mean 'tarn cache ls'?");
    check_refused("tarn cache --cache-dir d purg http://a/", "",
                  "no command 'tarn cache purg'; did you mean 'tarn cache purge'?");
    check_refused("tarn cache status", "",
                  "no command 'tarn cache status'; did you mean 'tarn cache stats'?");
    check_refused("tarn cache /var/cache", "",
                  "'tarn cache' has the commands ls, get, purge and stats, and not '/var/cache'");
    check_refused("tarn cache --cache-dir d -- ls", "",
                  "'tarn cache' has the commands ls, get, purge and stats, and not 'ls'");
    check_refused("tarn cache ls ls", "", "'tarn cache ls' takes no argument, but there is 'ls'");
    check_refused("tarn cache stats x", "",
                  "'tarn cache stats' takes no argument, but there is 'x'");
}

static void
check_base(const char *line, const char *environment, enum url_scheme scheme, const char *host,
           unsigned port, const char *path)
{
    check_runs(line, environment);
    const struct url *base = &options.cache_base;
    if (options.cache_dir || base->scheme != scheme || base->port != port ||
        !str_eq(base->host, str_from_cstr(host)) || !str_eq(base->path, str_from_cstr(path)))
        fail_msg("'%s' with '%s': host %.*s, port %u, path %.*s", line, environment,
                 STR_ARG(base->host), base->port, STR_ARG(base->path));
}

static void
test_where_the_cache_is(void **state)
{
    check_base("tarn cache ls", "", URL_HTTP, "127.0.0.1", 8080, "");
    check_base("tarn cache ls --cache-url http://a/", "", URL_HTTP, "a", 80, "");
    check_base("tarn cache get --url https://a:1/b/c// http://x/", "", URL_HTTPS, "a", 1, "/b/c");
    check_base("tarn cache stats --url a:81", "", URL_HTTP, "a", 81, "");
    check_base("tarn cache stats --url a/b", "", URL_HTTP, "a", 80, "/b");
    check_base("tarn cache stats --url [::1]:9", "", URL_HTTP, "::1", 9, "");
    check_base("tarn cache ls", "TARN_CACHE_URL=http://e:1", URL_HTTP, "e", 1, "");
    static const char *const bad[] = {"ftp://a/",      "http://", "http://a/?b",
                                      "http://u:p@a/", ":80",     "http://a:x/"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char line[64], expected[160];
        snprintf(line, sizeof line, "tarn cache ls --cache-url %s", bad[i]);
        snprintf(expected, sizeof expected,
                 "--cache-url wants http://HOST:PORT or https://HOST:PORT, with a path where there "
                 "is one, not '%s'",
                 bad[i]);
        check_refused(line, "", expected);
    }
}

static void
check_dir(const char *line, const char *environment)
{
    check_runs(line, environment);
    if (!options.cache_dir || strcmp(options.cache_dir, "d") != 0)
        fail_msg("'%s' with '%s' does not read the directory", line, environment);
}

static void
test_a_directory_or_an_address(void **state)
{
    check_dir("tarn cache ls --cache-dir d", "");
    check_dir("tarn cache stats --cache-dir d", "TARN_CACHE_URL=http://e");
    check_dir("tarn cache ls", "TARN_CACHE_DIR=d");
    check_base("tarn cache ls --url http://a", "TARN_CACHE_DIR=d", URL_HTTP, "a", 80, "");
    check_base("tarn cache ls", "TARN_CACHE_DIR=d TARN_CACHE_URL=http://e", URL_HTTP, "e", 80, "");
    check_base("tarn cache get http://x/", "TARN_CACHE_DIR=d", URL_HTTP, "127.0.0.1", 8080, "");
    check_refused("tarn cache ls --cache-dir d --url http://a", "",
                  "--cache-dir and --cache-url exclude each other");
    check_refused("tarn cache get --cache-dir d http://x/", "",
                  "--cache-dir belongs to 'tarn cache', not to 'tarn cache get'");
}

static void
test_resources_are_urls(void **state)
{
    check_refused("tarn cache get", "",
                  "no URL: name a resource, as in 'tarn cache get https://example.com/file'");
    check_refused("tarn cache purge --purge-token t", "",
                  "no URL: name a resource, as in 'tarn cache purge https://example.com/file'");
    check_refused("tarn cache get http://a/ http://b/", "",
                  "one URL is enough, but 'http://b/' follows 'http://a/'");
    static const char *const bad[] = {"a", "ftp://a/", "http://", "http://a/|b", "http://u@a/"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char line[80];
        snprintf(line, sizeof line, "tarn cache purge --purge-token t http://ok/ %s", bad[i]);
        assert_int_equal(parse(line, ""), OPTIONS_USAGE);
        assert_non_null(strstr(error.text, "is no URL that a cache can fetch: http or https"));
    }
}

static void
test_what_get_and_purge_need(void **state)
{
    check_refused("tarn cache purge http://a/", "",
                  "no --purge-token: give the one of the cache, best as TARN_PURGE_TOKEN in the "
                  "environment");
    check_runs("tarn cache purge http://a/", "TARN_PURGE_TOKEN=t");
    check_refused("tarn cache get --sha256 abc http://a/", "",
                  "--sha256 wants 64 hexadecimal digits, not 'abc'");
    check_refused("tarn cache get -C http://a/", "",
                  "--continue needs --output: only a file can be gone on with");
    check_refused("tarn cache get -C -o - http://a/", "",
                  "--continue needs --output: only a file can be gone on with");
    check_runs("tarn cache get -Co f --ttl 2h http://a/", "");
    assert_true(options.resume);
    assert_string_equal(options.output, "f");
    assert_int_equal(options.ttl_ms, 7200000);
    check_runs("tarn cache get http://a/", "");
    assert_int_equal(options.ttl_ms, 0);
    assert_int_equal(options.timeout_ms, 3600000);
    assert_int_equal(options.connect_timeout_ms, 5000);
    assert_null(options.output);
    check_refused("tarn cache get --ttl 10ms http://a/", "",
                  "--ttl wants a time from 1s to 3650d, like 500ms, 10s or 5m, not '10ms'");
}

static void
test_options_of_other_commands(void **state)
{
    check_refused("tarn cache ls --quota 1", "",
                  "--quota belongs to 'tarn cache', not to 'tarn cache ls'");
    check_refused("tarn cache --json", "",
                  "--json belongs to 'tarn cache ls', not to 'tarn cache'");
    check_refused("tarn cache get --search a http://a/", "",
                  "--search belongs to 'tarn cache ls', not to 'tarn cache get'");
    check_refused("tarn cache ls --spa", "",
                  "--spa belongs to 'tarn serve', not to 'tarn cache ls'");
    check_refused("tarn --url a x", "", "--url belongs to 'tarn cache ls', not to 'tarn serve'");
    check_runs("tarn cache ls", "TARN_QUOTA=nonsense TARN_ADDR=nonsense");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_commands_are_two_words), TEST(test_a_word_that_is_no_command),
        TEST(test_where_the_cache_is),         TEST(test_a_directory_or_an_address),
        TEST(test_resources_are_urls),         TEST(test_what_get_and_purge_need),
        TEST(test_options_of_other_commands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
