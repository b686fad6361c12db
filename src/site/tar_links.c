/* Links stand for other entries, which may come later, be links themselves, or be directories.
 *
 * A hard link names an earlier entry of the archive and takes what that name stood for at its
 * place, as extraction would. Symbolic links are followed when all entries are known, one segment
 * after another as a kernel does, inside the archive: the list of members plays the file system.
 * A link to a directory makes copies of the members below it under the link's own name; such
 * copies share their bytes. Links found below are followed in turn. What stands below the links
 * that lead here may not be entered again (a circle), the number of links in a row is bounded by
 * SITE_LINK_DEPTH_MAX, and the number of entries looked at for all links by TAR_LINKED_MAX.
 */
#include "site/tar_internal.h"

#include "base/limits.h"

#include <stdlib.h>

enum { REST_MAX = 2 * SITE_PATH_MAX };

struct resolver {
    struct member_list *members; /* finished: sorted, one entry a name; links among them */
    struct member_list made;     /* what links stand for */
    const struct tar_link_list *links;
    struct error *error;
    unsigned budget; /* entries that may still be looked at */
    /* the walk along one link */
    char at[SITE_PATH_MAX + 1];
    size_t at_len;
    char rest[REST_MAX];
    size_t rest_len;
};

/* The directories being copied, innermost first. */
struct chain {
    struct str dir;
    const struct chain *outer;
    unsigned depth;
};

enum walk_result { WALK_FOUND, WALK_ROOT, WALK_NOTHING, WALK_LEAVES, WALK_CIRCLE };

static struct str
parent_of(struct str path)
{
    size_t slash = str_find_last_char(path, '/');
    return str_first(path, slash < path.len ? slash : 0);
}

/* Whether `dir` is `path` or stands above it. */
static bool
is_at_or_above(struct str dir, struct str path)
{
    return dir.len == 0 || str_eq(dir, path) ||
           (str_starts_with(path, dir) && path.ptr[dir.len] == '/');
}

/* Puts `text` and a slash in front of what the walk still has to go. */
static bool
walk_push(struct resolver *resolver, struct str text)
{
    if (text.len + 1 > REST_MAX - resolver->rest_len)
        return false;
    memmove(resolver->rest + text.len + 1, resolver->rest, resolver->rest_len);
    memcpy(resolver->rest, text.ptr, text.len);
    resolver->rest[text.len] = '/';
    resolver->rest_len += text.len + 1;
    return true;
}

/* Takes the next segment, empty when there is none left. */
static struct str
walk_next(struct resolver *resolver, char *scratch)
{
    struct str rest = str_make(resolver->rest, resolver->rest_len);
    struct str segment = {0};
    while (rest.len && segment.len == 0) {
        segment = str_cut(&rest, '/');
        if (str_eq(segment, STR(".")))
            segment.len = 0;
    }
    if (segment.len > SITE_PATH_MAX)
        segment.len = SITE_PATH_MAX; /* too long for any name: not found */
    memcpy(scratch, segment.ptr ? segment.ptr : "", segment.len);
    size_t left = rest.len;
    memmove(resolver->rest, rest.ptr ? rest.ptr : "", left);
    resolver->rest_len = left;
    return str_make(scratch, segment.len);
}

/* Steps from the directory `at` to its entry `segment`: the member, or NULL. */
static const struct member *
walk_step(struct resolver *resolver, struct str segment)
{
    size_t len = resolver->at_len;
    if (len + 1 + segment.len > SITE_PATH_MAX)
        return NULL;
    if (len)
        resolver->at[len++] = '/';
    memcpy(resolver->at + len, segment.ptr, segment.len);
    resolver->at_len = len + segment.len;
    return member_list_find(resolver->members, str_make(resolver->at, resolver->at_len));
}

static void
walk_up(struct resolver *resolver)
{
    resolver->at_len = parent_of(str_make(resolver->at, resolver->at_len)).len;
}

/* Follows one link text from the directory `dir`. *found: a file or directory. */
static enum walk_result
walk(struct resolver *resolver, struct str dir, struct str target, const struct member **found)
{
    char scratch[SITE_PATH_MAX];
    unsigned depth = 1;
    *found = NULL;
    memcpy(resolver->at, dir.ptr ? dir.ptr : "", dir.len);
    resolver->at_len = dir.len;
    resolver->rest_len = 0;
    for (;;) {
        if (target.len && target.ptr[0] == '/')
            return WALK_LEAVES;
        if (target.len && !walk_push(resolver, target))
            return WALK_NOTHING;
        target = (struct str){0};
        struct str segment = walk_next(resolver, scratch);
        if (segment.len == 0)
            break;
        if (*found && !(*found)->is_dir)
            return WALK_NOTHING;
        if (str_eq(segment, STR(".."))) {
            if (resolver->at_len == 0)
                return WALK_LEAVES;
            walk_up(resolver);
            *found = member_list_find(resolver->members, str_make(resolver->at, resolver->at_len));
            continue;
        }
        *found = walk_step(resolver, segment);
        if (!*found)
            return WALK_NOTHING;
        if ((*found)->fd == TAR_FD_LINK) {
            if (++depth > SITE_LINK_DEPTH_MAX)
                return WALK_CIRCLE;
            target = resolver->links->list[(*found)->off].target;
            walk_up(resolver);
            *found = NULL;
        }
    }
    if (resolver->at_len == 0)
        return WALK_ROOT;
    *found = member_list_find(resolver->members, str_make(resolver->at, resolver->at_len));
    return WALK_FOUND;
}

static int
make_copy(struct resolver *resolver, const struct member *member, struct str path)
{
    struct member *copy = member_list_add(&resolver->made);
    if (!copy || !path.ptr)
        return error_set(resolver->error, "links make too many entries");
    *copy = *member;
    copy->path = path;
    return 0;
}

/* `path` with the part `from` at its front replaced by `to`. */
static struct str
renamed(struct resolver *resolver, struct str path, struct str from, struct str to)
{
    return arena_join(resolver->members->arena, to, str_skip(path, from.len));
}

static int
skip_link(struct resolver *resolver, struct str path, const char *why)
{
    return tar_skip(resolver->members, path, why, resolver->error);
}

static int make_link(struct resolver *resolver, const struct member *link, struct str as,
                     const struct chain *chain);

/* First member below the directory `dir`. */
static size_t
first_below(const struct member_list *members, struct str dir)
{
    size_t low = 0, high = members->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        struct str path = members->list[middle].path;
        /* Compares with "dir/" without building it. */
        int cmp = str_cmp(str_first(path, dir.len), dir);
        if (cmp == 0 && (path.len == dir.len || (unsigned char)path.ptr[dir.len] < '/'))
            cmp = -1;
        if (cmp < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Copies the directory `dir` and all below it to the name `as`. */
static int
make_directory_copy(struct resolver *resolver, const struct member *dir, struct str as,
                    const struct chain *chain)
{
    const struct member_list *members = resolver->members;
    if (make_copy(resolver, dir, as) < 0)
        return -1;
    for (size_t i = first_below(members, dir->path); i < members->count; i++) {
        const struct member *member = &members->list[i];
        if (!is_at_or_above(dir->path, member->path))
            break;
        if (resolver->budget == 0)
            return error_set(resolver->error, "links make more than %d entries", TAR_LINKED_MAX);
        resolver->budget--;
        if (as.len + member->path.len - dir->path.len > SITE_PATH_MAX) {
            if (skip_link(resolver, as, "leads to names that are too long") < 0)
                return -1;
            continue;
        }
        struct str path = renamed(resolver, member->path, dir->path, as);
        if (member->fd == TAR_FD_LINK) {
            if (!path.ptr)
                return error_set(resolver->error, "no memory for what links stand for");
            if (make_link(resolver, member, path, chain) < 0)
                return -1;
        } else if (make_copy(resolver, member, path) < 0) {
            return -1;
        }
    }
    return 0;
}

static bool
is_circle(struct str target, struct str location, const struct chain *chain)
{
    if (is_at_or_above(target, location))
        return true;
    for (; chain; chain = chain->outer)
        if (is_at_or_above(target, chain->dir))
            return true;
    return false;
}

/* Adds under the name `as` what the symbolic link `link` stands for. */
static int
make_link(struct resolver *resolver, const struct member *link, struct str as,
          const struct chain *chain)
{
    const struct member *found;
    struct str location = parent_of(link->path);
    switch (walk(resolver, location, resolver->links->list[link->off].target, &found)) {
    case WALK_NOTHING:
        return skip_link(resolver, as, "is a link to nothing");
    case WALK_LEAVES:
        return skip_link(resolver, as, "is a link out of the archive");
    case WALK_ROOT:
    case WALK_CIRCLE:
        return skip_link(resolver, as, "is a link in a circle");
    case WALK_FOUND:
        break;
    }
    if (!found->is_dir)
        return make_copy(resolver, found, as);
    struct chain inner = {
        .dir = found->path, .outer = chain, .depth = chain ? chain->depth + 1 : 1};
    if (is_circle(found->path, location, chain) || inner.depth > SITE_LINK_DEPTH_MAX)
        return skip_link(resolver, as, "is a link in a circle");
    return make_directory_copy(resolver, found, as, &inner);
}

static int
compare_index(const void *left, const void *right, void *arg)
{
    const struct member *list = arg;
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    int cmp = str_cmp(list[a].path, list[b].path);
    return cmp ? cmp : (a > b) - (a < b);
}

/* The last entry before `limit` with this path, or NULL. */
static struct member *
find_before(struct member *list, const uint32_t *index, size_t count, struct str path, size_t limit)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int cmp = str_cmp(list[index[middle]].path, path);
        if (cmp < 0 || (cmp == 0 && index[middle] < limit))
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0 || !str_eq(list[index[low - 1]].path, path))
        return NULL;
    return &list[index[low - 1]];
}

/* Hard links become what they name: a file, or the symbolic link itself. */
static int
resolve_hard_links(struct resolver *resolver)
{
    struct member_list *members = resolver->members;
    size_t count = members->count;
    uint32_t *index = malloc(count * sizeof *index);
    if (!index)
        return error_set(resolver->error, "no memory for the archive's links");
    for (size_t i = 0; i < count; i++)
        index[i] = (uint32_t)i;
    qsort_r(index, count, sizeof *index, compare_index, members->list);
    int result = 0;
    for (size_t i = 0; result == 0 && i < count; i++) {
        struct member *link = &members->list[i];
        if (link->fd != TAR_FD_LINK || !resolver->links->list[link->off].hard)
            continue;
        struct str target = resolver->links->list[link->off].target;
        const struct member *named = find_before(members->list, index, count, target, i);
        if (!named || named->is_dir || named->fd == TAR_FD_DROPPED) {
            link->fd = TAR_FD_DROPPED;
            result = skip_link(resolver, link->path, "is a hard link to no earlier file");
            continue;
        }
        struct member copy = *named;
        copy.path = link->path;
        copy.order = link->order;
        *link = copy;
    }
    free(index);
    return result;
}

/* Takes members with this mark out of the list, keeping the order of the others. */
static void
remove_marked(struct member_list *members, int mark)
{
    size_t kept = 0;
    for (size_t i = 0; i < members->count; i++)
        if (members->list[i].fd != mark)
            members->list[kept++] = members->list[i];
    members->count = kept;
}

static int
resolve_symbolic_links(struct resolver *resolver)
{
    struct member_list *members = resolver->members;
    if (member_list_finish(members, resolver->error) < 0)
        return -1;
    for (size_t i = 0; i < members->count; i++)
        if (members->list[i].fd == TAR_FD_LINK &&
            make_link(resolver, &members->list[i], members->list[i].path, NULL) < 0)
            return -1;
    remove_marked(members, TAR_FD_LINK);
    for (size_t i = 0; i < resolver->made.count; i++) {
        struct member *member = member_list_add(members);
        if (!member)
            return error_set(resolver->error, "links make too many entries");
        *member = resolver->made.list[i];
    }
    return member_list_finish(members, resolver->error);
}

int
tar_links_resolve(struct member_list *members, const struct tar_link_list *links,
                  struct error *error)
{
    struct resolver *resolver = calloc(1, sizeof *resolver);
    if (!resolver)
        return error_set(error, "no memory for the archive's links");
    resolver->members = members;
    resolver->links = links;
    resolver->error = error;
    resolver->budget = TAR_LINKED_MAX;
    member_list_init(&resolver->made, members->arena);
    int result = resolve_hard_links(resolver);
    if (result == 0) {
        remove_marked(members, TAR_FD_DROPPED);
        result = resolve_symbolic_links(resolver);
    }
    member_list_deinit(&resolver->made);
    free(resolver);
    return result;
}
