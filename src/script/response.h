/* response: the header fields of the response as hooks see and change them. Not for other folders.
 * Saving, restoring and writing them back is in answer.h.
 *
 * What a session says about framing and connections is not for scripts: Content-Length can be seen
 * and not changed; of the others there is none.
 */
#ifndef TARN_SCRIPT_RESPONSE_H
#define TARN_SCRIPT_RESPONSE_H

#include "base/str.h"

#include <stdbool.h>

struct script_frame;
struct script_fields;
struct script_task;

bool script_response_name_is_framing(struct str name);

/* The list of fields, without Content-Length, to be changed: then note that it was. Traps, naming
 * `helper`, when they are more than a list holds. */
struct script_fields *script_response_fields(struct script_frame *frame, const char *helper);

/* Value of the first field of that name; ptr NULL: there is none. Good until fields change. */
struct str script_response_header(const struct script_task *task, struct str name);

#endif
