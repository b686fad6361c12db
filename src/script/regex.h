/* regex: regular expressions that cannot be made slow. Pure, but for the memory it asks for. Not
 * for other folders.
 *
 * The expression becomes a small program, which is run over the text for all possibilities at once
 * (Pike's machine), so that time is bounded by text times program, whatever either is; and counted,
 * so that a caller can bound it further. Of several matches that begin at the same place the one
 * that a backtracking matcher finds first is meant: left alternatives before right ones, and as
 * much as possible before less, unless `?` says otherwise.
 *
 *     x  .  [a-z]  [^a-z]  [[:alpha:]]  \d \w \s \D \W \S       one character
 *     xy  x|y  (x)  (?P<name>x)  (?<name>x)  (?:x)
 *     x*  x+  x?  x{n}  x{n,}  x{n,m}  and with ? behind: less before more
 *     ^  $  \A  \z  \b  \B                                      places
 *     (?i)  (?s)  (?m)  (?U)  (?-i)  (?i:x)                     flags
 *     \n \t \r \f \v \a  \x7F  \x{10FFFF}  and \ before what is no letter or digit
 *
 * Characters are those of UTF-8; a byte that is none is U+FFFD. Case, \d, \w, \s, \b and named
 * classes know ASCII only. A brace that begins no number of times stands for itself. What would
 * need backtracking is refused: references and assertions that look around. So are \p and set
 * operations in classes.
 *
 * Bounds: REGEX_* in base/limits.h. Threads: a compiled expression may be used by many, a matcher
 * by one.
 */
#ifndef TARN_SCRIPT_REGEX_H
#define TARN_SCRIPT_REGEX_H

#include "base/buf.h"
#include "base/error.h"

struct regex;

/* -1 with a line that says what is wrong where. `pattern` is UTF-8 and is copied. */
int regex_new(struct regex **out, struct str pattern, struct error *error) MUST_USE;
void regex_free(struct regex *regex);

struct str regex_pattern(const struct regex *regex);
/* Groups that capture, the whole match being the first. */
unsigned regex_group_count(const struct regex *regex);

/* Memory of matching, and what it may still cost. Zeroed memory is one without steps. */
struct regex_matcher {
    uint32_t steps_left; /* set before a call; each takes of it */
    uint32_t generation;
    void *memory;
    size_t memory_len;
};

void regex_matcher_deinit(struct regex_matcher *matcher);

enum regex_result {
    REGEX_MATCH,
    REGEX_NO_MATCH,
    REGEX_TOO_SLOW, /* no steps are left */
    REGEX_NO_MEMORY,
};

enum { REGEX_UNSET = UINT32_MAX };

/* The leftmost match that begins at `from`, at most text.len, or later. groups[2n] and
 * groups[2n+1]: where group n begins and ends in `text`, or REGEX_UNSET; room for
 * regex_group_count() pairs. text.len is less than UINT32_MAX. */
enum regex_result regex_find(const struct regex *regex, struct regex_matcher *matcher,
                             struct str text, size_t from, uint32_t *groups);

/* Appends `text` with all matches replaced; neither lies in `out`. MATCH when there was one,
 * NO_MATCH when there was none and nothing was appended. In `replacement` $1, ${1}, $name and
 * ${name} are groups, empty when unset or unknown, and $$ is a dollar. A name without braces is as
 * long as it can be: "$1x" is a group called 1x. */
enum regex_result regex_replace(const struct regex *regex, struct regex_matcher *matcher,
                                struct str text, struct str replacement, struct buf *out);

#endif
