#include "site/private.h"

#include "site/script_path.h"

#include <stdlib.h>

static bool
is_private(const struct member *member)
{
    struct str path = member->path;
    struct script_path script;
    return !member->is_dir &&
           (str_starts_with(path, STR(".tarn/")) || str_starts_with(path, STR(".zeroserve/"))) &&
           !str_eq(path, STR(PACKIDX_NAME)) && !script_path_parse(path, &script);
}

int
private_plan(struct plan *plan, const struct member_list *members, struct error *error)
{
    size_t count = 0;
    for (size_t i = 0; i < members->count; i++)
        count += is_private(&members->list[i]);
    *plan = (struct plan){.file_count = count};
    if (count == 0)
        return 0;
    plan->list = calloc(count, sizeof *plan->list);
    if (!plan->list)
        return error_set(error, "no memory for %zu files", count);
    for (size_t i = 0; i < members->count; i++)
        if (is_private(&members->list[i]))
            plan->list[plan->count++].member = &members->list[i];
    return 0;
}

static bool
copy_entry(struct site_private *to, const struct plan_entry *entry, struct arena *arena,
           int64_t now)
{
    char etag[CONTENT_ETAG_LEN];
    int64_t mtime = entry->member->mtime;
    content_etag(entry->bytes.hash, etag);
    *to = (struct site_private){
        .name = arena_copy(arena, entry->member->path),
        .content = entry->bytes.content,
        .etag = arena_copy(arena, str_make(etag, sizeof etag)),
        .mtime = mtime <= 0    ? 0
                 : mtime < now ? mtime
                               : now, /* as public files show theirs */
    };
    return !arena_overflowed(arena);
}

int
private_table_init(struct private_table *table, const struct plan *plan, struct arena *arena,
                   int64_t now, struct error *error)
{
    *table = (struct private_table){0};
    if (plan->count == 0)
        return 0;
    table->list = arena_alloc(arena, plan->count * sizeof *table->list);
    for (size_t i = 0; table->list && i < plan->count; i++) {
        /* One that could not be opened any more is left out. */
        if (!plan->list[i].bytes.loaded)
            continue;
        if (!copy_entry(&table->list[table->count++], &plan->list[i], arena, now))
            break;
    }
    return arena_overflowed(arena) ? error_set(error, "no memory for the list of files") : 0;
}

const struct site_private *
private_table_find(const struct private_table *table, struct str name)
{
    size_t low = 0, high = table->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = str_cmp(table->list[middle].name, name);
        if (order == 0)
            return &table->list[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}
