/* rules_internal: what the files of `rules` share: lines, patterns, templates. Only rules*.c and
 * their tests include it.
 *
 * A pattern is a list of parts: literals, placeholders and at most one `*`. A template is a list of
 * pieces: literals and references to what a pattern captured. Both live in the arena of the rules
 * and borrow nothing from the file's text.
 */
#ifndef TARN_SITE_RULES_INTERNAL_H
#define TARN_SITE_RULES_INTERNAL_H

#include "site/rules.h"

enum {
    RULES_CAPTURES_MAX = 16, /* placeholders, `*` and query names of one rule */
    RULES_QUERY_MAX = 8,     /* query conditions of one redirect */
    RULES_PARTS_MAX = 2 * RULES_CAPTURES_MAX + 1,
};

/* Lines. */

struct rules_reader {
    const char *file; /* for messages */
    struct str rest;
    struct arena *arena;
    struct error *error;
    unsigned line_number; /* of the line read last; from 1 */
};

/* Skips a byte order mark. The reader borrows everything. */
void rules_reader_init(struct rules_reader *reader, const char *file, struct arena *arena,
                       struct str text, struct error *error);

/* The next line without its end (LF or CRLF): 1, or 0 behind the last. -1: too long, or a byte that
 * text does not have. */
int rules_reader_next(struct rules_reader *reader, struct str *line) MUST_USE;

/* Writes "FILE line N: ..." as the error. Returns -1. */
int rules_fail(const struct rules_reader *reader, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Cuts the first word from *s; empty at the end of the line. A word that starts with `#` is the end
 * of the line. */
struct str rules_next_word(struct str *s);

/* Names of what a rule captures, in order; an index into this list is an index into the captures.
 */
struct rules_names {
    struct str list[RULES_CAPTURES_MAX];
    unsigned count;
};

/* Index of name, or -1. */
int rules_names_find(const struct rules_names *names, struct str name);
/* Adds a name; the error says when it is there already or there are too many. */
int rules_names_add(struct rules_reader *reader, struct rules_names *names,
                    struct str name) MUST_USE;

/* Length of the name behind a ':' at s.ptr[at] (a letter, then letters, digits, `_`), or 0. */
size_t rules_name_len(struct str s, size_t at);

/* Captures. */

struct rules_capture {
    struct str text;
    bool is_form; /* from the query: `+` and %XX still stand in it */
};

struct rules_captures {
    struct rules_capture list[RULES_CAPTURES_MAX];
    unsigned count;
};

/* Patterns. */

enum rules_part_kind { RULES_LITERAL, RULES_SEGMENT, RULES_SPLAT };

struct rules_part {
    enum rules_part_kind kind;
    struct str text;   /* literal: the decoded bytes; else the name, for messages */
    uint16_t head_len; /* placeholder: literal bytes before it in its segment */
    uint16_t tail_len; /* placeholder: literal bytes behind it in its segment */
};

struct rules_parts {
    struct rules_part *list;
    unsigned count;
    unsigned splat; /* index of the `*`, or count */
};

struct rules_pattern {
    struct rules_parts host; /* lower case; no parts: any host */
    struct rules_parts path;
};

/* Compiles `/path` or `https://host/path`, adding its names in the order in which a match fills
 * them. */
int rules_pattern_parse(struct rules_reader *reader, struct str text, struct rules_names *names,
                        struct rules_pattern *out) MUST_USE;

/* Whether host (any case) and path match; then *captures holds them, borrowed from host and path.
 */
bool rules_pattern_match(const struct rules_pattern *pattern, struct str host, struct str path,
                         struct rules_captures *captures);

/* Templates. */

enum rules_zone {
    RULES_ZONE_HOST,   /* authority of a URL: captures go in as they are (host labels) */
    RULES_ZONE_PATH,   /* percent-encoded, `/` kept */
    RULES_ZONE_QUERY,  /* percent-encoded, all delimiters too */
    RULES_ZONE_FILE,   /* decoded path */
    RULES_ZONE_HEADER, /* as QUERY: nothing that could mean something in a field value */
};

struct rules_piece {
    struct str literal;
    int capture; /* -1: a literal */
    enum rules_zone zone;
};

struct rules_template {
    struct rules_piece *list;
    unsigned count;
};

/* A redirect's destination URL or path. `host_names`: how many of the names, from the first, stand
 * for labels of the host; no other may be used in the authority. */
int rules_template_parse_location(struct rules_reader *reader, struct str text,
                                  const struct rules_names *names, unsigned host_names,
                                  struct rules_template *out) MUST_USE;
/* A destination inside the site: an absolute path, decoded. */
int rules_template_parse_file(struct rules_reader *reader, struct str text,
                              const struct rules_names *names, struct rules_template *out) MUST_USE;
/* A field value; a `:name` that the pattern does not have is text. */
int rules_template_parse_value(struct rules_reader *reader, struct str text,
                               const struct rules_names *names,
                               struct rules_template *out) MUST_USE;

void rules_template_fill(const struct rules_template *template,
                         const struct rules_captures *captures, struct buf *out);

/* One decoded byte of s at *at, which moves on; `+` is a space when is_form. A % without two hex
 * digits stands for itself. */
unsigned char rules_decode_next(struct str s, size_t *at, bool is_form);

/* Whether a `%` at s.ptr[at] is followed by two hex digits. */
bool rules_is_escape(struct str s, size_t at);

/* Appends s; bytes that a URI cannot hold become %XX, escapes stay. */
void rules_append_uri(struct buf *out, struct str s);

/* The rules. */

struct rules_header_op {
    struct rules_header_op *next;
    struct str name;
    bool remove;
    struct rules_template value;
};

struct rules_header {
    struct rules_header *next;
    struct rules_pattern pattern;
    struct rules_header_op *ops;
};

struct rules_query {
    struct str name; /* decoded */
    struct str value;
    int capture; /* -1: the value must be equal */
};

struct rules_redirect {
    struct rules_redirect *next;
    struct rules_pattern pattern;
    struct rules_query *queries;
    unsigned query_count;
    struct rules_template to;
    struct rules_template fragment; /* `#...` of a location; no pieces: none */
    int status;
    bool force;
    bool has_query;
};

struct site_rules {
    struct rules_header *headers, **headers_end;
    struct rules_redirect *redirects, **redirects_end;
    unsigned header_count, redirect_count;
    bool need_host;
};

#endif
