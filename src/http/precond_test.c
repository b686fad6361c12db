#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "http/precond.h"

#define DATE_BEFORE "Sun, 06 Nov 1994 08:49:36 GMT"
#define DATE_MTIME "Sun, 06 Nov 1994 08:49:37 GMT"
#define DATE_AFTER "Sun, 06 Nov 1994 08:49:38 GMT"

static const int64_t mtime = 784111777;
static const int64_t now = 1710000000;

static const struct http_validators strong = {
    .etag = STR_INIT("\"v1\""), .mtime = 784111777, .has_mtime = true, .exists = true};
static const struct http_validators weak = {
    .etag = STR_INIT("W/\"v1\""), .mtime = 784111777, .has_mtime = true, .exists = true};
static const struct http_validators bare = {.exists = true};
static const struct http_validators missing = {.exists = false};

/* A head built from "name: value" lines for one test. */
struct request {
    char bytes[2048];
    size_t len;
    struct http_field fields[8];
    struct http_head head;
};

static void
request_start(struct request *request, enum http_method method)
{
    request->len = 0;
    http_head_init(&request->head, request->fields, 8);
    request->head.base = request->bytes;
    request->head.method = (uint8_t)method;
}

static void
request_add(struct request *request, enum http_field_id id, const char *value)
{
    size_t len = strlen(value);
    memcpy(request->bytes + request->len, value, len);
    assert_true(http_head_add(&request->head, 0, 0, (uint32_t)request->len, (uint32_t)len, id));
    request->len += len;
}

static enum http_precond
check_one(enum http_method method, enum http_field_id id, const char *value,
          const struct http_validators *validators)
{
    struct request request;
    request_start(&request, method);
    request_add(&request, HTTP_FIELD_HOST, "h");
    request_add(&request, id, value);
    return http_precond_check(&request.head, validators, now);
}

static enum http_precond
check_two(enum http_field_id id_1, const char *value_1, enum http_field_id id_2,
          const char *value_2, const struct http_validators *validators)
{
    struct request request;
    request_start(&request, HTTP_METHOD_GET);
    request_add(&request, id_1, value_1);
    request_add(&request, HTTP_FIELD_HOST, "h");
    request_add(&request, id_2, value_2);
    return http_precond_check(&request.head, validators, now);
}

#define get_one(id, value, validators) \
    check_one(HTTP_METHOD_GET, HTTP_FIELD_##id, value, validators)

static void
test_nothing_asked(void **state)
{
    struct request request;
    request_start(&request, HTTP_METHOD_GET);
    assert_int_equal(http_precond_check(&request.head, &strong, now), HTTP_PRECOND_NONE);
    assert_true(http_precond_range_applies(&request.head, &strong, now));
}

static void
test_if_match(void **state)
{
    assert_int_equal(get_one(IF_MATCH, "\"v1\"", &strong), HTTP_PRECOND_NONE);
    assert_int_equal(get_one(IF_MATCH, "\"v0\", \"v1\"", &strong), HTTP_PRECOND_NONE);
    assert_int_equal(get_one(IF_MATCH, "\"v0\"", &strong), HTTP_PRECOND_412);
    assert_int_equal(get_one(IF_MATCH, "W/\"v1\"", &strong), HTTP_PRECOND_412);
    assert_int_equal(get_one(IF_MATCH, "W/\"v1\"", &weak), HTTP_PRECOND_412);
    assert_int_equal(get_one(IF_MATCH, "\"v1\"", &weak), HTTP_PRECOND_412);
    assert_int_equal(get_one(IF_MATCH, "v1", &strong), HTTP_PRECOND_412);
    assert_int_equal(get_one(IF_MATCH, "", &strong), HTTP_PRECOND_412);
    assert_int_equal(get_one(IF_MATCH, "*", &bare), HTTP_PRECOND_NONE);
    assert_int_equal(get_one(IF_MATCH, "*", &missing), HTTP_PRECOND_412);
    assert_int_equal(get_one(IF_MATCH, "\"v1\"", &missing), HTTP_PRECOND_412);
    assert_int_equal(check_one(HTTP_METHOD_PUT, HTTP_FIELD_IF_MATCH, "\"v0\"", &strong),
                     HTTP_PRECOND_412);
}

static void
test_if_none_match(void **state)
{
    assert_int_equal(get_one(IF_NONE_MATCH, "\"v1\"", &strong), HTTP_PRECOND_304);
    assert_int_equal(get_one(IF_NONE_MATCH, "W/\"v1\"", &strong), HTTP_PRECOND_304);
    assert_int_equal(get_one(IF_NONE_MATCH, "\"v1\"", &weak), HTTP_PRECOND_304);
    assert_int_equal(get_one(IF_NONE_MATCH, "\"v0\" ,W/\"v1\"", &weak), HTTP_PRECOND_304);
    assert_int_equal(get_one(IF_NONE_MATCH, "\"v0\"", &strong), HTTP_PRECOND_NONE);
    assert_int_equal(get_one(IF_NONE_MATCH, "*", &bare), HTTP_PRECOND_304);
    assert_int_equal(get_one(IF_NONE_MATCH, "*", &missing), HTTP_PRECOND_NONE);
    assert_int_equal(get_one(IF_NONE_MATCH, "\"v1\"", &missing), HTTP_PRECOND_NONE);
    assert_int_equal(get_one(IF_NONE_MATCH, "\"\"", &bare), HTTP_PRECOND_NONE);
    assert_int_equal(check_one(HTTP_METHOD_HEAD, HTTP_FIELD_IF_NONE_MATCH, "*", &strong),
                     HTTP_PRECOND_304);
    assert_int_equal(check_one(HTTP_METHOD_PUT, HTTP_FIELD_IF_NONE_MATCH, "*", &strong),
                     HTTP_PRECOND_412);
    assert_int_equal(check_one(HTTP_METHOD_POST, HTTP_FIELD_IF_NONE_MATCH, "\"v1\"", &strong),
                     HTTP_PRECOND_412);
}

static void
test_lists_over_several_lines(void **state)
{
    assert_int_equal(
        check_two(HTTP_FIELD_IF_NONE_MATCH, "\"v0\"", HTTP_FIELD_IF_NONE_MATCH, "\"v1\"", &strong),
        HTTP_PRECOND_304);
    assert_int_equal(
        check_two(HTTP_FIELD_IF_MATCH, "\"v0\"", HTTP_FIELD_IF_MATCH, "\"v1\"", &strong),
        HTTP_PRECOND_NONE);
    assert_int_equal(
        check_two(HTTP_FIELD_IF_NONE_MATCH, "oops", HTTP_FIELD_IF_NONE_MATCH, "\"v1\"", &strong),
        HTTP_PRECOND_NONE);
}

static void
test_star_stands_alone(void **state)
{
    assert_int_equal(
        check_two(HTTP_FIELD_IF_NONE_MATCH, "*", HTTP_FIELD_IF_NONE_MATCH, "\"v0\"", &strong),
        HTTP_PRECOND_NONE);
    assert_int_equal(
        check_two(HTTP_FIELD_IF_NONE_MATCH, "\"v0\"", HTTP_FIELD_IF_NONE_MATCH, "*", &strong),
        HTTP_PRECOND_NONE);
    assert_int_equal(get_one(IF_NONE_MATCH, "*, \"v0\"", &strong), HTTP_PRECOND_NONE);
    assert_int_equal(get_one(IF_MATCH, "\"v0\", *", &strong), HTTP_PRECOND_412);
}

static void
test_if_modified_since(void **state)
{
    assert_int_equal(get_one(IF_MODIFIED_SINCE, DATE_MTIME, &strong), HTTP_PRECOND_304);
    assert_int_equal(get_one(IF_MODIFIED_SINCE, DATE_AFTER, &strong), HTTP_PRECOND_304);
    assert_int_equal(get_one(IF_MODIFIED_SINCE, DATE_BEFORE, &strong), HTTP_PRECOND_NONE);
    assert_int_equal(get_one(IF_MODIFIED_SINCE, "Sunday, 06-Nov-94 08:49:37 GMT", &strong),
                     HTTP_PRECOND_304);
    assert_int_equal(get_one(IF_MODIFIED_SINCE, "Sun Nov  6 08:49:37 1994", &strong),
                     HTTP_PRECOND_304);
    assert_int_equal(get_one(IF_MODIFIED_SINCE, "yesterday", &strong), HTTP_PRECOND_NONE);
    assert_int_equal(get_one(IF_MODIFIED_SINCE, DATE_AFTER, &bare), HTTP_PRECOND_NONE);
    assert_int_equal(get_one(IF_MODIFIED_SINCE, DATE_AFTER, &missing), HTTP_PRECOND_NONE);
    assert_int_equal(check_one(HTTP_METHOD_POST, HTTP_FIELD_IF_MODIFIED_SINCE, DATE_AFTER, &strong),
                     HTTP_PRECOND_NONE);
    assert_int_equal(check_two(HTTP_FIELD_IF_MODIFIED_SINCE, DATE_AFTER,
                               HTTP_FIELD_IF_MODIFIED_SINCE, DATE_AFTER, &strong),
                     HTTP_PRECOND_NONE);
}

static void
test_if_unmodified_since(void **state)
{
    assert_int_equal(get_one(IF_UNMODIFIED_SINCE, DATE_MTIME, &strong), HTTP_PRECOND_NONE);
    assert_int_equal(get_one(IF_UNMODIFIED_SINCE, DATE_BEFORE, &strong), HTTP_PRECOND_412);
    assert_int_equal(get_one(IF_UNMODIFIED_SINCE, "never", &strong), HTTP_PRECOND_NONE);
    assert_int_equal(get_one(IF_UNMODIFIED_SINCE, DATE_BEFORE, &bare), HTTP_PRECOND_NONE);
    assert_int_equal(get_one(IF_UNMODIFIED_SINCE, DATE_BEFORE, &missing), HTTP_PRECOND_NONE);
    assert_int_equal(
        check_one(HTTP_METHOD_DELETE, HTTP_FIELD_IF_UNMODIFIED_SINCE, DATE_BEFORE, &strong),
        HTTP_PRECOND_412);
}

static void
test_order_of_evaluation(void **state)
{
    /* If-Match that holds silences If-Unmodified-Since */
    assert_int_equal(check_two(HTTP_FIELD_IF_UNMODIFIED_SINCE, DATE_BEFORE, HTTP_FIELD_IF_MATCH,
                               "\"v1\"", &strong),
                     HTTP_PRECOND_NONE);
    /* If-None-Match, whatever it says, silences If-Modified-Since */
    assert_int_equal(check_two(HTTP_FIELD_IF_MODIFIED_SINCE, DATE_AFTER, HTTP_FIELD_IF_NONE_MATCH,
                               "\"v0\"", &strong),
                     HTTP_PRECOND_NONE);
    assert_int_equal(check_two(HTTP_FIELD_IF_MODIFIED_SINCE, DATE_BEFORE, HTTP_FIELD_IF_NONE_MATCH,
                               "\"v1\"", &strong),
                     HTTP_PRECOND_304);
    /* the failing one of the first pair comes before the second pair */
    assert_int_equal(
        check_two(HTTP_FIELD_IF_NONE_MATCH, "\"v1\"", HTTP_FIELD_IF_MATCH, "\"v0\"", &strong),
        HTTP_PRECOND_412);
    assert_int_equal(
        check_two(HTTP_FIELD_IF_NONE_MATCH, "\"v1\"", HTTP_FIELD_IF_MATCH, "\"v1\"", &strong),
        HTTP_PRECOND_304);
}

static bool
range_applies(const char *value, const struct http_validators *validators, int64_t at)
{
    struct request request;
    request_start(&request, HTTP_METHOD_GET);
    request_add(&request, HTTP_FIELD_IF_RANGE, value);
    return http_precond_range_applies(&request.head, validators, at);
}

static void
test_if_range(void **state)
{
    assert_true(range_applies("\"v1\"", &strong, now));
    assert_false(range_applies("\"v0\"", &strong, now));
    assert_false(range_applies("W/\"v1\"", &weak, now));
    assert_false(range_applies("\"v1\"", &weak, now));
    assert_false(range_applies("\"v1\", \"v2\"", &strong, now));
    assert_false(range_applies("*", &strong, now));
    assert_false(range_applies("\"v1", &strong, now));
    assert_false(range_applies("\"v1\"", &missing, now));
    assert_false(range_applies("\"\"", &bare, now));
    assert_true(range_applies(DATE_MTIME, &strong, now));
    assert_false(range_applies(DATE_AFTER, &strong, now));
    assert_false(range_applies(DATE_BEFORE, &strong, now));
    assert_false(range_applies(DATE_MTIME, &bare, now));
    assert_false(range_applies("", &strong, now));
    /* a file changed this very second may change again within it */
    assert_false(range_applies(DATE_MTIME, &strong, mtime));
    assert_true(range_applies(DATE_MTIME, &strong, mtime + 1));
}

static void
test_repeated_if_range_does_not_apply(void **state)
{
    struct request request;
    request_start(&request, HTTP_METHOD_GET);
    request_add(&request, HTTP_FIELD_IF_RANGE, "\"v1\"");
    request_add(&request, HTTP_FIELD_IF_RANGE, "\"v1\"");
    assert_false(http_precond_range_applies(&request.head, &strong, now));
}

static void
test_etag_lists(void **state)
{
    struct str etag = STR("\"a\"");
    assert_true(http_etag_list_has(STR("\"a\""), etag, true));
    assert_true(http_etag_list_has(STR(" , \"b\",,\t\"a\" ,"), etag, true));
    assert_true(http_etag_list_has(STR(" * "), etag, true));
    assert_true(http_etag_list_has(STR("*"), (struct str){0}, true));
    assert_true(http_etag_list_has(STR("W/\"a\""), etag, false));
    assert_false(http_etag_list_has(STR("W/\"a\""), etag, true));
    assert_false(http_etag_list_has(STR("w/\"a\""), etag, false));
    assert_false(http_etag_list_has(STR("\"A\""), etag, false));
    assert_false(http_etag_list_has(STR(""), etag, false));
    assert_false(http_etag_list_has((struct str){0}, etag, false));
    assert_false(http_etag_list_has(STR("\"b, \"a\""), etag, false));
    assert_true(http_etag_list_has(STR("\"x,y\", \"a\""), etag, false));
    assert_true(http_etag_list_has(STR("\"a\" junk"), etag, false));
    assert_false(http_etag_list_has(STR("junk, \"a\""), etag, false));
    assert_false(http_etag_list_has(STR("\"b\" \"a\""), etag, false));
    assert_false(http_etag_list_has(STR("\"a"), etag, false));
    assert_false(http_etag_list_has(STR("\"b c\", \"a\""), etag, false));
    assert_true(http_etag_list_has(STR("\"\xc3\xa9\\\", \"a\""), etag, false));
    assert_true(http_etag_list_has(STR("\"\""), STR("\"\""), true));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_asked),
        cmocka_unit_test(test_if_match),
        cmocka_unit_test(test_if_none_match),
        cmocka_unit_test(test_lists_over_several_lines),
        cmocka_unit_test(test_star_stands_alone),
        cmocka_unit_test(test_if_modified_since),
        cmocka_unit_test(test_if_unmodified_since),
        cmocka_unit_test(test_order_of_evaluation),
        cmocka_unit_test(test_if_range),
        cmocka_unit_test(test_repeated_if_range_does_not_apply),
        cmocka_unit_test(test_etag_lists),
    };
    return cmocka_run_group_tests_name("precond", tests, NULL, NULL);
}
