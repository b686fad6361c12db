/* The index stands first and says where everything is, so the whole layout is computed before the
 * first byte is written: header lengths follow from names, sizes and times, and the index has a
 * length that does not depend on the numbers in it. That lets the archive go into a pipe.
 *
 * Contents are read a second time here; one that no longer has the hash that stands in the index
 * ends the job, so an archive never holds a file that changed in between.
 */
#include "site/pack_internal.h"

#include "site/tar.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

enum { OUT_LEN = 1 << 20, HEADER_MAX = 16 << 10, END_LEN = 2 * TAR_BLOCK };

struct writer {
    int fd;
    int spill_fd;
    uint64_t len; /* given to it so far */
    struct error *error;
    struct buf header; /* scratch */
    char *out;         /* heap, OUT_LEN */
    size_t out_len;
    char *piece; /* heap, PACK_PIECE_LEN */
};

static int
writer_flush(struct writer *writer)
{
    for (size_t done = 0; done < writer->out_len;) {
        ssize_t put = write(writer->fd, writer->out + done, writer->out_len - done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return error_set_errno(writer->error, errno, "cannot write the archive");
        done += (size_t)put;
    }
    writer->out_len = 0;
    return 0;
}

static int
writer_put(struct writer *writer, struct str bytes)
{
    writer->len += bytes.len;
    while (bytes.len) {
        struct str part = str_first(bytes, OUT_LEN - writer->out_len);
        memcpy(writer->out + writer->out_len, part.ptr, part.len);
        writer->out_len += part.len;
        bytes = str_skip(bytes, part.len);
        if (writer->out_len == OUT_LEN && writer_flush(writer) < 0)
            return -1;
    }
    return 0;
}

static int
writer_pad(struct writer *writer)
{
    static const char zeros[TAR_BLOCK];
    return writer_put(writer, str_make(zeros, -writer->len & (TAR_BLOCK - 1)));
}

static uint64_t
padded(uint64_t len)
{
    return len + (-len & (TAR_BLOCK - 1));
}

/* The header of a file, in the scratch buffer. */
static struct str
make_header(struct writer *writer, struct str path, uint64_t size, int64_t mtime)
{
    buf_clear(&writer->header);
    tar_write_header(&writer->header, path, size, mtime);
    return buf_str(&writer->header);
}

static int
copy_range(struct writer *writer, const struct pack_file *file, int fd, uint64_t off,
           struct content_hasher *hasher)
{
    struct str name = str_first(file->path, PACK_NAME_SHOWN);
    for (uint64_t left = file->size; left > 0;) {
        size_t want = left < PACK_PIECE_LEN ? (size_t)left : PACK_PIECE_LEN;
        ssize_t got = pread(fd, writer->piece, want, (off_t)off);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set_errno(writer->error, errno, "cannot read '%.*s'", STR_ARG(name));
        if (got == 0)
            return error_set(writer->error, "'%.*s' became shorter while it was packed",
                             STR_ARG(name));
        struct str piece = str_make(writer->piece, (size_t)got);
        content_hasher_update(hasher, piece);
        if (writer_put(writer, piece) < 0)
            return -1;
        off += piece.len;
        left -= piece.len;
    }
    return 0;
}

static int
copy_content(struct writer *writer, const struct pack_file *file)
{
    bool owned = false;
    int fd = writer->spill_fd;
    uint64_t off = file->spill_off;
    struct content_hasher *hasher = content_hasher_new();
    if (!hasher)
        return error_set(writer->error, "no memory to write the archive");
    int result = 0;
    if (file->member) {
        result = member_open(file->member, &fd, &owned, writer->error);
        off = file->member->off;
    }
    if (result == 0)
        result = copy_range(writer, file, fd, off, hasher);
    struct content_hash hash = content_hasher_finish(hasher);
    if (owned)
        close(fd);
    if (result == 0 && (hash.high != file->hash.high || hash.low != file->hash.low))
        return error_set(writer->error, "'%.*s' changed while it was packed",
                         STR_ARG(str_first(file->path, PACK_NAME_SHOWN)));
    return result;
}

static int
write_files(struct writer *writer, const struct pack_file *files, size_t count,
            struct progress *progress)
{
    for (size_t i = 0; i < count; i++) {
        struct progress_state state = {
            .verb = "writing",
            .done_count = i,
            .total_count = count,
            .name = files[i].path,
        };
        progress_draw(progress, &state);
        if (writer_put(writer, make_header(writer, files[i].path, files[i].size, files[i].mtime)) <
                0 ||
            copy_content(writer, &files[i]) < 0 || writer_pad(writer) < 0)
            return -1;
    }
    return 0;
}

/* Fills in where each content will be. Returns the size of the whole archive. */
static uint64_t
lay_out(struct writer *writer, const struct pack_file *files, size_t count, int64_t mtime,
        struct packidx_entry *entries)
{
    for (size_t i = 0; i < count; i++)
        entries[i] = (struct packidx_entry){
            .path = files[i].path,
            .size = files[i].size,
            .mtime = files[i].mtime,
            .hash = files[i].hash,
        };
    uint64_t index_len = packidx_size(entries, count);
    uint64_t off = make_header(writer, STR(PACKIDX_NAME), index_len, mtime).len + padded(index_len);
    for (size_t i = 0; i < count; i++) {
        off += make_header(writer, files[i].path, files[i].size, files[i].mtime).len;
        entries[i].off = off;
        off += padded(files[i].size);
    }
    return off + END_LEN;
}

static int
write_index(struct writer *writer, const struct packidx_entry *entries, size_t count,
            uint64_t total, int64_t mtime)
{
    struct buf index;
    uint64_t len = packidx_size(entries, count);
    buf_init(&index, len);
    packidx_encode(&index, total, entries, count);
    int result = -1;
    if (buf_overflowed(&index))
        error_set(writer->error, "no memory for the index");
    else if (writer_put(writer, make_header(writer, STR(PACKIDX_NAME), len, mtime)) == 0 &&
             writer_put(writer, buf_str(&index)) == 0)
        result = writer_pad(writer);
    buf_deinit(&index);
    return result;
}

static int
write_all(struct writer *writer, const struct pack_file *files, size_t count,
          struct packidx_entry *entries, struct progress *progress)
{
    static const char end[END_LEN];
    int64_t newest = 0; /* the index is as old as what it describes: no clock in the result */
    for (size_t i = 0; i < count; i++)
        newest = files[i].mtime > newest ? files[i].mtime : newest;
    uint64_t total = lay_out(writer, files, count, newest, entries);
    if (buf_overflowed(&writer->header))
        return error_set(writer->error, "no memory to write the archive");
    if (write_index(writer, entries, count, total, newest) < 0 ||
        write_files(writer, files, count, progress) < 0 ||
        writer_put(writer, str_make(end, sizeof end)) < 0 || writer_flush(writer) < 0)
        return -1;
    if (writer->len != total)
        return error_set(writer->error, "the archive has %" PRIu64 " bytes instead of %" PRIu64,
                         writer->len, total);
    return 0;
}

int
pack_write_archive(int fd, const struct pack_file *files, size_t count, int spill_fd,
                   struct progress *progress, uint64_t *len, struct error *error)
{
    struct writer writer = {.fd = fd, .spill_fd = spill_fd, .error = error};
    struct packidx_entry *entries = malloc((count ? count : 1) * sizeof *entries);
    buf_init(&writer.header, HEADER_MAX);
    writer.out = malloc(OUT_LEN);
    writer.piece = malloc(PACK_PIECE_LEN);
    int result = -1;
    if (!entries || !writer.out || !writer.piece)
        error_set(error, "no memory to write the archive");
    else
        result = write_all(&writer, files, count, entries, progress);
    *len = writer.len;
    buf_deinit(&writer.header);
    free(writer.out);
    free(writer.piece);
    free(entries);
    return result;
}
