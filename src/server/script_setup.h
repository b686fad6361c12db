/* script_setup: request scripts as the options describe them: where they come from, their limits,
 * and the way to other servers for those that fetch. The main thread's.
 *
 * Nothing is made before the first snapshot that has scripts, and nothing for fetches before the
 * first with a script that fetches.
 */
#ifndef TARN_SERVER_SCRIPT_SETUP_H
#define TARN_SERVER_SCRIPT_SETUP_H

#include "proxy/upstream.h"
#include "script/script.h"
#include "server/options.h"
#include "site/site.h"

struct script_setup {
    const struct options *options;
    bool plugins_replace;         /* a plugin takes the place of the site's script of its name */
    struct script_shared *shared; /* NULL: not needed yet */
    struct resolver *resolver;
    struct tls_client *tls;
    struct proxy_env *proxies;
    /* Of workers whose scripts fetch; filled in before the first such snapshot is handed out. */
    struct upstream_config fetches;
};

void script_setup_init(struct script_setup *setup, const struct options *options);
/* After the workers have ended and all snapshots are buried. */
void script_setup_deinit(struct script_setup *setup);

/* Loads a site together with its scripts and those of plugins. *set: NULL when there are none. */
int script_setup_load(struct script_setup *setup, const struct site_config *config,
                      struct site **site, struct script_set **set, struct error *error) MUST_USE;

#endif
