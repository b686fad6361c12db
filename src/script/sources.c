/* A place of scripts is listed as a site is, and only members that are scripts are read. All of a
 * place is put into order before any of it is compiled, so that what is wrong with names is said
 * first.
 */
#include "script/sources.h"

#include "base/limits.h"
#include "site/script_path.h"
#include "site/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ARENA_BLOCK_LEN = 64 << 10, STREAM_TIMEOUT_MS = 60 * 1000, PIECE_LEN = 64 << 10 };

/* Where scripts come from, while it is read. */
struct place {
    struct script_sources *sources;
    const char *path; /* as the operator wrote it */
    struct error *error;
};

/* --- the list --- */

static int
fail_memory(struct error *error)
{
    return error_set(error, "no memory for scripts");
}

static int
check_bounds(struct place *place, struct str name, size_t len)
{
    struct script_sources *sources = place->sources;
    if (sources->count == SCRIPTS_MAX)
        return error_set(place->error, "more than %d scripts", SCRIPTS_MAX);
    if (len > SCRIPT_OBJECTS_MAX - sources->len)
        return error_set(place->error, "with %.*s the scripts have more than %d bytes in all",
                         STR_ARG(name), SCRIPT_OBJECTS_MAX);
    return 0;
}

/* The bytes are those of the arena already. */
static int
add(struct place *place, struct str name, struct str bytes)
{
    struct script_sources *sources = place->sources;
    if (check_bounds(place, name, bytes.len) < 0)
        return -1;
    if (!sources->list)
        sources->list = calloc(SCRIPTS_MAX, sizeof *sources->list);
    struct str from =
        arena_copy(&sources->arena,
                   str_from_cstr(strcmp(place->path, "-") == 0 ? "standard input" : place->path));
    if (!sources->list || arena_overflowed(&sources->arena))
        return fail_memory(place->error);
    sources->list[sources->count++] =
        (struct script_source){.name = name, .bytes = bytes, .from = from};
    sources->len += bytes.len;
    return 0;
}

/* `file`, of which hidden_len bytes are no matter of debug information, becomes an object file. */
static int
add_compiled(struct place *place, struct str name, const char *file, size_t hidden_len)
{
    struct script_sources *sources = place->sources;
    struct buf object;
    buf_init(&object, BPF_OBJECT_MAX);
    int result = script_compile(&sources->compiler, file, hidden_len, &object, place->error);
    if (result == 0)
        result = check_bounds(place, name, object.len);
    if (result == 0)
        result = add(place, name, arena_copy(&sources->arena, buf_str(&object)));
    buf_deinit(&object);
    return result;
}

/* "auth.o" for "auth.c" and "auth.o". */
static struct str
object_name(struct arena *arena, struct str name)
{
    char *text = arena_alloc_text(arena, name.len + 1);
    if (!text)
        return (struct str){0};
    memcpy(text, name.ptr, name.len);
    text[name.len - 1] = 'o';
    text[name.len] = '\0';
    return str_make(text, name.len);
}

/* --- directories and tars --- */

struct found {
    struct str name; /* of the script */
    struct script_path path;
    const struct member *member;
};

static int
compare_found(const void *left, const void *right)
{
    const struct found *a = left, *b = right;
    int order = str_cmp(a->name, b->name);
    if (order == 0)
        order = (int)a->path.folder - (int)b->path.folder;
    return order ? order : (int)a->path.is_source - (int)b->path.is_source;
}

static int
find_scripts(struct place *place, const struct member_list *members, struct found **out,
             size_t *count)
{
    struct script_path path;
    size_t all = 0;
    *count = 0;
    for (size_t i = 0; i < members->count; i++)
        all += !members->list[i].is_dir && script_path_parse(members->list[i].path, &path);
    *out = calloc(all + 1, sizeof **out);
    if (!*out)
        return fail_memory(place->error);
    for (size_t i = 0; i < members->count; i++) {
        const struct member *member = &members->list[i];
        if (member->is_dir || !script_path_parse(member->path, &path))
            continue;
        struct found *found = &(*out)[(*count)++];
        found->name = object_name(&place->sources->arena, path.name);
        found->path = path;
        found->member = member;
    }
    if (arena_overflowed(&place->sources->arena))
        return fail_memory(place->error);
    qsort(*out, *count, sizeof **out, compare_found);
    return 0;
}

static int
compile_member(struct place *place, const struct found *found)
{
    struct arena *arena = &place->sources->arena;
    struct str root = str_from_cstr(place->path);
    while (root.len && root.ptr[root.len - 1] == '/')
        root.len--;
    struct str file = arena_join(arena, arena_join(arena, root, STR("/")), found->member->path);
    if (!file.ptr)
        return fail_memory(place->error);
    if (!member_is_at(found->member, file.ptr))
        return error_set(place->error, "'%.*s' changed while it was read",
                         STR_ARG(found->member->path));
    return add_compiled(place, found->name, file.ptr, 0);
}

static int
read_member(struct place *place, const struct found *found)
{
    struct str bytes;
    const struct member *member = found->member;
    if (check_bounds(place, found->name, member->size) < 0 ||
        member_read(member, &place->sources->arena, BPF_OBJECT_MAX, &bytes, place->error) < 0)
        return -1;
    return add(place, found->name, bytes);
}

/* `object`: the script of the same name that stands before it, when that is its object file. Which
 * of the two is the newer one cannot be known; but who made an archive has had the choice. */
static int
add_source(struct place *place, const struct found *found, const struct found *object)
{
    struct str path = found->member->path;
    bool in_directory = found->member->disk_path != NULL;
    if (in_directory && object)
        return error_set(place->error, "'%.*s' and its object file are both there: remove one",
                         STR_ARG(path));
    if (in_directory)
        return compile_member(place, found);
    if (object)
        return 0;
    return error_set(place->error,
                     "'%.*s' is not compiled: scripts of an archive are object files; 'tarn pack' "
                     "of a directory makes them",
                     STR_ARG(path));
}

static int
add_found(struct place *place, const struct found *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct found *found = &list[i], *before = i > 0 ? &list[i - 1] : NULL;
        bool is_double = before && str_eq(before->name, found->name) &&
                         before->path.folder == found->path.folder;
        int result = found->path.is_source ? add_source(place, found, is_double ? before : NULL)
                                           : read_member(place, found);
        if (result < 0)
            return result;
    }
    return 0;
}

static int
add_members(struct place *place, const struct member_list *members)
{
    struct found *list;
    size_t count;
    int result = find_scripts(place, members, &list, &count);
    if (result == 0)
        result = add_found(place, list, count);
    free(list);
    return result;
}

/* A directory or a tar. Its descriptors are not needed once its scripts are read. */
static int
add_listed(struct place *place)
{
    struct arena arena;
    struct member_list members;
    bool single_file = false;
    unsigned before = place->sources->count;
    arena_init(&arena, SITE_ARENA_MAX, ARENA_BLOCK_LEN);
    member_list_init(&members, &arena);
    int result = source_open(place->path, STREAM_TIMEOUT_MS, &members, &single_file, place->error);
    if (result == 0 && single_file)
        result = error_set(place->error, "'%s' is no directory, no tar, no .c and no .o file",
                           place->path);
    if (result == 0) {
        result = add_members(place, &members);
        if (result < 0)
            error_prefix(place->error, "'%s'", place->path);
    }
    if (result == 0 && place->sources->count == before)
        result = error_set(
            place->error, "'%s' has no script in .tarn/scripts or .zeroserve/scripts", place->path);
    member_list_deinit(&members);
    arena_deinit(&arena);
    return result < 0 ? -1 : 0;
}

/* --- files --- */

static int
read_file(struct place *place, int fd, struct buf *bytes)
{
    for (;;) {
        char *room = buf_reserve(bytes, PIECE_LEN);
        if (!room)
            return error_set(place->error, "'%s' has more than %d bytes", place->path,
                             BPF_OBJECT_MAX);
        ssize_t got = read(fd, room, PIECE_LEN);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set_errno(place->error, errno, "cannot read '%s'", place->path);
        if (got == 0)
            return 0;
        buf_commit(bytes, (size_t)got);
    }
}

static int
add_object_file(struct place *place, struct str name)
{
    struct buf bytes;
    int fd = open(place->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return error_set_errno(place->error, errno, "cannot open '%s'", place->path);
    buf_init(&bytes, BPF_OBJECT_MAX + PIECE_LEN);
    int result = read_file(place, fd, &bytes);
    if (result == 0)
        result = check_bounds(place, name, bytes.len);
    if (result == 0)
        result = add(place, name, arena_copy(&place->sources->arena, buf_str(&bytes)));
    buf_deinit(&bytes);
    close(fd);
    return result;
}

static int
add_file(struct place *place)
{
    struct str path = str_from_cstr(place->path);
    size_t slash = str_find_last_char(path, '/');
    struct str name =
        object_name(&place->sources->arena, slash < path.len ? str_skip(path, slash + 1) : path);
    if (!name.ptr)
        return fail_memory(place->error);
    if (str_ends_with(path, STR(".c")))
        return add_compiled(place, name, place->path, 0);
    return add_object_file(place, name);
}

/* --- */

bool
script_sources_is_script(const char *site)
{
    struct stat st;
    struct str name = str_from_cstr(site);
    if (!str_ends_with(name, STR(".c")) && !str_ends_with(name, STR(".o")))
        return false;
    return stat(site, &st) < 0 || !S_ISDIR(st.st_mode);
}

static int
add_plugin(struct script_sources *sources, const char *path, bool is_dir, struct error *error)
{
    struct stat st;
    struct place place = {.sources = sources, .path = path, .error = error};
    const char *option = is_dir ? "--plugin-dir" : "--plugin";
    if (strcmp(path, "-") == 0)
        return error_set(error, "%s: standard input can be SITE, but no plugin", option);
    if (stat(path, &st) < 0)
        return error_set_errno(error, errno, "%s: cannot open '%s'", option, path);
    if (is_dir && !S_ISDIR(st.st_mode))
        return error_set(error, "%s: '%s' is no directory", option, path);
    int result = script_sources_is_script(path) ? add_file(&place) : add_listed(&place);
    return result < 0 ? error_prefix(error, "%s", option) : 0;
}

static int
load(struct script_sources *sources, struct error *error)
{
    const struct script_sources_config *config = &sources->config;
    for (size_t i = 0; i < config->plugin_count; i++)
        if (add_plugin(sources, config->plugins[i], false, error) < 0)
            return -1;
    for (size_t i = 0; i < config->plugin_dir_count; i++)
        if (add_plugin(sources, config->plugin_dirs[i], true, error) < 0)
            return -1;
    sources->before_site = sources->count;
    sources->before_len = sources->len;
    struct place place = {.sources = sources, .path = config->site, .error = error};
    return config->site && script_sources_is_script(config->site) ? add_file(&place) : 0;
}

int
script_sources_load(struct script_sources *out, const struct script_sources_config *config,
                    struct error *error)
{
    *out = (struct script_sources){.config = *config};
    script_compiler_init(&out->compiler, config->clang);
    /* A site that is read twice has its scripts twice in it; names and paths are small. */
    arena_init(&out->arena, (size_t)4 * SCRIPT_OBJECTS_MAX, ARENA_BLOCK_LEN);
    return load(out, error);
}

int
script_sources_take_site(void *arg, const struct member_list *members, struct error *error)
{
    struct script_sources *sources = arg;
    struct place place = {.sources = sources, .path = sources->config.site, .error = error};
    sources->count = sources->before_site;
    sources->len = sources->before_len;
    return add_members(&place, members) < 0 ? -1 : sources->count > sources->before_site;
}

void
script_sources_deinit(struct script_sources *sources)
{
    script_compiler_deinit(&sources->compiler);
    arena_deinit(&sources->arena);
    free(sources->list);
    *sources = (struct script_sources){0};
}
