/* script_path: which members of a source are request scripts: those below `.tarn/scripts/` or
 * `.zeroserve/scripts/` whose names end in ".o", an object file, or ".c", its source. Names with a
 * part that begins with a dot are none: editors and archivers leave such things. Pure.
 */
#ifndef TARN_SITE_SCRIPT_PATH_H
#define TARN_SITE_SCRIPT_PATH_H

#include "base/str.h"

struct script_path {
    struct str name; /* behind the folder: "10-auth.c"; in `path` */
    unsigned folder; /* 0: .tarn, 1: .zeroserve */
    bool is_source;
};

/* False: it is none. */
bool script_path_parse(struct str path, struct script_path *out);

/* Whether it is a script, or by its name may be a directory that has some. */
bool script_path_is_needed(struct str path);

#endif
