/* file_server: what zs_file_server finds in the site for a request. Not for other folders.
 *
 * The options are those of Caddy's file_server, within the packed site:
 *
 *     root            directory of the site below which is looked; "" or ".": all of it
 *     hide            patterns: what they match is not there. "*", "?", "[a-z]" and "\" for one
 *                     character; without "/" they match any segment of a path, with "/" a path from
 *                     the site's root, or all below it
 *     index_names     files that stand for their directory; ["index.html", "index.txt"]
 *     browse          lists directories that have none
 *     canonical_uris  redirects so that directories end in "/" and files do not; true
 *     status_code     of the answer, instead of 200
 *     pass_thru       what is not there is for who comes next, not 404
 *     precompressed   codings that may be sent ("br", "gzip", "zstd"); not given: all
 *
 * Bounds: SCRIPT_FILE_OPTIONS_MAX bytes of options, and so much work for patterns; when that is
 * used up, all is hidden.
 */
#ifndef TARN_SCRIPT_FILE_SERVER_H
#define TARN_SCRIPT_FILE_SERVER_H

#include "base/arena.h"

#include <stdint.h>

struct script_frame;
struct script_task;

/* Texts in an arena. */
struct script_name {
    struct script_name *next;
    struct str text;
};

/* What is hidden. */
struct script_hide {
    const struct script_name *patterns;
    uint32_t steps_left;
};

enum { SCRIPT_HIDE_STEPS = 32 << 20 };

/* `path`: of the site, without slash at its start. */
bool script_is_hidden(struct script_hide *hide, struct str path);
/* Whether one segment, or name, matches a pattern without "/". Takes from *steps. */
bool script_glob_matches(struct str pattern, struct str name, uint32_t *steps);

struct script_file_options {
    struct str fs, root, status_code;
    const struct script_name *hide, *index_names;
    uint8_t codings; /* bits 1 << enum http_coding */
    bool browse, canonical_uris, pass_thru, has_index_names;
};

/* Reads the JSON object; what is in *out lies in the arena. False: it is none, or an option is not
 * what it should be: then *fault says which, of `json`; or it is empty. */
bool script_file_options_read(struct str json, struct arena *arena, struct script_file_options *out,
                              struct str *fault);

enum script_file_result {
    SCRIPT_FILE_HANDLED, /* the frame's answer says how */
    SCRIPT_FILE_MISSED,
    SCRIPT_FILE_ERROR, /* the options cannot be followed; logged, and answered 500 */
};

/* Looks for the request's path, as scripts have left it. The arena is for what is needed until it
 * returns. Never traps. */
enum script_file_result script_file_find(struct script_frame *frame,
                                         const struct script_file_options *options,
                                         struct arena *arena);

/* Answers with the directory that answer.listing names. */
void script_listing_serve(struct script_task *task);

#endif
