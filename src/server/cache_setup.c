#include "server/cache_setup.h"

#include "base/log.h"
#include "base/must.h"
#include "base/version.h"
#include "io/resolver.h"
#include "proxy/env.h"
#include "server/size_text.h"
#include "tls/client.h"

#define MS ((uint64_t)1000000)

static void
add_networks(struct cidr_list *networks, const struct options_list *list)
{
    struct error error;
    for (size_t i = 0; i < list->count; i++)
        must(cidr_list_add(networks, str_from_cstr(list->items[i]), &error) == 0); /* checked */
}

static int
make_tls_client(struct cache_setup *setup, const struct options *options, struct error *error)
{
    static const char *const protocols[] = {"http/1.1"};
    const struct tls_client_config config = {
        .ca_file = options->upstream_ca,
        .ca_option = "--upstream-ca",
        .insecure = options->upstream_insecure,
        .protocols = protocols,
        .protocol_count = 1,
    };
    if (tls_client_new(&setup->tls, &config, error) != 0)
        return -1;
    if (options->upstream_insecure)
        log_warn("--upstream-insecure: certificates of https upstreams are not checked");
    else if (tls_client_problem(setup->tls))
        log_warn("https upstreams will fail: %s", tls_client_problem(setup->tls));
    return 0;
}

static void
log_cache(struct cache_setup *setup, const struct options *options)
{
    struct cache_figures figures;
    char used[SIZE_TEXT_MAX], quota[SIZE_TEXT_MAX];
    cache_figures(setup->cache, &figures);
    log_info("cache: %s: %llu resource%s, %s of %s", options->cache_dir,
             (unsigned long long)figures.entry_count, figures.entry_count == 1 ? "" : "s",
             size_text(used, figures.used),
             figures.quota ? size_text(quota, figures.quota) : "no limit");
}

int
cache_setup_open(struct cache_setup *setup, const struct options *options, struct error *error)
{
    if (!options->cache_dir)
        return 0;
    add_networks(&setup->allow_networks, &options->allow_networks);
    add_networks(&setup->trusted_proxies, &options->trusted_proxies);
    add_networks(&setup->upstream_allow, &options->upstream_allow);
    if (resolver_new(&setup->resolver, NULL, error) != 0 ||
        make_tls_client(setup, options, error) != 0 || proxy_env_new(&setup->proxies, error) != 0)
        return -1;
    struct str path = str_from_cstr(options->cache_path ? options->cache_path : "");
    while (path.len && path.ptr[path.len - 1] == '/')
        path.len--;
    const struct cache_config config = {
        .dir = options->cache_dir,
        .quota = options->quota,
        .clean_percent = (unsigned)options->quota_clean,
        .path = path,
        .default_ttl_s = (int64_t)(options->default_ttl_ms / 1000),
        .max_ttl_s = (int64_t)(options->max_ttl_ms / 1000),
        .negative_ttl_s = (int64_t)(options->negative_ttl_ms / 1000),
        .stale_if_error_s = (int64_t)(options->stale_if_error_ms / 1000),
        .abandon_after_ns = options->abandon_after_ms * MS,
        .retry_ns = options->download_retry_ms * MS,
        .connect_timeout_ns = options->connect_timeout_ms * MS,
        .first_byte_timeout_ns = options->first_byte_timeout_ms * MS,
        .between_bytes_timeout_ns = options->read_timeout_ms * MS,
        .max_downloads = (unsigned)options->max_downloads,
        .allow_networks = &setup->allow_networks,
        .trusted_proxies = &setup->trusted_proxies,
        .upstream_allow = &setup->upstream_allow,
        .purge_token = options->purge_token,
        .version = TARN_VERSION,
        .user_agent = "tarn/" TARN_VERSION,
        .resolver = setup->resolver,
        .tls = setup->tls,
        .proxies = setup->proxies,
    };
    if (cache_open(&setup->cache, &config, error) != 0)
        return -1;
    log_cache(setup, options);
    return 0;
}

void
cache_setup_close(struct cache_setup *setup)
{
    if (setup->cache)
        cache_close(setup->cache);
    proxy_env_free(setup->proxies);
    tls_client_unref(setup->tls);
    if (setup->resolver)
        resolver_free(setup->resolver);
}
