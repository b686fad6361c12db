/* rules: `_headers` and `_redirects`, the format that Netlify and Cloudflare Pages share, compiled
 * at load.
 *
 * _headers: a line that starts at the margin is a path pattern; indented lines under it are `Name:
 * value` to add, or `! Name` to remove what tarn or an earlier rule set. All rules that match
 * apply, in file order. A value replaces what tarn set (but is added to Vary). A value set again by
 * a later rule is joined with ", " (as both services do; a value that is there already is not
 * repeated), except for fields that can stand only once (Cache-Control, Content-Type, ETag,
 * Last-Modified, Location, Access-Control-Allow-Origin, X-Frame-Options and the like; see
 * rules_headers.c), where the later one replaces. Content-Security-Policy is joined. Set-Cookie and
 * Link are kept as lines of their own. Values may hold `:name` and `:splat`, percent-encoded when
 * filled in. Content-Length, Content-Encoding, Transfer-Encoding, Connection, Date and other
 * framing fields are refused, and so is Netlify's Basic-Auth. A path without lines is an error.
 *
 * _redirects: `from [query=value ...] to [status][!]`, first match wins; status 200 (rewrite inside
 * the site), 301 (default), 302, 303, 307, 308, 404, 410 (serve `to` with that status). A file of
 * the site wins over a rule without `!`. A query condition is `name=text`, or `name=:placeholder`
 * for any value but an empty one; other parameters do not matter. When no rule matches, the path is
 * tried again with its trailing slash added or taken away. A redirect to the very URL that was
 * asked is passed over. Netlify's conditions (Country=, Language=, Role=, Cookie=) and answers from
 * another origin are errors.
 *
 * Patterns: `*` matches any run of characters, once, at any place (`:splat`); `:name` matches one
 * segment, or what literal text leaves of it (`/:page.html`), and shares it with no other
 * placeholder. Literal text may be percent-encoded and is matched decoded, by case. Patterns may
 * also be absolute URLs (https://host/path), matched by host whatever the scheme and port;
 * `:name` may stand for a label of the host. Comments start with `#`, at the start of a line or (in
 * _redirects, and behind a path in _headers) of a word. Bounds: SITE_RULES_MAX rules and
 * SITE_RULE_LINE_MAX bytes a line. Matching takes time linear in rules and path (nothing is tried
 * twice). Memory: rules borrow from the arena they were compiled into. Thread rule: immutable once
 * compiled.
 */
#ifndef TARN_SITE_RULES_H
#define TARN_SITE_RULES_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"

struct site_rules;

/* An empty set in the arena; NULL when the arena is full. */
struct site_rules *site_rules_new(struct arena *arena);

/* Compile a file's text. A bad line: -1 and "_headers line 12: why" in *error. `text` is copied as
 * needed. */
int site_rules_parse_headers(struct site_rules *rules, struct arena *arena, struct str text,
                             struct error *error) MUST_USE;
int site_rules_parse_redirects(struct site_rules *rules, struct arena *arena, struct str text,
                               struct error *error) MUST_USE;

bool site_rules_have_headers(const struct site_rules *rules);
bool site_rules_have_redirects(const struct site_rules *rules);
/* Whether any header pattern names a host, so that header lines cannot be rendered by path alone.
 * Such rules are refused by site_load (said in the manual). */
bool site_rules_need_host(const struct site_rules *rules);

/* Applies the header rules that match `path` (decoded, absolute) to `lines`, a run of "Name:
 * value\r\n" lines: replaces, joins, removes, appends. `out` gets the new run (cleared first); it
 * may end up marked as overflowed. Returns whether any rule matched; false leaves `out` empty. */
bool site_rules_apply_headers(const struct site_rules *rules, struct str path, struct str lines,
                              struct buf *out);

struct site_redirect {
    int status;
    bool force;          /* wins over a file */
    bool has_query;      /* the request's query is not to be appended: `to` had one of its own, or
                            a fragment, before which it already stands */
    struct str location; /* placeholders filled in; percent-encoded for 3xx, a decoded path for 200,
                            404 and 410 */
};

/* The first redirect rule that matches. `path` decoded and absolute, `query` raw, `host` without
 * port (may be empty). The location is built in `scratch` (cleared first) and borrowed from it.
 * `forced_only`: considers only rules with `!`. */
bool site_rules_find_redirect(const struct site_rules *rules, struct str host, struct str path,
                              struct str query, bool forced_only, struct buf *scratch,
                              struct site_redirect *out);

#endif
