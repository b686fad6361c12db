#include "server/options_client.h"

#include "http/digest.h"

/* --- where the cache is --- */

static int
resolve_base(struct options *options, struct error *error)
{
    struct str text = str_from_cstr(options->cache_url);
    struct url *base = &options->cache_base;
    if (str_find(text, STR("://")) == text.len)
        text = arena_join(&options->memory, STR("http://"), text);
    if (!url_parse(text, base) || base->has_query)
        return error_set(error,
                         "--cache-url wants http://HOST:PORT or https://HOST:PORT, with a path "
                         "where there is one, not '%s'",
                         options->cache_url);
    while (base->path.len && base->path.ptr[base->path.len - 1] == '/')
        base->path.len--;
    return 0;
}

/* A directory or an address: the one that was said more firmly. */
static int
resolve_place(struct options *options, struct error *error)
{
    enum options_source of_dir = options_source_of(options, "cache-dir");
    enum options_source of_url = options_source_of(options, "cache-url");
    if (of_dir == SOURCE_FLAG && of_url == SOURCE_FLAG)
        return error_set(error, "--cache-dir and --cache-url exclude each other");
    if (of_dir > of_url)
        return 0;
    options->cache_dir = NULL;
    return resolve_base(options, error);
}

/* --- what is meant --- */

static int
check_resources(const struct option_args *args, struct error *error)
{
    struct url url;
    for (size_t i = 0; i < args->word_count; i++)
        if (!url_parse(str_from_cstr(args->words[i]), &url))
            return error_set(error,
                             "'%s' is no URL that a cache can fetch: http or https, with a host, "
                             "without user and password, at most 8 KiB",
                             args->words[i]);
    return 0;
}

static int
resolve_resources(struct options *options, const struct option_args *args, struct error *error)
{
    bool takes_some =
        options->command == COMMAND_CACHE_GET || options->command == COMMAND_CACHE_PURGE;
    if (!takes_some && args->word_count)
        return error_set(error, "'tarn %s' takes no argument, but there is '%s'",
                         args->command->name, args->words[0]);
    if (takes_some && args->word_count == 0)
        return error_set(error, "no URL: name a resource, as in 'tarn %s https://example.com/file'",
                         args->command->name);
    if (options->command == COMMAND_CACHE_GET && args->word_count > 1)
        return error_set(error, "one URL is enough, but '%s' follows '%s'", args->words[1],
                         args->words[0]);
    options->resources = (struct options_list){args->words, args->word_count};
    return check_resources(args, error);
}

static int
check_get(struct options *options, struct error *error)
{
    uint8_t digest[DIGEST_SHA256_LEN];
    if (options->sha256 && !digest_parse_sha256(str_from_cstr(options->sha256), digest))
        return error_set(error, "--sha256 wants 64 hexadecimal digits, not '%s'", options->sha256);
    if (options->resume && (!options->output || strcmp(options->output, "-") == 0))
        return error_set(error, "--continue needs --output: only a file can be gone on with");
    return 0;
}

int
options_resolve_client(struct options *options, const struct option_args *args, struct error *error)
{
    if (resolve_place(options, error) < 0 || resolve_resources(options, args, error) < 0 ||
        check_get(options, error) < 0)
        return -1;
    if (options->command == COMMAND_CACHE_PURGE && !options->purge_token)
        return error_set(error, "no --purge-token: give the one of the cache, best as "
                                "TARN_PURGE_TOKEN in the environment");
    return 0;
}
