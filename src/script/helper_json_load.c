/* JSON out of the main site: files by their exact names, those that only scripts can read
 * (.tarn/flags.json) among them. Files that are in memory, as nearly all are, are parsed once for
 * each worker (json_cache.h); others are read into the worker's scratch buffer each time.
 */
#include "script/helpers.h"
#include "script/json_cache.h"
#include "script/json_internal.h"
#include "site/site.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

static const uint64_t ABSENT = (uint64_t)-1;

static bool
find_member(struct script_frame *frame, struct str name, struct site_member *member)
{
    return site_find_member(frame->task->req->pin->site, name, member);
}

/* --- zs_load_static_json --- */

static bool
read_all(int fd, uint64_t off, char *to, size_t len)
{
    while (len) {
        ssize_t got = pread(fd, to, len, (off_t)off);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        to += got;
        off += (uint64_t)got;
        len -= (size_t)got;
    }
    return true;
}

/* Reads content that is not in memory. False, said in the log: it cannot be had. */
static bool
read_content(struct script_frame *frame, const struct site_content *content, char *to)
{
    struct error error;
    int fd;
    bool is_owned;
    if (site_content_open(content, &fd, &is_owned, &error) < 0) {
        script_log_line(frame, str_from_cstr(error.text));
        return false;
    }
    bool is_read = read_all(fd, content->off, to, content->len);
    if (is_owned)
        close(fd);
    if (!is_read)
        script_log_line(frame, STR("zs_load_static_json: a file of the site cannot be read"));
    return is_read;
}

/* The text of a file. It is bounded as if it were the script's. */
static bool
get_content(struct script_frame *frame, const struct site_content *content, struct str *text)
{
    struct buf *scratch = &frame->task->worker->scratch;
    *text = str_make(content->mem, content->len);
    if (content->mem)
        return true;
    script_charge(frame, content->len);
    script_refund(frame, content->len);
    buf_clear(scratch);
    char *to = buf_reserve(scratch, content->len);
    if (!to)
        bpf_trap(frame->run, "zs_load_static_json: a file has %" PRIu64 " bytes, more than %zu",
                 content->len, scratch->max);
    *text = str_make(to, content->len);
    return read_content(frame, content, to);
}

SCRIPT_HELPER(zs_load_static_json)
{
    struct script_frame *frame = script_frame_of(run);
    struct site_member member;
    struct str text;
    if (!find_member(frame, bpf_view(run, r1, r2), &member))
        return ABSENT;
    const struct json_file *file = json_cache_get(&frame->task->view->json_cache, member.content);
    if (file && file->state == JSON_FILE_BAD)
        return ABSENT;
    if (file && file->state == JSON_FILE_PARSED)
        return script_json_share(frame, &file->root, file->cost, "zs_load_static_json");
    if (!get_content(frame, member.content, &text))
        return ABSENT;
    return (uint64_t)script_json_parse(frame, text);
}

/* --- zs_load_file_metadata --- */

static enum json_result
set_integer(struct script_json *json, struct json_node *object, struct str key, uint64_t number)
{
    struct json_node value = {0};
    json_tree_put_integer(&value, (int64_t)number);
    return json_tree_set(json, object, key, &value, 0);
}

/* An entity tag as the predecessor has it: what is between the quotes. */
static enum json_result
set_etag(struct script_json *json, struct json_node *object, struct str etag)
{
    struct json_node value = {0};
    size_t quote = str_find_char(etag, '"');
    if (quote < etag.len)
        etag = str_skip(etag, quote + 1);
    if (str_ends_with(etag, STR("\"")))
        etag.len--;
    enum json_result result =
        json_tree_put_text(json, &value, JSON_STRING, str_is_utf8(etag) ? etag : STR(""));
    if (result == JSON_OK)
        result = json_tree_set(json, object, STR("etag"), &value, 0);
    json_tree_empty(json, &value);
    return result;
}

SCRIPT_HELPER(zs_load_file_metadata)
{
    static const char helper[] = "zs_load_file_metadata";
    struct script_frame *frame = script_frame_of(run);
    struct script_json *json = &frame->json;
    struct site_member member;
    if (!find_member(frame, bpf_view(run, r1, r2), &member))
        return ABSENT;
    uint64_t handle = script_json_new(frame, JSON_OBJECT, helper);
    struct json_node *object = script_json_node(frame, handle, helper);
    script_json_begin(frame);
    enum json_result result = set_etag(json, object, member.etag);
    if (result == JSON_OK)
        result = set_integer(json, object, STR("mtime"), (uint64_t)member.mtime);
    if (result == JSON_OK)
        result = set_integer(json, object, STR("size"), member.content->len);
    script_json_end(frame);
    script_json_check(frame, result, helper);
    return handle;
}
