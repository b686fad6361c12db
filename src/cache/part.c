#include "cache/part.h"

#include "base/log.h"
#include "base/must.h"
#include "cache/fetcher_internal.h"
#include "http/date.h"
#include "http/precond.h"

#include <errno.h>
#include <unistd.h>

/* Bytes are charged before they are written: those of a declared length at once, so that a download
 * that cannot fit is refused before its first byte, others step by step.
 */

void
part_init(struct part *part, struct fetcher *fetcher, struct cache_flight *flight)
{
    memset(part, 0, sizeof *part);
    part->fetcher = fetcher;
    part->flight = flight;
}

static int
fails(const char **problem, int status, const char *text)
{
    *problem = text;
    return status;
}

static bool
is_full(int code)
{
    return code == ENOSPC || code == EDQUOT;
}

/* --- begin --- */

static struct str
keep(char **at, struct str value, size_t max)
{
    if (value.len > max)
        value.len = 0; /* better none than a piece of one */
    memcpy(*at, value.ptr ? value.ptr : "", value.len);
    struct str kept = str_make(*at, value.len);
    *at += value.len;
    return kept;
}

static bool
is_etag(struct str value)
{
    struct str tag = str_starts_with(value, STR("W/")) ? str_skip(value, 2) : value;
    return tag.len >= 2 && tag.ptr[0] == '"' && tag.ptr[tag.len - 1] == '"' &&
           str_find_char(str_make(tag.ptr + 1, tag.len - 2), '"') == tag.len - 2;
}

/* Whether the entry can name the coding of the content: it would be served as something else. */
static bool
can_keep_coding(const struct http_response_head *head)
{
    struct http_lines lines = http_response_lines(head, HTTP_FIELD_CONTENT_ENCODING);
    struct str value, more;
    return !http_lines_next(&lines, &value) ||
           (value.len <= CACHE_CODING_MAX && !http_lines_next(&lines, &more));
}

/* What upstream says of the resource. */
static void
read_head(struct part *part, const struct http_response_head *head)
{
    struct cache_entry *entry = &part->entry;
    char *at = part->text;
    int64_t now_s = fetcher_now_s(), seconds;
    struct str etag = http_response_value(head, HTTP_FIELD_ETAG);
    struct str coding = http_response_value(head, HTTP_FIELD_CONTENT_ENCODING);
    struct str modified = http_response_value(head, HTTP_FIELD_LAST_MODIFIED);
    struct str ranges = http_response_value(head, HTTP_FIELD_ACCEPT_RANGES);
    *entry = (struct cache_entry){
        .url = flight_url(part->flight),
        .id = ++part->fetcher->next_id,
        .len = head->body_kind == HTTP_BODY_LENGTH ? head->content_length : OBJECT_LEN_UNKNOWN,
        .last_modified_s = -1,
        .created_s = now_s,
        .last_used_s = now_s,
        .use_count = 1,
    };
    entry->content_type =
        keep(&at, http_response_value(head, HTTP_FIELD_CONTENT_TYPE), CACHE_FIELD_MAX);
    entry->etag = keep(&at, is_etag(etag) ? etag : STR(""), CACHE_FIELD_MAX);
    entry->content_coding =
        keep(&at, str_ieq(coding, STR("identity")) ? STR("") : coding, CACHE_CODING_MAX);
    if (modified.len && http_date_parse(modified, now_s, &seconds) && seconds >= 0)
        entry->last_modified_s = seconds;
    part->can_resume = entry->etag.len && entry->etag.ptr[0] == '"' &&
                       entry->len != OBJECT_LEN_UNKNOWN && !str_ieq(ranges, STR("none"));
}

static void
begin_hashes(struct part *part, const struct http_response_head *head)
{
    memset(&part->expected, 0, sizeof part->expected);
    for (unsigned i = 0; i < head->field_count; i++)
        (void)digests_add_field(&part->expected, http_response_field_name(head, &head->fields[i]),
                                http_response_field_value(head, &head->fields[i]));
    if (part->flight->wants_sha256)
        digests_add(&part->expected, DIGEST_SHA256, part->flight->sha256);
    for (unsigned kind = 0; kind < DIGEST_KIND_COUNT; kind++)
        digest_init(&part->hashes[kind], (enum digest_kind)kind);
}

/* The part file. A disk that is full is treated as a full cache. */
static int
open_part(struct part *part)
{
    struct fetcher *fetcher = part->fetcher;
    const struct cache_entry *entry = &part->entry;
    uint64_t room = entry->len == OBJECT_LEN_UNKNOWN ? CACHE_GRANT_LEN : entry->len;
    int fd = store_create_part(fetcher->config.store, entry->url, entry->id, entry->len);
    if (is_full(-fd) && fetcher_make_room(fetcher, room))
        fd = store_create_part(fetcher->config.store, entry->url, entry->id, entry->len);
    return fd;
}

int
part_begin(struct part *part, const struct http_response_head *head, const char **problem)
{
    struct fetcher *fetcher = part->fetcher;
    struct cache_entry *entry = &part->entry;
    must(!part->object);
    if (!can_keep_coding(head))
        return fails(problem, 502, "upstream's Content-Encoding is none that can be kept");
    read_head(part, head);
    begin_hashes(part, head);
    part->received = part->charged = 0;
    if (part->expected.conflict)
        return fails(problem, 502,
                     "upstream's digests, or the one asked for, contradict each other");
    uint64_t declared = entry->len == OBJECT_LEN_UNKNOWN ? 0 : entry->len;
    if (!fetcher_charge(fetcher, declared))
        return fails(problem, 507, "the cache is full");
    part->charged = declared;
    int fd = open_part(part);
    if (fd >= 0)
        part->object = object_new(fetcher->config.table, fd, entry); /* takes fd */
    if (!part->object) {
        if (fd >= 0)
            store_remove_part(fetcher->config.store, entry->url, entry->id);
        table_discharge(fetcher->config.table, part->charged);
        if (fd == -ENOMEM || fd >= 0)
            return fails(problem, 503, "no memory");
        log_warn("cache: cannot make a file: %s", strerror(-fd));
        return is_full(-fd) ? fails(problem, 507, "the disk is full")
                            : fails(problem, 500, "the cache cannot write");
    }
    struct cache_flight *flight = part->flight;
    __atomic_store_n(&flight->total_len, entry->len, __ATOMIC_RELAXED);
    __atomic_store_n(&flight->received_len, 0, __ATOMIC_RELAXED);
    flight_set_answered(flight, FLIGHT_FETCHED, part->object);
    return 200;
}

bool
part_resume(struct part *part, const struct http_response_head *head, uint64_t off, uint64_t end,
            uint64_t total)
{
    struct str etag = http_response_value(head, HTTP_FIELD_ETAG);
    const struct cache_entry *entry = &part->entry;
    /* Upstream may leave the validator out, but it must not be another one. */
    return part->object && off == part->received && end == entry->len &&
           (total == entry->len || total == OBJECT_LEN_UNKNOWN) &&
           (etag.len == 0 || str_eq(etag, entry->etag)) &&
           (head->body_kind != HTTP_BODY_LENGTH || head->content_length == end - off);
}

/* --- bytes --- */

static bool
charge(struct part *part, uint64_t len)
{
    while (part->received + len > part->charged) {
        if (!fetcher_charge(part->fetcher, CACHE_GRANT_LEN))
            return false;
        part->charged += CACHE_GRANT_LEN;
    }
    return true;
}

/* 0 or -errno. */
static int
write_all(struct part *part, struct str bytes)
{
    uint64_t off = part->received;
    bool made_room = false;
    while (bytes.len) {
        ssize_t put = pwrite(part->object->fd, bytes.ptr, bytes.len, (off_t)off);
        if (put > 0) {
            off += (uint64_t)put;
            bytes = str_skip(bytes, (size_t)put);
        } else if (put < 0 && is_full(errno) && !made_room) {
            made_room = true;
            if (!fetcher_make_room(part->fetcher, CACHE_ROOM_LEN))
                return -ENOSPC;
        } else if (put == 0 || errno != EINTR) {
            return put == 0 ? -EIO : -errno;
        }
    }
    return 0;
}

int
part_add(struct part *part, struct str bytes, const char **problem)
{
    struct fetcher *fetcher = part->fetcher;
    must(part->object);
    if (bytes.len > part->entry.len - part->received)
        return fails(problem, 502, "upstream sent more than it said");
    if (!charge(part, bytes.len))
        return fails(problem, 507, "the cache is full");
    int result = write_all(part, bytes);
    if (result < 0) {
        log_warn("cache: cannot write: %s", strerror(-result));
        return is_full(-result) ? fails(problem, 507, "the disk is full")
                                : fails(problem, 500, "the cache cannot write");
    }
    for (unsigned kind = 0; kind < DIGEST_KIND_COUNT; kind++)
        if (kind == DIGEST_SHA256 || part->expected.has[kind])
            digest_update(&part->hashes[kind], bytes);
    part->received += bytes.len;
    fetcher_count(&fetcher->counters.received, bytes.len);
    __atomic_store_n(&part->flight->received_len, part->received, __ATOMIC_RELAXED);
    object_show(part->object, part->received);
    flight_tell(part->flight);
    return 200;
}

/* --- ends --- */

/* Whether the content is what it should be; its SHA-256 goes into the entry. */
static bool
digests_are_right(struct part *part)
{
    uint8_t value[DIGEST_LEN_MAX];
    for (unsigned kind = 0; kind < DIGEST_KIND_COUNT; kind++) {
        if (kind != DIGEST_SHA256 && !part->expected.has[kind])
            continue;
        digest_final(&part->hashes[kind], value);
        if (kind == DIGEST_SHA256)
            memcpy(part->entry.sha256, value, CACHE_SHA256_LEN);
        if (part->expected.has[kind] &&
            memcmp(value, part->expected.value[kind], digest_len((enum digest_kind)kind)) != 0)
            return false;
    }
    return true;
}

int
part_finish(struct part *part, const char **problem)
{
    struct fetcher *fetcher = part->fetcher;
    const struct fetcher_config *config = &fetcher->config;
    struct cache_entry *entry = &part->entry;
    struct table_victim *replaced;
    if (entry->len != OBJECT_LEN_UNKNOWN && part->received != entry->len)
        return fails(problem, 502, "upstream sent less than it said");
    if (!digests_are_right(part))
        return fails(problem, 502, "the digest is not the right one");
    int result = store_finish_part(config->store, entry->url, entry->id);
    if (result < 0) {
        log_warn("cache: cannot rename a file: %s", strerror(-result));
        return fails(problem, 500, "the cache cannot write");
    }
    entry->len = part->received;
    table_discharge(config->table, part->charged - entry->len);
    part->charged = entry->len;
    object_finish(part->object, entry->len, entry->sha256);
    result = table_land(config->table, part->flight, entry, part->object, &replaced);
    if (result == 0) {
        index_put(config->index, entry);
    } else { /* no memory: whoever reads it has it, but it is not kept */
        store_remove(config->store, entry->url, entry->id);
        table_unlinked(config->table, object_ref(part->object), part->charged);
    }
    fetcher_drop(fetcher, replaced);
    flight_tell(part->flight);
    object_unref(part->object);
    part->object = NULL;
    return 200;
}

void
part_drop(struct part *part)
{
    struct fetcher *fetcher = part->fetcher;
    if (!part->object)
        return;
    object_break(part->object);
    flight_set_over(part->flight);
    store_remove_part(fetcher->config.store, part->entry.url, part->entry.id);
    table_unlinked(fetcher->config.table, part->object, part->charged);
    part->object = NULL;
}
