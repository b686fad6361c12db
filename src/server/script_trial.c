/* What a request needs around it. A worker has the same, and connections. */
#include "server/script_trial.h"

#include "base/limits.h"
#include "io/loop.h"
#include "io/resolver.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void
pin_unused(struct site_pin *pin)
{
}

static struct site_config
site_config(const struct options *options)
{
    return (struct site_config){
        .source = options->site,
        .preload_max = options->preload_max,
        .preload_total = options->preload_total,
        .index = options->index ? options->index : "",
        .stdin_timeout_ms = (unsigned)options->stdin_timeout_ms,
        .spa = options->spa,
        .try_html = options->try_html,
        .allow_empty = !options->site,
    };
}

/* Nobody said --plugin here. */
static void
drop_option(char *text, const char *option)
{
    size_t len = strlen(option);
    if (strncmp(text, option, len) == 0)
        memmove(text, text + len, strlen(text) - len + 1);
}

static int
load_site(struct script_trial *trial, struct error *error)
{
    const struct site_config config = site_config(&trial->options);
    script_setup_init(&trial->setup, &trial->options);
    trial->setup.plugins_replace = true;
    if (script_setup_load(&trial->setup, &config, &trial->site, &trial->set, error) == 0)
        return 0;
    drop_option(error->text, "--plugin: ");
    return -1;
}

static int
make_worker(struct script_trial *trial, struct error *error)
{
    struct error why; /* io_uring is not there: of no interest here */
    if (loop_new(&trial->loop, LOOP_AUTO, &why) != 0)
        return error_set(error, "%s", why.text);
    if (script_worker_new(&trial->worker, script_set_shared(trial->set), trial->loop, error) != 0)
        return -1;
    if (script_set_fetches(trial->set)) {
        trial->upstream = upstream_pool_new(trial->loop, &trial->setup.fetches);
        if (!trial->upstream)
            return error_set(error, "no memory for fetches");
        script_worker_set_upstream(trial->worker, trial->upstream);
    }
    trial->pin.filter = script_view_new(trial->worker, trial->set);
    return trial->pin.filter ? 0 : error_set(error, "no memory for scripts");
}

/* The pipeline asks the descriptor for addresses: a connection of this machine to itself has some.
 * Where there can be none, the client has no address. */
static void
connect_to_itself(struct script_trial *trial)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    trial->client_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener >= 0 && trial->client_fd >= 0 &&
        bind(listener, (struct sockaddr *)&address, len) == 0 && listen(listener, 1) == 0 &&
        getsockname(listener, (struct sockaddr *)&address, &len) == 0 &&
        connect(trial->client_fd, (struct sockaddr *)&address, len) == 0)
        trial->req.fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (listener >= 0)
        close(listener);
}

static int
make_request(struct script_trial *trial, struct error *error)
{
    struct req_env *env = &trial->env;
    uint16_t max = (uint16_t)trial->options.max_headers;
    trial->fields = calloc(max, sizeof *trial->fields);
    if (!trial->fields)
        return error_set(error, "no memory for a request");
    trial->pin.site = trial->site;
    trial->pin.unused = pin_unused;
    *env = (struct req_env){
        .pin = &trial->pin,
        .generation = &trial->generation,
        .health = &trial->health,
        .now_s = time(NULL),
        .endpoints = true,
        .spa = trial->options.spa,
        .filter = &script_filter_ops,
        .filter_arg = trial->worker,
    };
    http_date_format(env->now_s, env->date);
    req_init(&trial->req, env, trial->fields, max);
    trial->req.fd = -1;
    connect_to_itself(trial);
    return 0;
}

int
script_trial_load(struct script_trial *trial, const struct options *options, struct error *error)
{
    *trial = (struct script_trial){.options = *options, .client_fd = -1};
    trial->options.plugins = (struct options_list){(const char **)&trial->options.object, 1};
    buf_init(&trial->body, SCRIPT_TRIAL_BODY_MAX);
    buf_init(&trial->log, SCRIPT_TRIAL_LOG_MAX);
    buf_init(&trial->head, options->max_request_len);
    buf_init(&trial->input, SCRIPT_TRIAL_BODY_MAX);
    if (load_site(trial, error) != 0 || make_worker(trial, error) != 0)
        return -1;
    return make_request(trial, error);
}

/* A pool is free of connections only after a last turn. */
static void
close_upstream(struct script_trial *trial)
{
    upstream_pool_close(trial->upstream);
    loop_stop(trial->loop);
    loop_run(trial->loop, &(struct loop_hooks){0});
}

static void
free_worker(struct script_trial *trial)
{
    if (trial->upstream)
        close_upstream(trial);
    script_view_free(trial->pin.filter);
    script_worker_free(trial->worker);
    if (trial->upstream) {
        upstream_pool_free(trial->upstream);
        resolver_detach(trial->setup.fetches.resolver, trial->loop);
    }
    if (trial->loop)
        loop_free(trial->loop);
}

void
script_trial_free(struct script_trial *trial)
{
    if (trial->fields) {
        req_end(&trial->req);
        if (trial->req.fd >= 0)
            close(trial->req.fd);
        req_deinit(&trial->req);
    }
    if (trial->client_fd >= 0)
        close(trial->client_fd);
    free_worker(trial);
    script_set_unref(trial->set);
    site_free(trial->site);
    script_setup_deinit(&trial->setup);
    free(trial->fields);
    buf_deinit(&trial->body);
    buf_deinit(&trial->log);
    buf_deinit(&trial->head);
    buf_deinit(&trial->input);
}
