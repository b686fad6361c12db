/* options_below: commands that are the first word of others ("cache", "bpf") and what stands behind
 * them by mistake. Pure.
 */
#ifndef TARN_SERVER_OPTIONS_BELOW_H
#define TARN_SERVER_OPTIONS_BELOW_H

#include "server/options_args.h"

/* Such a command by itself takes no words: one was probably meant as one of its commands. -1: there
 * is one, and the error names what is there. */
int options_check_below(const struct option_args *args, struct error *error) MUST_USE;

/* The error of a command that cannot do without one of those below it. Returns -1. */
int options_fail_below(const struct option_args *args, struct error *error);

#endif
