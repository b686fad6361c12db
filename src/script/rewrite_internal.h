/* rewrite_internal: what the parts of rewrite*.c share. Not for others. */
#ifndef TARN_SCRIPT_REWRITE_INTERNAL_H
#define TARN_SCRIPT_REWRITE_INTERNAL_H

#include "base/json.h"
#include "script/rewrite.h"

/* One change, of whatever kind: the members that it has, the others empty. */
struct change {
    struct str key, val;     /* of a query */
    struct str find, search; /* what is looked for; or: */
    struct str search_regexp;
    struct str replace;
    uint64_t limit; /* 0: none */
};

struct change_list {
    struct change *list;
    unsigned count;
};

/* Begins a call: the object's members come next (json_member). -1: too long. */
int rewrite_begin(struct rewrite *rewrite, struct json *json, struct str changes,
                  struct error *error) MUST_USE;
/* Takes a string; or the members of an object, or of an array of objects, that make changes. What
 * goes wrong is seen by rewrite_end. */
void rewrite_take_string(struct rewrite *rewrite, struct json *json, struct str *out);
void rewrite_take_change(struct rewrite *rewrite, struct json *json, struct change *out);
void rewrite_take_changes(struct rewrite *rewrite, struct json *json, struct change_list *out);
/* Strings instead of objects: they become keys. */
void rewrite_take_keys(struct rewrite *rewrite, struct json *json, struct change_list *out);
/* All is read. -1: it is not what it should be. */
int rewrite_end(struct rewrite *rewrite, struct json *json, struct error *error) MUST_USE;

/* Appends `text` with `find`, which is not empty, replaced `limit` times (0: always), to `out`. */
void rewrite_literal(struct str text, struct str find, struct str replace, uint64_t limit,
                     struct buf *out);
/* Appends `text` with all matches replaced. 1; 0: there were none and nothing was appended; -1. */
int rewrite_regexp(struct rewrite *rewrite, const struct regex *regex, struct str text,
                   struct str replace, struct buf *out, struct error *error) MUST_USE;

/* What one says when a result has no room. */
int rewrite_no_room(struct error *error);

#endif
