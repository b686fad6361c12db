#include "base/limits.h"
#include "base/log.h"
#include "server/cache_client.h"
#include "server/cache_command.h"

#include <stdio.h>

static int
ask(struct cache_client *client, const struct cache_request *request, struct error *error)
{
    struct cache_answer answer;
    int result = cache_client_ask(client, request, &answer, error);
    if (result == 0 && answer.status != 200)
        result = cache_answer_refuse(&answer, error);
    cache_answer_deinit(&answer);
    return result;
}

static int
purge(struct cache_client *client, const struct options *options, struct str url,
      struct error *error)
{
    struct buf query, bearer;
    int result = -1;
    buf_init(&query, CACHE_CLIENT_QUERY_MAX);
    buf_init(&bearer, EXCHANGE_HEAD_MAX);
    cache_query_append(&query, "url", url);
    buf_printf(&bearer, "Bearer %s", options->purge_token);
    const struct exchange_field field = {STR("Authorization"), buf_str(&bearer)};
    const struct cache_request request = {
        .method = "DELETE",
        .path = "/api/v1/fetch",
        .query = buf_str(&query),
        .fields = &field,
        .field_count = 1,
    };
    if (buf_overflowed(&query) || buf_overflowed(&bearer))
        error_set(error, "the URL or --purge-token is too long");
    else
        result = ask(client, &request, error);
    buf_deinit(&query);
    buf_deinit(&bearer);
    return result;
}

int
cache_command_purge(const struct options *options)
{
    struct cache_client *client;
    struct error error;
    int code = 0;
    if (cache_client_open(&client, options, &error) != 0) {
        log_error("cache purge: %s", error.text);
        return 1;
    }
    for (size_t i = 0; i < options->resources.count; i++) {
        const char *url = options->resources.items[i];
        if (purge(client, options, str_from_cstr(url), &error) == 0) {
            printf("purged %s\n", url);
            continue;
        }
        log_error("cache purge: %s: %s", url, error.text);
        code = 1;
    }
    cache_client_close(client);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        log_error("cache purge: cannot write to standard output");
        code = 1;
    }
    return code;
}
