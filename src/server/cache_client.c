#include "server/cache_client.h"

#include "base/hex.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/version.h"
#include "http/status.h"
#include "io/resolver.h"
#include "proxy/env.h"
#include "server/cli_text.h"
#include "tls/client.h"

#include <stdio.h>
#include <stdlib.h>

#define MS ((uint64_t)1000000)

/* A callback that writes may take longer than the cache may be silent. Then the exchange is paused,
 * which stops its clock, until the loop has looked at the time again. */

struct cache_client {
    const struct options *options;
    struct loop *loop;
    struct resolver *resolver;
    struct tls_client *tls;
    struct proxy_env *proxies;
    struct upstream_pool *pool;
    struct arena arena; /* of the request under way */
    struct exchange *exchange;
    const struct cache_request_ops *ops;
    void *arg;
    struct timer tick, resume;
    bool failed;
    struct error *error;
};

enum { FIELDS_MAX = 8, ARENA_BLOCK = 4096 };

/* --- what there is --- */

static int
open_tls(struct cache_client *client, struct error *error)
{
    static const char *const protocols[] = {"http/1.1"};
    const struct options *options = client->options;
    const struct tls_client_config config = {
        .ca_file = options->upstream_ca,
        .ca_option = "--upstream-ca",
        .insecure = options->upstream_insecure,
        .protocols = protocols,
        .protocol_count = 1,
    };
    if (options->cache_base.scheme != URL_HTTPS)
        return 0;
    if (options->upstream_insecure)
        log_warn("--upstream-insecure: the certificate of the cache is not checked");
    return tls_client_new(&client->tls, &config, error);
}

static int
open_pool(struct cache_client *client, struct error *error)
{
    const struct options *options = client->options;
    const struct upstream_config config = {
        .resolver = client->resolver,
        .tls = client->tls,
        .proxies = client->proxies,
        .connect_timeout_ns = options->connect_timeout_ms * MS,
        .first_byte_timeout_ns = options->timeout_ms * MS,
        .between_bytes_timeout_ns = options->timeout_ms * MS,
        .idle_timeout_ns = CACHE_CLIENT_IDLE_S * 1000 * MS,
        .head_max = CACHE_UPSTREAM_HEAD_MAX,
        .fields_max = CACHE_UPSTREAM_FIELDS_MAX,
    };
    client->pool = upstream_pool_new(client->loop, &config);
    return client->pool ? 0 : error_set(error, "no memory for a connection");
}

static void tick_came(struct timer *timer);
static void resume_came(struct timer *timer);

int
cache_client_open(struct cache_client **out, const struct options *options, struct error *error)
{
    struct cache_client *client = calloc(1, sizeof *client);
    if (!client)
        return error_set(error, "no memory for a connection");
    client->options = options;
    arena_init(&client->arena, CACHE_CLIENT_URL_MAX, ARENA_BLOCK);
    timer_init(&client->tick, tick_came);
    timer_init(&client->resume, resume_came);
    if (open_tls(client, error) != 0 || proxy_env_new(&client->proxies, error) != 0 ||
        resolver_new(&client->resolver, NULL, error) != 0 ||
        loop_new(&client->loop, LOOP_EPOLL, error) != 0 || open_pool(client, error) != 0) {
        cache_client_close(client);
        return -1;
    }
    *out = client;
    return 0;
}

void
cache_client_close(struct cache_client *client)
{
    static const struct loop_hooks no_hooks;
    if (!client)
        return;
    if (client->pool) {
        upstream_pool_close(client->pool);
        loop_stop(client->loop);
        loop_run(client->loop, &no_hooks); /* until what was closed is gone */
        upstream_pool_free(client->pool);
    }
    if (client->loop) {
        resolver_detach(client->resolver, client->loop);
        loop_free(client->loop);
    }
    if (client->resolver)
        resolver_free(client->resolver);
    proxy_env_free(client->proxies);
    tls_client_unref(client->tls);
    arena_deinit(&client->arena);
    free(client);
}

/* --- an exchange --- */

static void
end_run(struct cache_client *client)
{
    client->exchange = NULL;
    timer_clear(loop_timers(client->loop), &client->tick);
    timer_clear(loop_timers(client->loop), &client->resume);
    loop_stop(client->loop);
}

static void
go_on_or_end(struct cache_client *client, bool wanted)
{
    if (wanted)
        return;
    exchange_cancel(client->exchange);
    end_run(client);
}

static void
head_came(void *arg, const struct http_response_head *head)
{
    struct cache_client *client = arg;
    go_on_or_end(client, client->ops->head(client->arg, head));
}

static void
data_came(void *arg, struct str bytes)
{
    struct cache_client *client = arg;
    uint64_t before_ns = loop_clock_ns();
    bool wanted = client->ops->data(client->arg, bytes);
    uint64_t after_ns = loop_clock_ns();
    if (wanted && after_ns - before_ns > CACHE_CLIENT_SLOW_MS * MS) {
        exchange_pause(client->exchange);
        timer_set(loop_timers(client->loop), &client->resume, after_ns);
    }
    go_on_or_end(client, wanted);
}

static void
resume_came(struct timer *timer)
{
    struct cache_client *client =
        (struct cache_client *)((char *)timer - offsetof(struct cache_client, resume));
    exchange_resume(client->exchange);
}

/* Whoever gave no address may not know that there is one to give. */
static void
add_hint(struct cache_client *client, enum exchange_result result)
{
    size_t len = strlen(client->error->text);
    if (result == EXCHANGE_CONNECT &&
        options_source_of(client->options, "cache-url") == SOURCE_DEFAULT)
        snprintf(client->error->text + len, ERROR_TEXT_MAX - len,
                 "; --cache-url says where the cache is");
}

static void
exchange_ended(void *arg, enum exchange_result result, const char *reason)
{
    struct cache_client *client = arg;
    client->failed = result != EXCHANGE_DONE;
    if (client->failed) {
        error_set(client->error, "%s", reason);
        add_hint(client, result);
    }
    end_run(client);
}

static void
arm_tick(struct cache_client *client)
{
    timer_set(loop_timers(client->loop), &client->tick,
              loop_clock_ns() + CACHE_CLIENT_TICK_MS * MS);
}

static void
tick_came(struct timer *timer)
{
    struct cache_client *client =
        (struct cache_client *)((char *)timer - offsetof(struct cache_client, tick));
    client->ops->tick(client->arg);
    arm_tick(client);
}

static struct exchange *
start(struct cache_client *client, const struct cache_request *request)
{
    static const struct exchange_ops ops = {
        .head = head_came,
        .data = data_came,
        .over = exchange_ended,
    };
    struct exchange_field fields[FIELDS_MAX] = {{STR("User-Agent"), STR("tarn/" TARN_VERSION)}};
    unsigned count = 1;
    arena_reset(&client->arena);
    for (unsigned i = 0; i < request->field_count && count < FIELDS_MAX; i++)
        fields[count++] = request->fields[i];
    struct exchange_request exchange = {
        .method = str_from_cstr(request->method),
        .url = client->options->cache_base,
        .fields = fields,
        .field_count = count,
    };
    exchange.url.path = arena_join(&client->arena, exchange.url.path, str_from_cstr(request->path));
    exchange.url.query = request->query;
    exchange.url.has_query = request->query.len > 0;
    if (arena_overflowed(&client->arena))
        return NULL;
    return exchange_start(client->pool, &exchange, &ops, client);
}

int
cache_client_run(struct cache_client *client, const struct cache_request *request,
                 const struct cache_request_ops *ops, void *arg, struct error *error)
{
    static const struct loop_hooks no_hooks;
    client->ops = ops;
    client->arg = arg;
    client->error = error;
    client->failed = false;
    client->exchange = start(client, request);
    if (!client->exchange)
        return error_set(error, "no memory for the request, or it is too long");
    if (ops->tick)
        arm_tick(client);
    loop_run(client->loop, &no_hooks);
    return client->failed ? -1 : 0;
}

/* --- whole answers --- */

void
cache_answer_init(struct cache_answer *answer)
{
    *answer = (struct cache_answer){0};
    buf_init(&answer->body, CACHE_CLIENT_BODY_MAX);
}

void
cache_answer_deinit(struct cache_answer *answer)
{
    buf_deinit(&answer->body);
}

static bool
is_media_type(struct str value, struct str type)
{
    return str_ieq(str_trim(str_cut(&value, ';')), type);
}

void
cache_answer_set_head(struct cache_answer *answer, const struct http_response_head *head)
{
    struct str type = http_response_value(head, HTTP_FIELD_CONTENT_TYPE);
    answer->status = head->status;
    answer->is_text = is_media_type(type, STR("text/plain"));
    answer->is_json = is_media_type(type, STR("application/json"));
    cli_text_copy(answer->location, sizeof answer->location,
                  http_response_value(head, HTTP_FIELD_LOCATION));
}

static bool
is_good(const struct cache_answer *answer)
{
    return answer->status >= 200 && answer->status < 300;
}

bool
cache_answer_add(struct cache_answer *answer, struct str bytes)
{
    if (!is_good(answer))
        bytes = str_first(bytes, CACHE_CLIENT_REASON_MAX - answer->body.len);
    buf_append(&answer->body, bytes);
    return !buf_overflowed(&answer->body) &&
           (is_good(answer) || answer->body.len < CACHE_CLIENT_REASON_MAX);
}

int
cache_answer_refuse(const struct cache_answer *answer, struct error *error)
{
    char text[CACHE_CLIENT_REASON_MAX + 1], code[16];
    struct str said = buf_str(&answer->body);
    int code_len = snprintf(code, sizeof code, "%u: ", answer->status) - 2;
    if (is_good(answer))
        return error_set(error, "the answer is not that of a fetch cache");
    if (answer->status / 100 == 3 && answer->location[0])
        return error_set(error, "%sthe cache is not here, but at %s", code, answer->location);
    if (!answer->is_text || said.len == 0)
        said = http_status_reason((int)answer->status);
    said = str_cut(&said, '\n');
    cli_text_copy(text, sizeof text, str_cut(&said, '\r'));
    /* Many a text begins with the status by itself. */
    bool has_code = str_starts_with(str_from_cstr(text), str_make(code, (size_t)code_len));
    return error_set(error, "%s%s", has_code ? "" : code, text);
}

static bool
take_head(void *arg, const struct http_response_head *head)
{
    cache_answer_set_head(arg, head);
    return true;
}

static bool
take_data(void *arg, struct str bytes)
{
    return cache_answer_add(arg, bytes);
}

int
cache_client_ask(struct cache_client *client, const struct cache_request *request,
                 struct cache_answer *answer, struct error *error)
{
    static const struct cache_request_ops ops = {.head = take_head, .data = take_data};
    cache_answer_init(answer);
    if (cache_client_run(client, request, &ops, answer, error) != 0)
        return -1;
    if (buf_overflowed(&answer->body))
        return error_set(error, "the answer is longer than %d MiB", CACHE_CLIENT_BODY_MAX >> 20);
    return 0;
}

int
cache_client_ask_json(struct cache_client *client, const struct cache_request *request,
                      struct cache_answer *answer, struct error *error)
{
    if (cache_client_ask(client, request, answer, error) != 0)
        return -1;
    if (answer->status == 200 && answer->is_json)
        return 0;
    cache_answer_refuse(answer, error);
    return error_prefix(error, "%s", client->options->cache_url);
}

/* --- queries --- */

static bool
stays_in_query(char c)
{
    char lower = str_lower_char(c);
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') ||
           (c && strchr("-._~/:?@!$'()*,;=", c));
}

void
cache_query_append(struct buf *query, const char *name, struct str value)
{
    char encoded[3];
    buf_printf(query, "%s%s=", query->len ? "&" : "", name);
    for (size_t i = 0; i < value.len; i++)
        if (stays_in_query(value.ptr[i]))
            buf_append_char(query, value.ptr[i]);
        else
            buf_append(query, str_make(encoded, percent_put(encoded, value.ptr[i])));
}
