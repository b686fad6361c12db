/* suggest: "did you mean": the known word nearest to one that was typed wrong. Pure. */
#ifndef TARN_SERVER_SUGGEST_H
#define TARN_SERVER_SUGGEST_H

#include "base/str.h"

struct suggestion {
    struct str typed;
    const char *best; /* borrowed from the nearest candidate; NULL: nothing is near enough */
    size_t distance;  /* of best; while there is none, one more than is allowed */
};

/* `typed` is borrowed. How many wrong letters are allowed depends on its length: 1 up to three
 * letters, 2 up to seven, then 3. */
void suggestion_init(struct suggestion *suggestion, struct str typed);

/* Keeps the candidate if it is nearer than the best so far; the first of equals stays. NULL is
 * ignored. A word that begins with what was typed counts as one letter away. */
void suggestion_offer(struct suggestion *suggestion, const char *candidate);

#endif
