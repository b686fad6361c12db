#include "proxy/exchange_internal.h"

#include <inttypes.h>

/* The response is decoded where it was received. Only a head that has come in part is copied, to
 * the stash, where the rest of it is put behind it: never more than a head may have. */

void
exchange_receive_start(struct exchange *exchange)
{
    http_response_head_init(&exchange->head, exchange->fields, exchange->pool->config.fields_max);
    h1_response_decoder_init(&exchange->decoder, &exchange->head, exchange->method,
                             exchange->pool->config.head_max);
    buf_clear(&exchange->stash);
}

bool
exchange_wants_input(const struct exchange *exchange)
{
    if (exchange->complete)
        return false;
    return exchange->state == EXCHANGE_AT_TALK ||
           (exchange->state == EXCHANGE_AT_BODY && !exchange->paused);
}

static void
fail_malformed(struct exchange *exchange, struct str why)
{
    exchange_fail(exchange, EXCHANGE_MALFORMED, "malformed response: %.*s", STR_ARG(why));
}

/* --- heads --- */

static void
take_interim(struct exchange *exchange)
{
    if (exchange->head.status == 101) {
        fail_malformed(exchange, STR("it changes to another protocol, which nobody asked for"));
        return;
    }
    if (++exchange->interim_count > EXCHANGE_INTERIM_MAX) {
        fail_malformed(exchange, STR("too many interim responses"));
        return;
    }
    if (exchange->head.status == 100)
        exchange->waits_for_continue = false;
    if (exchange->ops->interim)
        exchange->ops->interim(exchange->arg, &exchange->head);
    if (exchange->state == EXCHANGE_AT_OVER)
        return;
    exchange_receive_start(exchange);
    exchange_set_deadline(exchange);
    exchange_send(exchange);
}

/* A head is there. */
static void
take_head(struct exchange *exchange)
{
    const struct http_response_head *head = &exchange->head;
    if (head->status < 200) {
        take_interim(exchange);
        return;
    }
    exchange_set_state(exchange, EXCHANGE_AT_BODY);
    exchange->left = head->content_length;
    exchange->complete = head->body_kind == HTTP_BODY_NONE ||
                         (head->body_kind == HTTP_BODY_LENGTH && exchange->left == 0);
    h1_chunk_decoder_init(&exchange->chunks);
    exchange->ops->head(exchange->arg, head);
    if (exchange->state == EXCHANGE_AT_OVER)
        return;
    buf_clear(&exchange->stash);
    exchange_set_deadline(exchange);
}

/* Decodes the head that begins in the stash and goes on in the input. Returns the bytes used. */
static size_t
input_head(struct exchange *exchange, struct str input)
{
    struct buf *stash = &exchange->stash;
    size_t before = stash->len;
    struct str bytes = input;
    if (before) {
        buf_append(stash, str_first(input, stash->max - before));
        bytes = buf_str(stash);
    }
    if (buf_overflowed(stash)) {
        exchange_fail(exchange, EXCHANGE_NO_MEMORY, "no memory for the response header");
        return 0;
    }
    switch (h1_response_decode(&exchange->decoder, bytes.ptr, bytes.len)) {
    case H1_MORE:
        if (before == 0)
            buf_append(stash, input);
        return input.len;
    case H1_ERROR:
        fail_malformed(exchange, h1_error_text(exchange->decoder.error));
        return 0;
    case H1_DONE:
        break;
    }
    size_t used = exchange->head.len - before;
    take_head(exchange);
    return used;
}

/* --- bodies --- */

static void
give(struct exchange *exchange, struct str bytes)
{
    exchange->body_len += bytes.len;
    exchange->ops->data(exchange->arg, bytes);
}

static size_t
input_chunks(struct exchange *exchange, struct str input)
{
    size_t used;
    struct str data;
    switch (h1_chunk_decode(&exchange->chunks, input.ptr, input.len, &used, &data)) {
    case H1_CHUNK_MORE:
        break;
    case H1_CHUNK_DATA:
        give(exchange, data);
        break;
    case H1_CHUNK_DONE:
        exchange->complete = true;
        break;
    case H1_CHUNK_ERROR:
        exchange_fail(exchange, EXCHANGE_MALFORMED,
                      "malformed chunk after %" PRIu64 " bytes of the body", exchange->body_len);
        break;
    }
    return used;
}

static size_t
input_body(struct exchange *exchange, struct str input)
{
    if (exchange->head.body_kind == HTTP_BODY_CHUNKED)
        return input_chunks(exchange, input);
    if (exchange->head.body_kind == HTTP_BODY_LENGTH) {
        input = str_first(input, exchange->left);
        exchange->left -= input.len;
        exchange->complete = exchange->left == 0;
    }
    give(exchange, input);
    return input.len;
}

size_t
exchange_input(struct exchange *exchange, struct str input)
{
    size_t used = 0;
    exchange->answered = true;
    while (used < input.len && exchange_wants_input(exchange)) {
        struct str rest = str_skip(input, used);
        used += exchange->state == EXCHANGE_AT_TALK ? input_head(exchange, rest)
                                                    : input_body(exchange, rest);
    }
    if (exchange->state == EXCHANGE_AT_BODY)
        exchange_set_deadline(exchange);
    return used;
}
