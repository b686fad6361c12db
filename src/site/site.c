#include "site/site.h"

#include "base/limits.h"
#include "base/must.h"
#include "site/identity.h"
#include "site/site_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

void
site_free(struct site *site)
{
    if (!site)
        return;
    content_store_deinit(&site->store);
    for (unsigned i = 0; i < site->fd_count; i++)
        close(site->fds[i]);
    arena_deinit(&site->arena);
    free(site);
}

const struct site_route *
site_find(const struct site *site, struct str path)
{
    return site->any ? site->any : route_table_find(&site->table, path);
}

size_t
site_file_count(const struct site *site)
{
    return site->file_route_count;
}

const struct site_route *
site_file(const struct site *site, size_t at)
{
    must(at < site->file_route_count);
    return site->routes[at];
}

size_t
site_file_from(const struct site *site, struct str path)
{
    size_t low = 0, high = site->file_route_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (str_cmp(site->routes[middle]->path, path) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct site_route *
site_find_file(const struct site *site, struct str path)
{
    if (site->any)
        return site->any;
    size_t at = site_file_from(site, path);
    bool found = at < site->file_route_count && str_eq(site->routes[at]->path, path);
    return found ? site->routes[at] : NULL;
}

/* Names have no slash in front, paths have. */
static const struct site_route *
find_public(const struct site *site, struct str name)
{
    char path[SITE_PATH_MAX + 1];
    if (name.len == 0 || name.len >= sizeof path || site->any)
        return NULL;
    path[0] = '/';
    memcpy(path + 1, name.ptr, name.len);
    return site_find_file(site, str_make(path, name.len + 1));
}

bool
site_find_member(const struct site *site, struct str name, struct site_member *out)
{
    const struct site_private *private = private_table_find(&site->privates, name);
    if (private) {
        *out = (struct site_member){&private->content, private->etag, private->mtime};
        return true;
    }
    const struct site_route *route = find_public(site, name);
    if (!route)
        return false;
    *out = (struct site_member){&route->reps[0].content, route->reps[0].etag, route->mtime};
    return true;
}

const struct site_route *
site_not_found_page(const struct site *site)
{
    return site->not_found;
}

const struct site_route *
site_spa_page(const struct site *site)
{
    return site->spa;
}

const struct site_rules *
site_rules(const struct site *site)
{
    return site->rules;
}

const struct site_stats *
site_stats(const struct site *site)
{
    return &site->stats;
}

void
site_each(const struct site *site, void (*visit)(void *arg, const struct site_route *route),
          void *arg)
{
    size_t file = 0, other = site->file_route_count;
    while (file < site->file_route_count || other < site->route_count) {
        bool take_file = other == site->route_count ||
                         (file < site->file_route_count &&
                          str_cmp(site->routes[file]->path, site->routes[other]->path) < 0);
        visit(arg, site->routes[take_file ? file++ : other++]);
    }
}

static int
refuse_changed(const struct site_content *content, struct error *error)
{
    if (content->path)
        return error_set(error, "'%s' changed since it was loaded", content->path);
    return error_set(error, "a file of the site changed since it was loaded");
}

bool
site_content_is_unchanged(const struct site_content *content, int fd)
{
    struct stat st;
    return !content->identity || (fstat(fd, &st) == 0 && identity_matches(content->identity, &st));
}

int
site_content_open(const struct site_content *content, int *fd, bool *owned, struct error *error)
{
    must(!content->mem);
    *owned = content->fd < 0;
    *fd = content->fd;
    if (*owned) {
        *fd = open(content->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (*fd < 0)
            return error_set_errno(error, errno, "cannot open '%s'", content->path);
    }
    if (site_content_is_unchanged(content, *fd))
        return 0;
    if (*owned)
        close(*fd);
    return refuse_changed(content, error);
}
