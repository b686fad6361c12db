/* Helpers that hash, and the one that does not give the same twice. */
#include "script/helpers.h"
#include "script/task.h"
#include "tls/digest.h"
#include "tls/hmac.h"
#include "tls/random.h"

SCRIPT_HELPER(zs_getrandom)
{
    random_fill(bpf_view_writable(run, r1, r2), r2);
    return r2;
}

SCRIPT_HELPER(zs_sha256)
{
    if (r4 != DIGEST_SHA256_LEN)
        bpf_trap(run, "zs_sha256: out_len is %llu, expected %d", (unsigned long long)r4,
                 DIGEST_SHA256_LEN);
    struct str data = bpf_view(run, r1, r2);
    char *out = bpf_view_writable(run, r3, r4);
    bpf_views_apart(run, out, r4, data.ptr, data.len);
    digest_of(DIGEST_SHA256, data, (uint8_t *)out);
    return r4;
}

SCRIPT_HELPER(zs_hmac_sha256)
{
    struct str key = bpf_view(run, r1, r2), message = bpf_view(run, r3, r4);
    char *out = bpf_view_writable(run, r5, HMAC_SHA256_LEN);
    bpf_views_apart(run, out, HMAC_SHA256_LEN, key.ptr, key.len);
    bpf_views_apart(run, out, HMAC_SHA256_LEN, message.ptr, message.len);
    hmac_of(SHA2_256, key, message, (uint8_t *)out);
    return HMAC_SHA256_LEN;
}
