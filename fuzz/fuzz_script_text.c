/* Fuzzes the helpers for text, time, hashes, tokens and addresses. The first byte says what:
 *
 *   calls   random calls of all of them with good and bad addresses and lengths. Checked: results
 *           are within what the helper may give, outputs end in a NUL, what was encoded is decoded
 *           again as the same, log lines are harmless;
 *   tokens  header, claims and keys, the token signed well. Checked: what is believed has the
 *           claims that were signed;
 *   places  a database with some bytes changed, or all of them given.
 */
#include "base/base64.h"
#include "base/html.h"
#include "script/helpers.h"
#include "script/jwt.h"
#include "script_calls.h"
#include "tls/hmac.h"

#include "script/geoip_test_run.h"
#include "script/jwt_test_run.h"

enum { INPUT_MAX = 8192, CALLS_MAX = 64 };

/* --- calls --- */

struct args {
    uint64_t r[5];
};

static uint64_t
call(bpf_helper_fn *fn, const struct args *args)
{
    return fn(args->r[0], args->r[1], args->r[2], args->r[3], args->r[4], calls.run);
}

/* out, out_len: arguments `at` and the one behind it. */
static void
check_text_result(const struct args *args, unsigned at, uint64_t result)
{
    uint64_t out_len = args->r[at + 1];
    check(result <= out_len);
    if (out_len == 0)
        return;
    struct str out = bpf_view(calls.run, args->r[at], out_len);
    check(out.ptr[result < out_len ? result : out_len - 1] == '\0');
}

static void
check_encoders(const struct args *args)
{
    char *memory = calls_memory();
    uint64_t len = args->r[1] % 1024, form = args->r[4] % 4, upper = args->r[4] % 2;
    uint64_t base = calls_base(), out = base + 2048;
    char before[1024];
    memcpy(before, memory, len);
    uint64_t text_len = zs_base64_encode(base, len, out, 4096, form, calls.run);
    check(text_len == zs_base64_encode(base, len, 0, 0, form, calls.run));
    check(zs_base64_decode_in_place(out, text_len, form, 0, 0, calls.run) == len);
    check(memcmp(memory + 2048, before, len) == 0);
    check(zs_hex_encode(base, len, out, 4096, upper, calls.run) == 2 * len);
    check(zs_hex_decode_in_place(out, 2 * len, 0, 0, 0, calls.run) == len);
    check(memcmp(memory + 2048, before, len) == 0);
}

static void
check_escaped(const struct args *args)
{
    uint64_t result = call(zs_html_escape, args);
    check_text_result(args, 2, result);
    if (args->r[3] == 0)
        return;
    struct str in = bpf_view(calls.run, args->r[0], args->r[1]);
    struct str out = str_first(bpf_view(calls.run, args->r[2], args->r[3]), args->r[3] - 1);
    out.len = result < out.len ? result : out.len;
    for (size_t i = 0; i < in.len && out.len; i++) {
        struct str reference = html_reference(in.ptr[i]);
        struct str wanted = reference.ptr ? reference : str_make(in.ptr + i, 1);
        wanted = str_first(wanted, out.len);
        check(str_starts_with(out, wanted));
        out = str_skip(out, wanted.len);
    }
}

static void
check_handle(uint64_t result)
{
    check(result == UINT64_MAX || script_json_has(&calls.scene->frame, result));
    if (result != UINT64_MAX)
        zs_object_free(result, 0, 0, 0, 0, calls.run);
}

static void
check_compared(const struct args *args)
{
    int64_t there = (int64_t)call(zs_memcmp, args);
    int64_t back = (int64_t)zs_memcmp(args->r[1], args->r[0], args->r[2], 0, 0, calls.run);
    check(there == -back && there > -256 && there < 256);
}

static void
one_call(void)
{
    uint8_t which = calls_byte();
    struct args args = {{calls_address(), calls_len(), calls_address(), calls_len(), calls_byte()}};
    switch (which % 18) {
    case 0:
        check(call(zs_log, &args) == 0);
        break;
    case 1:
        check(call(zs_now_ms, &args) > 1600000000000);
        break;
    case 2:
        check_text_result(&args, 0, call(zs_version, &args));
        break;
    case 3:
        check_text_result(&args, 2, call(zs_env_get, &args));
        break;
    case 4:
        check(call(zs_getrandom, &args) == args.r[1]);
        break;
    case 5:
        args.r[3] = args.r[4] ? 32 : args.r[3];
        check(call(zs_sha256, &args) == 32);
        break;
    case 6:
        args.r[4] = calls_address();
        check(call(zs_hmac_sha256, &args) == 32);
        break;
    case 7:
        args.r[4] %= 5;
        call(zs_base64_encode, &args);
        break;
    case 8:
        args.r[2] = args.r[4] % 5;
        call(zs_base64_decode_in_place, &args);
        break;
    case 9:
        args.r[4] %= 3;
        call(zs_hex_encode, &args);
        break;
    case 10:
        call(zs_hex_decode_in_place, &args);
        break;
    case 11:
        check_encoders(&args);
        break;
    case 12:
        args.r[1] = args.r[2], args.r[2] = args.r[3];
        check(call(zs_memcpy, &args) == args.r[0]);
        check(zs_memcmp(args.r[0], args.r[1], args.r[2], 0, 0, calls.run) == 0);
        break;
    case 13:
        args.r[2] = args.r[3];
        check(call(zs_memset, &args) == args.r[0]);
        break;
    case 14:
        args.r[1] = args.r[2], args.r[2] = args.r[3];
        check_compared(&args);
        break;
    case 15:
        check_escaped(&args);
        break;
    case 16:
        check_handle(call(zs_jwt_verify, &args));
        break;
    default:
        check_handle(call(zs_geoip, &args));
        check(call(zs_vici_eap_identity_by_ip, &args) == UINT64_MAX);
    }
}

/* Memory begins with the input's end, so that its texts are there. */
static void
make_calls(void)
{
    struct str bytes = calls_text();
    memcpy(calls_memory(), bytes.ptr, str_first(bytes, CALLS_MEMORY).len);
    for (unsigned i = 0; i < CALLS_MAX && calls.at < calls.end; i++)
        one_call();
}

/* --- tokens --- */

static void
append_part(struct buf *out, struct str bytes)
{
    size_t len = base64_encoded_len(BASE64_URL_NO_PAD, bytes.len);
    char *at = buf_reserve(out, len + 1);
    check(at);
    base64_encode(BASE64_URL_NO_PAD, bytes, at);
    buf_commit(out, len);
}

static void
try_token(void)
{
    static char claims[JWT_CLAIMS_MAX];
    static const struct str secret = STR_INIT("secret");
    uint8_t code[HMAC_LEN_MAX];
    uint8_t how = calls_byte();
    struct str header = calls_text(), signed_claims = calls_text(), keys = calls_text();
    struct buf token;
    size_t len = 0;
    enum sha2 hash = how % 3;
    buf_init(&token, (size_t)4 * INPUT_MAX);
    append_part(&token, header);
    buf_append(&token, STR("."));
    append_part(&token, signed_claims);
    hmac_of(hash, secret, buf_str(&token), code);
    buf_append(&token, STR("."));
    append_part(&token, str_make((const char *)code, sha2_len(hash)));
    enum jwt_result result = jwt_verify(buf_str(&token), secret, JWT_TEST_NOW, claims, &len);
    check(result < JWT_RESULT_COUNT && result != JWT_BAD_KEYS);
    if (result == JWT_OK)
        check(str_eq(str_make(claims, len), signed_claims));
    /* Signed by nobody whom these keys know, unless they say the secret themselves. */
    result = jwt_verify(buf_str(&token), keys, JWT_TEST_NOW, claims, &len);
    check(result != JWT_OK || str_eq(keys, secret) || str_icontains(keys, STR("oct")));
    /* And tokens of others. */
    static const char *const tokens[] = {rs256, ps256, es256, es384, eddsa, hs512};
    jwt_verify(str_from_cstr(tokens[how % 6]), keys, JWT_TEST_NOW, claims, &len);
    check(jwt_verify(str_from_cstr(tokens[how % 5]), str_from_cstr(jwt_test_keys()), JWT_TEST_NOW,
                     claims, &len) == JWT_OK);
    buf_deinit(&token);
}

/* --- places --- */

static void
try_database(void)
{
    static const char *const samples[] = {sample_hex, ipv4_28_hex, ipv4_32_hex};
    static char out[GEOIP_RECORD_MAX];
    static const char *const addresses[] = {
        "192.0.2.1", "198.51.100.7", "2001:db8::1", "1.2.3.4", "255.255.255.255", "::", "ffff::"};
    char bytes[GEOIP_TEST_MAX + 64];
    struct error error;
    uint8_t how = calls_byte();
    size_t len = geoip_test_bytes(samples[how % 3], bytes), json_len;
    while (calls.at < calls.end) {
        size_t at = calls_number((uint32_t)len);
        bytes[at] = (char)(bytes[at] ^ calls_byte());
    }
    if (how & 0x80)
        len = how * 5 < len ? how * 5 : len;
    struct geoip *geoip = geoip_test_open(bytes, len, &error);
    if (!geoip)
        return;
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++)
        if (geoip_find(geoip, str_from_cstr(addresses[i]), out, &json_len)) {
            check(json_len > 0 && json_len <= sizeof out);
            int64_t handle = script_json_try_parse(&calls.scene->frame, str_make(out, json_len));
            script_json_deinit(&calls.scene->frame.json);
            calls.scene->frame.footprint = 0;
            check(handle > 0); /* deep and large ones stay below the limits of JSON */
        }
    geoip_close(geoip);
}

/* --- the helper that calls the others --- */

static uint64_t
drive(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    make_calls();
    return 0;
}

static const struct bpf_helper row = {"drive", drive};
static const struct bpf_helper_table table = {&row, 1};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const env_names[] = {"PATH", "H*"};
    if (size < 2 || size > INPUT_MAX)
        return 0;
    calls_init(&table);
    struct script_shared *shared = &calls.scene->shared;
    if (!shared->geoip) {
        shared->geoip = geoip_test_sample();
        shared->config.footprint_max = 64 << 20;
        shared->config.env_names = env_names;
        shared->config.env_name_count = 2;
    }
    calls.at = data + 1;
    calls.end = data + size;
    if (data[0] % 3 == 1) {
        try_token();
    } else if (data[0] % 3 == 2) {
        try_database();
    } else {
        while (calls.at < calls.end)
            calls_go();
        script_log_flush(&calls.scene->frame);
    }
    calls_reset();
    return 0;
}
