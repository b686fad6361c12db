#include "req/req.h"

#include "base/buf.h"

/* Health endpoints (spec: /health, /ready, and the Kubernetes spellings) and /metrics on the admin
 * listener. */

enum { METRICS_MAX = 1 << 20 };

static void
respond_health(struct req *req, const char *status, int code)
{
    req_respond_document(req, code, "application/json",
                         arena_printf(&req->arena, "{\"status\":\"%s\",\"timestamp\":\"%lld\"}\n",
                                      status, (long long)req->env->now_s));
}

static void
respond_metrics(struct req *req)
{
    struct buf text;
    buf_init(&text, METRICS_MAX);
    req->env->render_metrics(req->env->render_arg, &text);
    struct str copy = arena_copy(&req->arena, buf_str(&text));
    buf_deinit(&text);
    if (copy.ptr)
        req_respond_document(req, 200, "text/plain; version=0.0.4; charset=utf-8", copy);
    else
        req_respond_error(req, 500);
}

bool
req_endpoint(struct req *req)
{
    struct str path = req->path;
    bool live = str_eq(path, STR("/health")) || str_eq(path, STR("/livez"));
    bool ready = str_eq(path, STR("/ready")) || str_eq(path, STR("/readyz"));
    bool metrics = req->is_admin && req->env->render_metrics && str_eq(path, STR("/metrics"));
    if (!live && !ready && !metrics)
        return false;
    if (req->head.method != HTTP_METHOD_GET && req->head.method != HTTP_METHOD_HEAD) {
        req_respond_text(req, 405, STR("405 Method Not Allowed"), STR("Allow: GET, HEAD\r\n"));
        return true;
    }
    bool draining = __atomic_load_n(req->env->health, __ATOMIC_RELAXED) == HEALTH_DRAINING;
    if (metrics)
        respond_metrics(req);
    else if (live)
        respond_health(req, "healthy", 200);
    else if (draining)
        respond_health(req, "draining", 503);
    else
        respond_health(req, "ready", 200);
    return true;
}
