/* Fuzzes digests that an upstream announces. Input: one byte for the field, then its value.
 *
 * Checked: a Repr-Digest is read exactly when it is in the grammar of RFC 9651, which stands here
 * as a regular expression; what is read, written again in base64 or hexadecimal, is in the value; a
 * good member put behind a good value is read.
 */
#include "http/digest.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

#include "http/structured.h"

enum { INPUT_MAX = 512, TEXT_MAX = 2 * INPUT_MAX };

#define KEY "[a-z*][a-z0-9_.*-]*"
#define NUMBER "-?([0-9]{1,15}|[0-9]{1,12}[.][0-9]{1,3})"
#define STRING "\"([] !#-[^-~]|\\\\[\"\\\\])*\""
#define TOKEN "[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*"
#define DISPLAY "%\"([] !#$&-[\\^-~]|%[0-9a-f][0-9a-f])*\""
#define ITEM \
    "(" NUMBER "|" STRING "|" TOKEN "|:[A-Za-z0-9+/=]*:|[?][01]|@-?[0-9]{1,15}|" DISPLAY ")"
#define PARAMETERS "(; *" KEY "(=" ITEM ")?)*"
#define LIST "[(] *(" ITEM PARAMETERS "( +" ITEM PARAMETERS ")* *)?[)]"
#define MEMBER KEY "(=(" ITEM "|" LIST "))?" PARAMETERS
#define GRAMMAR "^ *(" MEMBER "([ \t]*,[ \t]*" MEMBER ")*[ \t]*)?$"

#define GOOD "uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek="

static void
check(bool holds)
{
    if (!holds)
        abort();
}

static bool
is_in_grammar(const char *text)
{
    static regex_t grammar;
    static bool is_ready;
    if (!is_ready)
        check(regcomp(&grammar, GRAMMAR, REG_EXTENDED | REG_NOSUB) == 0);
    is_ready = true;
    return regexec(&grammar, text, 0, NULL, 0) == 0;
}

static void
encode(const uint8_t *bytes, size_t len, char *out)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < len; i += 3) {
        size_t count = len - i < 3 ? len - i : 3;
        uint32_t bits = (uint32_t)bytes[i] << 16;
        bits |= count > 1 ? (uint32_t)bytes[i + 1] << 8 : 0;
        bits |= count > 2 ? bytes[i + 2] : 0;
        for (size_t j = 0; j < 4; j++)
            *out++ = j <= count ? alphabet[bits >> (18 - 6 * j) & 63] : '=';
    }
    *out = '\0';
}

static void
check_members(const char *text, const struct digests *digests)
{
    static const char *const keys[] = {"sha-256", "sha-512"};
    check(!digests->has[DIGEST_MD5] && !digests->conflict);
    for (enum digest_kind kind = DIGEST_SHA256; kind <= DIGEST_SHA512; kind++) {
        char base64[96], member[128];
        encode(digests->value[kind], digest_len(kind), base64);
        snprintf(member, sizeof member, "%s=:%s:", keys[kind], base64);
        check(!digests->has[kind] || strstr(text, member));
    }
}

static void
check_repr_digest(struct str value, const char *text)
{
    struct digests digests = {0}, more = {0};
    struct structured_member member;
    enum structured_result result;
    struct str rest = value;
    char longer[TEXT_MAX];
    bool is_good = strlen(text) == value.len && is_in_grammar(text);
    size_t count = 0;
    while ((result = structured_next(&rest, &member)) == STRUCTURED_MEMBER)
        count++;
    check((result == STRUCTURED_END) == is_good);
    bool added = digests_add_field(&digests, STR("Repr-Digest"), value);
    check(added == (digests.has[DIGEST_SHA256] || digests.has[DIGEST_SHA512]));
    check(is_good || !added);
    check_members(text, &digests);
    int len = snprintf(longer, sizeof longer, "%s%ssha-256=:" GOOD ":", text, count ? "," : "");
    added = digests_add_field(&more, STR("repr-digest"), str_make(longer, (size_t)len));
    if (is_good)
        check(added && more.value[DIGEST_SHA256][0] == 0xb9 &&
              more.value[DIGEST_SHA256][31] == 0xe9);
}

static void
check_base64(struct str value, struct str name, enum digest_kind kind)
{
    struct digests digests = {0};
    char text[96];
    if (digests_add_field(&digests, name, value)) {
        encode(digests.value[kind], digest_len(kind), text);
        check(str_eq(value, str_from_cstr(text)));
    }
    /* The bytes of the value as a digest: written and read, they are the same. */
    uint8_t bytes[DIGEST_LEN_MAX] = {0};
    memcpy(bytes, value.ptr, value.len < sizeof bytes ? value.len : sizeof bytes);
    encode(bytes, digest_len(kind), text);
    digests = (struct digests){0};
    check(digests_add_field(&digests, name, str_from_cstr(text)));
    check(memcmp(digests.value[kind], bytes, digest_len(kind)) == 0);
}

static void
check_hexadecimal(struct str value)
{
    uint8_t bytes[DIGEST_SHA256_LEN];
    char text[2 * DIGEST_SHA256_LEN + 1];
    bool is_good = value.len == 64;
    for (size_t i = 0; i < value.len; i++)
        is_good = is_good && value.ptr[i] && strchr("0123456789abcdefABCDEF", value.ptr[i]);
    check(digest_parse_sha256(value, bytes) == is_good);
    for (size_t i = 0; i < sizeof bytes && is_good; i++)
        sprintf(text + 2 * i, "%02x", bytes[i]);
    check(!is_good || str_ieq(value, str_from_cstr(text)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[INPUT_MAX + 1];
    if (size < 1 || size > INPUT_MAX)
        return 0;
    size_t len = size - 1;
    memcpy(text, data + 1, len);
    text[len] = '\0';
    char *exact = malloc(len ? len : 1);
    check(exact != NULL);
    memcpy(exact, text, len);
    struct str value = str_make(exact, len);
    switch (data[0] % 4) {
    case 0:
        check_repr_digest(value, text);
        break;
    case 1:
        check_base64(value, STR("Content-MD5"), DIGEST_MD5);
        break;
    case 2:
        check_base64(value, STR("x-amz-checksum-sha256"), DIGEST_SHA256);
        break;
    default:
        check_hexadecimal(value);
    }
    free(exact);
    return 0;
}
