#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http/url.h"

#define assert_str(actual, expected)                                               \
    do {                                                                           \
        struct str actual_ = (actual), expected_ = str_from_cstr(expected);        \
        if (!str_eq(actual_, expected_))                                           \
            fail_msg("got \"%.*s\", wanted \"%s\"", STR_ARG(actual_), (expected)); \
    } while (0)

static int
setup(void **state)
{
    struct arena *arena = malloc(sizeof *arena);
    if (!arena)
        return -1;
    arena_init(arena, 1 << 20, 4096);
    *state = arena;
    return 0;
}

static int
teardown(void **state)
{
    arena_deinit(*state);
    free(*state);
    return 0;
}

static struct url
parsed(const char *text)
{
    struct url url;
    if (!url_parse(str_from_cstr(text), &url))
        fail_msg("refused \"%s\"", text);
    return url;
}

static void
parts_of_a_url(void **state)
{
    struct url url = parsed("HTTPS://Example.COM:8443/a/b%2fc?x=1&y=/?#frag?ment");
    assert_int_equal(url.scheme, URL_HTTPS);
    assert_str(url.host, "Example.COM");
    assert_false(url.is_ipv6);
    assert_true(url.has_port);
    assert_int_equal(url.port, 8443);
    assert_str(url.path, "/a/b%2fc");
    assert_true(url.has_query);
    assert_str(url.query, "x=1&y=/?");

    url = parsed("http://h");
    assert_int_equal(url.scheme, URL_HTTP);
    assert_int_equal(url.port, 80);
    assert_false(url.has_port);
    assert_int_equal(url.path.len, 0);
    assert_false(url.has_query);

    url = parsed("https://[2001:DB8::1]?");
    assert_true(url.is_ipv6);
    assert_str(url.host, "2001:DB8::1");
    assert_int_equal(url.port, 443);
    assert_true(url.has_query);
    assert_int_equal(url.query.len, 0);

    url = parsed("http://[::1]:00080/");
    assert_str(url.host, "::1");
    assert_true(url.has_port);
    assert_int_equal(url.port, 80);

    url = parsed("http://h:/x");
    assert_str(url.host, "h");
    assert_false(url.has_port);
    assert_int_equal(url.port, 80);
    assert_str(url.path, "/x");

    url = parsed("http://h#/x?y");
    assert_int_equal(url.path.len, 0);
    assert_false(url.has_query);
    assert_int_equal(parsed("http://h:65535").port, 65535);
}

static void
refused_urls(void **state)
{
    static const struct str cases[] = {
        STR_INIT(""),
        STR_INIT("http"),
        STR_INIT("http:"),
        STR_INIT("http:/h"),
        STR_INIT("http:h"),
        STR_INIT("http://"),
        STR_INIT("http:///x"),
        STR_INIT("http://?q"),
        STR_INIT("http://#f"),
        STR_INIT("http://:80/"),
        STR_INIT("https//h/"),
        STR_INIT("ftp://h/"),
        STR_INIT("file:///etc/passwd"),
        STR_INIT("httpss://h/"),
        STR_INIT("ttp://h/"),
        STR_INIT("://h/"),
        STR_INIT("//h/"),
        STR_INIT("/x"),
        STR_INIT("h/x"),
        STR_INIT("http://u@h/"),
        STR_INIT("http://u:p@h/"),
        STR_INIT("http://@h/"),
        STR_INIT("http://h@/"),
        STR_INIT("http://good.example\\@evil.example/"),
        STR_INIT("http://h\\x/"),
        STR_INIT("http://h:0/"),
        STR_INIT("http://h:0000/"),
        STR_INIT("http://h:65536/"),
        STR_INIT("http://h:4294967376/"),
        STR_INIT("http://h:18446744073709551696/"),
        STR_INIT("http://h:-1/"),
        STR_INIT("http://h:8a/"),
        STR_INIT("http://h:80:80/"),
        STR_INIT("http://[::1/"),
        STR_INIT("http://[]/"),
        STR_INIT("http://[1.2.3.4]/"),
        STR_INIT("http://[::1]x/"),
        STR_INIT("http://[fe80::1%25eth0]/"),
        STR_INIT("http://::1/"),
        STR_INIT("http://h%61/"),
        STR_INIT("http://%68/"),
        STR_INIT("http://\xc3\xa9/"),
        STR_INIT("http://a b/"),
        STR_INIT("http://h/a b"),
        STR_INIT("http://h/a\tb"),
        STR_INIT("http://h/a\nb"),
        STR_INIT("http://h/\r\nX: y"),
        STR_INIT("http://h/a\0b"),
        STR_INIT("http://h/?a\0b"),
        STR_INIT("http://h/a\x7f"),
        STR_INIT("http://h/#a b"),
        STR_INIT("http://h/#\x01"),
        STR_INIT(" http://h/"),
        STR_INIT("http://h/ "),
        STR_INIT("http://h/%"),
        STR_INIT("http://h/%4"),
        STR_INIT("http://h/%4?41"),
        STR_INIT("http://h/%g0"),
        STR_INIT("http://h/%%41"),
        STR_INIT("http://h/?%"),
        STR_INIT("http://h/?%4#1"),
        STR_INIT("http://h/%41?a=%zz"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct url url;
        if (url_parse(cases[i], &url))
            fail_msg("accepted \"%.*s\"", STR_ARG(cases[i]));
    }
}

static void
canonical_texts(void **state)
{
    static const char *const cases[][2] = {
        {"http://h", "http://h/"},
        {"http://h/", "http://h/"},
        {"HTTP://H.Example/", "http://h.example/"},
        {"http://h:80/", "http://h/"},
        {"http://h:/", "http://h/"},
        {"http://h:00080", "http://h/"},
        {"https://h:443/", "https://h/"},
        {"http://h:443/", "http://h:443/"},
        {"https://h:80/", "https://h:80/"},
        {"http://h?q", "http://h/?q"},
        {"http://h?", "http://h/?"},
        {"http://h/?", "http://h/?"},
        {"http://h/a#f", "http://h/a"},
        {"http://h/#%zz", "http://h/"},
        {"http://[2001:DB8::A]:8080/X", "http://[2001:db8::a]:8080/X"},
        {"http://[::FFFF:1.2.3.4]", "http://[::ffff:1.2.3.4]/"},
        /* Nothing else of a path or query is touched. */
        {"http://h/A/../b/./c//d/", "http://h/A/../b/./c//d/"},
        {"http://h/%7euser/%2F%2f/%c3%A9", "http://h/%7euser/%2F%2f/%c3%A9"},
        {"http://h/a;b=c,d!$&'()*+:@-._~", "http://h/a;b=c,d!$&'()*+:@-._~"},
        {"http://h/x?b=2&a=1&&=?/%20+%2b", "http://h/x?b=2&a=1&&=?/%20+%2b"},
        /* What cannot be sent is encoded. */
        {"http://h/\xc3\xa9?\xff", "http://h/%C3%A9?%FF"},
        {"http://h/\"<>[\\]^`{|}", "http://h/%22%3C%3E%5B%5C%5D%5E%60%7B%7C%7D"},
        {"http://h/?a[]={1|2}", "http://h/?a%5B%5D=%7B1%7C2%7D"},
        /* RFC 3986 section 6.2.3 */
        {"http://example.com", "http://example.com/"},
        {"http://example.com:/", "http://example.com/"},
        {"http://example.com:80/", "http://example.com/"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct url url = parsed(cases[i][0]);
        struct str text = url_canonical(&url, *state);
        assert_str(text, cases[i][1]);
        assert_int_equal(text.ptr[text.len], '\0');
        url = parsed(cases[i][1]);
        assert_str(url_canonical(&url, *state), cases[i][1]);
    }
}

static void
signed_url_survives_to_the_byte(void **state)
{
    static const char text[] =
        "https://bucket.s3.eu-west-1.amazonaws.com/kernels/Image%2B5.10%20rc1.gz"
        "?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAEXAMPLE%2f20240101%2Feu-west-1"
        "%2Fs3%2Faws4_request&X-Amz-Date=20240101T000000Z&X-Amz-Expires=900"
        "&X-Amz-SignedHeaders=host&X-Amz-Signature=0123456789abcdef";
    struct url url = parsed(text);
    assert_str(url_canonical(&url, *state), text);
    assert_str(url_request_target(&url, *state),
               text + sizeof "https://bucket.s3.eu-west-1.amazonaws.com" - 1);
}

static void
targets_and_authorities(void **state)
{
    static const char *const cases[][3] = {
        {"http://H", "/", "h"},
        {"http://h:80?q", "/?q", "h"},
        {"http://h:81/a?", "/a?", "h:81"},
        {"https://h:80/a#f", "/a", "h:80"},
        {"https://[::1]:443/\xc3\xa9", "/%C3%A9", "[::1]"},
        {"http://[::A]:65535//x", "//x", "[::a]:65535"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct url url = parsed(cases[i][0]);
        struct str target = url_request_target(&url, *state);
        struct str authority = url_authority(&url, *state);
        assert_str(target, cases[i][1]);
        assert_str(authority, cases[i][2]);
        assert_int_equal(target.ptr[target.len], '\0');
        assert_int_equal(authority.ptr[authority.len], '\0');
    }
}

static void
assert_resolved(struct arena *arena, const char *base_text, const char *reference,
                const char *expected)
{
    struct url base = parsed(base_text), out;
    bool ok = url_resolve(&base, str_from_cstr(reference), arena, &out);
    if (!ok && expected)
        fail_msg("\"%s\" at %s was refused", reference, base_text);
    if (ok && !expected)
        fail_msg("\"%s\" at %s was accepted", reference, base_text);
    if (!ok)
        return;
    struct str text = url_canonical(&out, arena);
    if (!str_eq(text, str_from_cstr(expected)))
        fail_msg("\"%s\" at %s: got %s, wanted %s", reference, base_text, text.ptr, expected);
}

/* RFC 3986 sections 5.4.1 and 5.4.2. The base is the RFC's; fragments are dropped here, and other
 * schemes refused (NULL). */
static void
examples_of_the_rfc(void **state)
{
    static const char *const cases[][2] = {
        {"g:h", NULL},
        {"g", "http://a/b/c/g"},
        {"./g", "http://a/b/c/g"},
        {"g/", "http://a/b/c/g/"},
        {"/g", "http://a/g"},
        {"//g", "http://g/"},
        {"?y", "http://a/b/c/d;p?y"},
        {"g?y", "http://a/b/c/g?y"},
        {"#s", "http://a/b/c/d;p?q"},
        {"g#s", "http://a/b/c/g"},
        {"g?y#s", "http://a/b/c/g?y"},
        {";x", "http://a/b/c/;x"},
        {"g;x", "http://a/b/c/g;x"},
        {"g;x?y#s", "http://a/b/c/g;x?y"},
        {"", "http://a/b/c/d;p?q"},
        {".", "http://a/b/c/"},
        {"./", "http://a/b/c/"},
        {"..", "http://a/b/"},
        {"../", "http://a/b/"},
        {"../g", "http://a/b/g"},
        {"../..", "http://a/"},
        {"../../", "http://a/"},
        {"../../g", "http://a/g"},
        {"../../../g", "http://a/g"},
        {"../../../../g", "http://a/g"},
        {"/./g", "http://a/g"},
        {"/../g", "http://a/g"},
        {"g.", "http://a/b/c/g."},
        {".g", "http://a/b/c/.g"},
        {"g..", "http://a/b/c/g.."},
        {"..g", "http://a/b/c/..g"},
        {"./../g", "http://a/b/g"},
        {"./g/.", "http://a/b/c/g/"},
        {"g/./h", "http://a/b/c/g/h"},
        {"g/../h", "http://a/b/c/h"},
        {"g;x=1/./y", "http://a/b/c/g;x=1/y"},
        {"g;x=1/../y", "http://a/b/c/y"},
        {"g?y/./x", "http://a/b/c/g?y/./x"},
        {"g?y/../x", "http://a/b/c/g?y/../x"},
        {"g#s/./x", "http://a/b/c/g"},
        {"g#s/../x", "http://a/b/c/g"},
        {"http:g", NULL}, /* strictly "http:g", which has no host */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_resolved(*state, "http://a/b/c/d;p?q", cases[i][0], cases[i][1]);
}

static void
further_references(void **state)
{
    static const char *const cases[][3] = {
        {"http://a", "g", "http://a/g"},
        {"http://a", "../g", "http://a/g"},
        {"http://a?q", "", "http://a/?q"},
        {"http://a?q", "?", "http://a/?"},
        {"http://a/b?q", "c", "http://a/c"},
        {"http://a/b/?q", "c", "http://a/b/c"},
        {"http://a/x/../y?q", "?z", "http://a/x/../y?z"}, /* a path that is kept is kept */
        {"http://a/x/../y", "z", "http://a/z"},
        {"http://a/b//c", "..", "http://a/b/"},
        {"http://a/b//c", "../..", "http://a/"},
        {"http://a/b", "c//../d", "http://a/c/d"},
        {"http://a/b", ".//", "http://a//"},
        {"http://a/b", "/.//evil.example/x", "http://a//evil.example/x"},
        {"http://a/b/", "%2e%2e/c", "http://a/b/%2e%2e/c"},
        {"https://a:8443/b", "/c", "https://a:8443/c"},
        {"https://a:8443/b", "//c/d", "https://c/d"},
        {"https://a/b", "//C:80", "https://c:80/"},
        {"https://a/b", "http://C:80/../x/./y", "http://c/x/y"},
        {"http://a/b", "HTTPS://c", "https://c/"},
        {"http://[::1]:81/b", "c", "http://[::1]:81/c"},
        {"http://a/b", "//[::1]/c", "http://[::1]/c"},
        {"http://a/b/\xc3\xa9/x", "y", "http://a/b/%C3%A9/y"},
        {"http://a/b", "{x}", "http://a/%7Bx%7D"},
        {"http://a/b", "c?x:y", "http://a/c?x:y"},
        {"http://a/b", "c/x:y", "http://a/c/x:y"},
        {"http://a/b", "./x:y", "http://a/x:y"},
        {"http://a/b", "c#x:y z", NULL},
        {"http://a/b", "x:y", NULL},
        {"http://a/b", ":x", NULL},
        {"http://a/b", "//", NULL},
        {"http://a/b", "///c", NULL},
        {"http://a/b", "http:/.//c/", NULL}, /* a path must not become a host */
        {"http://a/b", "//u@c/", NULL},
        {"http://a/b", "//c:0/", NULL},
        {"http://a/b", "http://", NULL},
        {"http://a/b", "https://u:p@c/", NULL},
        {"http://a/b", "javascript:alert(1)", NULL},
        {"http://a/b", "file:///etc/passwd", NULL},
        {"http://a/b", "c d", NULL},
        {"http://a/b", "c\r\nX: y", NULL},
        {"http://a/b", "c%4", NULL},
        {"http://a/b", "?%", NULL},
        {"http://a/b", "%2/../c", NULL}, /* also where it would be removed */
        {"http://a/b", "http://a/%2/../c", NULL},
        {"http://a/%4a", "%", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_resolved(*state, cases[i][0], cases[i][1], cases[i][2]);
}

static void
resolved_url_lies_in_the_arena(void **state)
{
    char base_text[] = "http://a.example:81/b?q", reference[] = "?r";
    struct url base, out;
    assert_true(url_parse(str_from_cstr(base_text), &base));
    assert_true(url_resolve(&base, str_from_cstr(reference), *state, &out));
    memset(base_text, 'x', sizeof base_text);
    memset(reference, 'x', sizeof reference);
    assert_str(out.host, "a.example");
    assert_str(url_canonical(&out, *state), "http://a.example:81/b?r");
}

/* A URL of `len` bytes: `start`, then as many of `filler`. */
static struct str
long_url(char *buffer, const char *start, size_t len, char filler)
{
    memset(buffer, filler, len);
    memcpy(buffer, start, strlen(start));
    return str_make(buffer, len);
}

static void
lengths_are_bounded(void **state)
{
    static char text[URL_MAX + 16];
    struct url url;
    assert_true(url_parse(long_url(text, "http://h/", URL_MAX, 'a'), &url));
    assert_int_equal(url_canonical(&url, *state).len, URL_MAX);
    assert_false(url_parse(long_url(text, "http://h/", URL_MAX + 1, 'a'), &url));
    assert_false(url_parse(long_url(text, "http://h#", URL_MAX + 1, 'a'), &url));
    /* The slash of an empty path counts. */
    assert_true(url_parse(long_url(text, "http://h?", URL_MAX - 1, 'a'), &url));
    assert_int_equal(url_canonical(&url, *state).len, URL_MAX);
    assert_false(url_parse(long_url(text, "http://h?", URL_MAX, 'a'), &url));
    /* Bytes that will be encoded count as three. */
    size_t third = (URL_MAX - 9) / 3;
    assert_true(url_parse(long_url(text, "http://h/", 9 + third, '\xe9'), &url));
    assert_in_range(url_canonical(&url, *state).len, URL_MAX - 2, URL_MAX);
    assert_false(url_parse(long_url(text, "http://h/", 10 + third, '\xe9'), &url));

    char host[8 + URL_HOST_MAX + 1];
    assert_true(url_parse(long_url(host, "http://", 7 + URL_HOST_MAX, 'a'), &url));
    assert_int_equal(url_authority(&url, *state).len, URL_HOST_MAX);
    assert_false(url_parse(long_url(host, "http://", 8 + URL_HOST_MAX, 'a'), &url));
}

static void
long_references_are_bounded(void **state)
{
    static char base_text[URL_MAX], reference[URL_MAX + 1];
    struct url base, out;
    assert_true(url_parse(long_url(base_text, "http://h/", URL_MAX / 2 + 9, '/'), &base));
    memset(reference, 'r', sizeof reference);
    size_t room = URL_MAX - URL_MAX / 2 - 9;
    assert_true(url_resolve(&base, str_make(reference, room), *state, &out));
    assert_int_equal(url_canonical(&out, *state).len, URL_MAX);
    assert_false(url_resolve(&base, str_make(reference, room + 1), *state, &out));
    assert_false(url_resolve(&base, str_make(reference, sizeof reference), *state, &out));
    reference[0] = '#';
    assert_false(url_resolve(&base, str_make(reference, sizeof reference), *state, &out));
    assert_true(url_resolve(&base, str_make(reference, URL_MAX), *state, &out));
    /* Long on the way, short in the end. */
    for (size_t i = 0; i + 3 <= URL_MAX; i += 3)
        memcpy(reference + i, "../", 3);
    assert_true(url_resolve(&base, str_make(reference, URL_MAX - URL_MAX % 3), *state, &out));
    assert_false(arena_overflowed(*state));
}

static void
full_arena_is_reported(void **state)
{
    struct url base = parsed("http://h.example:8080/a/b"), out;
    for (size_t max = 1; max < 200; max++) {
        struct arena arena;
        arena_init(&arena, max, 64);
        struct str text = url_canonical(&base, &arena);
        assert_int_equal(text.ptr != NULL, max > 25);
        assert_int_equal(arena_overflowed(&arena), max <= 25);
        arena_reset(&arena);
        assert_int_equal(url_authority(&base, &arena).ptr != NULL, max > 14);
        arena_reset(&arena);
        assert_int_equal(url_request_target(&base, &arena).ptr != NULL, max > 4);
        arena_reset(&arena);
        bool ok = url_resolve(&base, STR("//h/c"), &arena, &out);
        assert_int_equal(ok, !arena_overflowed(&arena));
        arena_deinit(&arena);
    }
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(parts_of_a_url),          TEST(refused_urls),
        TEST(canonical_texts),         TEST(signed_url_survives_to_the_byte),
        TEST(targets_and_authorities), TEST(examples_of_the_rfc),
        TEST(further_references),      TEST(resolved_url_lies_in_the_arena),
        TEST(lengths_are_bounded),     TEST(long_references_are_bounded),
        TEST(full_arena_is_reported),
    };
    return cmocka_run_group_tests_name("url", tests, NULL, NULL);
}
