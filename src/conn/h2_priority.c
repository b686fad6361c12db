#include "conn/h2_internal.h"

#include <stdlib.h>

/* PRIORITY_UPDATE frames (RFC 9218 section 7). One that comes before its stream is kept until the
 * stream opens, and then counts for more than the Priority field of the request.
 *
 * nghttp2 could read these frames, but is not asked to. It would make an idle stream of one that
 * comes early, and let the Priority field prevail; and version 1.52 leaves such a stream in its
 * list of idle ones when it opens, then frees it, then writes to it when the next early frame
 * comes.
 *
 * A stream is idle while its identifier is above all that HEADERS frames have named (RFC 9113
 * section 5.1.1): what was said of streams that were passed over is forgotten.
 */

enum { ID_LEN = 4 };

struct h2_priorities {
    struct early {
        int32_t id;
        struct h2_priority priority;
    } early[H2_STREAMS_MAX]; /* of streams that are not open yet, the oldest first */
    unsigned early_count;
    uint32_t frame_len; /* what has come of a payload; what is longer is not kept */
    uint8_t frame[ID_LEN + H2_PRIORITY_LEN_MAX];
};

int
h2_priority_set(struct h2 *h2, int32_t id, const struct h2_priority *priority)
{
    nghttp2_extpri value = {priority->urgency, priority->incremental};
    int result = nghttp2_session_change_extpri_stream_priority(h2->ng, id, &value, false);
    return nghttp2_is_fatal(result) ? result : 0; /* the stream may have closed */
}

static void
forget_up_to(struct h2_priorities *priorities, int32_t id)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < priorities->early_count; i++)
        if (priorities->early[i].id > id)
            priorities->early[kept++] = priorities->early[i];
    priorities->early_count = kept;
}

static void
forget_oldest(struct h2_priorities *priorities)
{
    priorities->early_count--;
    memmove(priorities->early, priorities->early + 1,
            priorities->early_count * sizeof *priorities->early);
}

static struct early *
find_early(struct h2_priorities *priorities, int32_t id)
{
    for (unsigned i = 0; i < priorities->early_count; i++)
        if (priorities->early[i].id == id)
            return &priorities->early[i];
    return NULL;
}

bool
h2_priority_find(const struct h2 *h2, int32_t id, struct h2_priority *priority)
{
    const struct early *early = h2->priorities ? find_early(h2->priorities, id) : NULL;
    if (early)
        *priority = early->priority;
    return early != NULL;
}

/* Keeps what was said of an idle stream. Returns an error code of HTTP/2. */
static uint32_t
remember(struct h2 *h2, int32_t id, const struct h2_priority *priority)
{
    struct h2_priorities *priorities = h2->priorities;
    /* Unlimited until the client has acknowledged our SETTINGS. */
    uint32_t streams_max =
        nghttp2_session_get_local_settings(h2->ng, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    forget_up_to(priorities, h2->last_id);
    struct early *early = find_early(priorities, id);
    if (early) {
        early->priority = *priority;
        return NGHTTP2_NO_ERROR;
    }
    if (priorities->early_count + h2->stream_count >= streams_max)
        return NGHTTP2_PROTOCOL_ERROR;
    if (priorities->early_count == H2_STREAMS_MAX)
        forget_oldest(priorities);
    priorities->early[priorities->early_count++] = (struct early){id, *priority};
    return NGHTTP2_NO_ERROR;
}

/* A whole frame has come. Returns an error code of HTTP/2; *result is as of h2_priority_set. */
static uint32_t
update(struct h2 *h2, const nghttp2_frame_hd *head, int *result)
{
    *result = 0;
    if (head->length < ID_LEN)
        return NGHTTP2_FRAME_SIZE_ERROR;
    const uint8_t *frame = h2->priorities->frame;
    int32_t id = (frame[0] & 0x7f) << 24 | frame[1] << 16 | frame[2] << 8 | frame[3];
    /* An even one would be of a pushed stream, and none is promised; 0 is no stream. */
    if (head->stream_id != 0 || id % 2 == 0)
        return NGHTTP2_PROTOCOL_ERROR;
    if (head->length > sizeof h2->priorities->frame)
        return NGHTTP2_NO_ERROR;
    struct h2_priority priority;
    h2_priority_parse(str_make((const char *)frame + ID_LEN, head->length - ID_LEN), &priority);
    if (id > h2->last_id)
        return remember(h2, id, &priority);
    *result = h2_priority_set(h2, id, &priority);
    return NGHTTP2_NO_ERROR;
}

int
h2_priority_received(nghttp2_session *ng, const nghttp2_frame_hd *head, const uint8_t *data,
                     size_t len, void *arg)
{
    struct h2 *h2 = arg;
    if (!h2->priorities)
        h2->priorities = calloc(1, sizeof *h2->priorities);
    struct h2_priorities *priorities = h2->priorities;
    if (!priorities)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    size_t room = sizeof priorities->frame - priorities->frame_len;
    size_t kept = len < room ? len : room;
    memcpy(priorities->frame + priorities->frame_len, data, kept);
    priorities->frame_len += (uint32_t)kept;
    return 0;
}

int
h2_priority_ended(nghttp2_session *ng, void **payload, const nghttp2_frame_hd *head, void *arg)
{
    struct h2 *h2 = arg;
    int result;
    uint32_t error = update(h2, head, &result);
    if (h2->priorities)
        h2->priorities->frame_len = 0;
    if (error != NGHTTP2_NO_ERROR)
        result = nghttp2_session_terminate_session(ng, error);
    return result == 0 ? NGHTTP2_ERR_CANCEL : NGHTTP2_ERR_CALLBACK_FAILURE; /* done, or fatal */
}
