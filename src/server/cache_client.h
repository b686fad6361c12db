/* cache_client: asks a running cache over HTTP, for the commands of `tarn cache`, and waits for the
 * answer on a loop of its own.
 *
 * One request at a time, over connections that are kept between them. Redirects are not followed: a
 * cache makes none, but for those from http to https, which must not carry a token first. Thread
 * rule: the main thread's. Bounds: CACHE_CLIENT_* in base/limits.h.
 */
#ifndef TARN_SERVER_CACHE_CLIENT_H
#define TARN_SERVER_CACHE_CLIENT_H

#include "base/buf.h"
#include "base/error.h"
#include "proxy/exchange.h"
#include "server/options.h"

struct cache_client;

/* For the cache at options->cache_base; the options are borrowed. */
int cache_client_open(struct cache_client **out, const struct options *options,
                      struct error *error) MUST_USE;
void cache_client_close(struct cache_client *client); /* NULL is nothing */

struct cache_request {
    const char *method;
    const char *path;                    /* behind that of the cache: "/api/v1/status/" */
    struct str query;                    /* encoded; empty: none */
    const struct exchange_field *fields; /* besides those of every request */
    unsigned field_count;
};

struct cache_request_ops {
    /* The head, and pieces of the body; borrowed until return. False: enough, the transfer ends.
     * Writing may take its time. */
    bool (*head)(void *arg, const struct http_response_head *head);
    bool (*data)(void *arg, struct str bytes);
    void (*tick)(void *arg); /* every CACHE_CLIENT_TICK_MS; NULL: not wanted */
};

/* 0: the answer was complete, or a callback ended it. -1: *error has one line that names the cache.
 */
int cache_client_run(struct cache_client *client, const struct cache_request *request,
                     const struct cache_request_ops *ops, void *arg, struct error *error) MUST_USE;

/* An answer as it came, as far as it is wanted whole: a document, or what is said of a failure. */
struct cache_answer {
    unsigned status;
    bool is_text, is_json; /* of Content-Type */
    char location[256];    /* printable, cut; empty: none */
    struct buf body;
};

void cache_answer_init(struct cache_answer *answer);
void cache_answer_deinit(struct cache_answer *answer);
void cache_answer_set_head(struct cache_answer *answer, const struct http_response_head *head);
/* False: no more is wanted. Of an answer that is none of 2xx only the beginning is. */
bool cache_answer_add(struct cache_answer *answer, struct str bytes);
/* Says in *error what the answer was instead of what was asked for. Returns -1. */
int cache_answer_refuse(const struct cache_answer *answer, struct error *error);

/* The whole answer, whatever its status. `answer` is initialised here, and deinitialised by the
 * caller also after a failure. */
int cache_client_ask(struct cache_client *client, const struct cache_request *request,
                     struct cache_answer *answer, struct error *error) MUST_USE;
/* The same for a document in JSON: anything else is a failure. */
int cache_client_ask_json(struct cache_client *client, const struct cache_request *request,
                          struct cache_answer *answer, struct error *error) MUST_USE;

/* Appends "name=value", encoded, behind a '&' where something stands before it. */
void cache_query_append(struct buf *query, const char *name, struct str value);

#endif
