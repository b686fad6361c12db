#include "server/snapshot.h"

#include "base/log.h"

#include <stdatomic.h>
#include <stdlib.h>

struct shared_site {
    struct site *site;
    struct script_set *scripts; /* NULL: none */
    unsigned ref_count;
};

static struct snapshot *_Atomic dead;
static unsigned alive; /* the main thread's */

static void
log_tls_note(void *arg, bool is_warning, const char *line)
{
    if (is_warning)
        log_warn("%s", line);
    else
        log_info("%s", line);
}

static void
shared_site_unref(struct shared_site *shared)
{
    if (shared && --shared->ref_count == 0) {
        site_free(shared->site);
        script_set_unref(shared->scripts);
        free(shared);
    }
}

static struct shared_site *
shared_site_load(const struct site_config *config, struct script_setup *scripts,
                 struct error *error)
{
    struct shared_site *shared = calloc(1, sizeof *shared);
    if (!shared) {
        error_set(error, "no memory for a snapshot");
        return NULL;
    }
    if (script_setup_load(scripts, config, &shared->site, &shared->scripts, error) != 0) {
        free(shared);
        return NULL;
    }
    shared->ref_count = 1;
    return shared;
}

/* A snapshot of a site, whose reference it takes, and of certificates still to be read. */
static int
snapshot_make(struct snapshot **out, struct shared_site *shared, const struct tls_config *tls,
              struct error *error)
{
    struct snapshot *snapshot = calloc(1, sizeof *snapshot);
    if (!snapshot) {
        shared_site_unref(shared);
        return error_set(error, "no memory for a snapshot");
    }
    if (tls && tls_context_new(&snapshot->tls, tls, log_tls_note, NULL, error) != 0) {
        shared_site_unref(shared);
        free(snapshot);
        return -1;
    }
    snapshot->shared_site = shared;
    snapshot->site = shared->site;
    snapshot->scripts = shared->scripts;
    alive++;
    snapshot->ref_count = 1;
    *out = snapshot;
    return 0;
}

int
snapshot_new(struct snapshot **out, const struct site_config *config, struct script_setup *scripts,
             const struct tls_config *tls, struct error *error)
{
    struct shared_site *shared = shared_site_load(config, scripts, error);
    return shared ? snapshot_make(out, shared, tls, error) : -1;
}

int
snapshot_renew_tls(struct snapshot **out, const struct snapshot *old, const struct tls_config *tls,
                   struct error *error)
{
    old->shared_site->ref_count++;
    return snapshot_make(out, old->shared_site, tls, error);
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
        shared_site_unref(snapshot->shared_site);
        tls_context_unref(snapshot->tls);
        free(snapshot);
        alive--;
        snapshot = next;
    }
    return alive;
}
