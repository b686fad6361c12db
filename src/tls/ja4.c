#include "tls/ja4.h"

#include "base/limits.h"
#include "base/must.h"

#include <openssl/sha.h>

/* The values are sorted as numbers, which is the order of their four hex digits, by two counting
 * passes: a hello of nothing but cipher suites costs no more than its length. */

enum { VALUES_MAX = CLIENT_HELLO_MAX / 2, HASH_TEXT_LEN = 12 };

struct values {
    size_t count;
    uint16_t list[VALUES_MAX];
};

static void
values_add(struct values *values, uint16_t value)
{
    if (client_hello_is_grease(value))
        return;
    must(values->count < VALUES_MAX);
    values->list[values->count++] = value;
}

static void
values_add_list(struct values *values, struct str list)
{
    for (size_t i = 0; i < list.len / 2; i++)
        values_add(values, client_hello_u16(list, i));
}

static void
sort_by_byte(uint16_t *to, const uint16_t *from, size_t count, unsigned shift)
{
    size_t ends[257] = {0};
    for (size_t i = 0; i < count; i++)
        ends[1 + (from[i] >> shift & 0xff)]++;
    for (unsigned byte = 0; byte < 256; byte++)
        ends[byte + 1] += ends[byte];
    for (size_t i = 0; i < count; i++)
        to[ends[from[i] >> shift & 0xff]++] = from[i];
}

static void
values_sort(struct values *values)
{
    uint16_t half_sorted[VALUES_MAX];
    sort_by_byte(half_sorted, values->list, values->count, 0);
    sort_by_byte(values->list, half_sorted, values->count, 8);
}

static const char hex[] = "0123456789abcdef";

static void
hash_values(SHA256_CTX *sha, const struct values *values)
{
    for (size_t i = 0; i < values->count; i++) {
        uint16_t value = values->list[i];
        const char text[5] = {',', hex[value >> 12], hex[value >> 8 & 15], hex[value >> 4 & 15],
                              hex[value & 15]};
        SHA256_Update(sha, i ? text : text + 1, i ? 5 : 4);
    }
}

/* The hash of both lists, or zeros when the first is empty. */
static void
print_hash(const struct values *sorted, const struct values *behind, char out[HASH_TEXT_LEN])
{
    uint8_t digest[SHA256_DIGEST_LENGTH] = {0};
    if (sorted->count) {
        SHA256_CTX sha;
        SHA256_Init(&sha);
        hash_values(&sha, sorted);
        if (behind && behind->count) {
            SHA256_Update(&sha, "_", 1);
            hash_values(&sha, behind);
        }
        SHA256_Final(digest, &sha);
    }
    for (unsigned i = 0; i < HASH_TEXT_LEN; i++)
        out[i] = hex[digest[i / 2] >> (i % 2 ? 0 : 4) & 15];
}

static const char *
version_text(const struct client_hello *hello)
{
    uint16_t version = 0;
    for (size_t i = 0; i < hello->versions.len / 2; i++) {
        uint16_t offered = client_hello_u16(hello->versions, i);
        if (!client_hello_is_grease(offered) && offered > version)
            version = offered;
    }
    switch (version ? version : hello->legacy_version) {
    case 0x0304:
        return "13";
    case 0x0303:
        return "12";
    case 0x0302:
        return "11";
    case 0x0301:
        return "10";
    case 0x0300:
        return "s3";
    case 0x0002:
        return "s2";
    default:
        return "00";
    }
}

static void
print_count(size_t count, char out[2])
{
    if (count > 99)
        count = 99;
    out[0] = (char)('0' + count / 10);
    out[1] = (char)('0' + count % 10);
}

static bool
is_alphanumeric(char c)
{
    return (c >= '0' && c <= '9') || (str_lower_char(c) >= 'a' && str_lower_char(c) <= 'z');
}

static void
print_alpn(struct str list, char out[2])
{
    out[0] = out[1] = '0';
    if (!list.len)
        return;
    struct str name = client_hello_next_alpn(&list);
    char first = name.ptr[0], last = name.ptr[name.len - 1];
    bool plain = is_alphanumeric(first) && is_alphanumeric(last);
    out[0] = plain ? first : hex[(uint8_t)first >> 4];
    out[1] = plain ? last : hex[(uint8_t)last & 15];
}

/* All extensions count; SNI and ALPN are left out of the hash. Returns the count. */
static size_t
add_extensions(const struct client_hello *hello, struct values *hashed)
{
    size_t count = 0;
    for (struct str rest = hello->extensions; rest.len;) {
        uint16_t type = client_hello_next_extension(&rest).type;
        count += !client_hello_is_grease(type);
        if (type != CLIENT_HELLO_EXTENSION_SNI && type != CLIENT_HELLO_EXTENSION_ALPN)
            values_add(hashed, type);
    }
    return count;
}

void
ja4_compute(const struct client_hello *hello, char out[JA4_TEXT_LEN + 1])
{
    struct values ciphers, extensions, algorithms;
    ciphers.count = extensions.count = algorithms.count = 0;
    values_add_list(&ciphers, hello->ciphers);
    values_add_list(&algorithms, hello->signature_algorithms);
    size_t extension_count = add_extensions(hello, &extensions);

    memset(out, '_', JA4_TEXT_LEN);
    out[0] = 't';
    memcpy(out + 1, version_text(hello), 2);
    out[3] = hello->has_sni ? 'd' : 'i';
    print_count(ciphers.count, out + 4);
    print_count(extension_count, out + 6);
    print_alpn(hello->alpn, out + 8);
    values_sort(&ciphers);
    print_hash(&ciphers, NULL, out + 11);
    values_sort(&extensions);
    print_hash(&extensions, &algorithms, out + 24);
    out[JA4_TEXT_LEN] = '\0';
}
