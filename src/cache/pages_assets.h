/* pages_assets: the fixed parts of the cache's pages: style, script, icon, and the policy that
 * allows exactly this style and this script by their hashes. Constant text; pages_test checks that
 * the hashes are those of the text. */
#ifndef TARN_CACHE_PAGES_ASSETS_H
#define TARN_CACHE_PAGES_ASSETS_H

#include "base/str.h"

extern const struct str pages_policy; /* Content-Security-Policy */
extern const struct str pages_style;
extern const struct str pages_script;
extern const struct str pages_icon; /* a data URL */
extern const struct str pages_logo; /* an SVG element */

#endif
