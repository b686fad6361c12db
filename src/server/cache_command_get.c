#include "base/limits.h"
#include "base/log.h"
#include "base/must.h"
#include "http/range.h"
#include "server/cache_client.h"
#include "server/cache_command.h"
#include "server/cli_text.h"
#include "server/download_bar.h"
#include "server/download_file.h"
#include "server/size_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

/* A download is one exchange, or two: a part that turns out to be of no use is dropped, and the
 * whole is asked for.
 *
 *     no part:  GET                  -> 200: all of it
 *     a part:   GET Range, If-Range  -> 206: the rest
 *                                       200: another version, all of it
 *                                       416: all is there, if that is its length; else again
 *
 * Whether all has come is the framing's to say: a length, or the last chunk. An answer that has
 * neither is refused. */

struct get {
    const struct options *options;
    struct str url;
    struct download_file file;
    struct download_bar bar;
    struct buf etag; /* of the part that is there */
    bool resumes;    /* asks for the rest of it */
    bool is_good;    /* the answer is content, not a refusal */
    bool is_whole;   /* nothing was left to be asked for */
    bool again;      /* the part is of no use */
    bool stopped;    /* by us: *error says why */
    bool has_total;
    uint64_t total;
    uint64_t start_ns, start_len;
    char source[16]; /* what X-Cache says: "hit" */
    bool has_digest;
    struct digest digest;
    uint8_t wanted[DIGEST_SHA256_LEN];
    struct cache_answer refusal;
    struct error *error;
};

/* --- the answer --- */

static bool
stop(struct get *get)
{
    get->stopped = true;
    return false;
}

static void
read_source(struct get *get, const struct http_response_head *head)
{
    for (unsigned i = 0; i < head->field_count; i++)
        if (str_ieq(http_response_field_name(head, &head->fields[i]), STR("x-cache")))
            cli_text_copy(get->source, sizeof get->source,
                          http_response_field_value(head, &head->fields[i]));
}

static bool
take_whole(struct get *get, const struct http_response_head *head)
{
    struct str etag = http_response_value(head, HTTP_FIELD_ETAG);
    get->is_good = true;
    get->has_total = head->body_kind == HTTP_BODY_LENGTH;
    get->total = head->content_length;
    get->start_len = 0;
    if (head->body_kind == HTTP_BODY_CLOSE && !get->has_digest) {
        error_set(get->error, "the answer does not say where it ends, so nobody can know whether "
                              "it is whole; --sha256 can");
        return stop(get);
    }
    if (get->has_digest)
        digest_init(&get->digest, DIGEST_SHA256);
    return download_file_restart(&get->file, get->url, etag, get->error) == 0 || stop(get);
}

static bool
take_rest(struct get *get, const struct http_response_head *head)
{
    struct http_content_range part;
    struct str value = http_response_value(head, HTTP_FIELD_CONTENT_RANGE);
    struct str etag = http_response_value(head, HTTP_FIELD_ETAG);
    bool is_it = http_content_range_parse(value, &part) && part.has_range &&
                 part.range.off == get->file.len && str_eq(etag, buf_str(&get->etag)) &&
                 (!part.has_total || part.range.off + part.range.len == part.total) &&
                 (head->body_kind != HTTP_BODY_LENGTH || head->content_length == part.range.len);
    if (!is_it) {
        error_set(get->error, "the answer is not the part that was asked for");
        return stop(get);
    }
    get->is_good = get->has_total = true;
    get->total = part.range.off + part.range.len;
    return true;
}

/* The part is as long as the whole, or longer. */
static bool
take_end(struct get *get, const struct http_response_head *head)
{
    struct http_content_range part;
    struct str value = http_response_value(head, HTTP_FIELD_CONTENT_RANGE);
    get->is_whole = http_content_range_parse(value, &part) && !part.has_range && part.has_total &&
                    part.total == get->file.len;
    get->again = !get->is_whole;
    get->total = get->file.len;
    return false;
}

static bool
head_came(void *arg, const struct http_response_head *head)
{
    struct get *get = arg;
    read_source(get, head);
    if (head->status == 200)
        return take_whole(get, head);
    if (head->status == 206 && get->resumes)
        return take_rest(get, head);
    if (head->status == 416 && get->resumes)
        return take_end(get, head);
    cache_answer_set_head(&get->refusal, head);
    return true;
}

/* What takes less than a tick is not worth a bar. */
static void
tick(void *arg)
{
    struct get *get = arg;
    const struct download_bar_state state = {
        .waits = !get->is_good,
        .done_len = get->file.len,
        .has_total = get->has_total,
        .total_len = get->total,
    };
    download_bar_draw(&get->bar, &state, loop_clock_ns());
}

static bool
data_came(void *arg, struct str bytes)
{
    struct get *get = arg;
    if (!get->is_good)
        return cache_answer_add(&get->refusal, bytes);
    if (download_file_write(&get->file, bytes, get->error) != 0)
        return stop(get);
    if (get->has_digest)
        digest_update(&get->digest, bytes);
    return true;
}

/* --- asking --- */

static int
ask(struct get *get, struct cache_client *client, struct str query)
{
    static const struct cache_request_ops ops = {head_came, data_came, tick};
    char range[32];
    int len = snprintf(range, sizeof range, "bytes=%" PRIu64 "-", get->file.len);
    const struct exchange_field fields[] = {
        {STR("Range"), str_make(range, (size_t)len)},
        {STR("If-Range"), buf_str(&get->etag)},
    };
    const struct cache_request request = {
        .method = "GET",
        .path = "/api/v1/fetch",
        .query = query,
        .fields = fields,
        .field_count = get->resumes ? 2 : 0,
    };
    get->is_good = get->again = false;
    get->start_len = get->resumes ? get->file.len : 0;
    return cache_client_run(client, &request, &ops, get, get->error);
}

static int
append_query(struct get *get, struct buf *query)
{
    cache_query_append(query, "url", get->url);
    if (get->options->ttl_ms)
        buf_printf(query, "&ttl=%" PRIu64 "s", get->options->ttl_ms / 1000);
    if (get->options->sha256)
        cache_query_append(query, "sha256", str_from_cstr(get->options->sha256));
    return buf_overflowed(query) ? error_set(get->error, "the URL is too long") : 0;
}

/* What is there of the content, and whether it can be gone on with. */
static int
look_at_part(struct get *get)
{
    get->resumes =
        get->options->resume && download_file_can_resume(&get->file, get->url, &get->etag);
    if (get->has_digest)
        digest_init(&get->digest, DIGEST_SHA256);
    return get->resumes && get->has_digest
               ? download_file_digest(&get->file, &get->digest, get->error)
               : 0;
}

static int
transfer(struct get *get, struct str query)
{
    struct cache_client *client;
    if (cache_client_open(&client, get->options, get->error) != 0)
        return -1;
    int result = ask(get, client, query);
    if (result == 0 && get->again) {
        get->resumes = false;
        result = ask(get, client, query);
    }
    cache_client_close(client);
    if (result == 0 && get->stopped)
        return -1;
    if (result == 0 && !get->is_good && !get->is_whole)
        return cache_answer_refuse(&get->refusal, get->error);
    return result;
}

/* --- the end --- */

static int
check(struct get *get)
{
    uint8_t digest[DIGEST_SHA256_LEN];
    if (get->has_total && get->file.len != get->total)
        return error_set(get->error, "%" PRIu64 " bytes came instead of %" PRIu64, get->file.len,
                         get->total);
    if (!get->has_digest)
        return 0;
    digest_final(&get->digest, digest);
    if (memcmp(digest, get->wanted, sizeof digest) == 0)
        return 0;
    download_file_discard(&get->file);
    return error_set(get->error, "the SHA-256 of what came is not the one of --sha256");
}

/* A part that is there, and can be gone on with. */
static void
add_hint(struct get *get)
{
    size_t len = strlen(get->error->text);
    char size[SIZE_TEXT_MAX];
    if (get->is_good && download_file_can_resume(&get->file, get->url, &get->etag))
        snprintf(get->error->text + len, ERROR_TEXT_MAX - len,
                 "; %s are kept, -C goes on from there", size_text(size, get->file.len));
}

static void
report(const struct get *get)
{
    char all[SIZE_TEXT_MAX], came[SIZE_TEXT_MAX], speed[SIZE_TEXT_MAX];
    double seconds = (double)(loop_clock_ns() - get->start_ns) / 1e9;
    uint64_t len = get->file.len - get->start_len;
    if (!get->file.target)
        return;
    size_text(all, get->file.len);
    size_text(speed, (uint64_t)((double)len / (seconds > 1e-6 ? seconds : 1e-6)));
    if (get->is_whole)
        log_info("%s: %s, which were there already", get->file.target, all);
    else
        log_info("%s: %s%s%s%s in %.1f s, %s/s%s%s", get->file.target, all,
                 get->start_len ? ", of which " : "", get->start_len ? size_text(came, len) : "",
                 get->start_len ? " came now," : "", seconds, speed, get->source[0] ? ", " : "",
                 get->source);
}

static int
run(struct get *get)
{
    struct buf query;
    buf_init(&query, CACHE_CLIENT_QUERY_MAX);
    int result = append_query(get, &query);
    if (result == 0)
        result = download_file_open(&get->file, get->options->output, get->url, get->error);
    if (result == 0)
        result = look_at_part(get);
    if (result == 0)
        result = transfer(get, buf_str(&query));
    download_bar_end(&get->bar);
    buf_deinit(&query);
    if (result == 0)
        result = check(get);
    if (result == 0)
        result = download_file_commit(&get->file, get->error);
    return result;
}

static bool
shows_progress(const struct options *options)
{
    bool to_stdout = !options->output || strcmp(options->output, "-") == 0;
    return options->progress == OPTIONS_PROGRESS_ON ||
           (options->progress == OPTIONS_PROGRESS_AUTO && isatty(STDERR_FILENO) &&
            !(to_stdout && isatty(STDOUT_FILENO)));
}

int
cache_command_get(const struct options *options)
{
    struct error error;
    struct get get = {
        .options = options,
        .url = str_from_cstr(options->resources.items[0]),
        .file = {.fd = -1},
        .has_digest = options->sha256,
        .start_ns = loop_clock_ns(),
        .error = &error,
    };
    /* The options were checked: it is one. */
    must(!options->sha256 || digest_parse_sha256(str_from_cstr(options->sha256), get.wanted));
    struct str name = str_skip(get.url, str_find_last_char(get.url, '/') + 1);
    download_bar_init(&get.bar, shows_progress(options), name.len ? name : get.url, get.start_ns);
    buf_init(&get.etag, CACHE_GET_STATE_MAX);
    cache_answer_init(&get.refusal);
    int result = run(&get);
    if (result == 0) {
        report(&get);
    } else {
        add_hint(&get);
        log_error("cache get: %s", error.text);
    }
    download_file_close(&get.file);
    cache_answer_deinit(&get.refusal);
    buf_deinit(&get.etag);
    return result == 0 ? 0 : 1;
}
