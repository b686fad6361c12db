/* options_help: what `tarn --help`, `tarn help TOPIC` and `tarn --version` print. No line is longer
 * than 80 columns.
 */
#ifndef TARN_SERVER_OPTIONS_HELP_H
#define TARN_SERVER_OPTIONS_HELP_H

#include "server/options_table.h"

#include <stdio.h>

void options_print_version(FILE *out);

/* All of serve, and where to find the rest. */
void options_print_help(FILE *out);

/* Usage and options of one command. */
void options_print_command_help(FILE *out, const struct command *command);

/* A command, an option (with or without dashes, aliases and variables too), a group, or one of the
 * topics. Unknown: -1 and an error with a suggestion. */
int options_print_topic(FILE *out, const char *topic, struct error *error) MUST_USE;

/* A page that belongs to no single option. The text is written in lines of at most 80 columns. */
struct help_topic {
    const char *name;
    const char *title;
    const char *text;
};
extern const struct help_topic help_topics[];
extern const size_t help_topics_count;

#endif
