/* cache_setup: the fetch cache as the options describe it, with what it needs: who may use it, whom
 * to trust upstream, proxies of the environment. The main thread's.
 */
#ifndef TARN_SERVER_CACHE_SETUP_H
#define TARN_SERVER_CACHE_SETUP_H

#include "base/cidr.h"
#include "cache/cache.h"
#include "server/options.h"

struct cache_setup {
    struct cache *cache; /* NULL: there is none */
    struct resolver *resolver;
    struct tls_client *tls;
    struct proxy_env *proxies;
    struct cidr_list allow_networks, trusted_proxies, upstream_allow;
};

/* Opens the cache when the options say that there is one. cache_setup_close also after a failure.
 */
int cache_setup_open(struct cache_setup *setup, const struct options *options,
                     struct error *error) MUST_USE;
/* After the workers have ended. */
void cache_setup_close(struct cache_setup *setup);

#endif
