/* private: members of a source that nobody can ask for, but request scripts can read: what lies
 * below `.tarn/` and `.zeroserve/`, apart from the scripts themselves and the index.
 *
 * Their content is loaded as that of public files is, behind it, under the same two ceilings.
 * Memory: the site's arena and store.
 */
#ifndef TARN_SITE_PRIVATE_H
#define TARN_SITE_PRIVATE_H

#include "base/arena.h"
#include "site/plan.h"

struct site_private {
    struct str name; /* as in the source: ".tarn/flags.json" */
    struct site_content content;
    struct str etag; /* with quotes */
    int64_t mtime;
};

struct private_table {
    struct site_private *list; /* in byte order of names */
    size_t count;
};

/* The files among the members that are private, as plan_make does it for those that are public. */
int private_plan(struct plan *plan, const struct member_list *members,
                 struct error *error) MUST_USE;
/* From a plan whose content is loaded; copies what it needs. `now`: seconds since 1970. */
int private_table_init(struct private_table *table, const struct plan *plan, struct arena *arena,
                       int64_t now, struct error *error) MUST_USE;
const struct site_private *private_table_find(const struct private_table *table, struct str name);

#endif
