/* script_trial: one request through a script and a site, on the calling thread and without a
 * server: the pipeline with a loop around it, and nobody at the other end.
 *
 *     script_trial_load    the site, the script, and all that they need
 *     script_trial_run     the request, until its response and its body are there
 *     script_trial_free    after any of them
 *
 * The script takes the place of the site's script of its name; where there is none, it runs first.
 * What is logged while the request runs is collected instead of written. The client is this
 * machine, over plain HTTP/1.1. Blocks. Bounds: those of the options, and SCRIPT_TRIAL_* in
 * base/limits.h.
 */
#ifndef TARN_SERVER_SCRIPT_TRIAL_H
#define TARN_SERVER_SCRIPT_TRIAL_H

#include "base/buf.h"
#include "req/req.h"
#include "script/script.h"
#include "server/options.h"
#include "server/script_setup.h"

struct script_trial {
    /* Of the request that has run: */
    struct req req;      /* with its response, but for the body, which is: */
    struct buf body;     /* overflowed: longer than what is kept */
    bool body_failed;    /* it broke off */
    struct buf log;      /* lines, as in the server's log */
    uint64_t cpu_ns;     /* of this thread, from the head to the response */
    uint64_t stop_count; /* runs of scripts that were stopped */

    /* Not for others. */
    struct options options; /* those of the caller, with the script as a plugin */
    struct script_setup setup;
    struct site *site;
    struct script_set *set;
    struct loop *loop;
    struct script_worker *worker;
    struct upstream_pool *upstream;
    struct req_env env;
    struct site_pin pin;
    struct http_field *fields;
    struct buf head;  /* of the request */
    struct buf input; /* its body */
    int client_fd;    /* the other end of req.fd; -1: there is no connection */
    uint64_t generation;
    int health;
};

/* -1 with one line; what the compiler has to say goes to the log. `options` is borrowed until
 * script_trial_free. */
int script_trial_load(struct script_trial *trial, const struct options *options,
                      struct error *error) MUST_USE;
/* Once. -1: the request's body cannot be read, or there is no memory. */
int script_trial_run(struct script_trial *trial, struct error *error) MUST_USE;
void script_trial_free(struct script_trial *trial);

#endif
