/* Fuzzes a whole HTTP/2 connection: bytes in pieces into a session over a socket pair, frames out.
 * Input: a byte of mode, two of seed for the pieces, then by mode the raw bytes of the peer, those
 * behind a preface and SETTINGS, or a list of operations of two bytes that are made into frames.
 *
 * Checked: what comes out are whole frames, SETTINGS first; header blocks decode; DATA comes only
 * on streams that have a head, and as much as Content-Length says when the stream ends; the
 * connection ends, every request is logged once, and nothing is left.
 */
#include "base/buf.h"
#include "base/must.h"
#include "conn/conn.h"
#include "conn/h2.h"
#include "site/site.h"

#include <errno.h>
#include <fcntl.h>
#include <nghttp2/nghttp2.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONTROL_LEN = 3,
    INPUT_MAX = 4096,
    OPERATIONS_MAX = 200,
    OUTPUT_MAX = 64 << 20,
    HEAD_MAX = 2048,
    FIELDS_MAX = 16,
    FILE_LEN = 100000,
    STREAMS_MAX = 1024,
    FRAME_HEAD_LEN = 9,
    IDLE_TURNS_MAX = 8,
};

static struct fuzz_server {
    struct loop *loop;
    struct site *site;
    struct site_pin pin;
    struct req_env env;
    struct conn_pool pool;
    struct timer now; /* keeps a turn from waiting */
    uint64_t generation;
    int health;
    unsigned looks;
    unsigned logged;
    size_t touched;
} server;

/* --- the server --- */

static void
write_file(const char *dir, const char *name, size_t len)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "w");
    must(file != NULL);
    for (size_t i = 0; i < len; i++)
        fputc('a' + (int)(i % 23), file);
    must(fclose(file) == 0);
}

static void
pin_unused(struct site_pin *pin)
{
}

static void
log_record(void *arg, const struct access_record *record)
{
    size_t sum = 0;
    const struct str texts[] = {record->method,     record->target,     record->host,
                                record->user_agent, record->request_id, record->referer};
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++)
        for (size_t at = 0; at < texts[i].len; at++)
            sum += (unsigned char)texts[i].ptr[at];
    server.touched += sum;
    must(record->status >= 200);
    server.logged++;
}

static void
timer_is_now(struct timer *timer)
{
}

static void
start_server(void)
{
    char dir[] = "/tmp/tarn-fuzz-XXXXXX", command[64];
    struct error error;
    must(mkdtemp(dir) != NULL);
    write_file(dir, "s", 2);
    write_file(dir, "m", 20000);    /* in memory */
    write_file(dir, "f", FILE_LEN); /* sent from the file */
    const struct site_config config = {
        .source = dir, .preload_max = 30000, .preload_total = 1 << 24, .index = "index.html"};
    const struct conn_config conn_config = {.head_max = HEAD_MAX,
                                            .fields_max = FIELDS_MAX,
                                            .header_timeout_ns = 1000000000000,
                                            .keepalive_timeout_ns = 1000000000000,
                                            .io_timeout_ns = 1000000000000,
                                            .connections_max = 10};
    must(site_load(&config, &server.site, &error) == 0);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    must(system(command) == 0); /* the large file stays open */
    must(loop_new(&server.loop, LOOP_EPOLL, &error) == 0);
    signal(SIGPIPE, SIG_IGN);
    server.pin = (struct site_pin){.site = server.site, .unused = pin_unused};
    server.env = (struct req_env){
        .pin = &server.pin, .generation = &server.generation, .health = &server.health};
    http_date_format(0, server.env.date);
    timer_init(&server.now, timer_is_now);
    conn_pool_init(&server.pool, server.loop, &server.env, &conn_config);
    server.pool.log = log_record;
}

static void
between_turns(void *arg)
{
    if (server.looks++ == 0)
        timer_set(loop_timers(server.loop), &server.now, 1);
    else
        loop_stop(server.loop);
}

/* One turn that does not wait. */
static void
turn(void)
{
    const struct loop_hooks hooks = {.sleeps = between_turns};
    server.looks = 0;
    loop_run(server.loop, &hooks);
}

/* --- frames of the peer --- */

static void
put_frame(struct buf *out, uint8_t type, uint8_t flags, uint32_t id, struct str payload)
{
    char head[FRAME_HEAD_LEN] = {(char)(payload.len >> 16),
                                 (char)(payload.len >> 8),
                                 (char)payload.len,
                                 (char)type,
                                 (char)flags,
                                 (char)(id >> 24),
                                 (char)(id >> 16),
                                 (char)(id >> 8),
                                 (char)id};
    buf_append(out, str_make(head, sizeof head));
    buf_append(out, payload);
}

/* A field as a literal without indexing. */
static void
put_field(struct buf *block, const char *name, const char *value)
{
    buf_append_char(block, 0);
    buf_append_char(block, (char)strlen(name));
    buf_append(block, str_from_cstr(name));
    buf_append_char(block, (char)strlen(value));
    buf_append(block, str_from_cstr(value));
}

static void
put_request(struct buf *out, uint32_t id, uint8_t what)
{
    static const char *const paths[] = {"/s", "/m", "/f", "/none", "*", "/f?q", "x", "/%"};
    static const char *const methods[] = {"GET", "HEAD", "POST", "CONNECT"};
    struct buf block;
    buf_init(&block, 4096);
    put_field(&block, ":method", methods[(what & 15) < 11 ? 0 : (what & 15) - 11 & 3]);
    put_field(&block, ":scheme", "http");
    put_field(&block, ":authority", "a");
    put_field(&block, ":path", paths[what >> 4 & 7]);
    if (what & 128)
        put_field(&block, "priority", what & 1 ? "u=0" : "u=5, i");
    if ((what & 15) == 13)
        put_field(&block, "content-length", "3");
    if ((what & 15) == 9)
        put_field(&block, "range", "bytes=0-9,100-20100,-7");
    if ((what & 15) == 8)
        put_field(&block, "Upper", "x");
    bool body = (what & 15) == 13 || (what & 15) == 7;
    uint8_t end_stream = body ? 0 : NGHTTP2_FLAG_END_STREAM;
    if ((what & 15) == 6) {
        struct str text = buf_str(&block);
        put_frame(out, NGHTTP2_HEADERS, end_stream, id, str_first(text, 5));
        put_frame(out, NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, id, str_skip(text, 5));
    } else {
        put_frame(out, NGHTTP2_HEADERS, end_stream | NGHTTP2_FLAG_END_HEADERS, id, buf_str(&block));
    }
    buf_deinit(&block);
}

static void
put_number_frame(struct buf *out, uint8_t type, uint32_t id, uint32_t number)
{
    char bytes[4] = {(char)(number >> 24), (char)(number >> 16), (char)(number >> 8), (char)number};
    put_frame(out, type, 0, id, str_make(bytes, 4));
}

static void
put_setting(struct buf *out, uint16_t setting, uint32_t value)
{
    char bytes[6] = {(char)(setting >> 8), (char)setting,      (char)(value >> 24),
                     (char)(value >> 16),  (char)(value >> 8), (char)value};
    put_frame(out, NGHTTP2_SETTINGS, 0, 0, str_make(bytes, 6));
}

/* One operation. Streams that it names are among the last eight opened. */
static void
put_operation(struct buf *out, uint32_t *last_id, uint8_t operation, uint8_t what)
{
    static const char zeros[256];
    uint32_t id = *last_id > 2u * (what & 7) ? *last_id - 2u * (what & 7) : 1;
    switch (operation % 14) {
    case 0:
    case 1:
    case 2:
    case 3:
        *last_id += 2;
        put_request(out, *last_id, what);
        break;
    case 4:
        put_frame(out, NGHTTP2_DATA, what & 8 ? NGHTTP2_FLAG_END_STREAM : 0, id,
                  str_make(zeros, what & 16 ? 200 : what >> 6));
        break;
    case 5:
        put_number_frame(out, NGHTTP2_RST_STREAM, id, what >> 4);
        break;
    case 6:
        put_number_frame(out, NGHTTP2_WINDOW_UPDATE, id, 1u << (what >> 4));
        break;
    case 7:
        put_number_frame(out, NGHTTP2_WINDOW_UPDATE, 0, 1u << (what & 31));
        break;
    case 8:
        put_setting(out, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1u << (what & 31));
        break;
    case 9:
        put_setting(out, (uint16_t)(what & 15), what >> 4 ? 1u << (what >> 4) : 0);
        break;
    case 10:
        put_frame(out, NGHTTP2_PING, what & 1, 0, str_make(zeros, 8));
        break;
    case 11:
        put_frame(out, NGHTTP2_PRIORITY_UPDATE, 0, 0,
                  str_make("\0\0\0\3u=1, i", what & 1 ? 10 : 4));
        break;
    case 12: /* trailers */
        put_frame(out, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | (what >> 4 & 1), id,
                  str_make("\0\1x\1y\0\2:p\0", what & 8 ? 5 : 10));
        break;
    default:
        put_frame(out, what, what >> 2, id, str_make(zeros, what & 15));
        break;
    }
}

static void
make_input(struct buf *out, const uint8_t *data, size_t size)
{
    unsigned mode = data[0] % 3;
    struct str rest = str_make((const char *)data + CONTROL_LEN, size - CONTROL_LEN);
    if (mode) {
        buf_append(out, str_from_cstr(NGHTTP2_CLIENT_MAGIC));
        put_frame(out, NGHTTP2_SETTINGS, 0, 0, STR(""));
    }
    if (mode == 2) {
        uint32_t last_id = (uint32_t)-1;
        for (size_t i = 0; i + 1 < rest.len && i < 2 * OPERATIONS_MAX; i += 2)
            put_operation(out, &last_id, (uint8_t)rest.ptr[i], (uint8_t)rest.ptr[i + 1]);
    } else {
        buf_append(out, rest);
    }
}

/* --- the peer --- */

struct peer {
    int fd;
    struct str input; /* what is left to send */
    struct buf output;
    uint32_t seed;
    size_t piece_max;
    bool reads_late; /* only when nothing else goes on */
    bool said_all, heard_all;
};

static bool
peer_say(struct peer *peer)
{
    if (peer->said_all)
        return false;
    if (peer->input.len == 0) {
        shutdown(peer->fd, SHUT_WR);
        peer->said_all = true;
        return true;
    }
    peer->seed = peer->seed * 1103515245u + 12345u;
    struct str piece = str_first(peer->input, 1 + (peer->seed >> 8) % peer->piece_max);
    ssize_t sent = send(peer->fd, piece.ptr, piece.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    must(sent > 0 || errno == EAGAIN || errno == EPIPE || errno == ECONNRESET);
    if (sent > 0)
        peer->input = str_skip(peer->input, (size_t)sent);
    else if (errno != EAGAIN)
        peer->input.len = 0;
    return sent > 0;
}

static bool
peer_hear(struct peer *peer)
{
    char *room = buf_reserve(&peer->output, 65536);
    must(room != NULL);
    ssize_t len = peer->heard_all ? -1 : recv(peer->fd, room, 65536, MSG_DONTWAIT);
    if (len < 0 && !peer->heard_all && errno == ECONNRESET)
        len = 0;
    if (len < 0) {
        must(peer->heard_all || errno == EAGAIN);
        return false;
    }
    buf_commit(&peer->output, (size_t)len);
    peer->heard_all = len == 0;
    return true;
}

/* The whole conversation. */
static void
peer_talk(struct peer *peer)
{
    unsigned idle_turns = 0;
    while (!peer->heard_all) {
        bool moved = peer_say(peer);
        turn();
        if (!peer->reads_late || !moved)
            moved |= peer_hear(peer);
        idle_turns = moved ? 0 : idle_turns + 1;
        must(idle_turns < IDLE_TURNS_MAX);
    }
}

static void
peer_connect(struct peer *peer, struct str input, const uint8_t *control)
{
    int fds[2], room = control[2] & 16 ? 1 : 1 << 16;
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    *peer = (struct peer){.fd = fds[0], .input = input, .seed = 1 + control[1] + control[2] * 256u};
    peer->piece_max = control[1] % 4 == 0 ? SIZE_MAX / 2 : input.len / (1 + control[2] % 16) + 1;
    peer->reads_late = control[1] % 2;
    buf_init(&peer->output, OUTPUT_MAX);
    must(conn_accept(&server.pool, fds[1], false, false));
}

static void
peer_leave(struct peer *peer)
{
    close(peer->fd);
    buf_deinit(&peer->output);
    for (unsigned i = 0; i < 10 && server.pool.counters.active; i++)
        turn();
    must(server.pool.counters.active == 0 && server.pin.use_count == 0);
    must(server.pool.counters.h2_streams == 0 && server.pool.counters.h2_sessions == 0);
}

/* --- what came out --- */

struct heard_stream {
    uint32_t id;
    uint64_t length, data_len;
    bool has_head, has_length, ended;
};

struct heard {
    nghttp2_hd_inflater *inflater;
    unsigned count;
    struct heard_stream streams[STREAMS_MAX];
};

static struct heard_stream *
stream_of(struct heard *heard, uint32_t id)
{
    for (unsigned i = 0; i < heard->count; i++)
        if (heard->streams[i].id == id)
            return &heard->streams[i];
    must(heard->count < STREAMS_MAX && id % 2 == 1);
    heard->streams[heard->count].id = id;
    return &heard->streams[heard->count++];
}

static void
check_head(struct heard *heard, uint32_t id, bool ends, struct str block)
{
    int flags = 0;
    unsigned fields = 0;
    struct heard_stream *stream = stream_of(heard, id);
    must(!stream->has_head);
    stream->has_head = true;
    stream->ended = ends;
    while (!(flags & NGHTTP2_HD_INFLATE_FINAL)) {
        nghttp2_nv field;
        ssize_t used = nghttp2_hd_inflate_hd2(heard->inflater, &field, &flags,
                                              (const uint8_t *)block.ptr, block.len, 1);
        must(used >= 0);
        block = str_skip(block, (size_t)used);
        if (!(flags & NGHTTP2_HD_INFLATE_EMIT))
            continue;
        struct str name = str_make((const char *)field.name, field.namelen);
        struct str value = str_make((const char *)field.value, field.valuelen);
        must(str_eq(name, STR(":status")) == (fields++ == 0));
        if (str_eq(name, STR("content-length"))) {
            must(!stream->has_length && str_to_u64(value, &stream->length));
            stream->has_length = true;
        }
    }
    must(fields >= 2);
    nghttp2_hd_inflate_end_headers(heard->inflater);
}

static void
check_data(struct heard *heard, uint32_t id, bool ends, size_t len)
{
    struct heard_stream *stream = stream_of(heard, id);
    must(stream->has_head && !stream->ended && stream->has_length);
    stream->data_len += len;
    stream->ended = ends;
    must(stream->data_len <= stream->length);
    must(!ends || stream->data_len == stream->length);
}

static void
check_frames(struct str output)
{
    static struct heard heard;
    memset(&heard, 0, sizeof heard);
    must(nghttp2_hd_inflate_new(&heard.inflater) == 0);
    for (bool first = true; output.len >= FRAME_HEAD_LEN; first = false) {
        const uint8_t *head = (const uint8_t *)output.ptr;
        size_t len = (size_t)(head[0] << 16 | head[1] << 8 | head[2]);
        uint32_t id = (uint32_t)head[5] << 24 | (uint32_t)(head[6] << 16 | head[7] << 8 | head[8]);
        bool ends = head[4] & NGHTTP2_FLAG_END_STREAM;
        if (len > output.len - FRAME_HEAD_LEN)
            break; /* the connection was cut */
        struct str payload = str_first(str_skip(output, FRAME_HEAD_LEN), len);
        output = str_skip(output, FRAME_HEAD_LEN + len);
        must(len <= 1 << 24);
        must(!first || head[3] == NGHTTP2_SETTINGS || head[3] == NGHTTP2_GOAWAY);
        if (head[3] == NGHTTP2_HEADERS && head[4] & NGHTTP2_FLAG_END_HEADERS)
            check_head(&heard, id, ends, payload);
        else if (head[3] == NGHTTP2_DATA)
            check_data(&heard, id, ends, len);
        else
            must(head[3] != NGHTTP2_HEADERS && head[3] != NGHTTP2_PUSH_PROMISE);
    }
    nghttp2_hd_inflate_del(heard.inflater);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!server.loop)
        start_server();
    if (size < CONTROL_LEN || size > INPUT_MAX)
        return 0;
    struct buf input;
    struct peer peer;
    uint64_t answered = server.env.counters.requests;
    buf_init(&input, 1 << 20);
    make_input(&input, data, size);
    bool is_h2 = h2_preface_check(buf_str(&input)) == H2_PREFACE_WHOLE;
    server.logged = 0;
    peer_connect(&peer, buf_str(&input), data);
    peer_talk(&peer);
    if (is_h2)
        check_frames(buf_str(&peer.output));
    peer_leave(&peer);
    must(server.logged == server.env.counters.requests - answered);
    buf_deinit(&input);
    return 0;
}
