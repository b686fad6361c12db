/* script_check: says of an object file what a server would say when it loads it. Blocks; one owner.
 */
#ifndef TARN_SERVER_SCRIPT_CHECK_H
#define TARN_SERVER_SCRIPT_CHECK_H

#include "script/script.h"

struct script_check {
    struct script_shared *shared; /* NULL: nothing was checked yet */
};

/* -1 with the line. Zeroed memory is a struct script_check. */
int script_check_object(struct script_check *check, const struct script_source *source,
                        struct error *error) MUST_USE;
void script_check_deinit(struct script_check *check);

#endif
