/* Helpers that sign for AWS: arguments and results; what is signed is sigv4_test's. */
#include "script/helpers.h"
#include "script/scene_test_run.h"

/* Places in the script's memory. */
enum { PARAMS = 0, TEXTS = 256, OUT = 32 << 10, OUT_LEN = 1024 };

/* The 18 words, by name. */
struct params {
    uint64_t access_key, access_key_len, secret_key, secret_key_len, region, region_len, service,
        service_len, method, method_len, uri, uri_len, headers_json, body_hash, body_hash_len;
    int64_t timestamp_ms;
    uint64_t out, out_len;
};

static size_t next_text;

static int
setup(void **state)
{
    *state = scene_new();
    return 0;
}

static int
teardown(void **state)
{
    struct scene *scene = *state;
    script_json_deinit(&scene->frame.json);
    scene_free(scene);
    return 0;
}

/* The address of a text that was put into the script's memory. */
static uint64_t
place(struct scene *scene, const char *text)
{
    size_t at = next_text;
    memcpy(scene->memory + at, text, strlen(text));
    next_text += strlen(text);
    return scene_at(at);
}

#define SET(scene, params, name, text)           \
    do {                                         \
        (params)->name = place((scene), (text)); \
        (params)->name##_len = strlen(text);     \
    } while (0)

static int64_t headers; /* the handle that `parse` leaves */
static const char *headers_text;

static uint64_t
parse(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    headers = script_json_parse(script_frame_of(run), str_from_cstr(headers_text));
    return 0;
}

static struct params
good_params(struct scene *scene, const char *json)
{
    struct params params = {
        .timestamp_ms = 1369353600999, .out = scene_at(OUT), .out_len = OUT_LEN};
    next_text = TEXTS;
    SET(scene, &params, access_key, "AKIAIOSFODNN7EXAMPLE");
    SET(scene, &params, secret_key, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    SET(scene, &params, region, "us-east-1");
    SET(scene, &params, service, "s3");
    SET(scene, &params, method, "GET");
    SET(scene, &params, uri, "/test.txt");
    SET(scene, &params, body_hash,
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    headers_text = json;
    scene_call(scene, parse, (uint64_t[]){0, 0, 0, 0, 0}, NULL);
    assert_false(scene->trapped);
    assert_true(headers > 0);
    params.headers_json = (uint64_t)headers;
    return params;
}

static int64_t
call(struct scene *scene, bpf_helper_fn *fn, const struct params *params, uint64_t expires_s)
{
    memcpy(scene->memory + PARAMS, params, sizeof *params);
    memset(scene->memory + OUT, '#', OUT_LEN);
    return (int64_t)scene_call(
        scene, fn, (uint64_t[]){scene_at(PARAMS), sizeof *params, expires_s, 0, 0}, NULL);
}

static const char doc_headers[] =
    "{\"range\":\"bytes=0-9\",\"Host\":\"examplebucket.s3.amazonaws.com\",\"not text\":1,"
    "\"nor this\":[\"a\"],\"x-amz-date\":\"20130524T000000Z\",\"x-amz-content-sha256\":"
    "\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"}";

static const char doc_value[] =
    "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
    "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
    "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41";

static const char doc_url[] =
    "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F"
    "20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400"
    "&X-Amz-SignedHeaders=host&X-Amz-Signature="
    "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";

static const char only_host[] = "{\"host\":\"examplebucket.s3.amazonaws.com\"}";

static void
the_documented_examples_come_out(void **state)
{
    struct scene *scene = *state;
    struct params params = good_params(scene, doc_headers);
    assert_int_equal(call(scene, zs_aws_v4_authorization_header, &params, 0), strlen(doc_value));
    assert_string_equal(scene->memory + OUT, doc_value);
    params = good_params(scene, only_host);
    params.body_hash_len = 0;
    assert_int_equal(call(scene, zs_aws_v4_presigned_url, &params, 86400), strlen(doc_url));
    assert_string_equal(scene->memory + OUT, doc_url);
}

static void
other_services_have_other_paths(void **state)
{
    struct scene *scene = *state;
    struct params params =
        good_params(scene, "{\"host\":\"api.example.com\",\"x-amz-date\":\"20130524T000000Z\"}");
    SET(scene, &params, service, "execute-api");
    SET(scene, &params, uri, "/a%20b/./c/../d%2Fe//f?b=2&a=%20x&a=1&flag&=v&c");
    assert_true(call(scene, zs_aws_v4_authorization_header, &params, 0) > 0);
    assert_non_null(strstr(scene->memory + OUT,
                           "=0a50e2c23668df61fccbba42c779a77c1e660084479518ff09b47d69c1bdd679"));
}

static void
output_is_cut(void **state)
{
    struct scene *scene = *state;
    struct params params = good_params(scene, doc_headers);
    params.out_len = 10;
    assert_int_equal(call(scene, zs_aws_v4_authorization_header, &params, 0), 10);
    assert_memory_equal(scene->memory + OUT, "AWS4-HMAC\0#", 11);
    params.out_len = sizeof doc_value - 1;
    assert_int_equal(call(scene, zs_aws_v4_authorization_header, &params, 0), params.out_len);
    params.out = 0;
    params.out_len = 0;
    assert_int_equal(call(scene, zs_aws_v4_authorization_header, &params, 0), 0);
    assert_int_equal(call(scene, zs_aws_v4_presigned_url, &params, 60), 0);
    assert_false(scene->trapped);
}

static void
expect_result(struct scene *scene, const struct params *params, int64_t result)
{
    assert_int_equal(call(scene, zs_aws_v4_authorization_header, params, 0), result);
    assert_false(scene->trapped);
    assert_int_equal(call(scene, zs_aws_v4_presigned_url, params, 60), result);
    assert_false(scene->trapped);
    assert_int_equal(scene->memory[OUT], '#');
}

static void
limits_are_minus_one(void **state)
{
    struct scene *scene = *state;
    const struct params good = good_params(scene, only_host);
    static const struct {
        size_t offset;
        uint64_t len;
    } cases[] = {
        {offsetof(struct params, access_key_len), 257}, {offsetof(struct params, uri_len), 4097},
        {offsetof(struct params, secret_key_len), 257}, {offsetof(struct params, method_len), 65},
        {offsetof(struct params, region_len), 65},      {offsetof(struct params, service_len), 65},
        {offsetof(struct params, body_hash_len), 129},  {offsetof(struct params, uri_len), -1ULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct params params = good;
        memcpy((char *)&params + cases[i].offset, &cases[i].len, 8);
        expect_result(scene, &params, -1);
    }
    struct params params = good;
    params.timestamp_ms = -1;
    expect_result(scene, &params, -1);
    params.timestamp_ms = INT64_MIN;
    expect_result(scene, &params, -1);
    params.timestamp_ms = INT64_MAX;
    expect_result(scene, &params, -1);
    assert_int_equal(call(scene, zs_aws_v4_presigned_url, &good, 0), -1);
    assert_int_equal(call(scene, zs_aws_v4_presigned_url, &good, 604801), -1);
    assert_true(call(scene, zs_aws_v4_presigned_url, &good, 604800) > 0);
}

static void
too_many_headers_are_minus_one(void **state)
{
    struct scene *scene = *state;
    char json[2000] = "{\"host\":\"a\"";
    for (unsigned i = 1; i < SIGV4_FIELDS_MAX; i++)
        sprintf(json + strlen(json), ",\"h%u\":\"\"", i);
    size_t len = strlen(json);
    strcpy(json + len, "}");
    struct params params = good_params(scene, json);
    assert_true(call(scene, zs_aws_v4_authorization_header, &params, 0) > 0);
    strcpy(json + len, ",\"one\":\"\",\"two\":\"\"}");
    params = good_params(scene, json);
    expect_result(scene, &params, -1);
}

static void
without_a_host_it_is_minus_two(void **state)
{
    struct scene *scene = *state;
    struct params params = good_params(scene, "{\"range\":\"bytes=0-9\"}");
    expect_result(scene, &params, -2);
    params.headers_json = 0;
    expect_result(scene, &params, -2);
    params = good_params(scene, "[\"host\"]");
    expect_result(scene, &params, -2);
    params = good_params(scene, "{\"host\":\"a\",\"b:c\":\"d\"}");
    expect_result(scene, &params, -2);
}

#define EXPECT_TRAP(scene, text)                    \
    do {                                            \
        assert_true((scene)->trapped);              \
        assert_string_equal((scene)->trap, (text)); \
    } while (0)

#define EXPECT_BAD_MEMORY(scene)                                            \
    do {                                                                    \
        assert_true((scene)->trapped);                                      \
        assert_non_null(strstr((scene)->trap, "by a helper: outside of ")); \
    } while (0)

static void
bad_params_trap(void **state)
{
    struct scene *scene = *state;
    uint64_t words[] = {scene_at(PARAMS), 136, 60, 0, 0};
    scene_call(scene, zs_aws_v4_authorization_header, words, NULL);
    EXPECT_TRAP(scene, "zs_aws_v4_authorization_header: params_len is 136, expected 144");
    words[1] = 0;
    scene_call(scene, zs_aws_v4_presigned_url, words, NULL);
    EXPECT_TRAP(scene, "zs_aws_v4_presigned_url: params_len is 0, expected 144");
    words[0] = 8, words[1] = 144;
    scene_call(scene, zs_aws_v4_presigned_url, words, NULL);
    EXPECT_BAD_MEMORY(scene);
    /* Anywhere, not only where a struct of words would be. */
    struct params params = good_params(scene, only_host);
    memcpy(scene->memory + PARAMS + 3, &params, sizeof params);
    words[0] = scene_at(PARAMS + 3);
    assert_true(scene_call(scene, zs_aws_v4_presigned_url, words, NULL) > 0);
    assert_false(scene->trapped);
}

static void
bad_texts_trap(void **state)
{
    static const size_t texts[] = {
        offsetof(struct params, access_key), offsetof(struct params, secret_key),
        offsetof(struct params, region),     offsetof(struct params, service),
        offsetof(struct params, method),     offsetof(struct params, uri),
        offsetof(struct params, body_hash),
    };
    struct scene *scene = *state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct params params = good_params(scene, only_host);
        uint64_t bad = 16;
        memcpy((char *)&params + texts[i], &bad, 8);
        call(scene, zs_aws_v4_authorization_header, &params, 0);
        EXPECT_BAD_MEMORY(scene);
        params = good_params(scene, only_host);
        uint64_t at;
        memcpy(&at, (char *)&params + texts[i], 8);
        /* The output may lie on none of them, nor on the struct. */
        params.out = at;
        call(scene, zs_aws_v4_presigned_url, &params, 60);
        EXPECT_TRAP(scene, "memory that a helper writes to overlaps another of its call");
        scene->memory[at - scene_at(0)] = '\xff';
        params.out = scene_at(OUT);
        call(scene, zs_aws_v4_presigned_url, &params, 60);
        assert_true(scene->trapped);
        assert_non_null(strstr(scene->trap, "zs_aws_v4_presigned_url: "));
        assert_non_null(strstr(scene->trap, " is not UTF-8"));
    }
    struct params params = good_params(scene, only_host);
    params.out = scene_at(PARAMS + 143), params.out_len = 10;
    call(scene, zs_aws_v4_presigned_url, &params, 60);
    EXPECT_TRAP(scene, "memory that a helper writes to overlaps another of its call");
    params.out = 16;
    call(scene, zs_aws_v4_presigned_url, &params, 60);
    EXPECT_BAD_MEMORY(scene);
    params.out = scene_at(OUT), params.out_len = UINT64_MAX;
    call(scene, zs_aws_v4_authorization_header, &params, 60);
    EXPECT_BAD_MEMORY(scene);
}

static void
bad_handles_trap(void **state)
{
    struct scene *scene = *state;
    struct params params = good_params(scene, only_host);
    params.headers_json = 99;
    call(scene, zs_aws_v4_presigned_url, &params, 60);
    assert_true(scene->trapped);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_documented_examples_come_out),
        TEST(other_services_have_other_paths),
        TEST(output_is_cut),
        TEST(limits_are_minus_one),
        TEST(too_many_headers_are_minus_one),
        TEST(without_a_host_it_is_minus_two),
        TEST(bad_params_trap),
        TEST(bad_texts_trap),
        TEST(bad_handles_trap),
    };
    return cmocka_run_group_tests_name("helper_aws", tests, NULL, NULL);
}
