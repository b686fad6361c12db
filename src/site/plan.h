/* plan: which members of a source become part of the site, before anything is read.
 *
 * An entry for each public file and directory, in the byte order of the paths. `name.br`,
 * `name.zst` and `name.gz` beside a file `name` are noted as its variants; they stay entries of
 * their own. `_headers` and `_redirects` of the root are not entries. Not for use outside of
 * loading; freed when the site stands.
 */
#ifndef TARN_SITE_PLAN_H
#define TARN_SITE_PLAN_H

#include "site/member.h"
#include "site/packidx.h"

/* Bytes on their way into the site: where they will be found, and their hash. */
struct plan_bytes {
    struct site_content content;
    struct content_hash hash;
    bool loaded; /* else there is nothing: unreadable, or no variant was made */
};

struct plan_entry {
    const struct member *member;
    struct str type; /* media type */
    struct plan_bytes bytes;
    struct plan_bytes *made;    /* NULL, or variants made at load, by coding */
    struct plan_bytes *listing; /* NULL, or of a directory: [0] the HTML page, [1] the JSON */
    const struct site_route *route;
    uint32_t variants[HTTP_CODING_IDENTITY]; /* 1 + the entry that is this coding; 0: none */
    bool is_variant;
};

struct plan {
    struct plan_entry *list; /* heap */
    size_t count;
    struct member root_member;
    struct plan_entry root; /* the root directory, which is no member */
    uint64_t file_count;
    uint64_t hidden_count; /* files that are not public */
};

/* Borrows the members until deinit. */
int plan_make(struct plan *plan, const struct member_list *members, struct error *error) MUST_USE;

/* A plan of one file that is public whatever its name. */
int plan_make_single(struct plan *plan, const struct member *member, struct str type,
                     struct error *error) MUST_USE;

void plan_deinit(struct plan *plan);

/* The file with this path, or NULL. */
struct plan_entry *plan_find_file(const struct plan *plan, struct str path);

/* The loaded file that stands for a directory: the first of the comma-separated `names` that it
 * has, or NULL. */
struct plan_entry *plan_find_index(const struct plan *plan, struct str directory, struct str names);

/* The first entry that lies below the directory, or would. What lies below stands together. */
size_t plan_first_below(const struct plan *plan, struct str directory);

/* The bytes of one representation of a file, or NULL. */
const struct plan_bytes *plan_bytes_of(const struct plan *plan, const struct plan_entry *entry,
                                       enum http_coding coding);

/* The last segment of a path. */
struct str plan_base_name(struct str path);

#endif
