/* Reading walks from header to header: an entry is a block of 512 bytes, its content rounded up to
 * whole blocks, then the next header, until two blocks of zeros. Contents are only stepped over.
 * Extension headers ('x', 'g' of pax, 'L', 'K' of GNU) speak about the entry behind them, or with
 * 'g' about all that follow; what they say is gathered in a struct tar_extra.
 *
 * Small files stand close together, so the window that is read is large while headers are near
 * each other and small after a long jump.
 */
#include "site/tar.h"

#include "base/limits.h"
#include "base/log.h"
#include "base/must.h"
#include "site/script_path.h"
#include "site/tar_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    WINDOW_LEN = 256 << 10,
    WINDOW_AFTER_JUMP_LEN = 4 << 10,
    WINDOW_NEAR_LEN = 64 << 10,
    WARNINGS_SHOWN = 20,
};

struct tar_reader {
    int fd;          /* -1: all bytes are in `memory` */
    const char *mem; /* the archive, or NULL */
    uint64_t size;
    char *window; /* heap; bytes window_off to window_off + window_len of the file */
    uint64_t window_off;
    size_t window_len;

    uint64_t off; /* of the next header */
    struct tar_extra global, local;
    bool local_used; /* an extension header waits for its entry */
    struct tar_link_list links;
    const struct site_identity *identity;
    struct member_list *members;
    struct error *error;
};

int
tar_skip(struct member_list *members, struct str path, const char *why, struct error *error)
{
    struct str shown = str_first(path, TAR_NAME_SHOWN);
    if (script_path_is_needed(path))
        return error_set(error, "'%.*s', where scripts are, %s", STR_ARG(shown), why);
    members->warnings++;
    if (members->warnings <= WARNINGS_SHOWN)
        log_warn("'%.*s' %s: skipped%s", STR_ARG(shown), why,
                 members->warnings == WARNINGS_SHOWN ? " (further warnings are only counted)" : "");
    return 0;
}

static int
reader_pread(struct tar_reader *reader, uint64_t off, char *to, size_t len)
{
    while (len > 0) {
        ssize_t got = pread(reader->fd, to, len, (off_t)off);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set_errno(reader->error, errno, "cannot read at offset %" PRIu64, off);
        if (got == 0)
            return error_set(reader->error, "the archive became shorter while it was read");
        to += got;
        off += (uint64_t)got;
        len -= (size_t)got;
    }
    return 0;
}

static int
reader_fill(struct tar_reader *reader, uint64_t off)
{
    uint64_t end = reader->window_off + reader->window_len;
    bool near = off >= end && off - end <= WINDOW_NEAR_LEN;
    size_t len = near ? WINDOW_LEN : WINDOW_AFTER_JUMP_LEN;
    if (len > reader->size - off)
        len = (size_t)(reader->size - off);
    reader->window_len = 0;
    if (reader_pread(reader, off, reader->window, len) < 0)
        return -1;
    reader->window_off = off;
    reader->window_len = len;
    return 0;
}

/* The block at `off`, borrowed until the next call; NULL with a reason past the end. */
static const char *
reader_block(struct tar_reader *reader, uint64_t off)
{
    if (off > reader->size || reader->size - off < TAR_BLOCK) {
        error_set(reader->error,
                  "the archive is cut short: its end mark is missing at offset %" PRIu64,
                  reader->size);
        return NULL;
    }
    if (reader->mem)
        return reader->mem + off;
    bool inside = off >= reader->window_off && off - reader->window_off < reader->window_len &&
                  reader->window_len - (off - reader->window_off) >= TAR_BLOCK;
    if (!inside && reader_fill(reader, off) < 0)
        return NULL;
    return reader->window + (off - reader->window_off);
}

/* A copy of the content of an extension header. */
static int
reader_extension(struct tar_reader *reader, const struct tar_header *header, struct str *out)
{
    if (header->size > TAR_PAX_MAX)
        return error_set(reader->error,
                         "the extension header at offset %" PRIu64 " is larger than %d bytes",
                         reader->off, TAR_PAX_MAX);
    size_t len = (size_t)header->size;
    char *text = arena_alloc_text(reader->members->arena, len + 1);
    if (!text)
        return error_set(reader->error, "no memory for the archive's names");
    if (reader->mem)
        memcpy(text, reader->mem + reader->off + TAR_BLOCK, len);
    else if (reader_pread(reader, reader->off + TAR_BLOCK, text, len) < 0)
        return -1;
    text[len] = '\0';
    *out = str_make(text, len);
    return 0;
}

static int
read_extension(struct tar_reader *reader, const struct tar_header *header)
{
    struct str text;
    if (reader_extension(reader, header, &text) < 0)
        return -1;
    struct tar_extra *extra = header->type == 'g' ? &reader->global : &reader->local;
    reader->local_used |= header->type != 'g';
    if (header->type == 'L' || header->type == 'K') {
        struct str name = str_first(text, strnlen(text.ptr, text.len));
        *(header->type == 'L' ? &extra->path : &extra->link) = name;
        return 0;
    }
    if (!tar_pax_apply(text, reader->members->arena, extra))
        return error_set(reader->error, "malformed pax header at offset %" PRIu64, reader->off);
    return 0;
}

static int
add_member(struct tar_reader *reader, struct str path, struct member **out)
{
    *out = member_list_add(reader->members);
    if (!*out)
        return error_set(reader->error, "more than %d entries", SITE_MEMBERS_MAX);
    (*out)->path = path;
    return 0;
}

static struct tar_link *
add_link_record(struct tar_link_list *links)
{
    if (links->count == links->cap) {
        size_t cap = links->cap ? links->cap * 2 : 16;
        struct tar_link *grown = realloc(links->list, cap * sizeof *grown);
        if (!grown)
            return NULL;
        links->list = grown;
        links->cap = cap;
    }
    return &links->list[links->count++];
}

static int
add_link(struct tar_reader *reader, const struct tar_header *header, struct str path)
{
    struct arena *arena = reader->members->arena;
    struct tar_link link = {.target = header->link, .hard = header->type == '1'};
    if (link.hard) {
        const char *why = tar_clean_name(header->link, arena, &link.target);
        if (why)
            return tar_skip(reader->members, path, "is a link out of the archive", reader->error);
    } else {
        link.target = arena_copy(arena, header->link);
    }
    struct tar_link *record = add_link_record(&reader->links);
    if (!record || !link.target.ptr)
        return error_set(reader->error, "no memory for the archive's links");
    *record = link;
    struct member *member;
    if (add_member(reader, path, &member) < 0)
        return -1;
    member->fd = TAR_FD_LINK;
    member->off = reader->links.count - 1;
    return 0;
}

static int
add_file(struct tar_reader *reader, const struct tar_header *header, struct str path)
{
    struct member *member;
    if (path.len == 0)
        return error_set(reader->error, "the entry at offset %" PRIu64 " has no name", reader->off);
    if (add_member(reader, path, &member) < 0)
        return -1;
    member->fd = reader->fd;
    member->off = reader->off + TAR_BLOCK;
    member->size = header->size;
    member->mtime = header->mtime;
    member->identity = reader->identity;
    return 0;
}

static int
add_directory(struct tar_reader *reader, const struct tar_header *header, struct str path)
{
    struct member *member;
    if (path.len == 0)
        return 0; /* the root, "./" */
    if (add_member(reader, path, &member) < 0)
        return -1;
    member->is_dir = true;
    member->mtime = header->mtime;
    return 0;
}

/* Adds one entry, extension headers applied. `name` is its name as it stands. */
static int
add_entry(struct tar_reader *reader, const struct tar_header *header, bool sparse)
{
    struct str path;
    struct str shown = str_first(header->name, TAR_NAME_SHOWN);
    const char *why = tar_clean_name(header->name, reader->members->arena, &path);
    if (why)
        return error_set(reader->error, "entry '%.*s': %s", STR_ARG(shown), why);
    switch (header->type) {
    case '\0':
    case '0':
    case '7':
        if (str_ends_with(header->name, STR("/")))
            return add_directory(reader, header, path);
        if (sparse)
            return error_set(reader->error, "entry '%.*s' is sparse, which is not supported",
                             STR_ARG(shown));
        return add_file(reader, header, path);
    case '5':
    case 'D':
        return add_directory(reader, header, path);
    case '1':
    case '2':
        return add_link(reader, header, path);
    case 'S':
        return error_set(reader->error, "entry '%.*s' is sparse, which is not supported",
                         STR_ARG(shown));
    case 'V': /* the label that GNU tar gives a volume */
        return 0;
    default:
        return tar_skip(reader->members, path, "is not a file", reader->error);
    }
}

/* Only these carry content; a size in the header of a link, device or directory means nothing. */
static bool
type_has_content(char type)
{
    return !(type >= '1' && type <= '6');
}

static void
apply_extra(struct tar_header *header, const struct tar_extra *extra)
{
    if (extra->path.ptr)
        header->name = extra->path;
    if (extra->link.ptr)
        header->link = extra->link;
    if (extra->has_size)
        header->size = extra->size;
    if (extra->has_mtime)
        header->mtime = extra->mtime;
}

/* Handles the header at reader->off and moves behind its content. */
static int
read_entry(struct tar_reader *reader, struct tar_header *header)
{
    bool extension =
        header->type == 'x' || header->type == 'g' || header->type == 'L' || header->type == 'K';
    if (!extension) {
        apply_extra(header, &reader->global);
        apply_extra(header, &reader->local);
    }
    if (!type_has_content(header->type))
        header->size = 0;
    uint64_t behind = reader->size - reader->off - TAR_BLOCK;
    if (header->size > behind)
        return error_set(reader->error,
                         "the archive is cut short: the entry at offset %" PRIu64 " has %" PRIu64
                         " bytes, and only %" PRIu64 " are there",
                         reader->off, header->size, behind);
    if (extension) {
        if (read_extension(reader, header) < 0)
            return -1;
    } else {
        if (add_entry(reader, header, reader->global.sparse || reader->local.sparse) < 0)
            return -1;
        reader->local = (struct tar_extra){0};
        reader->local_used = false;
    }
    reader->off += TAR_BLOCK + header->size + (-header->size & (TAR_BLOCK - 1));
    return 0;
}

/* The end mark is two blocks of zeros; a file that stops after one of them is let pass. */
static int
check_end(struct tar_reader *reader)
{
    struct tar_header header;
    if (reader->local_used)
        return error_set(reader->error, "an extension header stands alone at offset %" PRIu64,
                         reader->off);
    if (reader->size - reader->off < 2 * TAR_BLOCK)
        return 0;
    const char *block = reader_block(reader, reader->off + TAR_BLOCK);
    if (!block)
        return -1;
    if (tar_header_decode(block, &header) != TAR_HEADER_ZERO)
        return error_set(reader->error, "a lone block of zeros at offset %" PRIu64, reader->off);
    return 0;
}

static int
read_entries(struct tar_reader *reader)
{
    for (;;) {
        struct tar_header header;
        const char *block = reader_block(reader, reader->off);
        if (!block)
            return -1;
        switch (tar_header_decode(block, &header)) {
        case TAR_HEADER_ZERO:
            return check_end(reader);
        case TAR_HEADER_BAD_CHECKSUM:
            return error_set(reader->error, "bad checksum in the header at offset %" PRIu64,
                             reader->off);
        case TAR_HEADER_BAD_NUMBER:
            return error_set(reader->error, "bad number in the header at offset %" PRIu64,
                             reader->off);
        case TAR_HEADER_OK:
            break;
        }
        if (read_entry(reader, &header) < 0)
            return -1;
    }
}

static int
read_archive(struct tar_reader *reader)
{
    int result = read_entries(reader);
    if (result == 0 && reader->links.count)
        result = tar_links_resolve(reader->members, &reader->links, reader->error);
    free(reader->links.list);
    free(reader->window);
    return result;
}

int
tar_read(int fd, uint64_t size, const struct site_identity *identity, struct member_list *members,
         struct error *error)
{
    must(fd >= 0);
    struct tar_reader reader = {
        .fd = fd,
        .size = size,
        .identity = identity,
        .members = members,
        .error = error,
        .window = malloc(WINDOW_LEN),
    };
    if (!reader.window)
        return error_set(error, "no memory to read the archive");
    return read_archive(&reader);
}

int
tar_read_memory(struct str data, struct member_list *members, struct error *error)
{
    struct tar_reader reader = {.fd = -1,
                                .mem = data.ptr ? data.ptr : "",
                                .size = data.len,
                                .members = members,
                                .error = error};
    return read_archive(&reader);
}
