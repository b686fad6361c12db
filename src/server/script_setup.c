#include "server/script_setup.h"

#include "base/limits.h"
#include "base/log.h"
#include "io/resolver.h"
#include "proxy/env.h"
#include "script/sources.h"
#include "tls/client.h"

#define MS ((uint64_t)1000000)

void
script_setup_init(struct script_setup *setup, const struct options *options)
{
    *setup = (struct script_setup){.options = options};
}

void
script_setup_deinit(struct script_setup *setup)
{
    script_shared_free(setup->shared);
    proxy_env_free(setup->proxies);
    tls_client_unref(setup->tls);
    if (setup->resolver)
        resolver_free(setup->resolver);
}

static int
make_shared(struct script_setup *setup, struct error *error)
{
    static const enum bpf_engine engines[] = {[OPTIONS_ENGINE_AUTO] = BPF_ENGINE_AUTO,
                                              [OPTIONS_ENGINE_JIT] = BPF_ENGINE_JIT,
                                              [OPTIONS_ENGINE_INTERP] = BPF_ENGINE_INTERP};
    const struct options *options = setup->options;
    const struct script_config config = {
        .slice_ns = options->script_slice_ms * MS,
        .cpu_limit_ns = options->script_cpu_limit_ms * MS,
        .footprint_max = options->script_footprint_kb << 10,
        .body_max = options->script_body_kb << 10,
        .code_len_max = options->script_code_size_limit_kb << 10,
        .engine = engines[options->script_engine],
        .rate_buckets_max = (uint32_t)options->rate_buckets_max,
        .kv_max = options->script_kv_max,
        .env_names = options->script_env.items,
        .env_name_count = (unsigned)options->script_env.count,
        .geoip_path = options->geoip,
    };
    return script_shared_new(&setup->shared, &config, error);
}

static int
make_fetches(struct script_setup *setup, struct error *error)
{
    static const char *const protocols[] = {"http/1.1"};
    const struct options *options = setup->options;
    const struct tls_client_config tls = {
        .ca_file = options->upstream_ca,
        .ca_option = "--upstream-ca",
        .insecure = options->upstream_insecure,
        .protocols = protocols,
        .protocol_count = 1,
    };
    if (setup->fetches.resolver)
        return 0;
    if ((!setup->tls && tls_client_new(&setup->tls, &tls, error) != 0) ||
        (!setup->proxies && proxy_env_new(&setup->proxies, error) != 0) ||
        resolver_new(&setup->resolver, NULL, error) != 0)
        return -1;
    if (options->upstream_insecure)
        log_warn("--upstream-insecure: certificates of https upstreams are not checked");
    else if (tls_client_problem(setup->tls))
        log_warn("https upstreams will fail: %s", tls_client_problem(setup->tls));
    setup->fetches = (struct upstream_config){
        .resolver = setup->resolver,
        .tls = setup->tls,
        .proxies = setup->proxies,
        .connect_timeout_ns = options->connect_timeout_ms * MS,
        .first_byte_timeout_ns = options->first_byte_timeout_ms * MS,
        .between_bytes_timeout_ns = options->read_timeout_ms * MS,
        .idle_timeout_ns = SCRIPT_FETCH_IDLE_S * 1000 * MS,
        .head_max = EXCHANGE_HEAD_MAX,
        .fields_max = SCRIPT_FIELD_COUNT_MAX,
    };
    return 0;
}

/* Of two scripts with one name, the earlier one takes the place of the later one. */
static void
replace_by_name(struct script_sources *sources)
{
    for (unsigned i = 0; i < sources->count; i++)
        for (unsigned j = i + 1; j < sources->count; j++) {
            if (!str_eq(sources->list[i].name, sources->list[j].name))
                continue;
            sources->list[j] = sources->list[i];
            sources->count--;
            memmove(&sources->list[i], &sources->list[i + 1],
                    (sources->count - i) * sizeof *sources->list);
            i--;
            break;
        }
}

static int
make_set(struct script_setup *setup, const struct script_sources *sources, struct script_set **set,
         struct error *error)
{
    *set = NULL;
    if (sources->count == 0)
        return 0;
    if (!setup->shared && make_shared(setup, error) != 0)
        return -1;
    if (script_set_new(set, setup->shared, sources->list, sources->count, error) != 0)
        return -1;
    if (script_set_fetches(*set) && make_fetches(setup, error) != 0) {
        script_set_unref(*set);
        return -1;
    }
    return 0;
}

static int
load(struct script_setup *setup, struct script_sources *sources, struct site_config *config,
     struct site **site, struct script_set **set, struct error *error)
{
    const struct options *options = setup->options;
    const struct script_sources_config from = {
        .site = config->source,
        .plugins = options->plugins.items,
        .plugin_count = options->plugins.count,
        .plugin_dirs = options->plugin_dirs.items,
        .plugin_dir_count = options->plugin_dirs.count,
        .clang = options->clang,
    };
    if (script_sources_load(sources, &from, error) != 0)
        return -1;
    if (script_sources_is_script(config->source)) {
        config->source = NULL;
        config->allow_empty = true;
    }
    config->members = script_sources_take_site;
    config->members_arg = sources;
    config->templates = true;
    if (site_load(config, site, error) != 0)
        return -1;
    if (setup->plugins_replace)
        replace_by_name(sources);
    if (make_set(setup, sources, set, error) != 0) {
        site_free(*site);
        return -1;
    }
    return 0;
}

int
script_setup_load(struct script_setup *setup, const struct site_config *config, struct site **site,
                  struct script_set **set, struct error *error)
{
    struct site_config own = *config;
    struct script_sources sources;
    int result = load(setup, &sources, &own, site, set, error);
    script_sources_deinit(&sources);
    return result;
}
