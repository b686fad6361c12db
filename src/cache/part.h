/* part: what a download has of its resource: the part file, the object that readers see, the
 * account, the digests.
 *
 *     begin -> add ... -> finish               an entry
 *                     `-> drop                 nothing; readers are cut off
 *                     `-> (a break) -> resume -> add ...
 *
 * Everything is on the fetcher's thread. Functions that can fail return 200, or the status for the
 * client with a line in *problem; after a failure part_drop is all that may follow.
 */
#ifndef TARN_CACHE_PART_H
#define TARN_CACHE_PART_H

#include "base/limits.h"
#include "cache/flight.h"
#include "http/digest.h"
#include "http/response_head.h"
#include "tls/digest.h"

struct fetcher;

struct part {
    struct fetcher *fetcher;
    struct cache_flight *flight;
    struct cache_object *object; /* held; NULL: nothing has begun */
    struct cache_entry entry;    /* strs in `text` */
    uint64_t received;           /* bytes in the file */
    uint64_t charged;
    struct digests expected;
    struct digest hashes[DIGEST_KIND_COUNT]; /* SHA-256 always, the others where expected */
    bool can_resume;                         /* upstream gave a strong validator */
    char text[2 * CACHE_FIELD_MAX + CACHE_CODING_MAX];
};

void part_init(struct part *part, struct fetcher *fetcher, struct cache_flight *flight);

/* A 200: makes room and a file, and answers the flight. */
int part_begin(struct part *part, const struct http_response_head *head,
               const char **problem) MUST_USE;
/* A 206 that goes on at `off` and ends before `end`; `total` may be OBJECT_LEN_UNKNOWN. False: it
 * is not the rest of this. */
bool part_resume(struct part *part, const struct http_response_head *head, uint64_t off,
                 uint64_t end, uint64_t total);
/* The next bytes. */
int part_add(struct part *part, struct str bytes, const char **problem) MUST_USE;
/* All has come: checks, renames, lands. */
int part_finish(struct part *part, const char **problem) MUST_USE;
/* Forgets it. Harmless when nothing has begun. */
void part_drop(struct part *part);

static inline bool
part_has_begun(const struct part *part)
{
    return part->object;
}

/* Whether a break can be mended by asking for the rest. */
static inline bool
part_is_resumable(const struct part *part)
{
    return part->object && part->can_resume && part->received > 0;
}

#endif
