#include "server/suggest.h"

/* Shorter beginnings would match nearly everything. */
enum { PREFIX_MIN = 3 };

void
suggestion_init(struct suggestion *suggestion, struct str typed)
{
    size_t allowed = typed.len <= 3 ? 1 : typed.len <= 7 ? 2 : 3;
    *suggestion = (struct suggestion){.typed = typed, .distance = allowed + 1};
}

void
suggestion_offer(struct suggestion *suggestion, const char *candidate)
{
    struct str typed = suggestion->typed;
    struct str word = str_from_cstr(candidate);
    if (word.len == 0 || typed.len == 0)
        return;
    size_t distance = str_distance(typed, word, suggestion->distance);
    if (typed.len >= PREFIX_MIN && str_starts_with(word, typed) && distance > 1)
        distance = 1;
    if (distance >= suggestion->distance)
        return;
    suggestion->best = candidate;
    suggestion->distance = distance;
}
