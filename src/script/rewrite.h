/* rewrite: changes of paths, queries and header values, as scripts ask for them in JSON. Pure, but
 * for its own memory. Not for other folders.
 *
 * The objects, their members all optional, others ignored:
 *
 *     URI     {"strip_path_prefix": "/api", "strip_path_suffix": ".php",
 *              "uri_substring": [{"find": "/a", "replace": "/b", "limit": 1}],
 *              "path_regexp": [{"find": "/(\\d+)$", "replace": "/item/$1"}]}
 *     query   {"rename": [{"key": "old", "val": "new"}], "set": [{"key": "a", "val": "1"}],
 *              "add": [{"key": "a", "val": "2"}],
 *              "replace": [{"key": "a", "search": "x", "replace": "y"}], "delete": ["b"]}
 *     value   {"name": "Location", "search": "http:", "replace": "https:"}
 *
 * In the order in which they stand here. In "replace" and "value", "search_regexp" may stand for
 * "search". Text is literal: nothing in braces is expanded.
 *
 * One for each worker: it keeps compiled expressions and buffers from call to call. Bounds:
 * SCRIPT_CHANGES_*, SCRIPT_TARGET_MAX and REGEX_* in base/limits.h, so that no call takes more than
 * about a millisecond. All that fail return -1 with a line in *error; what they were to make is
 * then in any state.
 */
#ifndef TARN_SCRIPT_REWRITE_H
#define TARN_SCRIPT_REWRITE_H

#include "base/arena.h"
#include "script/regex_cache.h"

struct rewrite {
    struct regex_cache regexes;
    struct regex_matcher matcher;
    struct arena arena;     /* of one call */
    struct buf path, query; /* what a call has made */
    struct buf spare;
    bool no_room; /* some of it was cut */
};

/* NULL: no memory. */
struct rewrite *rewrite_new(void);
void rewrite_free(struct rewrite *rewrite);

/* Path (not decoded, starting with '/') and query to rewrite->path, which starts with '/' again,
 * and rewrite->query. What that is made of is not checked: it may be no target. With a prefix,
 * suffix or substring to look for, "." and ".." segments and, unless it has a "//" itself, double
 * slashes of the path go first. Prefix and suffix compare without case, and %XX of the path with
 * the byte that it stands for. */
int rewrite_uri(struct rewrite *rewrite, struct str changes, struct str path, struct str query,
                struct error *error) MUST_USE;

/* A query to rewrite->query: all of it is encoded anew, sorted by name; of one name, values keep
 * their order. "rename" and "set" replace what there is of that name. A replacement without a key,
 * or with "*", is for all values. */
int rewrite_query(struct rewrite *rewrite, struct str changes, struct str query,
                  struct error *error) MUST_USE;

/* What is searched for in values, good until the next call of rewrite_*, but rewrite_value. */
struct rewrite_search {
    struct str name;           /* which fields; a pattern */
    struct str search;         /* unless there is an expression */
    const struct regex *regex; /* or NULL */
    struct str replace;
};

int rewrite_read_search(struct rewrite *rewrite, struct str changes, struct rewrite_search *out,
                        struct error *error) MUST_USE;
/* Appends `value`, in which all is replaced, to `out`. 1; 0: there was nothing to replace, and
 * nothing was appended; or -1. */
int rewrite_value(struct rewrite *rewrite, const struct rewrite_search *search, struct str value,
                  struct buf *out, struct error *error) MUST_USE;

/* The path without empty, "." and ".." segments, appended; all else stays as it is encoded. It
 * starts with '/' and is one that target_normalize_path takes. */
void rewrite_clean_path(struct str path, struct buf *out);

#endif
