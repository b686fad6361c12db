/* fields_replace: search and replace in the values of header fields. Not for other folders.
 *
 * Shared by zs_req_replace_header and zs_res_replace_header, whose argument is a JSON object:
 *
 *     {"name": "Location", "search": "http://", "replace": "https://"}
 *     {"name": "*", "search_regexp": "v([0-9]+)", "replace": "version $1"}
 *
 * `name` is a pattern as zs_req_delete_header takes it. Each field keeps its place; every
 * occurrence is replaced. With `search_regexp`, `$1`, `${1}`, `$name` and `${name}` in `replace`
 * are groups of the match and `$$` is a dollar (regex.h); with `search` all is literal.
 * Content-Length and Transfer-Encoding are passed over, and what would become of Host must be a
 * host.
 */
#ifndef TARN_SCRIPT_FIELDS_REPLACE_H
#define TARN_SCRIPT_FIELDS_REPLACE_H

#include "script/fields.h"

struct script_frame;

/* Traps, naming `helper`, when ops_json is not such an object, the expression is none or takes too
 * long, a value would become invalid, or the list full. ops_json may lie in the script's memory.
 * Returns whether a value has changed. */
bool script_fields_replace(struct script_frame *frame, struct script_fields *fields,
                           struct str ops_json, const char *helper);

#endif
