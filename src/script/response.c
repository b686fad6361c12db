/* The response's header lines lie in blocks, most of them rendered when the site was loaded. As
 * long as nobody asks they stay there: a header by metadata whose name no line has is one more
 * block. Hooks that read or change fields get a list of them, which becomes one block again.
 */
#include "script/response.h"

#include "base/limits.h"
#include "http/status.h"
#include "script/task.h"

bool
script_response_name_is_framing(struct str name)
{
    static const struct str names[] = {
        STR_INIT("Content-Length"),
        STR_INIT("Transfer-Encoding"),
        STR_INIT("Connection"),
        STR_INIT("Keep-Alive"),
        STR_INIT("Proxy-Connection"),
        STR_INIT("Upgrade"),
        STR_INIT("Trailer"),
        STR_INIT("TE"),
        STR_INIT("Date"),
    };
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (name.len == names[i].len && str_ieq(name, names[i]))
            return true;
    return false;
}

/* --- header lines --- */

/* Takes the first line, with its end. */
static struct str
take_line(struct str *block)
{
    struct str line = str_first(*block, str_find_char(*block, '\n') + 1);
    *block = str_skip(*block, line.len);
    return line;
}

static struct str
line_name(struct str line)
{
    return str_first(line, str_find_char(line, ':'));
}

static struct str
line_value(struct str line)
{
    struct str value = str_skip(line, str_find_char(line, ':') + 1);
    while (value.len && (value.ptr[value.len - 1] == '\n' || value.ptr[value.len - 1] == '\r'))
        value.len--;
    return str_trim(value);
}

static size_t
line_len(struct str name, struct str value)
{
    return name.len + 2 + value.len + 2;
}

static char *
put_line(char *at, struct str name, struct str value)
{
    memcpy(at, name.ptr, name.len);
    at += name.len;
    memcpy(at, ": ", 2);
    at += 2;
    if (value.len)
        memcpy(at, value.ptr, value.len);
    at += value.len;
    memcpy(at, "\r\n", 2);
    return at + 2;
}

/* The first line of that name in the response's blocks; NULL pointer: there is none. */
static struct str
find_line(const struct response *response, struct str name)
{
    for (unsigned i = 0; i < response->block_count; i++) {
        struct str rest = response->blocks[i];
        while (rest.len) {
            struct str line = take_line(&rest);
            if (line.len > name.len && line.ptr[name.len] == ':' &&
                str_ieq(str_first(line, name.len), name))
                return line;
        }
    }
    return (struct str){0};
}

/* --- headers by metadata --- */

/* A header that the response is to have. */
struct wanted {
    struct str name, value;
    unsigned line_count; /* of that name in the blocks */
    uint32_t blocks;     /* bits 1 << index of those that have such lines */
    bool is_there;       /* there is one, and it is as wanted */
};

/* Found by a hash of the name, so that many headers cost no more than many lines do. */
enum { WANTED_MAX = SCRIPT_META_COUNT_MAX, TABLE_LEN = 2 * WANTED_MAX };
_Static_assert((TABLE_LEN & (TABLE_LEN - 1)) == 0, "a mask finds a place");

struct wanted_list {
    uint32_t count, mask;
    uint32_t blocks;    /* bits 1 << index of those that have lines of these names */
    uint64_t name_lens; /* bits 1 << length % 64 of the names: most lines have none of them */
    struct wanted list[WANTED_MAX];
    uint16_t table[TABLE_LEN]; /* 1 + index; 0: free */
};

static void
wanted_init(struct wanted_list *wanted, unsigned max)
{
    wanted->count = wanted->blocks = 0;
    wanted->name_lens = 0;
    wanted->mask = 7;
    while (wanted->mask + 1 < 2 * max)
        wanted->mask = 2 * wanted->mask + 1;
    memset(wanted->table, 0, (wanted->mask + 1) * sizeof wanted->table[0]);
}

static uint64_t
mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

/* Eight characters at a time, in a way that makes no difference between upper and lower case. */
static uint32_t
hash_name(struct str name)
{
    const uint64_t lower = UINT64_C(0x2020202020202020);
    uint64_t hash = name.len, word = 0;
    for (size_t i = 0; i + 8 < name.len; i += 8) {
        memcpy(&word, name.ptr + i, 8);
        hash = mix(hash, word | lower);
    }
    if (name.len >= 8) {
        memcpy(&word, name.ptr + name.len - 8, 8);
    } else {
        for (size_t i = 0; i < name.len; i++)
            word = word << 8 | (unsigned char)name.ptr[i];
    }
    return (uint32_t)(mix(hash, word | lower) >> 32);
}

/* The place of the table where this name is, or belongs. */
static uint16_t *
wanted_place(struct wanted_list *wanted, struct str name)
{
    for (uint32_t at = hash_name(name) & wanted->mask;; at = (at + 1) & wanted->mask) {
        uint16_t *place = &wanted->table[at];
        if (*place == 0 || str_ieq(wanted->list[*place - 1].name, name))
            return place;
    }
}

static void
wanted_add(struct wanted_list *wanted, struct str name, struct str value)
{
    uint16_t *place = wanted_place(wanted, name);
    if (*place == 0) {
        *place = (uint16_t)(wanted->count + 1);
        wanted->name_lens |= UINT64_C(1) << name.len % 64;
        wanted->list[wanted->count++] = (struct wanted){.name = name};
    }
    wanted->list[*place - 1].value = value;
}

/* The header that a line is of; NULL: none of them. */
static struct wanted *
wanted_of(struct wanted_list *wanted, struct str line)
{
    struct str name = line_name(line);
    if (!(wanted->name_lens >> name.len % 64 & 1))
        return NULL;
    uint16_t at = *wanted_place(wanted, name);
    return at ? &wanted->list[at - 1] : NULL;
}

/* What zs_meta_set has told that it will not be, is not. */
static void
collect_wanted(const struct script_meta *meta, struct wanted_list *wanted)
{
    for (uint32_t i = 0; i < meta->count; i++) {
        if (meta->list[i].is_header)
            wanted_add(wanted, script_meta_header_name(script_meta_key(meta, i)),
                       script_meta_value(meta, i));
    }
}

/* Looks which lines are there already. Returns how many headers are not as they should be. */
static unsigned
compare_lines(const struct response *response, struct wanted_list *wanted)
{
    unsigned missing = 0;
    for (unsigned i = 0; i < response->block_count; i++) {
        struct str rest = response->blocks[i];
        while (rest.len) {
            struct str line = take_line(&rest);
            struct wanted *header = wanted_of(wanted, line);
            if (!header)
                continue;
            header->blocks |= 1u << i;
            if (header->line_count++ == 0)
                header->is_there = str_eq(line_value(line), header->value);
        }
    }
    for (uint32_t i = 0; i < wanted->count; i++) {
        struct wanted *header = &wanted->list[i];
        header->is_there = header->is_there && header->line_count == 1;
        if (header->is_there)
            continue;
        missing++;
        wanted->blocks |= header->blocks;
    }
    return missing;
}

static bool
is_dropped(struct wanted_list *wanted, struct str line)
{
    const struct wanted *header = wanted_of(wanted, line);
    return header && !header->is_there;
}

/* A block without the lines that have to go. */
static struct str
without_dropped(struct arena *arena, struct wanted_list *wanted, struct str block)
{
    char *text = arena_alloc_text(arena, block.len), *at = text;
    for (struct str rest = block; text && rest.len;) {
        struct str line = take_line(&rest);
        if (is_dropped(wanted, line))
            continue;
        memcpy(at, line.ptr, line.len);
        at += line.len;
    }
    return str_make(text, (size_t)(at - text));
}

/* Blocks in which nothing changes stay where they are: most were rendered at load. */
static void
drop_lines(struct req *req, struct wanted_list *wanted)
{
    struct response *response = &req->response;
    unsigned count = response->block_count;
    response->block_count = 0;
    for (unsigned i = 0; i < count; i++) {
        struct str block = response->blocks[i];
        bool changes = wanted->blocks >> i & 1;
        req_add_block(req, changes ? without_dropped(&req->arena, wanted, block) : block);
    }
}

/* All blocks as one, when there is no room for another. */
static void
join_blocks(struct req *req)
{
    struct response *response = &req->response;
    size_t len = 0;
    for (unsigned i = 0; i < response->block_count; i++)
        len += response->blocks[i].len;
    char *text = arena_alloc_text(&req->arena, len + 1), *at = text;
    for (unsigned i = 0; text && i < response->block_count; i++) {
        memcpy(at, response->blocks[i].ptr, response->blocks[i].len);
        at += response->blocks[i].len;
    }
    response->block_count = 0;
    req_add_block(req, str_make(text, text ? len : 0));
}

static void
add_lines(struct req *req, const struct wanted_list *wanted)
{
    size_t len = 0;
    for (uint32_t i = 0; i < wanted->count; i++)
        if (!wanted->list[i].is_there)
            len += line_len(wanted->list[i].name, wanted->list[i].value);
    char *text = arena_alloc_text(&req->arena, len), *at = text;
    for (uint32_t i = 0; text && i < wanted->count; i++)
        if (!wanted->list[i].is_there)
            at = put_line(at, wanted->list[i].name, wanted->list[i].value);
    if (text && req->response.block_count == RESPONSE_BLOCKS_MAX)
        join_blocks(req);
    if (text)
        req_add_block(req, str_make(text, len));
}

void
script_response_apply_meta(struct script_task *task)
{
    struct wanted_list wanted;
    struct req *req = task->req;
    if (task->meta.header_count == 0)
        return;
    wanted_init(&wanted, task->meta.header_count);
    collect_wanted(&task->meta, &wanted);
    if (compare_lines(&req->response, &wanted) == 0)
        return;
    drop_lines(req, &wanted);
    add_lines(req, &wanted);
    task->response.fields_loaded = false;
}

/* --- what hooks see --- */

void
script_response_clear(struct script_response *response)
{
    struct script_response cleared = {
        .fields = response->fields,
        .saved_fields = response->saved_fields,
    };
    *response = cleared;
}

void
script_response_deinit(struct script_response *response)
{
    script_fields_deinit(&response->fields);
    script_fields_deinit(&response->saved_fields);
    *response = (struct script_response){0};
}

struct script_fields *
script_response_fields(struct script_frame *frame, const char *helper)
{
    struct script_task *task = frame->task;
    const struct response *response = &task->req->response;
    struct script_fields *fields = &task->response.fields;
    if (task->response.fields_loaded)
        return fields;
    script_fields_clear(fields);
    for (unsigned i = 0; i < response->block_count; i++)
        if (script_fields_add_block(fields, response->blocks[i]) != SCRIPT_FIELDS_OK)
            bpf_trap(frame->run, "%s: the response has more header fields than scripts can change",
                     helper);
    script_fields_remove(fields, STR("Content-Length"));
    task->response.content_length = find_line(response, STR("Content-Length"));
    task->response.fields_loaded = true;
    return fields;
}

struct str
script_response_header(const struct script_task *task, struct str name)
{
    const struct script_fields *fields = &task->response.fields;
    if (!task->response.fields_loaded || str_ieq(name, STR("Content-Length"))) {
        struct str line = find_line(&task->req->response, name);
        return line.ptr ? line_value(line) : (struct str){0};
    }
    for (uint32_t i = 0; i < fields->count; i++)
        if (str_ieq(script_fields_name(fields, i), name))
            return script_fields_value(fields, i);
    return (struct str){0};
}

/* --- before and after a hook --- */

/* False: no memory. */
static bool
copy_fields(struct script_fields *to, const struct script_fields *from)
{
    bool copied = true;
    script_fields_clear(to);
    for (uint32_t i = 0; copied && i < from->count; i++)
        copied = script_fields_append(to, script_fields_name(from, i),
                                      script_fields_value(from, i)) == SCRIPT_FIELDS_OK;
    return copied;
}

void
script_response_save(struct script_task *task)
{
    struct script_response *response = &task->response;
    response->saved_status = task->req->response.status;
    response->saved_status_changed = response->status_changed;
    response->saved_restarts = task->restarts;
    /* What has not changed is still in the blocks. Without memory to save it, so is what counts. */
    response->saved_changed = response->fields_loaded && response->fields_changed &&
                              copy_fields(&response->saved_fields, &response->fields);
}

void
script_response_restore(struct script_task *task)
{
    struct script_response *response = &task->response;
    struct script_fields failed = response->fields;
    task->req->response.status = response->saved_status;
    response->status_changed = response->saved_status_changed;
    task->restarts = response->saved_restarts;
    response->fields_loaded = response->fields_changed = response->saved_changed;
    if (!response->saved_changed)
        return;
    response->fields = response->saved_fields;
    response->saved_fields = failed;
}

/* --- back to blocks --- */

static void
write_fields(struct req *req, const struct script_response *response)
{
    const struct script_fields *fields = &response->fields;
    size_t len = response->content_length.len;
    for (uint32_t i = 0; i < fields->count; i++)
        len += line_len(script_fields_name(fields, i), script_fields_value(fields, i));
    char *text = arena_alloc_text(&req->arena, len + 1), *at = text;
    if (!text)
        return; /* the pipeline answers 500 */
    if (response->content_length.len)
        memcpy(at, response->content_length.ptr, response->content_length.len);
    at += response->content_length.len;
    for (uint32_t i = 0; i < fields->count; i++)
        at = put_line(at, script_fields_name(fields, i), script_fields_value(fields, i));
    req->response.block_count = 0;
    req_add_block(req, str_make(text, len));
}

/* A status that has no body where there was one, or the other way round: what is said about the
 * length becomes true. */
static void
fit_length(struct req *req)
{
    struct response *response = &req->response;
    bool has_length = find_line(response, STR("Content-Length")).ptr != NULL;
    if (!http_status_has_body(response->status)) {
        struct wanted_list dropped;
        wanted_init(&dropped, 1);
        wanted_add(&dropped, STR("Content-Length"), STR(""));
        compare_lines(response, &dropped);
        drop_lines(req, &dropped);
        body_close(&req->body);
        response->unknown_len = false;
        response->body_len = 0;
    } else if (!has_length && !response->unknown_len) {
        if (response->block_count == RESPONSE_BLOCKS_MAX)
            join_blocks(req);
        req_add_block(req, STR("Content-Length: 0\r\n"));
        body_close(&req->body);
        response->body_len = 0;
    }
}

void
script_response_commit(struct script_task *task)
{
    struct script_response *response = &task->response;
    if (response->fields_loaded && response->fields_changed) {
        write_fields(task->req, response);
        response->fields_loaded = false;
    }
    if (response->status_changed)
        fit_length(task->req);
    response->fields_changed = response->status_changed = false;
}
