/* options_script: what the commands for those who write scripts (compile, run-script, sdk) need of
 * their words and options, behind options.c. Pure.
 */
#ifndef TARN_SERVER_OPTIONS_SCRIPT_H
#define TARN_SERVER_OPTIONS_SCRIPT_H

#include "server/options_args.h"

static inline bool
options_is_script(enum options_command command)
{
    return (FOR_COMPILE | FOR_RUN_SCRIPT | FOR_SDK) >> command & 1;
}

/* compile and run-script: fills `object`. */
int options_resolve_script(struct options *options, const struct option_args *args,
                           struct error *error) MUST_USE;

#endif
