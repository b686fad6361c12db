/* site: the content of one snapshot: everything that can be asked for by path, rendered before the
 * first request.
 *
 * site_load reads a source (directory, tar, one file, standard input), checks it, and renders for
 * every path a `struct site_route`: its representations (identity and precompressed variants), each
 * with a finished block of response header lines, and its content in memory or as a byte range of a
 * descriptor. Loading is slow and may fail; lookup is one hash probe and never does.
 *
 * Thread rule: a site is immutable once loaded; any number of threads may read it. Whoever shares
 * it counts the references (server/snapshot). Bounds: SITE_* in base/limits.h and the two preload
 * ceilings. Memory: owned by the site until site_free.
 */
#ifndef TARN_SITE_SITE_H
#define TARN_SITE_SITE_H

#include "base/error.h"
#include "base/str.h"
#include "http/accept.h"
#include "site/rules.h"

struct site_template;

struct member_list;

struct site_config {
    const char *source;        /* path, or "-"; NULL: an empty site */
    uint64_t preload_max;      /* files up to this size are held in memory */
    uint64_t preload_total;    /* ceiling on all that is held in memory */
    const char *index;         /* comma-separated index names, "index.html" */
    const char *cache_control; /* for all content; NULL: the default by kind of file */
    const char *content_type;  /* one-file sources: overrides the type by name; NULL: by name */
    const char *only_path; /* one-file sources: the one path that answers; NULL: every path does */
    unsigned stdin_timeout_ms;
    bool spa;
    bool try_html;
    bool browse;
    bool precompress; /* directory sources: make br, zstd and gzip variants in memory */
    bool templates;   /* look for places for metadata in pages (template.h) */
    bool allow_empty;
    /* Looks at what a source of several files contains, before it is rendered: scripts are found
     * this way. Negative: loading fails, with the line. Above 0: there is something to run, and no
     * file needs to be there. May be called again for the same load. NULL: nobody looks. */
    int (*members)(void *arg, const struct member_list *members, struct error *error);
    void *members_arg;
};

/* The bytes of one representation. */
struct site_content {
    const char *mem; /* preloaded: in pages of its own that are never written again, on a page when
                        it has 4096 bytes or more; NULL: read by range from a descriptor */
    uint64_t len;
    int fd; /* without mem: the tar or the opened file, readable at off for len bytes; -1: open
               `path`; with mem always -1 */
    uint64_t off;
    const char *path; /* without mem: the file that holds the bytes, to be opened when fd is -1, and
                         for messages */
    const struct site_identity *identity; /* what the descriptor must still be; NULL for content
                                             that cannot change: in memory or in a memory file */
};

/* What a file was when it was loaded (from fstat). */
struct site_identity {
    uint64_t dev, ino;
    uint64_t size;
    int64_t mtime_s;
    int64_t mtime_ns;
};

/* One representation with its rendered header lines. `head` is a run of "Name: value\r\n" lines in
 * this order, so that other answers use parts of it: Content-Length 200 only Content-Type,
 * Content-Encoding, Accept-Ranges         200 and 206: from type_off on ETag, Last-Modified,
 * Cache-Control, Vary, X-Content-Type-Options and what `_headers` adds   200, 206 and 304: from
 * valid_off on `Date` and the empty line are the session's. A `_headers` rule that sets one of
 * these replaces it. */
struct site_rep {
    struct site_content content;
    struct str head;
    uint32_t type_off;
    uint32_t valid_off;
    struct str etag; /* with quotes; lies in head */
    struct str type; /* media type with parameters; lies in head */
    /* Identity in memory with places for metadata: where they are, and the lines of `head` that
     * stay true whatever goes into them; they have no Content-Type. NULL: there are none. */
    const struct site_template *template;
    struct str template_lines;
    uint8_t coding; /* enum http_coding */
};

enum site_route_kind {
    SITE_ROUTE_FILE,     /* reps[]; reps[0] is identity */
    SITE_ROUTE_REDIRECT, /* a directory asked without its slash: 308 to `location` */
    SITE_ROUTE_LISTING,  /* a directory without index, with --browse: reps[0] is the HTML page,
                            reps[1] the JSON document, both identity */
};

struct site_route {
    struct str path; /* decoded, absolute */
    uint64_t hash;
    uint8_t kind;
    uint8_t codings; /* bit 1 << coding of what reps holds, for http_coding_choose */
    uint8_t rep_count;
    int64_t mtime;
    struct site_rep *reps;
    struct str location; /* SITE_ROUTE_REDIRECT: percent-encoded path */
};

struct site_stats {
    uint64_t file_count;
    uint64_t route_count;
    uint64_t content_len;   /* all files */
    uint64_t preloaded_len; /* held in memory */
    uint64_t preloaded_count;
    uint64_t load_ns;
    uint64_t warnings;
    bool from_index; /* a packed tar, loaded by its index */
};

struct site;

/* Loads a site. On success *out is owned by the caller. On failure -1, one line in *error that
 * names the source, file or line. Warnings are logged. Blocks. */
int site_load(const struct site_config *config, struct site **out, struct error *error) MUST_USE;
void site_free(struct site *site);

/* The route of a normalised path (see http/target.h), or NULL. For a one-file site without
 * only_path every path finds it. */
const struct site_route *site_find(const struct site *site, struct str path);

/* Files by their own paths, no aliases and no directories, in byte order: how many; one of them;
 * the first whose path is not before `path`, by which what lies below a directory "/d/" is found.
 */
size_t site_file_count(const struct site *site);
const struct site_route *site_file(const struct site *site, size_t at);
size_t site_file_from(const struct site *site, struct str path);
/* The file with this path, or NULL. For a one-file site as site_find. */
const struct site_route *site_find_file(const struct site *site, struct str path);

/* A file by its exact name in the source, "data/flags.json": one that can be asked for, or one that
 * only scripts can read, below `.tarn/` or `.zeroserve/` (private.h). False: there is none; also
 * where one file answers every path. Borrowed from the site. */
struct site_member {
    const struct site_content *content;
    struct str etag; /* with quotes */
    int64_t mtime;   /* seconds since 1970 */
};
bool site_find_member(const struct site *site, struct str name, struct site_member *out);

/* `404.html` of the root, or NULL; `/index.html` of the root for --spa, or NULL when not asked for
 * or absent. */
const struct site_route *site_not_found_page(const struct site *site);
const struct site_route *site_spa_page(const struct site *site);

/* The rules of `_headers` and `_redirects`; never NULL, maybe empty. */
const struct site_rules *site_rules(const struct site *site);

const struct site_stats *site_stats(const struct site *site);

/* Calls `visit` for every route in byte order of paths, for `tarn check` and tests. */
void site_each(const struct site *site, void (*visit)(void *arg, const struct site_route *route),
               void *arg);

/* A descriptor for content without `mem`: *fd is readable at content->off. *owned: the caller
 * closes it. Checks the identity: a file that is gone, shrunk or changed since it was loaded gives
 * -1 and a line in *error. */
int site_content_open(const struct site_content *content, int *fd, bool *owned,
                      struct error *error) MUST_USE;

/* Whether what `fd` (from site_content_open) reads is still what was loaded: asked again after the
 * content has been sent. */
bool site_content_is_unchanged(const struct site_content *content, int fd);

#endif
