#include "tls/digest.h"

#include "base/must.h"

#include <openssl/md5.h>
#include <openssl/sha.h>

_Static_assert(sizeof(MD5_CTX) <= sizeof((struct digest *)0)->state, "room for MD5");
_Static_assert(sizeof(SHA256_CTX) <= sizeof((struct digest *)0)->state, "room for SHA-256");
_Static_assert(sizeof(SHA512_CTX) <= sizeof((struct digest *)0)->state, "room for SHA-512");
_Static_assert(DIGEST_MD5_LEN == MD5_DIGEST_LENGTH, "length of MD5");
_Static_assert(DIGEST_SHA256_LEN == SHA256_DIGEST_LENGTH, "length of SHA-256");
_Static_assert(DIGEST_SHA512_LEN == SHA512_DIGEST_LENGTH, "length of SHA-512");

/* The library's functions return 1 whatever happens; a digest that is not made would be ours to
 * answer for. */

void
digest_init(struct digest *digest, enum digest_kind kind)
{
    /* cppcheck-suppress ctuuninitvar ; the state is written here, not read */
    void *state = digest->state;
    int done = 0;
    digest->kind = kind;
    switch (kind) {
    case DIGEST_MD5:
        done = MD5_Init(state);
        break;
    case DIGEST_SHA256:
        done = SHA256_Init(state);
        break;
    case DIGEST_SHA512:
        done = SHA512_Init(state);
        break;
    case DIGEST_KIND_COUNT:
        break;
    }
    must(done);
}

void
digest_update(struct digest *digest, struct str bytes)
{
    void *state = digest->state;
    int done = 0;
    switch (digest->kind) {
    case DIGEST_MD5:
        done = MD5_Update(state, bytes.ptr, bytes.len);
        break;
    case DIGEST_SHA256:
        done = SHA256_Update(state, bytes.ptr, bytes.len);
        break;
    case DIGEST_SHA512:
        done = SHA512_Update(state, bytes.ptr, bytes.len);
        break;
    case DIGEST_KIND_COUNT:
        break;
    }
    must(done);
}

void
digest_final(struct digest *digest, uint8_t *out)
{
    void *state = digest->state;
    int done = 0;
    switch (digest->kind) {
    case DIGEST_MD5:
        done = MD5_Final(out, state);
        break;
    case DIGEST_SHA256:
        done = SHA256_Final(out, state);
        break;
    case DIGEST_SHA512:
        done = SHA512_Final(out, state);
        break;
    case DIGEST_KIND_COUNT:
        break;
    }
    must(done);
}

void
digest_of(enum digest_kind kind, struct str bytes, uint8_t *out)
{
    struct digest digest;
    digest_init(&digest, kind);
    digest_update(&digest, bytes);
    digest_final(&digest, out);
}
