/* h2: the HTTP/2 session of a connection (RFC 9113): frames to requests, responses to frames.
 *
 * nghttp2 does framing, HPACK, flow control and the order of streams (RFC 9218); h2_head makes
 * requests of header fields; everything else is here: running requests, pulling bodies into one
 * output buffer, limits and deadlines. See docs/design/http2.md.
 *
 * A session starts with the client's preface: by ALPN, or when h1 finds it as the first bytes of a
 * plain connection and hands them over (conn_switch). It lives as long as its connection.
 *
 * Thread rule: the worker's. Memory: sessions, streams and output buffers come from the worker's
 * pool; an idle session holds no stream and no output buffer. Bounds: H2_* in base/limits.h, the
 * allowances of h2_flood.h.
 */
#ifndef TARN_CONN_H2_H
#define TARN_CONN_H2_H

#include "conn/conn.h"

extern const struct session_ops h2_session_ops;

enum { H2_PREFACE_LEN = 24 };
enum h2_preface { H2_PREFACE_NONE, H2_PREFACE_PART, H2_PREFACE_WHOLE };

/* Whether bytes, at least one, begin with the client's preface (RFC 9113 section 3.4), or may once
 * more of them have come. */
enum h2_preface h2_preface_check(struct str bytes);

/* Frees what the pool keeps for sessions. */
void h2_pool_deinit(struct conn_pool *pool);

#endif
