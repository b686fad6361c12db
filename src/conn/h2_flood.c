#include "conn/h2_flood.h"

#include "base/must.h"

#include <nghttp2/nghttp2.h>

enum { SECOND_NS = 1000000000 };

static const struct {
    const char *name;
    uint32_t burst, per_second;
} kinds[] = {
#define X(name, text, burst, per_second) {text, burst, per_second},
    H2_FLOOD_TABLE(X)
#undef X
};

const char *
h2_flood_name(enum h2_flood_kind kind)
{
    must(kind < H2_FLOOD_KIND_COUNT);
    return kinds[kind].name;
}

bool
h2_flood_allows(struct h2_flood *flood, enum h2_flood_kind kind, uint64_t now_ns)
{
    must(kinds[kind].per_second > 0);
    uint64_t each_ns = SECOND_NS / kinds[kind].per_second;
    uint64_t full_ns = flood->full_ns[kind] > now_ns ? flood->full_ns[kind] : now_ns;
    if (full_ns - now_ns > (kinds[kind].burst - 1) * each_ns)
        return false;
    flood->full_ns[kind] = full_ns + each_ns;
    return true;
}

void
h2_flood_credit(struct h2_flood *flood, enum h2_flood_kind kind, unsigned count)
{
    uint64_t back_ns = count * (SECOND_NS / (uint64_t)kinds[kind].per_second);
    uint64_t *full_ns = &flood->full_ns[kind];
    *full_ns = *full_ns > back_ns ? *full_ns - back_ns : 0;
}

void
h2_flood_init(struct h2_flood *flood)
{
    *flood = (struct h2_flood){.skip_len = NGHTTP2_CLIENT_MAGIC_LEN};
}

/* What a frame counts as; H2_FLOOD_KIND_COUNT: as nothing. */
static enum h2_flood_kind
kind_of_frame(unsigned type, unsigned flags, uint32_t len)
{
    switch (type) {
    case NGHTTP2_DATA:
        return len || flags & NGHTTP2_FLAG_END_STREAM ? H2_FLOOD_KIND_COUNT : H2_FLOOD_EMPTY_DATA;
    case NGHTTP2_HEADERS:
    case NGHTTP2_PUSH_PROMISE: /* ends the connection anyway */
    case NGHTTP2_CONTINUATION:
        return H2_FLOOD_KIND_COUNT;
    case NGHTTP2_PRIORITY:
    case NGHTTP2_PRIORITY_UPDATE:
        return H2_FLOOD_PRIORITY;
    case NGHTTP2_RST_STREAM:
        return H2_FLOOD_RESET;
    case NGHTTP2_SETTINGS:
        return H2_FLOOD_SETTINGS;
    case NGHTTP2_PING:
        return H2_FLOOD_PING;
    case NGHTTP2_GOAWAY:
        return H2_FLOOD_GOAWAY;
    case NGHTTP2_WINDOW_UPDATE:
        return H2_FLOOD_WINDOW_UPDATE;
    default:
        return H2_FLOOD_UNKNOWN;
    }
}

/* A frame head is complete. */
static bool
allows_frame(struct h2_flood *flood, uint64_t now_ns, enum h2_flood_kind *kind)
{
    const uint8_t *head = flood->head;
    uint32_t len = (uint32_t)(head[0] << 16 | head[1] << 8 | head[2]);
    flood->skip_len = len;
    flood->head_len = 0;
    if (head[3] == NGHTTP2_HEADERS) {
        h2_flood_credit(flood, H2_FLOOD_PRIORITY, H2_REQUEST_FRAMES);
        h2_flood_credit(flood, H2_FLOOD_UNKNOWN, H2_REQUEST_FRAMES);
    }
    *kind = kind_of_frame(head[3], head[4], len);
    return *kind == H2_FLOOD_KIND_COUNT || h2_flood_allows(flood, *kind, now_ns);
}

size_t
h2_flood_watch(struct h2_flood *flood, struct str bytes, uint64_t now_ns, enum h2_flood_kind *kind)
{
    struct str rest = bytes;
    for (;;) {
        size_t skip_len = flood->skip_len < rest.len ? flood->skip_len : rest.len;
        flood->skip_len -= (uint32_t)skip_len;
        rest = str_skip(rest, skip_len);
        struct str part = str_first(rest, (size_t)(H2_FRAME_HEAD_LEN - flood->head_len));
        memcpy(flood->head + flood->head_len, part.ptr, part.len);
        flood->head_len += (uint8_t)part.len;
        if (flood->head_len < H2_FRAME_HEAD_LEN)
            return bytes.len;
        if (!allows_frame(flood, now_ns, kind))
            return bytes.len - rest.len;
        rest = str_skip(rest, part.len);
    }
}
