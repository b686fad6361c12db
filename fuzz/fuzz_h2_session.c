/* Fuzzes a whole HTTP/2 connection: bytes in pieces into a session over a socket pair, frames out.
 * Input: a byte of mode, two of seed for the pieces, then by mode the raw bytes of the peer, those
 * behind a preface and SETTINGS, or a list of operations of two bytes that are made into frames.
 *
 * Checked: what comes out are whole frames, SETTINGS first; header blocks decode; DATA comes only
 * on streams that have a head, and as much as Content-Length says when the stream ends; the
 * connection ends, every request is logged once, and nothing is left.
 */
#include "conn/h2.h"
#include "session_run.h"

#include <nghttp2/nghttp2.h>

enum {
    OPERATIONS_MAX = 200,
    PRELOAD_MAX = 30000,
    MID_LEN = 20000,   /* in memory */
    FILE_LEN = 100000, /* sent from the file */
    STREAMS_MAX = 1024,
    FRAME_HEAD_LEN = 9,
};

static const struct peer_limits peer_limits = {
    .output_max = 64 << 20, .piece_max = SIZE_MAX / 2, .idle_turns_max = 8};

static void
make_files(const char *dir)
{
    static char content[FILE_LEN];
    fill_letters(content, FILE_LEN);
    write_file(dir, "s", content, 2);
    write_file(dir, "m", content, MID_LEN);
    write_file(dir, "f", content, FILE_LEN);
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

/* Of streams that have opened, or not yet. */
static void
put_priority_update(struct buf *out, unsigned what)
{
    const char payload[] = {0,   0,  0, (char)(what >> 2 | 1), 'u', '=', (char)('0' + what % 8),
                            ',', 'i'};
    put_frame(out, NGHTTP2_PRIORITY_UPDATE, 0, 0, str_make(payload, what & 1 ? sizeof payload : 6));
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
        put_priority_update(out, what);
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
        server_start(make_files, PRELOAD_MAX);
    if (size < CONTROL_LEN || size > INPUT_MAX)
        return 0;
    struct buf input;
    struct peer peer;
    uint64_t answered = server.env.counters.requests;
    buf_init(&input, 1 << 20);
    make_input(&input, data, size);
    bool is_h2 = h2_preface_check(buf_str(&input)) == H2_PREFACE_WHOLE;
    peer_connect(&peer, &peer_limits, buf_str(&input), data);
    peer_talk(&peer);
    if (is_h2)
        check_frames(buf_str(&peer.output));
    peer_leave(&peer);
    must(server.logged == server.env.counters.requests - answered);
    buf_deinit(&input);
    return 0;
}
