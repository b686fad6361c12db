#include "cache/object.h"

#include "base/buf.h"
#include "base/limits.h"
#include "base/must.h"
#include "cache/table_internal.h"
#include "http/date.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The fetcher stores a length and then the state, readers load the state and then the lengths: who
 * sees WHOLE sees the final length.
 */

/* Text of "Name: value\r\n" lines. */
static void
put_head(struct buf *out, const struct cache_entry *entry, struct str etag)
{
    char date[HTTP_DATE_LEN];
    struct str type = entry->content_type;
    if (type.len == 0)
        type = STR("application/octet-stream");
    buf_printf(out, "Content-Type: %.*s\r\nETag: %.*s\r\n", STR_ARG(type), STR_ARG(etag));
    if (entry->content_coding.len)
        buf_printf(out, "Content-Encoding: %.*s\r\n", STR_ARG(entry->content_coding));
    if (entry->last_modified_s >= 0) {
        http_date_format(entry->last_modified_s, date);
        buf_printf(out, "Last-Modified: %.*s\r\n", HTTP_DATE_LEN, date);
    }
    /* What comes from elsewhere must not act as one of our pages. */
    buf_append(out, STR("Accept-Ranges: bytes\r\nX-Content-Type-Options: nosniff\r\n"
                        "Content-Security-Policy: sandbox\r\n"));
}

struct cache_object *
object_new(struct cache_table *table, int fd, const struct cache_entry *entry)
{
    struct cache_object *object = NULL;
    struct buf head;
    char own[32];
    struct str etag = entry->etag;
    if (etag.len == 0) {
        int len = snprintf(own, sizeof own, "\"tarn-%llx\"", (unsigned long long)entry->id);
        must(len > 0 && (size_t)len < sizeof own);
        etag = str_make(own, (size_t)len);
    }
    buf_init(&head, CACHE_HEAD_MAX);
    put_head(&head, entry, etag);
    if (!buf_overflowed(&head))
        object = malloc(sizeof *object + head.len + etag.len);
    if (object) {
        *object = (struct cache_object){
            .table = table,
            .fd = fd,
            .ref_count = 1,
            .state = OBJECT_GROWING,
            .id = entry->id,
            .len = entry->len,
            .created_s = entry->created_s,
            .last_modified_s = entry->last_modified_s,
            .head = str_make(object->text, head.len),
            .etag = str_make(object->text + head.len, etag.len),
        };
        memcpy(object->text, head.ptr, head.len);
        memcpy(object->text + head.len, etag.ptr, etag.len);
    } else {
        close(fd);
    }
    buf_deinit(&head);
    return object;
}

struct cache_object *
object_ref(struct cache_object *object)
{
    __atomic_add_fetch(&object->ref_count, 1, __ATOMIC_RELAXED);
    return object;
}

void
object_unref(struct cache_object *object)
{
    if (!object || __atomic_sub_fetch(&object->ref_count, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    /* Nobody else can reach it, the table neither. */
    close(object->fd);
    if (object->unlinked)
        table_discharge(object->table, object->charged_len);
    free(object);
}

void
object_show(struct cache_object *object, uint64_t len)
{
    must(object->state == OBJECT_GROWING);
    if (len == object->len && len > 0)
        len--;
    __atomic_store_n(&object->shown_len, len, __ATOMIC_RELEASE);
}

void
object_finish(struct cache_object *object, uint64_t len, const uint8_t sha256[CACHE_SHA256_LEN])
{
    must(object->state == OBJECT_GROWING);
    must(object->len == OBJECT_LEN_UNKNOWN || object->len == len);
    memcpy(object->sha256, sha256, CACHE_SHA256_LEN);
    __atomic_store_n(&object->len, len, __ATOMIC_RELEASE);
    __atomic_store_n(&object->shown_len, len, __ATOMIC_RELEASE);
    __atomic_store_n(&object->state, OBJECT_WHOLE, __ATOMIC_RELEASE);
}

void
object_break(struct cache_object *object)
{
    must(object->state == OBJECT_GROWING);
    __atomic_store_n(&object->state, OBJECT_BROKEN, __ATOMIC_RELEASE);
}
