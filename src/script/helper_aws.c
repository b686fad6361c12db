/* Helpers that sign requests for AWS. Their arguments come in a struct of 18 words, the same as in
 * the script header.
 */
#include "script/helpers.h"
#include "script/sigv4.h"
#include "script/task.h"

struct view {
    uint64_t addr, len;
};

struct aws_params {
    struct view access_key, secret_key, region, service, method, uri;
    uint64_t headers_json;
    struct view body_hash;
    int64_t timestamp_ms;
    struct view out;
};
_Static_assert(sizeof(struct aws_params) == 144, "as scripts know it");

enum { AWS_TOO_LARGE = -1, AWS_REFUSED = -2 };

struct aws_call {
    struct bpf_run *run;
    const char *helper;
    struct str in; /* params, where the script has them */
    struct aws_params params;
    struct sigv4_request request;
    struct sigv4_field fields[SIGV4_FIELDS_MAX + 1]; /* one too many: too large */
};

static void
add_field(void *arg, struct str name, struct str value)
{
    struct aws_call *call = arg;
    if (call->request.field_count <= SIGV4_FIELDS_MAX)
        call->fields[call->request.field_count++] = (struct sigv4_field){name, value};
}

/* Before anything is looked at, so that it is never more than it may be. */
static bool
is_within_limits(const struct aws_params *params)
{
    return params->access_key.len <= SIGV4_CREDENTIAL_MAX &&
           params->secret_key.len <= SIGV4_CREDENTIAL_MAX && params->region.len <= SIGV4_NAME_MAX &&
           params->service.len <= SIGV4_NAME_MAX && params->method.len <= SIGV4_NAME_MAX &&
           params->uri.len <= SIGV4_URI_MAX && params->body_hash.len <= SIGV4_BODY_HASH_MAX;
}

static struct str
text(const struct aws_call *call, struct view view, const char *what)
{
    struct str value = bpf_view(call->run, view.addr, view.len);
    if (!str_is_utf8(value))
        bpf_trap(call->run, "%s: %s is not UTF-8", call->helper, what);
    return value;
}

/* Reads the arguments; traps. False: too large. */
static bool
read_call(struct aws_call *call, struct bpf_run *run, const char *helper, uint64_t params,
          uint64_t params_len)
{
    const struct aws_params *in = &call->params;
    struct sigv4_request *request = &call->request;
    if (params_len != sizeof call->params)
        bpf_trap(run, "%s: params_len is %llu, expected %zu", helper,
                 (unsigned long long)params_len, sizeof call->params);
    call->run = run;
    call->helper = helper;
    call->in = bpf_view(run, params, sizeof call->params);
    memcpy(&call->params, call->in.ptr, sizeof call->params);
    if (!is_within_limits(in))
        return false;
    *request = (struct sigv4_request){
        .access_key = text(call, in->access_key, "access_key"),
        .secret_key = text(call, in->secret_key, "secret_key"),
        .region = text(call, in->region, "region"),
        .service = text(call, in->service, "service"),
        .method = text(call, in->method, "method"),
        .uri = text(call, in->uri, "uri"),
        .body_hash = text(call, in->body_hash, "body_hash"),
        .fields = call->fields,
        .time_s = in->timestamp_ms < 0 ? -1 : in->timestamp_ms / 1000,
    };
    request->keeps_path = sigv4_keeps_path(request->service);
    if (in->headers_json)
        script_json_each_string(script_frame_of(run), in->headers_json, add_field, call);
    return true;
}

/* Memory for signing that is the worker's, kept from one call to the next. */
static struct sigv4_work *
take_work(struct bpf_run *run)
{
    struct buf *scratch = &script_frame_of(run)->task->worker->scratch;
    buf_clear(scratch);
    struct sigv4_work *work = (struct sigv4_work *)(void *)buf_reserve(scratch, sizeof *work);
    if (!work)
        bpf_trap(run, "no memory to sign a request with");
    return work;
}

static uint64_t
put_result(const struct aws_call *call, enum sigv4_result result, struct str value)
{
    const struct sigv4_request *request = &call->request;
    const struct str views[] = {
        call->in,         request->access_key, request->secret_key, request->region,
        request->service, request->method,     request->uri,        request->body_hash,
    };
    const struct view out = call->params.out;
    char *to = bpf_view_writable(call->run, out.addr, out.len);
    for (size_t i = 0; i < sizeof views / sizeof *views; i++)
        bpf_views_apart(call->run, to, out.len, views[i].ptr, views[i].len);
    if (result != SIGV4_OK)
        return (uint64_t)(result == SIGV4_REFUSED ? AWS_REFUSED : AWS_TOO_LARGE);
    return script_put_text(call->run, out.addr, out.len, value);
}

SCRIPT_HELPER(zs_aws_v4_authorization_header)
{
    struct aws_call call;
    struct str value = {0};
    if (!read_call(&call, run, "zs_aws_v4_authorization_header", r1, r2))
        return (uint64_t)AWS_TOO_LARGE;
    return put_result(&call, sigv4_authorization(take_work(run), &call.request, &value), value);
}

SCRIPT_HELPER(zs_aws_v4_presigned_url)
{
    struct aws_call call;
    struct str value = {0};
    if (!read_call(&call, run, "zs_aws_v4_presigned_url", r1, r2))
        return (uint64_t)AWS_TOO_LARGE;
    return put_result(&call, sigv4_presign(take_work(run), &call.request, r3, &value), value);
}
