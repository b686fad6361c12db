#include "server/options_below.h"

#include "server/suggest.h"

#include <stdio.h>

enum { NAMES_MAX = 128 };

static const char *
name_below(const struct command *below, const struct command *command)
{
    return below->name + strlen(command->name) + 1;
}

/* "ls, get, purge and stats" */
static const char *
list_names(const struct command *command, char out[NAMES_MAX])
{
    size_t len = 0, last = commands_table_count;
    for (size_t i = 0; i < commands_table_count; i++)
        if (command_is_below(&commands_table[i], command))
            last = i;
    out[0] = '\0';
    for (size_t i = 0; i < commands_table_count && len < NAMES_MAX; i++)
        if (command_is_below(&commands_table[i], command))
            len += (size_t)snprintf(out + len, NAMES_MAX - len, "%s%s",
                                    len == 0    ? ""
                                    : i == last ? " and "
                                                : ", ",
                                    name_below(&commands_table[i], command));
    return out;
}

int
options_check_below(const struct option_args *args, struct error *error)
{
    const struct command *command = args->command;
    struct suggestion near;
    char names[NAMES_MAX];
    if (args->word_count == 0)
        return 0;
    suggestion_init(&near, str_from_cstr(args->words[0]));
    for (size_t i = 0; i < commands_table_count; i++)
        if (command_is_below(&commands_table[i], command))
            suggestion_offer(&near, name_below(&commands_table[i], command));
    /* Exactly one can only stand behind "--", and was not meant as one. */
    if (near.best && near.distance > 0)
        return error_set(error, "no command 'tarn %s %s'; did you mean 'tarn %s %s'?",
                         command->name, args->words[0], command->name, near.best);
    return error_set(error, "'tarn %s' has the commands %s, and not '%s'", command->name,
                     list_names(command, names), args->words[0]);
}

int
options_fail_below(const struct option_args *args, struct error *error)
{
    char names[NAMES_MAX];
    return error_set(error, "'tarn %s' has the commands %s; none was given", args->command->name,
                     list_names(args->command, names));
}
