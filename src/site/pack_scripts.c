/* An object file that was compiled becomes a member like any other: its bytes are in a file in
 * memory, its time is the source's.
 */
#include "site/pack_internal.h"

#include "base/limits.h"
#include "site/memory_file.h"
#include "site/script_path.h"

#include <errno.h>
#include <unistd.h>

/* The member that a source becomes, and another one of the source may be already. */
static struct str
object_path(struct arena *arena, struct str path)
{
    char *text = arena_alloc_text(arena, path.len);
    if (!text)
        return (struct str){0};
    memcpy(text, path.ptr, path.len);
    text[path.len - 1] = 'o';
    return str_make(text, path.len);
}

/* Its place in the file of all object files. */
static int
keep_object(struct pack_scripts_job *job, struct str bytes, uint64_t *off)
{
    if (job->objects_fd < 0)
        job->objects_fd = memory_file_open(job->error);
    off_t end = job->objects_fd < 0 ? -1 : lseek(job->objects_fd, 0, SEEK_END);
    if (end < 0)
        return -1;
    for (size_t done = 0; done < bytes.len;) {
        ssize_t put =
            pwrite(job->objects_fd, bytes.ptr + done, bytes.len - done, end + (off_t)done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return error_set_errno(job->error, errno, "cannot keep object files");
        done += (size_t)put;
    }
    *off = (uint64_t)end;
    return 0;
}

static int
add_object(struct pack_scripts_job *job, const struct member **member, struct str path,
           struct str bytes)
{
    uint64_t off = 0;
    if (keep_object(job, bytes, &off) < 0)
        return -1;
    struct member *object = arena_alloc(job->arena, sizeof *object);
    if (!object)
        return error_set(job->error, "no memory for scripts");
    *object = (struct member){
        .path = path,
        .size = bytes.len,
        .mtime = (*member)->mtime,
        .fd = job->objects_fd,
        .off = off,
    };
    *member = object;
    return 0;
}

static int
check_object(struct pack_scripts_job *job, struct str name, struct str bytes)
{
    const struct pack_scripts *scripts = job->config->scripts;
    return scripts->check(scripts->arg, name, bytes, job->error);
}

static int
compile_source(struct pack_scripts_job *job, const struct member **member, struct str path)
{
    const struct pack_scripts *scripts = job->config->scripts;
    const char *file = (*member)->disk_path;
    struct script_path script;
    struct buf object;
    if (!member_is_at(*member, file))
        return error_set(job->error, "'%s' changed while it was packed", file);
    buf_init(&object, BPF_OBJECT_MAX);
    int result = scripts->compile(scripts->arg, file, strlen(file) - path.len, &object, job->error);
    if (result == 0 && script_path_parse(path, &script))
        result = check_object(job, script.name, buf_str(&object));
    if (result == 0)
        result = add_object(job, member, path, buf_str(&object));
    buf_deinit(&object);
    return result;
}

/* In a directory nobody knows which of a source and its object file is the newer one. In an archive
 * the object file is what counts. */
static int
pack_source(struct pack_scripts_job *job, const struct member **member)
{
    struct str shown = str_first((*member)->path, PACK_NAME_SHOWN);
    struct str path = object_path(job->arena, (*member)->path);
    if (!path.ptr)
        return error_set(job->error, "no memory for scripts");
    bool has_object = member_list_find(job->members, path) != NULL;
    bool in_directory = (*member)->disk_path != NULL;
    if (in_directory && has_object)
        return error_set(job->error, "%s: '%.*s' and its object file are both there: remove one",
                         job->config->source, STR_ARG(shown));
    if (in_directory)
        return compile_source(job, member, path);
    if (!has_object)
        return error_set(job->error,
                         "%s: '%.*s' is not compiled, and only what is in a directory can be",
                         job->config->source, STR_ARG(shown));
    *member = NULL;
    return 0;
}

static int
pack_object(struct pack_scripts_job *job, const struct member *member, struct str name)
{
    struct arena arena;
    struct str bytes;
    arena_init(&arena, BPF_OBJECT_MAX + 1, PACK_PIECE_LEN);
    int result = member_read(member, &arena, BPF_OBJECT_MAX, &bytes, job->error);
    if (result == 0)
        result = check_object(job, name, bytes);
    arena_deinit(&arena);
    return result;
}

int
pack_script(struct pack_scripts_job *job, const struct member **member)
{
    struct script_path script;
    if (!job->config->scripts || !script_path_parse((*member)->path, &script))
        return 0;
    return script.is_source ? pack_source(job, member) : pack_object(job, *member, script.name);
}
