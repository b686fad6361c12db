/* Signatures for AWS: examples of its documentation, cases checked against botocore 1.29, the
 * published vectors when their folder is there, and the limits.
 */
#include "script/sigv4.h"

#include "base/hex.h"
#include "tls/digest.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define EMPTY_HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define FIELD(name, value)              \
    {                                   \
        STR_INIT(name), STR_INIT(value) \
    }

enum { MAY_24_2013 = 1369353600, AUG_30_2015 = 1440938160 };

static struct sigv4_work work;

/* The credentials of the S3 documentation. */
static struct sigv4_request
s3_request(const char *method, const char *uri, const struct sigv4_field *fields, unsigned count)
{
    return (struct sigv4_request){
        .access_key = STR("AKIAIOSFODNN7EXAMPLE"),
        .secret_key = STR("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        .region = STR("us-east-1"),
        .service = STR("s3"),
        .method = str_from_cstr(method),
        .uri = str_from_cstr(uri),
        .fields = fields,
        .field_count = count,
        .body_hash = STR(EMPTY_HASH),
        .time_s = MAY_24_2013,
        .keeps_path = true,
    };
}

static void
expect_signature(const struct sigv4_request *request, const char *signature)
{
    struct str out = {0};
    assert_int_equal(sigv4_authorization(&work, request, &out), SIGV4_OK);
    struct str found = str_skip(out, out.len - 64);
    if (!str_eq(found, str_from_cstr(signature)))
        fail_msg("%.*s; canonical:\n%.*s", STR_ARG(out), (int)work.canonical_len, work.canonical);
}

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* --- documentation --- */

/* Amazon S3 API reference, "Examples: Signature calculations in AWS Signature Version 4". */
static void
examples_of_the_s3_documentation(void **state)
{
    static const struct sigv4_field get[] = {
        FIELD("Host", "examplebucket.s3.amazonaws.com"),
        FIELD("Range", "bytes=0-9"),
        FIELD("x-amz-content-sha256", EMPTY_HASH),
        FIELD("x-amz-date", "20130524T000000Z"),
    };
    static const struct sigv4_field put[] = {
        FIELD("Host", "examplebucket.s3.amazonaws.com"),
        FIELD("Date", "Fri, 24 May 2013 00:00:00 GMT"),
        FIELD("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        FIELD("x-amz-content-sha256",
              "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"),
        FIELD("x-amz-date", "20130524T000000Z"),
    };
    static const struct sigv4_field list[] = {
        FIELD("Host", "examplebucket.s3.amazonaws.com"),
        FIELD("x-amz-date", "20130524T000000Z"),
        FIELD("x-amz-content-sha256", EMPTY_HASH),
    };
    struct sigv4_request request = s3_request("GET", "/test.txt", get, COUNT(get));
    struct str out;
    expect_signature(&request, "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
    assert_int_equal(sigv4_authorization(&work, &request, &out), SIGV4_OK);
    assert_true(str_starts_with(
        out, STR("AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/"
                 "aws4_request, SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
                 "Signature=f0e8")));
    request = s3_request("PUT", "/test$file.text", put, COUNT(put));
    request.body_hash = put[3].value;
    expect_signature(&request, "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
    request.uri = STR("/test%24file.text");
    expect_signature(&request, "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
    request = s3_request("GET", "/?lifecycle", list, COUNT(list));
    expect_signature(&request, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
    request.uri = STR("?lifecycle=");
    expect_signature(&request, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
    request.uri = STR("/?max-keys=2&prefix=J");
    expect_signature(&request, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
    request.uri = STR("/?prefix=%4a&max-keys=2");
    request.method = STR("get");
    expect_signature(&request, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

/* IAM user guide, "Create a signed AWS API request". */
static void
example_of_the_general_documentation(void **state)
{
    static const struct sigv4_field fields[] = {
        FIELD("Content-Type", "application/x-www-form-urlencoded; charset=utf-8"),
        FIELD("Host", "iam.amazonaws.com"),
        FIELD("X-Amz-Date", "20150830T123600Z"),
    };
    struct sigv4_request request =
        s3_request("GET", "/?Action=ListUsers&Version=2010-05-08", fields, COUNT(fields));
    request.access_key = STR("AKIDEXAMPLE");
    request.secret_key = STR("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    request.service = STR("iam");
    request.time_s = AUG_30_2015;
    request.keeps_path = false;
    expect_signature(&request, "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7");
}

/* Amazon S3 API reference, "Authenticating Requests: Using Query Parameters". */
static void
presigned_url_of_the_documentation(void **state)
{
    static const struct sigv4_field host[] = {FIELD("host", "examplebucket.s3.amazonaws.com")};
    struct sigv4_request request = s3_request("GET", "/test.txt", host, 1);
    struct str out;
    assert_int_equal(sigv4_presign(&work, &request, 86400, &out), SIGV4_OK);
    assert_true(str_eq(
        out, STR("/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential="
                 "AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date="
                 "20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature="
                 "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404")));
}

/* --- botocore --- */

static void
paths_of_other_services_are_encoded_twice(void **state)
{
    static const struct sigv4_field fields[] = {
        FIELD("host", "api.example.com"),
        FIELD("x-amz-date", "20130524T000000Z"),
    };
    struct sigv4_request request =
        s3_request("GET", "/a%20b/./c/../d%2Fe//f?b=2&a=%20x&a=1&flag&=v&c", fields, 2);
    request.service = STR("execute-api");
    request.keeps_path = false;
    expect_signature(&request, "0a50e2c23668df61fccbba42c779a77c1e660084479518ff09b47d69c1bdd679");
    assert_true(str_starts_with(str_make(work.canonical, work.canonical_len),
                                STR("GET\n/a%2520b/d%252Fe/f\n=v&a=%20x&a=1&b=2&c=&flag=\n")));
    request.uri = STR("/caf%C3%A9/");
    expect_signature(&request, "1de37cc2776558f1e1ca265298eeb9b319540af46eff2d28182805fe34972b27");
}

static void
paths_of_s3_are_encoded_once(void **state)
{
    static const struct sigv4_field fields[] = {
        FIELD("host", "b.s3.amazonaws.com"),
        FIELD("x-amz-content-sha256", EMPTY_HASH),
        FIELD("x-amz-date", "20130524T000000Z"),
    };
    static const char *const same[] = {
        "/a%20b/./c/../d%2Be//caf%C3%A9?b=2&a=%20x&a=1&flag&c",
        "/a b/./c/../d+e//caf\xc3\xa9?c=&flag&a=1&a=%20x&&b=2",
        "/%61%20b/./c/../d%2be//caf%c3%a9?%62=2&a=%20x&a=1&flag&c",
    };
    for (unsigned i = 0; i < COUNT(same); i++) {
        struct sigv4_request request = s3_request("GET", same[i], fields, 3);
        expect_signature(&request,
                         "d0888201aaa449fb7295571599b6c737a3afd1a7aa5c01c3e183a0456adf02f4");
    }
}

static void
empty_values_spaces_and_session_tokens(void **state)
{
    static const struct sigv4_field fields[] = {
        FIELD("x-amz-meta-empty", ""),
        FIELD("X-Amz-Meta-Sp", "  a   b  "),
        FIELD("x-amz-security-token", "TOKEN/+="),
        FIELD("host", "b.s3.amazonaws.com"),
        FIELD("x-amz-content-sha256", EMPTY_HASH),
        FIELD("x-amz-date", "20130524T000000Z"),
    };
    struct sigv4_request request = s3_request("GET", "/k", fields, COUNT(fields));
    expect_signature(&request, "f5bb06e36cc3016674ff9a2c3dd906717d6453ae27ed6fa52a04cf535338c95d");
}

static void
presigned_urls_with_a_query_of_their_own(void **state)
{
    static const struct sigv4_field fields[] = {
        FIELD("Host", "b.s3.amazonaws.com"),
        FIELD("Content-Type", "text/plain"),
    };
    struct sigv4_request request =
        s3_request("GET", "/a%20b/caf\xc3\xa9?prefix=docs/&x=%c3%a9", fields, 1);
    struct str out;
    assert_int_equal(sigv4_presign(&work, &request, 604800, &out), SIGV4_OK);
    assert_true(str_starts_with(out, STR("/a%20b/caf%C3%A9?X-Amz-Algorithm=")));
    assert_true(str_ends_with(
        out, STR("&X-Amz-SignedHeaders=host&prefix=docs%2F&x=%C3%A9&X-Amz-Signature="
                 "d0390e8caffa0bba2f906cd5e9acc2fa66a310e7839b8d82361eb92a3bcfb680")));
    request = s3_request("put", "/k?X-Amz-Security-Token=TOKEN%2F%2B%3D", fields, 2);
    assert_int_equal(sigv4_presign(&work, &request, 1, &out), SIGV4_OK);
    assert_true(str_ends_with(
        out, STR("&X-Amz-Signature="
                 "cacbe34d51e6cae633a7ea1964c830939064d07023ba5190f13abd11f4ab9a81")));
    assert_true(str_icontains(out, STR("X-Amz-SignedHeaders=content-type%3Bhost")));
}

/* --- what is signed --- */

static void
presigned_paths_can_be_sent(void **state)
{
    static const struct sigv4_field fields[] = {FIELD("Host", "api.example.com")};
    struct sigv4_request request = s3_request("GET", "/a b%zz/%41/(x)/caf\xc3\xa9/../", fields, 1);
    struct str out;
    request.keeps_path = false;
    assert_int_equal(sigv4_presign(&work, &request, 60, &out), SIGV4_OK);
    assert_true(str_starts_with(out, STR("/a%20b%25zz/%41/(x)/caf%C3%A9/../?X-Amz-")));
    assert_true(str_starts_with(str_make(work.canonical, work.canonical_len),
                                STR("GET\n/a%2520b%2525zz/%2541/%28x%29/\nX-Amz-Algorithm=")));
    request.keeps_path = true;
    assert_int_equal(sigv4_presign(&work, &request, 60, &out), SIGV4_OK);
    assert_true(str_starts_with(out, STR("/a%20b%25zz/A/%28x%29/caf%C3%A9/../?X-Amz-")));
    assert_true(str_starts_with(str_make(work.canonical, work.canonical_len),
                                STR("GET\n/a%20b%25zz/A/%28x%29/caf%C3%A9/../\nX-Amz-")));
    request.uri = STR("");
    assert_int_equal(sigv4_presign(&work, &request, 60, &out), SIGV4_OK);
    assert_true(str_starts_with(out, STR("/?X-Amz-")));
}

static void
expect_path(const char *uri, bool keeps_path, const char *expected)
{
    static const struct sigv4_field fields[] = {FIELD("Host", "a")};
    struct sigv4_request request = s3_request("GET", uri, fields, 1);
    struct str out, canonical;
    request.keeps_path = keeps_path;
    assert_int_equal(sigv4_authorization(&work, &request, &out), SIGV4_OK);
    canonical = str_make(work.canonical, work.canonical_len);
    str_cut(&canonical, '\n');
    struct str path = str_cut(&canonical, '\n');
    if (!str_eq(path, str_from_cstr(expected)))
        fail_msg("%s: %.*s", uri, STR_ARG(path));
}

static void
dot_segments_and_empty_ones_go(void **state)
{
    static const char *const cases[][2] = {
        {"", "/"},
        {"/", "/"},
        {"//", "/"},
        {"/.", "/"},
        {"/..", "/"},
        {"/../..", "/"},
        {"/a/..", "/"},
        {"/a/../", "/"},
        {"/a/b/..", "/a"},
        {"/a/b/../", "/a/"},
        {"/a/./b", "/a/b"},
        {"/a//b/", "/a/b/"},
        {"/...", "/..."},
        {"/.a/..b", "/.a/..b"},
        {"a/b", "/a/b"},
        {"/a/../../b", "/b"},
        {"/%2e%2e/a", "/%252e%252e/a"},
    };
    for (unsigned i = 0; i < COUNT(cases); i++)
        expect_path(cases[i][0], false, cases[i][1]);
    expect_path("/a//./../b/", true, "/a//./../b/");
    expect_path("?x", true, "/");
}

static void
services_that_keep_paths(void **state)
{
    assert_true(sigv4_keeps_path(STR("s3")));
    assert_true(sigv4_keeps_path(STR("s3express")));
    assert_true(sigv4_keeps_path(STR("s3-outposts")));
    assert_true(sigv4_keeps_path(STR("s3-object-lambda")));
    assert_false(sigv4_keeps_path(STR("s3tables")));
    assert_false(sigv4_keeps_path(STR("execute-api")));
    assert_false(sigv4_keeps_path(STR("")));
}

/* --- limits --- */

static enum sigv4_result
result_of(const struct sigv4_request *request)
{
    struct str out, url;
    enum sigv4_result result = sigv4_authorization(&work, request, &out);
    assert_int_equal(sigv4_presign(&work, request, 60, &url), result);
    return result;
}

static void
too_much_is_too_large(void **state)
{
    static char long_text[20000];
    static const struct sigv4_field host[] = {FIELD("host", "a")};
    const struct sigv4_request good = s3_request("GET", "/", host, 1);
    memset(long_text, 'x', sizeof long_text);
    assert_int_equal(result_of(&good), SIGV4_OK);
    static const struct {
        size_t offset, max;
    } cases[] = {
        {offsetof(struct sigv4_request, access_key), SIGV4_CREDENTIAL_MAX},
        {offsetof(struct sigv4_request, secret_key), SIGV4_CREDENTIAL_MAX},
        {offsetof(struct sigv4_request, region), SIGV4_NAME_MAX},
        {offsetof(struct sigv4_request, service), SIGV4_NAME_MAX},
        {offsetof(struct sigv4_request, method), SIGV4_NAME_MAX},
        {offsetof(struct sigv4_request, uri), SIGV4_URI_MAX},
        {offsetof(struct sigv4_request, body_hash), SIGV4_BODY_HASH_MAX},
    };
    for (unsigned i = 0; i < COUNT(cases); i++) {
        struct sigv4_request request = good;
        struct str *text = (struct str *)((char *)&request + cases[i].offset);
        *text = str_make(long_text, cases[i].max);
        assert_int_equal(result_of(&request), SIGV4_OK);
        text->len++;
        assert_int_equal(result_of(&request), SIGV4_TOO_LARGE);
    }
    struct sigv4_request request = good;
    request.time_s = -1;
    assert_int_equal(result_of(&request), SIGV4_TOO_LARGE);
    request.time_s = 253402300799;
    assert_int_equal(result_of(&request), SIGV4_OK);
    request.time_s++;
    assert_int_equal(result_of(&request), SIGV4_TOO_LARGE);
    request.time_s = INT64_MAX;
    assert_int_equal(result_of(&request), SIGV4_TOO_LARGE);
}

static void
the_worst_uris_fit(void **state)
{
    static char uri[SIGV4_URI_MAX];
    static const struct sigv4_field host[] = {FIELD("host", "a")};
    struct sigv4_request request = s3_request("GET", "", host, 1);
    memset(uri, '\xff', sizeof uri);
    uri[0] = '/';
    request.uri = str_make(uri, sizeof uri);
    assert_int_equal(result_of(&request), SIGV4_OK);
    request.keeps_path = false;
    assert_int_equal(result_of(&request), SIGV4_OK);
    uri[1] = '?';
    assert_int_equal(result_of(&request), SIGV4_OK);
    memset(uri + 2, '&', sizeof uri - 2);
    assert_int_equal(result_of(&request), SIGV4_OK);
}

static void
too_many_fields_and_parameters(void **state)
{
    static struct sigv4_field fields[SIGV4_FIELDS_MAX + 1];
    static char uri[2 * SIGV4_PARAMS_MAX + 2], value[SIGV4_FIELDS_LEN_MAX];
    for (unsigned i = 0; i < COUNT(fields); i++)
        fields[i] = (struct sigv4_field)FIELD("Host", "a");
    struct sigv4_request request = s3_request("GET", "/", fields, SIGV4_FIELDS_MAX);
    assert_int_equal(result_of(&request), SIGV4_OK);
    request.field_count++;
    assert_int_equal(result_of(&request), SIGV4_TOO_LARGE);
    request.field_count = 1;
    memset(value, 'x', sizeof value);
    fields[0].value = str_make(value, sizeof value - 6);
    assert_int_equal(result_of(&request), SIGV4_OK);
    fields[0].value.len++;
    assert_int_equal(result_of(&request), SIGV4_TOO_LARGE);
    fields[0] = (struct sigv4_field)FIELD("Host", "a");
    for (unsigned i = 0; i < SIGV4_PARAMS_MAX - 5; i++)
        memcpy(uri + 2 * i, i ? "&a" : "?a", 2);
    request.uri = str_make(uri, 2 * (SIGV4_PARAMS_MAX - 5));
    assert_int_equal(result_of(&request), SIGV4_OK);
    for (unsigned i = SIGV4_PARAMS_MAX - 5; i < SIGV4_PARAMS_MAX + 1; i++)
        memcpy(uri + 2 * i, "&a", 2);
    request.uri = str_make(uri, 2 * (SIGV4_PARAMS_MAX + 1));
    assert_int_equal(result_of(&request), SIGV4_TOO_LARGE);
}

static void
what_could_not_be_right_is_refused(void **state)
{
    static const char *const names[] = {"",    " ",   "a b",   "a:b",        "a\nb",
                                        "a;b", "a,b", "a\x7f", "caf\xc3\xa9"};
    struct sigv4_request request = s3_request("GET", "/", NULL, 0);
    assert_int_equal(result_of(&request), SIGV4_REFUSED);
    for (unsigned i = 0; i < COUNT(names); i++) {
        struct sigv4_field fields[] = {FIELD("host", "a"), {str_from_cstr(names[i]), STR("x")}};
        request.fields = fields;
        request.field_count = 2;
        assert_int_equal(result_of(&request), SIGV4_REFUSED);
    }
    static const struct sigv4_field host[] = {FIELD(" HOST ", "a")};
    struct str out;
    request.fields = host;
    request.field_count = 1;
    assert_int_equal(result_of(&request), SIGV4_OK);
    assert_int_equal(sigv4_presign(&work, &request, 0, &out), SIGV4_TOO_LARGE);
    assert_int_equal(sigv4_presign(&work, &request, 604801, &out), SIGV4_TOO_LARGE);
    assert_int_equal(sigv4_presign(&work, &request, UINT64_MAX, &out), SIGV4_TOO_LARGE);
}

/* --- published vectors --- */

#define PUBLISHED "../shared/data/sigv4"
enum { FILE_MAX = 4096, PUBLISHED_COUNT = 38 };

struct vector {
    char context[FILE_MAX], request[FILE_MAX], canonical[FILE_MAX], signed_request[FILE_MAX];
    struct sigv4_field fields[16];
    unsigned field_count;
    char values[16][FILE_MAX];
    char token[FILE_MAX], body_hash[65];
};

static void
read_file(const char *name, const char *file, char out[static FILE_MAX])
{
    char path[512];
    snprintf(path, sizeof path, PUBLISHED "/%s/%s", name, file);
    FILE *stream = fopen(path, "re");
    if (!stream)
        fail_msg("%s is missing", path);
    size_t len = fread(out, 1, FILE_MAX - 1, stream);
    out[len] = '\0';
    fclose(stream);
}

static void
add_field(struct vector *vector, struct str name, struct str value)
{
    assert_true(vector->field_count < COUNT(vector->fields));
    char *copy = vector->values[vector->field_count];
    snprintf(copy, FILE_MAX, "%.*s", STR_ARG(value));
    vector->fields[vector->field_count++] = (struct sigv4_field){name, str_from_cstr(copy)};
}

/* "Name:value" lines; one that begins with a space goes on with the value before it. */
static struct str
take_fields(struct vector *vector, struct str lines)
{
    while (lines.len) {
        struct str value = str_cut(&lines, '\n');
        if (value.len == 0)
            break;
        if (value.ptr[0] == ' ') {
            struct sigv4_field *field = &vector->fields[vector->field_count - 1];
            char *copy = vector->values[vector->field_count - 1];
            snprintf(copy + field->value.len, FILE_MAX - field->value.len, "\n%.*s",
                     STR_ARG(value));
            field->value = str_from_cstr(copy);
            continue;
        }
        struct str name = str_cut(&value, ':');
        add_field(vector, name, value);
    }
    return lines;
}

static void
check_vector(const char *name, struct vector *vector)
{
    struct sigv4_request request = s3_request("", "", vector->fields, 0);
    char signature[FILE_MAX];
    uint8_t hash[DIGEST_SHA256_LEN];
    struct str out;
    read_file(name, "context.json", vector->context);
    read_file(name, "request.txt", vector->request);
    read_file(name, "header-canonical-request.txt", vector->canonical);
    read_file(name, "header-signed-request.txt", vector->signed_request);
    read_file(name, "header-signature.txt", signature);
    struct str rest = str_from_cstr(vector->request), line = str_cut(&rest, '\n');
    request.method = str_cut(&line, ' ');
    request.uri = str_first(line, str_find_last_char(line, ' '));
    struct str body = take_fields(vector, rest);
    digest_of(DIGEST_SHA256, body, hash);
    hex_encode(str_make((const char *)hash, sizeof hash), false, vector->body_hash);
    add_field(vector, STR("X-Amz-Date"), STR("20150830T123600Z"));
    if (strstr(vector->context, "\"sign_body\": true"))
        add_field(vector, STR("x-amz-content-sha256"), str_from_cstr(vector->body_hash));
    const char *token = strstr(vector->context, "\"token\": \"");
    if (token && !strstr(vector->context, "\"omit_session_token\": true"))
        add_field(vector, STR("x-amz-security-token"),
                  str_first(str_from_cstr(token + 10), strcspn(token + 10, "\"")));
    request.field_count = vector->field_count;
    request.access_key = STR("AKIDEXAMPLE");
    request.secret_key = STR("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    request.service = STR("service");
    request.body_hash = str_from_cstr(vector->body_hash);
    request.time_s = AUG_30_2015;
    request.keeps_path = strstr(vector->context, "\"normalize\": false");
    assert_int_equal(sigv4_authorization(&work, &request, &out), SIGV4_OK);
    struct str canonical = str_make(work.canonical, work.canonical_len);
    if (!str_eq(canonical, str_from_cstr(vector->canonical)))
        fail_msg("%s: canonical request:\n%.*s", name, STR_ARG(canonical));
    const char *expected = strstr(vector->signed_request, "Authorization:") + 14;
    if (!str_eq(out, str_first(str_from_cstr(expected), strcspn(expected, "\r\n"))))
        fail_msg("%s: %.*s", name, STR_ARG(out));
    assert_true(str_ends_with(out, str_from_cstr(signature)));
}

static void
published_vectors_come_out(void **state)
{
    unsigned count = 0;
    DIR *dir = opendir(PUBLISHED);
    if (!dir) {
        print_message("skipped: " PUBLISHED " is not there\n");
        skip();
    }
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] == '.')
            continue;
        struct vector *vector = calloc(1, sizeof *vector);
        assert_non_null(vector);
        check_vector(entry->d_name, vector);
        free(vector);
        count++;
    }
    closedir(dir);
    assert_int_equal(count, PUBLISHED_COUNT);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_of_the_s3_documentation),
        cmocka_unit_test(example_of_the_general_documentation),
        cmocka_unit_test(presigned_url_of_the_documentation),
        cmocka_unit_test(paths_of_other_services_are_encoded_twice),
        cmocka_unit_test(paths_of_s3_are_encoded_once),
        cmocka_unit_test(empty_values_spaces_and_session_tokens),
        cmocka_unit_test(presigned_urls_with_a_query_of_their_own),
        cmocka_unit_test(presigned_paths_can_be_sent),
        cmocka_unit_test(dot_segments_and_empty_ones_go),
        cmocka_unit_test(services_that_keep_paths),
        cmocka_unit_test(too_much_is_too_large),
        cmocka_unit_test(the_worst_uris_fit),
        cmocka_unit_test(too_many_fields_and_parameters),
        cmocka_unit_test(what_could_not_be_right_is_refused),
        cmocka_unit_test(published_vectors_come_out),
    };
    return cmocka_run_group_tests_name("sigv4", tests, NULL, NULL);
}
