/* The environment's proxies: which variable counts, what a proxy may look like, and no_proxy. */
#include "proxy/env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char *const names[] = {"http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY",
                                    "all_proxy",  "ALL_PROXY",  "no_proxy",    "NO_PROXY"};

static int
clear(void **state)
{
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
    return 0;
}

static struct proxy_env *
read_env(void)
{
    struct proxy_env *env;
    struct error error;
    if (proxy_env_new(&env, &error) != 0)
        fail_msg("%s", error.text);
    return env;
}

/* "host:port" of the proxy for a URL, and the authorization behind a blank; "": none. */
static const char *
find(const struct proxy_env *env, const char *text)
{
    static char out[256];
    struct url url;
    struct str authorization = STR("left over");
    assert_true(url_parse(str_from_cstr(text), &url));
    const struct url *proxy = proxy_env_find(env, &url, &authorization);
    out[0] = '\0';
    if (proxy)
        snprintf(out, sizeof out, "%.*s:%u%s%.*s", STR_ARG(proxy->host), proxy->port,
                 authorization.len ? " " : "", STR_ARG(authorization));
    else
        assert_int_equal(authorization.len, 0);
    return out;
}

static void
assert_found(const char *url, const char *wanted)
{
    struct proxy_env *env = read_env();
    assert_string_equal(find(env, url), wanted);
    proxy_env_free(env);
}

static void
assert_error(const char *name, const char *value, const char *text)
{
    struct proxy_env *env;
    struct error error;
    clear(NULL);
    setenv("http_proxy", "http://proxy", 1);
    setenv(name, value, 1);
    assert_int_equal(proxy_env_new(&env, &error), -1);
    assert_null(env);
    if (strncmp(error.text, name, strlen(name)) != 0 || !strstr(error.text, text))
        fail_msg("'%s' does not say '%s'", error.text, text);
    assert_null(strstr(error.text, "secret"));
    assert_null(strchr(error.text, '\n'));
}

/* --- which variable --- */

static void
test_none(void **state)
{
    assert_null(read_env());
    assert_string_equal(find(NULL, "http://a/"), "");
    setenv("no_proxy", "*", 1);
    setenv("http_proxy", "", 1);
    assert_null(read_env());
    /* A CGI request could set it. */
    setenv("HTTP_PROXY", "http://upper", 1);
    assert_null(read_env());
}

static void
test_which_variable(void **state)
{
    setenv("ALL_PROXY", "http://all-upper:1", 1);
    assert_found("http://a/", "all-upper:1");
    setenv("all_proxy", "http://all-lower:2", 1);
    assert_found("http://a/", "all-lower:2");
    assert_found("https://a/", "all-lower:2");
    setenv("HTTPS_PROXY", "http://upper:3", 1);
    assert_found("https://a/", "upper:3");
    setenv("https_proxy", "http://lower:4", 1);
    assert_found("https://a/", "lower:4");
    assert_found("http://a/", "all-lower:2");
    setenv("http_proxy", "http://plain:5", 1);
    assert_found("http://a/", "plain:5");
    assert_found("https://a/", "lower:4");
    setenv("https_proxy", "", 1);
    assert_found("https://a/", "upper:3");
}

static void
test_one_scheme_alone(void **state)
{
    setenv("https_proxy", "http://proxy:1", 1);
    assert_found("http://a/", "");
    assert_found("https://a/", "proxy:1");
}

/* --- what a proxy looks like --- */

static void
test_forms(void **state)
{
    static const struct {
        const char *value, *wanted;
    } cases[] = {
        {"http://proxy:3128", "proxy:3128"},
        {"HTTP://proxy:3128/", "proxy:3128"},
        {"http://proxy:3128/path?query#fragment", "proxy:3128"},
        {"proxy:3128", "proxy:3128"},
        {"proxy", "proxy:1080"},
        {"http://proxy", "proxy:1080"},
        {"http://proxy:80", "proxy:80"},
        {" proxy:1 ", "proxy:1"},
        {"[::1]:8080", "::1:8080"},
        {"http://user:secret@proxy:1", "proxy:1 Basic dXNlcjpzZWNyZXQ="},
        {"user:secret@proxy", "proxy:1080 Basic dXNlcjpzZWNyZXQ="},
        {"http://user@proxy:1", "proxy:1 Basic dXNlcjo="},
        {"http://:@proxy:1", "proxy:1 Basic Og=="},
        {"http://a:b@proxy:1", "proxy:1 Basic YTpi"},
        {"http://a:b%40c%2F:d@proxy:1", "proxy:1 Basic YTpiQGMvOmQ="},
        {"http://a:p@ss@proxy:1", "proxy:1 Basic YTpwQHNz"},
        {"http://a:\xc3\xa4@proxy:1", "proxy:1 Basic YTrDpA=="},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        setenv("http_proxy", cases[i].value, 1);
        assert_found("http://a/", cases[i].wanted);
    }
}

static void
test_proxies_that_cannot_be_used(void **state)
{
    static const char *const values[] = {"https://secret:secret@proxy",
                                         "socks5://proxy",
                                         "http://",
                                         "http://secret:secret@",
                                         "http://proxy:0",
                                         "http://proxy:65536",
                                         "http://pro xy",
                                         "http://a%3Ab:secret@proxy",
                                         "http://a:secret%0a@proxy",
                                         "http://a:secret%zz@proxy",
                                         "http://a:secret%4@proxy",
                                         "http://a:secr\001et@proxy"};
    for (unsigned i = 0; i < sizeof values / sizeof *values; i++) {
        assert_error("http_proxy", values[i], "must be http://[USER:PASSWORD@]HOST[:PORT]");
        assert_error("HTTPS_PROXY", values[i], "must be http://[USER:PASSWORD@]HOST[:PORT]");
    }
}

/* --- no_proxy --- */

static const struct {
    const char *list, *url;
    bool direct;
} direct_cases[] = {
    {"*", "http://a/", true},
    {"b,*", "http://a/", true},
    {"a", "http://a/", true},
    {"a", "http://A:8080/", true},
    {"A", "http://a/", true},
    {"a", "http://ba/", false},
    {"a", "http://b.a/", true},
    {"a", "http://a.b/", false},
    {"example.org", "http://example.org/", true},
    {"example.org", "http://www.example.org/", true},
    {"example.org", "http://wwwexample.org/", false},
    {"example.org", "http://example.org.uk/", false},
    {".example.org", "http://example.org/", true},
    {".example.org", "http://www.example.org/", true},
    {".example.org", "http://wwwexample.org/", false},
    {"example.org.", "http://example.org/", true},
    {"example.org", "http://example.org./", true},
    {"example.org:8080", "http://example.org/", true},
    {"example.org:8080", "http://example.org:9090/", true},
    {"www.example.org", "http://example.org/", false},
    {"x, y\tz  a,", "http://a/", true},
    {",,a,,", "http://a/", true},
    {".", "http://a/", false},
    {",", "http://a/", false},
    {"192.0.2.1", "http://192.0.2.1/", true},
    {"192.0.2.1:80", "http://192.0.2.1:8080/", true},
    {"192.0.2.1", "http://192.0.2.10/", false},
    {"0.2.1", "http://192.0.2.1/", false},
    {"2.1", "http://192.0.2.1/", false},
    {"192.0.2.0/24", "http://192.0.2.200/", true},
    {"192.0.2.0/24", "http://192.0.3.200/", false},
    {"192.0.2.77/24", "http://192.0.2.200/", true},
    {"192.0.2.128/25", "http://192.0.2.127/", false},
    {"192.0.2.128/25", "http://192.0.2.128/", true},
    {"10.0.0.0/8", "http://10.1.2.3/", true},
    {"10.0.0.0/8", "http://host.10.0.0.0/", false},
    {"0.0.0.0/0", "http://192.0.2.1/", true},
    {"0.0.0.0/0", "http://[::1]/", false},
    {"0.0.0.0/0", "http://name/", false},
    {"::1", "http://[::1]/", true},
    {"[::1]", "http://[::1]/", true},
    {"[::1]:80", "http://[::1]:8080/", true},
    {"::1", "http://[::2]/", false},
    {"0:0::1", "http://[::1]/", true},
    {"fd00::/8", "http://[fd12::1]/", true},
    {"fd00::/8", "http://[fe12::1]/", false},
    {"::/0", "http://192.0.2.1/", false},
    {"192.0.2.1", "http://name/", false},
    {"name", "http://[::1]/", false},
    {"name", "http://192.0.2.1/", false},
};

static void
test_no_proxy(void **state)
{
    setenv("http_proxy", "http://proxy:1", 1);
    for (unsigned i = 0; i < sizeof direct_cases / sizeof *direct_cases; i++) {
        setenv(i % 2 ? "no_proxy" : "NO_PROXY", direct_cases[i].list, 1);
        unsetenv(i % 2 ? "NO_PROXY" : "no_proxy");
        struct proxy_env *env = read_env();
        bool direct = find(env, direct_cases[i].url)[0] == '\0';
        if (direct != direct_cases[i].direct)
            fail_msg("'%s' and %s", direct_cases[i].list, direct_cases[i].url);
        proxy_env_free(env);
    }
}

static void
test_lower_case_no_proxy_counts(void **state)
{
    setenv("http_proxy", "http://proxy:1", 1);
    setenv("NO_PROXY", "a", 1);
    setenv("no_proxy", "b", 1);
    assert_found("http://a/", "proxy:1");
    assert_found("http://b/", "");
}

static void
test_networks_that_are_none(void **state)
{
    static const char *const values[] = {"a,10.0.0.0/33", "10.0.0.0/", "10.0.0.0/8/8", "::/129",
                                         "name/8",        "/8",        "10.0.0/8",     "::1/x"};
    for (unsigned i = 0; i < sizeof values / sizeof *values; i++)
        assert_error("no_proxy", values[i], "is no network");
}

static void
test_too_long(void **state)
{
    char *list = malloc(PROXY_ENV_MAX + 1);
    memset(list, 'a', PROXY_ENV_MAX);
    list[PROXY_ENV_MAX] = '\0';
    assert_error("no_proxy", list, "too long");
    for (unsigned i = 1; i < PROXY_ENV_MAX; i += 2)
        list[i] = ',';
    list[100000] = '\0';
    assert_error("no_proxy", list, "too long");
    free(list);
}

#define with_env(test) cmocka_unit_test_setup_teardown(test, clear, clear)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        with_env(test_none),
        with_env(test_which_variable),
        with_env(test_one_scheme_alone),
        with_env(test_forms),
        with_env(test_proxies_that_cannot_be_used),
        with_env(test_no_proxy),
        with_env(test_lower_case_no_proxy_counts),
        with_env(test_networks_that_are_none),
        with_env(test_too_long),
    };
    return cmocka_run_group_tests_name("env", tests, NULL, NULL);
}
