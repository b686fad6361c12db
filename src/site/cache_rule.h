/* cache_rule: how long a file may be cached when nobody says (static.md, "Rendering"). Pure. */
#ifndef TARN_SITE_CACHE_RULE_H
#define TARN_SITE_CACHE_RULE_H

#include "base/str.h"

/* Cache-Control by kind of file: HTML is always asked for again, a name that carries a hash of its
 * content never, the rest after an hour. Static memory. */
struct str cache_rule_value(struct str file_name, struct str media_type);

/* Whether a bundler put a hash of the content into this name. A wrong yes keeps an old file in
 * browsers for a year, a wrong no costs a question, so only clear cases count:
 * - a part between `.`, `-` and `_`, not the last, of 8 or more hex digits of one case, with a
 *   letter and a digit among them (a date such as 20240115 is none): app.3f9a1c2b.js;
 * - 8 base64url characters between `-` or `.` and the extension, with a digit and a capital and
 *   often changing between kinds of characters (unlike Chapter1 or IMG_0042): index-BkX9d3Qz.js. */
bool cache_rule_name_has_hash(struct str file_name);

#endif
