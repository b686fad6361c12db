/* Helpers for who asks, and over what connection. */
#include "base/cidr.h"
#include "base/ip_text.h"
#include "base/json.h"
#include "script/helpers.h"
#include "script/rewrite.h"
#include "script/task.h"
#include "tls/stream.h"

/* --- protocol --- */

static const struct req *
req_of(const struct bpf_run *run)
{
    return script_frame_of(run)->task->req;
}

SCRIPT_HELPER(zs_req_scheme)
{
    return script_put_text(run, r1, r2, req_of(run)->is_tls ? STR("https") : STR("http"));
}

SCRIPT_HELPER(zs_req_proto_major)
{
    return req_of(run)->is_h2 ? 2 : 1;
}

SCRIPT_HELPER(zs_req_proto_minor)
{
    const struct req *req = req_of(run);
    return req->is_h2 ? 0 : req->head.version_minor;
}

SCRIPT_HELPER(zs_req_is_tls)
{
    return req_of(run)->is_tls;
}

/* Not yet, while the request is early data: who sent it may have recorded it. */
static bool
handshake_is_complete(const struct req *req)
{
    return req->is_tls && !(req->tls && tls_stream_is_early(req->tls));
}

SCRIPT_HELPER(zs_req_tls_handshake_complete)
{
    return handshake_is_complete(req_of(run));
}

/* --- the client's address --- */

/* Asked for once in a request. */
static const struct script_peer *
peer_of(const struct bpf_run *run)
{
    struct script_task *task = script_frame_of(run)->task;
    struct script_peer *peer = &task->request.peer;
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof address;
    if (peer->is_known)
        return peer;
    if (getpeername(task->req->fd, (struct sockaddr *)&address, &len) != 0)
        address.ss_family = AF_UNSPEC;
    peer->address.any.sa_family = AF_UNSPEC;
    if (address.ss_family == AF_INET || address.ss_family == AF_INET6)
        memcpy(&peer->address, &address, sizeof peer->address);
    peer->text_len = (uint8_t)ip_text_write(&peer->address.any, peer->text);
    if (address.ss_family == AF_UNIX) {
        peer->text_len = sizeof "unix" - 1;
        memcpy(peer->text, "unix", sizeof "unix");
    }
    peer->is_known = true;
    return peer;
}

SCRIPT_HELPER(zs_req_peer)
{
    const struct script_peer *peer = peer_of(run);
    return script_put_text(run, r1, r2, str_make(peer->text, peer->text_len));
}

/* All ranges are read, so that a mistake in one is seen whoever asks. */
SCRIPT_HELPER(zs_req_remote_ip_matches)
{
    static const char helper[] = "zs_req_remote_ip_matches";
    struct str text = script_text(run, r1, r2, "zs_req_remote_ip_matches: JSON");
    struct arena *arena = &script_rewrite(script_frame_of(run))->arena;
    const struct script_peer *peer = peer_of(run);
    struct cidr range;
    struct str item;
    struct json json;
    bool matches = false;
    if (text.len > SCRIPT_CHANGES_MAX)
        bpf_trap(run, "%s: the JSON is longer than %d bytes", helper, SCRIPT_CHANGES_MAX);
    arena_reset(arena);
    json_init(&json, text);
    json_array(&json);
    while (json_item(&json)) {
        if (!json_string(&json, arena, &item))
            break;
        if (!cidr_parse(item, &range))
            bpf_trap(run, "%s: '%.*s' is no address and no range of them", helper,
                     STR_ARG(str_first(item, 64)));
        matches = matches || cidr_has(&range, &peer->address.any);
    }
    if (!json_done(&json))
        bpf_trap(run, "%s: its argument is no JSON array of strings", helper);
    return matches;
}

/* --- what is known of TLS --- */

static void
put_quoted(struct buf *out, struct str text)
{
    bool is_utf8 = str_is_utf8(text);
    buf_append_char(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c < 0x20)
            buf_printf(out, "\\u%04x", c);
        else if (c >= 0x80 && !is_utf8)
            buf_append(out, STR("\\ufffd"));
        else
            buf_append_char(out, (char)c);
    }
    buf_append_char(out, '"');
}

static void
put_text_or_null(struct buf *out, struct str text)
{
    if (text.len)
        put_quoted(out, text);
    else
        buf_append(out, STR("null"));
}

static void
put_certificate(struct buf *out, const struct tls_stream *tls)
{
    char fingerprint[65], text[2048];
    buf_append(out, STR("{\"fingerprint_sha256\":"));
    put_quoted(out, tls_stream_client_fingerprint(tls, fingerprint));
    buf_append(out, STR(",\"subject\":"));
    put_quoted(out, tls_stream_client_subject(tls, text, sizeof text));
    buf_append(out, STR(",\"issuer\":"));
    put_quoted(out, tls_stream_client_issuer(tls, text, sizeof text));
    buf_append(out, STR(",\"serial\":"));
    put_quoted(out, tls_stream_client_serial(tls, text, sizeof text));
    buf_append_char(out, '}');
}

static void
put_client(struct buf *out, const struct tls_stream *tls)
{
    char text[65];
    struct str fingerprint = tls ? tls_stream_client_fingerprint(tls, text) : (struct str){0};
    buf_append(out, STR("{\"certificate\":"));
    if (fingerprint.len)
        put_certificate(out, tls);
    else
        buf_append(out, STR("null"));
    buf_append(out, STR(",\"chain_fingerprints_sha256\":["));
    for (unsigned i = 0; tls && i < TLS_CHAIN_MAX; i++) {
        fingerprint = tls_stream_client_chain_fingerprint(tls, i, text);
        if (fingerprint.len == 0)
            break;
        if (i)
            buf_append_char(out, ',');
        put_quoted(out, fingerprint);
    }
    buf_append(out, STR("]}"));
}

static void
put_ech(struct buf *out, const struct tls_stream *tls)
{
    if (!tls || !tls_stream_has_ech_keys(tls))
        buf_append(out, STR("null"));
    else
        buf_printf(out, "{\"accepted\":%s}", tls_stream_ech_accepted(tls) ? "true" : "false");
}

static void
put_connection(struct buf *out, const struct req *req)
{
    struct str alpn = {0}, inner = {0}, outer = {0}, ja4 = {0};
    if (req->tls) {
        alpn = tls_stream_alpn(req->tls);
        inner = tls_stream_sni(req->tls);
        ja4 = tls_stream_ja4(req->tls);
        if (tls_stream_ech_accepted(req->tls))
            outer = tls_stream_outer_sni(req->tls);
    }
    buf_printf(out, "{\"tls\":%s,\"tls_handshake_complete\":%s,\"alpn\":",
               req->is_tls ? "true" : "false", handshake_is_complete(req) ? "true" : "false");
    put_text_or_null(out, alpn);
    buf_append(out, STR(",\"sni\":{\"inner\":"));
    put_text_or_null(out, inner);
    buf_append(out, STR(",\"outer\":"));
    put_text_or_null(out, outer);
    buf_append(out, STR("},\"ech\":"));
    put_ech(out, req->tls);
    buf_append(out, STR(",\"fingerprint\":{\"ja4\":"));
    put_text_or_null(out, ja4);
    buf_append(out, STR("},\"tls_client\":"));
    put_client(out, req->tls);
    buf_append_char(out, '}');
}

SCRIPT_HELPER(zs_connection_info)
{
    struct script_frame *frame = script_frame_of(run);
    struct buf *text = &script_rewrite(frame)->spare;
    buf_clear(text);
    put_connection(text, frame->task->req);
    if (buf_overflowed(text))
        bpf_trap(run, "zs_connection_info: no memory");
    return (uint64_t)script_json_parse(frame, buf_str(text));
}
