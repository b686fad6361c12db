/* snapshot: everything that a reload replaces in one step; for now the site.
 *
 * Shared by all workers and counted with one atomic. A worker holds one reference for as long as it
 * has the snapshot as its current one or a request of it in flight. The last unref hands it to the
 * main thread, which frees it: giving back hundreds of megabytes would make a worker's clients
 * wait.
 */
#ifndef TARN_SERVER_SNAPSHOT_H
#define TARN_SERVER_SNAPSHOT_H

#include "base/error.h"
#include "site/site.h"

struct snapshot {
    struct site *site;
    unsigned ref_count; /* atomic */
    struct snapshot *next_dead;
};

/* Loads the site; *out has one reference. */
int snapshot_new(struct snapshot **out, const struct site_config *config,
                 struct error *error) MUST_USE;

struct snapshot *snapshot_ref(struct snapshot *snapshot);
/* Any thread. */
void snapshot_unref(struct snapshot *snapshot);

/* Frees what nobody holds any more; how many are left, the current one included. Main thread, from
 * time to time. */
unsigned snapshot_bury(void);

#endif
