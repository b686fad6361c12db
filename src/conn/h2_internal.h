/* h2_internal: what the files of the HTTP/2 session share. h2.c holds the session: input, output,
 * deadlines, ends. h2_stream.c holds its streams: header fields to a request, response to header
 * fields and DATA. h2_priority.c holds PRIORITY_UPDATE frames. Streams never end the connection;
 * they leave a mark that the session acts on when nghttp2 has returned.
 */
#ifndef TARN_CONN_H2_INTERNAL_H
#define TARN_CONN_H2_INTERNAL_H

#include "base/buf.h"
#include "conn/conn.h"
#include "conn/h2_flood.h"
#include "http/h2_head.h"

#include <nghttp2/nghttp2.h>

/* Frames on their way out. */
struct h2_output {
    struct h2_output *next; /* among spare ones */
    uint32_t off, len;      /* taken by the kernel, and filled */
    char data[H2_OUT_LEN];
};

/* What the sessions of a worker share. */
struct h2_pool {
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    struct h2_stream *free_streams;
    struct h2_output *free_outputs;
    unsigned free_stream_count, free_output_count;
};

struct h2_stream {
    struct h2 *h2;
    struct h2_stream *prev, *next; /* in its session, by progress; or among spare ones */
    int32_t id;
    bool request_ended;
    bool continued;    /* the response 100 was handed over */
    bool responded;    /* the response has been handed over */
    bool malformed;    /* a stream error follows the answer */
    bool body_open;    /* more of the response body can be pulled */
    bool body_pending; /* but not until the request is woken */
    bool complete;     /* the whole response is in the output */
    char status[3];
    uint64_t received_len; /* of the request body */
    uint64_t sent_len;     /* of the response body */
    uint64_t started_ns;
    uint64_t progress_ns;    /* last byte of a body, either way */
    struct body_piece piece; /* len 0: none */
    struct h2_head_decoder decoder;
    struct buf text; /* of the request head */
    struct req req;
    struct http_field fields[];
};

struct h2 {
    struct conn *conn;
    struct h2_pool *pool;
    nghttp2_session *ng;
    struct h2_stream *oldest, *newest; /* open streams, by progress */
    struct h2_stream *heading;         /* its header block is coming in; NULL: none of interest */
    struct h2_stream *putting;         /* its DATA is being written */
    unsigned stream_count;
    struct h2_output *out;    /* NULL: empty */
    struct str held;          /* a frame that found no room: nghttp2's memory, or `last` */
    uint64_t turn_len;        /* bytes sent since the loop called us */
    uint64_t head_started_ns; /* of an unfinished header block, or of the preface; 0: none */
    uint64_t pending_ns;      /* when the kernel last took something of what is pending */
    uint64_t notice_ns;       /* the first GOAWAY of a graceful end; 0: none */
    struct h2_flood flood;
    struct h2_priorities *priorities; /* NULL: no PRIORITY_UPDATE frame has come */
    int32_t last_id;                  /* highest stream that a HEADERS frame has named */
    char last[64];                    /* the GOAWAY of a session that failed */
    uint8_t end;                      /* enum conn_end, when the session has nothing left */
    uint8_t flood_kind;               /* of an excess that was noticed; H2_FLOOD_KIND_COUNT: none */
    bool settings_seen;
    bool last_said;     /* the last GOAWAY has been queued */
    bool failed;        /* nghttp2's session is not to be used again */
    bool full;          /* there is more to put out than the output takes */
    bool wants_no_more; /* receiving was stopped */
};

static inline void
h2_count(uint64_t *counter, uint64_t add)
{
    __atomic_store_n(counter, *counter + add, __ATOMIC_RELAXED);
}

/* Counts against an allowance. Over it the session is marked, and false returned. */
bool h2_allows(struct h2 *h2, enum h2_flood_kind kind);
/* The last GOAWAY: nothing after `last_id` will be answered. */
void h2_say_last(struct h2 *h2, int32_t last_id, enum conn_end end);
/* A request was woken; `error` of nghttp2 came of it, or 0. The session goes on, and may end. */
void h2_woken(struct h2 *h2, int error);
/* Bytes of a frame, its head included, for which the output has room. */
size_t h2_output_room(const struct h2 *h2);

/* --- priorities --- */

/* Gives an open stream its priority. 0, or a fatal error of nghttp2. */
int h2_priority_set(struct h2 *h2, int32_t id, const struct h2_priority *priority) MUST_USE;
/* What a PRIORITY_UPDATE frame has said of a stream that opens. False: nothing, and *priority stays
 * as it is. */
bool h2_priority_find(const struct h2 *h2, int32_t id, struct h2_priority *priority);
/* What nghttp2 calls with the payload of a PRIORITY_UPDATE frame, and at its end. */
int h2_priority_received(nghttp2_session *ng, const nghttp2_frame_hd *head, const uint8_t *data,
                         size_t len, void *arg);
int h2_priority_ended(nghttp2_session *ng, void **payload, const nghttp2_frame_hd *head, void *arg);

/* --- streams --- */

/* The deadline of the stream begins again. */
void h2_stream_touch(struct h2_stream *stream);
/* A stream for a new request; NULL: no memory. */
struct h2_stream *h2_stream_open(struct h2 *h2, int32_t id);
/* The stream is over: logs its request and gives it back. */
void h2_stream_close(struct h2_stream *stream, bool orderly);
void h2_stream_free(struct h2_stream *stream);

/* The header block is complete: runs the request. 0, or a fatal error of nghttp2. */
int h2_stream_run(struct h2_stream *stream, bool ends) MUST_USE;
/* Bytes of the request body; the same. */
int h2_stream_data(struct h2_stream *stream, struct str data) MUST_USE;
/* The request's last byte has come; the same. */
int h2_stream_end(struct h2_stream *stream) MUST_USE;
/* Answers 408 in place of what may have been prepared; the same. */
int h2_stream_time_out(struct h2_stream *stream) MUST_USE;
/* A trailer that may not be; the same. */
int h2_stream_bad_trailer(struct h2_stream *stream) MUST_USE;
/* A frame of the response has been put out: ends the stream where END_STREAM does not. */
int h2_stream_frame_sent(struct h2_stream *stream) MUST_USE;

#endif
