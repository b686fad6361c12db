#include "server/snapshot.h"

#include <stdatomic.h>
#include <stdlib.h>

static struct snapshot *_Atomic dead;
static unsigned alive; /* the main thread's */

int
snapshot_new(struct snapshot **out, const struct site_config *config, struct error *error)
{
    struct snapshot *snapshot = calloc(1, sizeof *snapshot);
    if (!snapshot)
        return error_set(error, "no memory for a snapshot");
    if (site_load(config, &snapshot->site, error) != 0) {
        free(snapshot);
        return -1;
    }
    alive++;
    snapshot->ref_count = 1;
    *out = snapshot;
    return 0;
}

struct snapshot *
snapshot_ref(struct snapshot *snapshot)
{
    __atomic_fetch_add(&snapshot->ref_count, 1, __ATOMIC_RELAXED);
    return snapshot;
}

void
snapshot_unref(struct snapshot *snapshot)
{
    if (__atomic_sub_fetch(&snapshot->ref_count, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    snapshot->next_dead = atomic_load(&dead);
    while (!atomic_compare_exchange_weak(&dead, &snapshot->next_dead, snapshot))
        continue;
}

unsigned
snapshot_bury(void)
{
    struct snapshot *snapshot = atomic_exchange(&dead, NULL);
    while (snapshot) {
        struct snapshot *next = snapshot->next_dead;
        site_free(snapshot->site);
        free(snapshot);
        alive--;
        snapshot = next;
    }
    return alive;
}
