/* routes: makes the routes of a site from a plan whose content is loaded and sealed. */
#ifndef TARN_SITE_ROUTES_H
#define TARN_SITE_ROUTES_H

#include "site/render.h"
#include "site/site_internal.h"

struct route_builder {
    struct site *site;
    struct plan *plan;
    struct renderer *renderer;
    const struct site_config *config;
    struct error *error;
    int64_t now; /* seconds since 1970 */
    char *chunk; /* what is left of a piece of the arena, aligned to a cache line */
    size_t chunk_left;
};

/* Every file under its own path; directories with an index or a listing, with and without slash;
 * with try_html pages without their extension. */
int routes_build(struct route_builder *builder) MUST_USE;

/* The one file of the plan, under `path`. */
int routes_build_single(struct route_builder *builder, struct str path) MUST_USE;

#endif
