/* Made of the hashes themselves: the library's own HMAC asks for memory, and so could fail. */
#include "tls/hmac.h"

#include <openssl/mem.h>
#include <openssl/sha.h>

enum { BLOCK_LEN_MAX = SHA512_CBLOCK };

static size_t
block_len(enum sha2 hash)
{
    return hash == SHA2_256 ? SHA256_CBLOCK : SHA512_CBLOCK;
}

/* The hash of a and b, one behind the other. SHA-384 is SHA-512 with another start, cut. The
 * library's functions return 1 whatever happens. */
static void
hash_both(enum sha2 hash, struct str a, struct str b, uint8_t *out)
{
    SHA256_CTX small;
    SHA512_CTX large;
    if (hash == SHA2_256) {
        SHA256_Init(&small);
        SHA256_Update(&small, a.ptr, a.len);
        SHA256_Update(&small, b.ptr, b.len);
        SHA256_Final(out, &small);
        return;
    }
    if (hash == SHA2_384)
        SHA384_Init(&large);
    else
        SHA512_Init(&large);
    SHA512_Update(&large, a.ptr, a.len);
    SHA512_Update(&large, b.ptr, b.len);
    if (hash == SHA2_384)
        SHA384_Final(out, &large);
    else
        SHA512_Final(out, &large);
}

static struct str
with_pad(const uint8_t *key, size_t len, uint8_t pad, char *out)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (char)(key[i] ^ pad);
    return str_make(out, len);
}

void
hmac_of(enum sha2 hash, struct str key, struct str message, uint8_t *out)
{
    uint8_t block[BLOCK_LEN_MAX] = {0}, inner[HMAC_LEN_MAX];
    char padded[BLOCK_LEN_MAX];
    size_t len = block_len(hash);
    if (key.len > len)
        hash_both(hash, key, STR(""), block);
    else if (key.len)
        memcpy(block, key.ptr, key.len);
    hash_both(hash, with_pad(block, len, 0x36, padded), message, inner);
    hash_both(hash, with_pad(block, len, 0x5c, padded),
              str_make((const char *)inner, sha2_len(hash)), out);
}

bool
hmac_verify(enum sha2 hash, struct str key, struct str message, struct str code)
{
    uint8_t expected[HMAC_LEN_MAX];
    if (code.len != sha2_len(hash))
        return false;
    hmac_of(hash, key, message, expected);
    return CRYPTO_memcmp(expected, code.ptr, code.len) == 0;
}
