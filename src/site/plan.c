#include "site/plan.h"

#include "base/log.h"
#include "http/mime.h"

#include <stdlib.h>

enum { NAME_SHOWN = 200 };

static const struct {
    struct str suffix;
    enum http_coding coding;
} variant_suffixes[] = {
    {STR_INIT(".br"), HTTP_CODING_BR},
    {STR_INIT(".zst"), HTTP_CODING_ZSTD},
    {STR_INIT(".gz"), HTTP_CODING_GZIP},
};

struct str
plan_base_name(struct str path)
{
    size_t slash = str_find_last_char(path, '/');
    return slash < path.len ? str_skip(path, slash + 1) : path;
}

static bool
is_rules_file(struct str path)
{
    return str_eq(path, STR("_headers")) || str_eq(path, STR("_redirects"));
}

/* Compares a path with directory + "/" + name, without building that. */
static int
compare_joined(struct str path, struct str directory, struct str name)
{
    if (directory.len == 0)
        return str_cmp(path, name);
    int cmp = str_cmp(str_first(path, directory.len), directory);
    if (cmp != 0)
        return cmp;
    struct str rest = str_skip(path, directory.len);
    if (rest.len == 0 || rest.ptr[0] != '/')
        return rest.len == 0 ? -1 : (unsigned char)rest.ptr[0] < '/' ? -1 : 1;
    return str_cmp(str_skip(rest, 1), name);
}

/* The first entry that does not stand before directory + "/" + name. */
static size_t
lower_bound(const struct plan *plan, struct str directory, struct str name)
{
    size_t low = 0, high = plan->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_joined(plan->list[middle].member->path, directory, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct plan_entry *
find_joined(const struct plan *plan, struct str directory, struct str name)
{
    size_t at = lower_bound(plan, directory, name);
    if (at == plan->count || plan->list[at].member->is_dir ||
        compare_joined(plan->list[at].member->path, directory, name) != 0)
        return NULL;
    return &plan->list[at];
}

struct plan_entry *
plan_find_file(const struct plan *plan, struct str path)
{
    return find_joined(plan, STR(""), path);
}

struct plan_entry *
plan_find_index(const struct plan *plan, struct str directory, struct str names)
{
    while (names.len) {
        struct str name = str_trim(str_cut(&names, ','));
        struct plan_entry *entry = name.len ? find_joined(plan, directory, name) : NULL;
        if (entry && entry->bytes.loaded)
            return entry;
    }
    return NULL;
}

size_t
plan_first_below(const struct plan *plan, struct str directory)
{
    return lower_bound(plan, directory, STR(""));
}

/* Notes the entry as a variant of the file it stands beside, if it is one. */
static void
note_variant(struct plan *plan, struct plan_entry *entry)
{
    struct str path = entry->member->path;
    for (size_t i = 0; i < sizeof variant_suffixes / sizeof variant_suffixes[0]; i++) {
        struct str suffix = variant_suffixes[i].suffix;
        if (!str_ends_with(path, suffix))
            continue;
        struct plan_entry *original = plan_find_file(plan, str_first(path, path.len - suffix.len));
        if (original) {
            original->variants[variant_suffixes[i].coding] = 1 + (uint32_t)(entry - plan->list);
            entry->is_variant = true;
        }
        return;
    }
}

/* A dot file is hidden on purpose; a name that no URL can carry is worth a word. */
static void
note_hidden(struct plan *plan, const struct member *member)
{
    struct str shown = str_first(member->path, NAME_SHOWN);
    if (member->is_dir)
        return;
    plan->hidden_count++;
    if (!str_is_utf8(member->path))
        log_warn("'%.*s' is not served: its name is not UTF-8", STR_ARG(shown));
}

static int
plan_init(struct plan *plan, size_t max, struct error *error)
{
    *plan = (struct plan){.root_member = {.is_dir = true, .fd = -1}};
    plan->root.member = &plan->root_member;
    plan->list = calloc(max + 1, sizeof *plan->list);
    return plan->list ? 0 : error_set(error, "no memory for %zu files", max);
}

int
plan_make(struct plan *plan, const struct member_list *members, struct error *error)
{
    if (plan_init(plan, members->count, error) < 0)
        return -1;
    for (size_t i = 0; i < members->count; i++) {
        const struct member *member = &members->list[i];
        if (!member_path_is_public(member->path)) {
            note_hidden(plan, member);
            continue;
        }
        if (is_rules_file(member->path) && !member->is_dir)
            continue;
        struct plan_entry *entry = &plan->list[plan->count++];
        entry->member = member;
        if (member->is_dir)
            continue;
        entry->type = mime_type(plan_base_name(member->path));
        plan->file_count++;
    }
    for (size_t i = 0; i < plan->count; i++)
        if (!plan->list[i].member->is_dir)
            note_variant(plan, &plan->list[i]);
    return 0;
}

int
plan_make_single(struct plan *plan, const struct member *member, struct str type,
                 struct error *error)
{
    if (plan_init(plan, 1, error) < 0)
        return -1;
    plan->list[0] = (struct plan_entry){.member = member, .type = type};
    plan->count = plan->file_count = 1;
    return 0;
}

void
plan_deinit(struct plan *plan)
{
    free(plan->list);
    *plan = (struct plan){0};
}

const struct plan_bytes *
plan_bytes_of(const struct plan *plan, const struct plan_entry *entry, enum http_coding coding)
{
    const struct plan_bytes *bytes = NULL;
    if (coding == HTTP_CODING_IDENTITY)
        bytes = &entry->bytes;
    else if (entry->variants[coding])
        bytes = &plan->list[entry->variants[coding] - 1].bytes;
    else if (entry->made)
        bytes = &entry->made[coding];
    return bytes && bytes->loaded ? bytes : NULL;
}
