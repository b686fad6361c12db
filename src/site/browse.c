#include "site/browse.h"

#include "base/limits.h"
#include "site/listing.h"

#include <stdlib.h>

struct browser {
    struct content_store *store;
    const struct plan *plan;
    struct arena *arena;
    struct error *error;
    struct str index;
    struct listing_entry *entries; /* heap; room for all of the plan */
    struct buf page;
};

/* The name below the directory when the entry is to be listed there, else empty. */
static struct str
listed_name(const struct plan_entry *entry, struct str directory)
{
    struct str name = str_skip(entry->member->path, directory.len ? directory.len + 1 : 0);
    bool direct = str_find_char(name, '/') == name.len;
    bool there = entry->member->is_dir || (entry->bytes.loaded && !entry->is_variant);
    return direct && there && name.len && name.ptr[0] != '.' ? name : STR("");
}

static bool
is_below(struct str path, struct str directory)
{
    return directory.len == 0 || (str_starts_with(path, directory) && path.len > directory.len &&
                                  path.ptr[directory.len] == '/');
}

/* Directories or files that stand in the directory, in the order of their names. */
static size_t
collect(const struct browser *browser, struct str directory, bool want_dirs, size_t count)
{
    const struct plan *plan = browser->plan;
    for (size_t i = plan_first_below(plan, directory); i < plan->count; i++) {
        const struct plan_entry *entry = &plan->list[i];
        if (!is_below(entry->member->path, directory))
            break;
        struct str name = listed_name(entry, directory);
        if (name.len == 0 || entry->member->is_dir != want_dirs)
            continue;
        browser->entries[count++] = (struct listing_entry){
            .name = name,
            .is_dir = want_dirs,
            .size = want_dirs ? 0 : entry->bytes.content.len,
            .mtime = entry->member->mtime,
        };
    }
    return count;
}

static int
add_page(struct browser *browser, struct str path, struct plan_bytes *out)
{
    if (buf_overflowed(&browser->page))
        return error_set(browser->error, "--browse: the listing of '%.*s' exceeds %d bytes",
                         STR_ARG(path), SITE_LISTING_MAX);
    return content_add(browser->store, buf_str(&browser->page), out, browser->error);
}

static int
render_directory(struct browser *browser, struct plan_entry *entry)
{
    struct str directory = entry->member->path;
    if (plan_find_index(browser->plan, directory, browser->index))
        return 0;
    struct str path =
        directory.len ? arena_printf(browser->arena, "/%.*s/", STR_ARG(directory)) : STR("/");
    entry->listing = arena_alloc(browser->arena, 2 * sizeof *entry->listing);
    if (!path.ptr || !entry->listing)
        return error_set(browser->error, "no memory for the listings");
    size_t count = collect(browser, directory, true, 0);
    count = collect(browser, directory, false, count);
    buf_clear(&browser->page);
    listing_render_html(&browser->page, path, browser->entries, count);
    if (add_page(browser, path, &entry->listing[0]) < 0)
        return -1;
    buf_clear(&browser->page);
    listing_render_json(&browser->page, browser->entries, count);
    return add_page(browser, path, &entry->listing[1]);
}

int
browse_render(struct content_store *store, struct plan *plan, struct str index, struct arena *arena,
              struct error *error)
{
    struct browser browser = {
        .store = store, .plan = plan, .arena = arena, .error = error, .index = index};
    browser.entries = malloc((plan->count + 1) * sizeof *browser.entries);
    if (!browser.entries)
        return error_set(error, "no memory for the listings");
    buf_init(&browser.page, SITE_LISTING_MAX);
    int result = render_directory(&browser, &plan->root);
    for (size_t i = 0; i < plan->count && result == 0; i++)
        if (plan->list[i].member->is_dir)
            result = render_directory(&browser, &plan->list[i]);
    buf_deinit(&browser.page);
    free(browser.entries);
    return result;
}
