/* render: the header lines of one representation, in the order that site_rep promises, with the
 * `_headers` rules of its path applied. Fast: a site may have 100,000 of them. */
#ifndef TARN_SITE_RENDER_H
#define TARN_SITE_RENDER_H

#include "base/buf.h"
#include "http/date.h"
#include "site/packidx.h"
#include "site/site.h"

struct renderer {
    struct arena *arena; /* borrowed: heads live there */
    const struct site_rules *rules;
    int64_t date_shown; /* what `date` says; many files have the same time */
    char date[HTTP_DATE_LEN];
    struct buf changed; /* what the rules made of the lines */
    struct buf ordered; /* the same, in order */
};

void renderer_init(struct renderer *renderer, struct arena *arena, const struct site_rules *rules);
void renderer_deinit(struct renderer *renderer);

struct render_input {
    struct site_content content;
    struct content_hash hash;
    struct str type;
    struct str
        cache_control; /* type and this: at most SITE_FIELD_MAX bytes, no control characters */
    struct str vary;   /* a field name, or empty */
    int64_t mtime;     /* not later than now; 0: unknown */
    enum http_coding coding;
};

/* Fills *rep. `path`: decoded, absolute; for the rules. Fails when rules make the head longer than
 * SITE_HEAD_MAX, or without memory. */
int render_rep(struct renderer *renderer, const struct render_input *input, struct str path,
               struct site_rep *rep, struct error *error) MUST_USE;

#endif
