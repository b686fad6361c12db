#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "http/accept.h"

enum {
    BR = 1 << HTTP_CODING_BR,
    ZSTD = 1 << HTTP_CODING_ZSTD,
    GZIP = 1 << HTTP_CODING_GZIP,
    IDENTITY = 1 << HTTP_CODING_IDENTITY,
    ALL = BR | ZSTD | GZIP | IDENTITY,
};

static void
assert_qualities(const char *value, int br, int zstd, int gzip, int identity)
{
    struct http_accept_encoding accept;
    http_accept_encoding_parse(str_from_cstr(value), true, &accept);
    const int expected[HTTP_CODING_COUNT] = {br, zstd, gzip, identity};
    for (int i = 0; i < HTTP_CODING_COUNT; i++)
        if (accept.quality[i] != expected[i])
            fail_msg("\"%s\": coding %d has %d, wanted %d", value, i, accept.quality[i],
                     expected[i]);
}

static void
test_encoding_qualities(void **state)
{
    assert_qualities("gzip, deflate, br, zstd", 1000, 1000, 1000, 1);
    assert_qualities("gzip", 0, 0, 1000, 1);
    assert_qualities("x-gzip", 0, 0, 1000, 1);
    assert_qualities("GZip;Q=0.5, BR", 1000, 0, 500, 1);
    assert_qualities("gzip;q=0.123,br;q=1.000,zstd;q=0.1", 1000, 100, 123, 1);
    assert_qualities("gzip;q=1.", 0, 0, 1000, 1);
    assert_qualities("gzip;q=0.", 0, 0, 0, 1);
    assert_qualities(" gzip ; q=0.5 ,\tbr ;q=0.2 ", 200, 0, 500, 1);
    assert_qualities(",,gzip,,", 0, 0, 1000, 1);
    assert_qualities("gzip, gzip;q=0", 0, 0, 0, 1);
    assert_qualities("unknown", 0, 0, 0, 1);
}

static void
test_encoding_wildcard(void **state)
{
    assert_qualities("*", 1000, 1000, 1000, 1000);
    assert_qualities("*;q=0.5, br;q=0.1", 100, 500, 500, 500);
    assert_qualities("gzip, *;q=0", 0, 0, 1000, 0);
    assert_qualities("*;q=0", 0, 0, 0, 0);
    assert_qualities("identity, *;q=0", 0, 0, 0, 1000);
}

static void
test_encoding_identity(void **state)
{
    assert_qualities("identity;q=0", 0, 0, 0, 0);
    assert_qualities("identity;q=0, *", 1000, 1000, 1000, 0);
    assert_qualities("identity;q=0.5, gzip;q=0.4", 0, 0, 400, 500);
}

static void
test_encoding_absent_or_empty(void **state)
{
    struct http_accept_encoding accept;
    assert_qualities("", 0, 0, 0, 1000);
    assert_qualities(" ", 0, 0, 0, 1000);
    http_accept_encoding_parse((struct str){0}, false, &accept);
    assert_int_equal(http_coding_choose(&accept, ALL), HTTP_CODING_IDENTITY);
    assert_int_equal(http_coding_choose(&accept, BR), -1);
}

static void
test_malformed_members_are_skipped(void **state)
{
    static const char *const cases[] = {
        "gzip;",     "gzip;q",    "gzip;q=",    "gzip;q=2",      "gzip;q=1.001", "gzip;q=0.1234",
        "gzip;q=.5", "gzip;q=-1", "gzip;q = 1", "gzip;q=1;x=1",  "gzip;x=1",     "gz ip",
        "gzip q=1",  "\"gzip\"",  "gzip;q=01",  "gzip;q=1.0000", "gzip;q=a",     "gzip/1",
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char value[64];
        snprintf(value, sizeof(value), "%s, br;q=0.3", cases[i]);
        assert_qualities(value, 300, 0, 0, 1);
    }
    assert_qualities("br, gzip;q=0,5x", 1000, 0, 0, 1);
}

static int
choose(const char *value, unsigned available)
{
    struct http_accept_encoding accept;
    http_accept_encoding_parse(str_from_cstr(value), true, &accept);
    return http_coding_choose(&accept, available);
}

static void
test_choice(void **state)
{
    assert_int_equal(choose("gzip, br, zstd", ALL), HTTP_CODING_BR);
    assert_int_equal(choose("gzip, br, zstd", GZIP | ZSTD | IDENTITY), HTTP_CODING_ZSTD);
    assert_int_equal(choose("gzip, br;q=0.9", ALL), HTTP_CODING_GZIP);
    assert_int_equal(choose("gzip", BR | IDENTITY), HTTP_CODING_IDENTITY);
    assert_int_equal(choose("gzip;q=0.001", ALL), HTTP_CODING_GZIP);
    assert_int_equal(choose("identity, gzip", ALL), HTTP_CODING_GZIP);
    assert_int_equal(choose("identity, gzip;q=0.9", ALL), HTTP_CODING_IDENTITY);
    assert_int_equal(choose("identity;q=0", IDENTITY), -1);
    assert_int_equal(choose("identity;q=0, gzip", ALL), HTTP_CODING_GZIP);
    assert_int_equal(choose("*;q=0", ALL), -1);
    assert_int_equal(choose("gzip", 0), -1);
}

static void
test_coding_names(void **state)
{
    assert_true(str_eq(http_coding_name(HTTP_CODING_BR), STR("br")));
    assert_true(str_eq(http_coding_name(HTTP_CODING_ZSTD), STR("zstd")));
    assert_true(str_eq(http_coding_name(HTTP_CODING_GZIP), STR("gzip")));
    assert_true(str_eq(http_coding_name(HTTP_CODING_IDENTITY), STR("identity")));
}

static void
test_accept_names(void **state)
{
    struct str html = STR("text/html");
    assert_true(http_accept_names(STR("text/html"), html));
    assert_true(http_accept_names(STR("Text/HTML"), html));
    assert_true(http_accept_names(
        STR("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), html));
    assert_true(http_accept_names(STR("a/b, text/html;q=0.1"), html));
    assert_true(http_accept_names(STR("text/html;level=1"), html));
    assert_false(http_accept_names(STR("*/*"), html));
    assert_false(http_accept_names(STR("text/*"), html));
    assert_false(http_accept_names(STR("text/html;q=0"), html));
    assert_false(http_accept_names(STR("text/html;q=0.000"), html));
    assert_false(http_accept_names(STR("text/html;q=x"), html));
    assert_false(http_accept_names(STR("text/htmlx"), html));
    assert_false(http_accept_names(STR("a/b;c=\", text/html\""), html));
    assert_false(http_accept_names(STR(""), html));
    assert_true(http_accept_names(STR("a/b;c=\"\\\", \", text/html"), html));
}

static void
assert_quality(const char *value, const char *media_type, unsigned expected)
{
    unsigned got = http_accept_quality(str_from_cstr(value), str_from_cstr(media_type));
    if (got != expected)
        fail_msg("\"%s\" gives %s %u, wanted %u", value, media_type, got, expected);
}

static void
test_accept_quality(void **state)
{
    assert_quality("", "text/html", 1000);
    assert_quality("*/*", "text/html", 1000);
    assert_quality("*/*;q=0.1, text/*;q=0.2, text/html;q=0.3", "text/html", 300);
    assert_quality("text/html;q=0.3, text/*;q=0.2, */*;q=0.1", "text/html", 300);
    assert_quality("*/*;q=0.1, text/*;q=0.2, text/html;q=0.3", "text/plain", 200);
    assert_quality("*/*;q=0.1, text/*;q=0.2, text/html;q=0.3", "image/png", 100);
    assert_quality("text/html;q=0, */*", "text/html", 0);
    assert_quality("text/html", "image/png", 0);
    assert_quality("te/*", "text/html", 0);
    assert_quality("text/*", "te/html", 0);
    assert_quality("*/html", "text/html", 0);
    assert_quality("TEXT/*;Q=0.5", "text/html", 500);
}

static void
test_accept_quality_with_parameters(void **state)
{
    const char *value = "text/html;level=1;q=0.7, text/html;q=0.4, text/*;q=0.1";
    assert_quality(value, "text/html", 400);
    assert_quality(value, "text/html; level=1", 700);
    assert_quality(value, "text/html;level=2", 400);
    assert_quality("text/html;level=1", "text/html", 0);
    assert_quality("application/json; charset=UTF-8", "application/json; charset=utf-8", 1000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encoding_qualities),
        cmocka_unit_test(test_encoding_wildcard),
        cmocka_unit_test(test_encoding_identity),
        cmocka_unit_test(test_encoding_absent_or_empty),
        cmocka_unit_test(test_malformed_members_are_skipped),
        cmocka_unit_test(test_choice),
        cmocka_unit_test(test_coding_names),
        cmocka_unit_test(test_accept_names),
        cmocka_unit_test(test_accept_quality),
        cmocka_unit_test(test_accept_quality_with_parameters),
    };
    return cmocka_run_group_tests_name("accept", tests, NULL, NULL);
}
