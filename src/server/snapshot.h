/* snapshot: everything that a reload replaces in one step: the site, its scripts, and the
 * certificates.
 *
 * Shared by all workers and counted with one atomic. A worker holds one reference for as long as it
 * has the snapshot as its current one or a request of it in flight. The last unref hands it to the
 * main thread, which frees it: giving back hundreds of megabytes would make a worker's clients
 * wait.
 */
#ifndef TARN_SERVER_SNAPSHOT_H
#define TARN_SERVER_SNAPSHOT_H

#include "base/error.h"
#include "server/script_setup.h"
#include "site/site.h"
#include "tls/context.h"

/* A site that several snapshots may share. The main thread's. */
struct shared_site;

struct snapshot {
    struct site *site;
    struct shared_site *shared_site;
    struct script_set *scripts; /* NULL: none */
    struct tls_context *tls;    /* NULL: no TLS listener */
    unsigned ref_count;         /* atomic */
    struct snapshot *next_dead;
};

/* Loads the site with its scripts, and the certificates unless `tls` is NULL; *out has one
 * reference. What is noteworthy of the certificates goes to the log. */
int snapshot_new(struct snapshot **out, const struct site_config *config,
                 struct script_setup *scripts, const struct tls_config *tls,
                 struct error *error) MUST_USE;

/* The site of `old` with certificates read anew: for a site that cannot be read again. */
int snapshot_renew_tls(struct snapshot **out, const struct snapshot *old,
                       const struct tls_config *tls, struct error *error) MUST_USE;

struct snapshot *snapshot_ref(struct snapshot *snapshot);
/* Any thread. */
void snapshot_unref(struct snapshot *snapshot);

/* Frees what nobody holds any more; how many are left, the current one included. Main thread, from
 * time to time. */
unsigned snapshot_bury(void);

#endif
