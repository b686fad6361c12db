/* options_args: the words of a command line, sorted into options and arguments, before any value is
 * looked at. Pure. Who calls it: options.c.
 */
#ifndef TARN_SERVER_OPTIONS_ARGS_H
#define TARN_SERVER_OPTIONS_ARGS_H

#include "server/options_table.h"

/* One option as it was written. */
struct option_use {
    const struct option *option;
    const char *spelled; /* "--host" */
    const char *value;   /* text for value_store; NULL for an OPTION_ACTION without argument */
};

struct option_args {
    const struct command *command; /* the first word, when it is a command; else NULL */
    struct option_use *uses;
    size_t use_count;
    const char **words; /* arguments that are no options, without the command */
    size_t word_count;
};

/* Sorts argv[1] and on. The arrays live in `memory`, the texts there or in argv. -1 and an error
 * for an unknown option, a missing value, or a value where none belongs. */
int option_args_read(struct option_args *out, struct arena *memory, int argc, char **argv,
                     struct error *error) MUST_USE;

#endif
