/* browse: the listings of directories without an index (`--browse`), added to the content. */
#ifndef TARN_SITE_BROWSE_H
#define TARN_SITE_BROWSE_H

#include "site/content.h"

/* Sets `listing` of every directory of the plan that has none of the comma-separated `index` names.
 * Dot names and variants are not listed. After content_load, before content_seal. */
int browse_render(struct content_store *store, struct plan *plan, struct str index,
                  struct arena *arena, struct error *error) MUST_USE;

#endif
