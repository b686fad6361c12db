/* sources: finds the scripts of a snapshot: of plugins, plugin directories and the site, in the
 * order of the chain, as object files in memory; C is compiled on the way.
 *
 * A place is a directory, a tar (packed or not), a .c or a .o file. Of directories and tars the
 * members below `.tarn/scripts/` and `.zeroserve/scripts/` are scripts whose names end in .o, and,
 * in directories, in .c; a script's name is the path behind that, .c becoming .o, and names with a
 * part that begins with a dot are none. They run in the byte order of their names; of two with one
 * name, that of .tarn first. A file is named by the last part of its path. What is no script there
 * is not looked at.
 *
 * The site's members come from site_load, which opens the source once for both:
 *
 *     script_sources_load(&sources, &config, &error)      plugins; SITE, when it is a script
 *     site_config.members = script_sources_take_site; site_config.members_arg = &sources;
 *     site_load(&site_config, ...)
 *     script_set_new(&set, shared, sources.list, sources.count, &error)
 *     script_sources_deinit(&sources)
 *
 * Blocks: reads files, waits for compilers. Bounds: SCRIPTS_MAX, BPF_OBJECT_MAX for one,
 * SCRIPT_OBJECTS_MAX for all. Thread rule: one owner.
 */
#ifndef TARN_SCRIPT_SOURCES_H
#define TARN_SCRIPT_SOURCES_H

#include "base/arena.h"
#include "script/compile.h"
#include "script/script.h"

struct member_list;

/* All is borrowed for as long as the sources are used. */
struct script_sources_config {
    const char *site; /* SITE; NULL: none */
    const char *const *plugins;
    size_t plugin_count;
    const char *const *plugin_dirs;
    size_t plugin_dir_count;
    const char *clang; /* NULL: the newest on PATH */
};

struct script_sources {
    struct script_source *list; /* in the order of the chain */
    unsigned count;
    /* Not for others. */
    struct script_sources_config config;
    struct script_compiler compiler;
    struct arena arena;       /* of names and bytes */
    unsigned before_site;     /* scripts that are not the site's */
    uint64_t len, before_len; /* bytes of all, and of those */
};

/* Whether SITE is a script, ".c" or ".o", and so a site without content: site_config.source is NULL
 * then. A directory of such a name is none. */
bool script_sources_is_script(const char *site);

/* Fills it; -1 with a line that names the file. After any result, script_sources_deinit. */
int script_sources_load(struct script_sources *out, const struct script_sources_config *config,
                        struct error *error) MUST_USE;

/* For site_config.members; `arg` is the struct script_sources. When a site is loaded anew it
 * forgets what it had of it. */
int script_sources_take_site(void *arg, const struct member_list *members, struct error *error);

void script_sources_deinit(struct script_sources *sources);

#endif
