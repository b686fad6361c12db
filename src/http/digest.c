#include "http/digest.h"

#include "base/base64.h"
#include "base/hex.h"
#include "http/structured.h"

void
digests_add(struct digests *digests, enum digest_kind kind, const uint8_t *value)
{
    uint8_t *kept = digests->value[kind];
    size_t len = digest_len(kind);
    if (digests->has[kind])
        digests->conflict |= memcmp(kept, value, len) != 0;
    else
        memcpy(kept, value, len);
    digests->has[kind] = true;
}

static bool
add_base64(struct digests *digests, enum digest_kind kind, struct str text)
{
    uint8_t value[DIGEST_LEN_MAX];
    if (!base64_decode(text, value, digest_len(kind)))
        return false;
    digests_add(digests, kind, value);
    return true;
}

/* The kinds of a Repr-Digest, by their keys (RFC 9530 section 7.2). */
static bool
kind_of_key(struct str key, enum digest_kind *kind)
{
    *kind = str_eq(key, STR("sha-512")) ? DIGEST_SHA512 : DIGEST_SHA256;
    return *kind == DIGEST_SHA512 || str_eq(key, STR("sha-256"));
}

/* Of members with one key only the last counts, and none of a malformed field: nothing is decoded
 * before all is read. */
static bool
add_repr_digest(struct digests *digests, struct str value)
{
    struct structured_member member, last[DIGEST_KIND_COUNT] = {0};
    enum structured_result result;
    enum digest_kind kind;
    bool added = false;
    while ((result = structured_next(&value, &member)) == STRUCTURED_MEMBER)
        if (kind_of_key(member.key, &kind))
            last[kind] = member;
    for (kind = 0; kind < DIGEST_KIND_COUNT && result == STRUCTURED_END; kind++)
        if (last[kind].type == STRUCTURED_BYTES)
            added |= add_base64(digests, kind, last[kind].value);
    return added;
}

bool
digests_add_field(struct digests *digests, struct str name, struct str value)
{
    if (str_ieq(name, STR("repr-digest")))
        return add_repr_digest(digests, value);
    if (str_ieq(name, STR("content-md5")))
        return add_base64(digests, DIGEST_MD5, value);
    /* The "-N" of a multipart checksum is no base64, nor is its length right. */
    if (str_ieq(name, STR("x-amz-checksum-sha256")))
        return add_base64(digests, DIGEST_SHA256, value);
    return false;
}

bool
digest_parse_sha256(struct str text, uint8_t out[static DIGEST_SHA256_LEN])
{
    if (text.len != 2 * DIGEST_SHA256_LEN)
        return false;
    for (size_t i = 0; i < DIGEST_SHA256_LEN; i++) {
        int byte = hex_byte(str_skip(text, 2 * i));
        if (byte < 0)
            return false;
        out[i] = (uint8_t)byte;
    }
    return true;
}
