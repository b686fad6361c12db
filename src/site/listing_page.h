/* listing_page: the fixed parts of a directory listing: style, icons, script, and the policy that
 * allows exactly this style and this script by their hashes. Constant text; listing_test checks
 * that the hashes are those of the text. */
#ifndef TARN_SITE_LISTING_PAGE_H
#define TARN_SITE_LISTING_PAGE_H

#include "base/str.h"

extern const struct str listing_page_policy; /* content of the CSP meta element */
extern const struct str listing_page_style;
extern const struct str listing_page_icons;
extern const struct str listing_page_script;

#endif
