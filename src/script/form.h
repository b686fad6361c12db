/* form: query strings as forms write them (application/x-www-form-urlencoded, WHATWG URL section
 * 5), read as the predecessor does: nothing in one is an error. Pure. Not for other folders.
 *
 * Parameters are separated by '&'; a name ends at the first '=', and without one the value is
 * empty. A bad escape stands for itself, bytes that are no UTF-8 become U+FFFD. http/query.h is the
 * stricter reading of the fetch cache.
 */
#ifndef TARN_SCRIPT_FORM_H
#define TARN_SCRIPT_FORM_H

#include "base/buf.h"

/* Takes the next parameter from *query, as it stands. False: there is none. Empty ones are passed
 * over. */
bool form_next(struct str *query, struct str *name, struct str *value);

/* Whether `raw` stands for `text`, which is UTF-8. */
bool form_is(struct str raw, struct str text);

/* What `raw` stands for: at most 3 * raw.len bytes, appended; or `raw` itself when it stands for
 * itself, with nothing appended. After an overflow of `out` what is returned means nothing. */
struct str form_decode(struct str raw, struct buf *out);

/* Appends `text` encoded: letters, digits and *-._ stay, a space becomes '+', the rest %XX. */
void form_encode(struct str text, struct buf *out);

#endif
