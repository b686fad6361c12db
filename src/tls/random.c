#include "tls/random.h"

#include "base/must.h"

#include <openssl/rand.h>

void
random_fill(void *out, size_t len)
{
    must(RAND_bytes(out, len)); /* aborts rather than fail */
}
