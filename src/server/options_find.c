#include "base/must.h"
#include "server/options_table.h"

#include <stdio.h>

const struct option *
options_find(struct str name, const struct option_alias **alias)
{
    for (size_t i = 0; i < options_table_count; i++) {
        const struct option *option = &options_table[i];
        *alias = NULL;
        if (str_eq(name, str_from_cstr(option->name)))
            return option;
        for (size_t j = 0; j < OPTION_ALIASES_MAX; j++) {
            *alias = &option->aliases[j];
            if ((*alias)->name && str_eq(name, str_from_cstr((*alias)->name)))
                return option;
        }
    }
    *alias = NULL;
    return NULL;
}

const struct option *
options_find_letter(char letter, const struct option_alias **alias)
{
    for (size_t i = 0; letter && i < options_table_count; i++) {
        const struct option *option = &options_table[i];
        *alias = NULL;
        if (option->letter == letter)
            return option;
        for (size_t j = 0; j < OPTION_ALIASES_MAX; j++) {
            *alias = &option->aliases[j];
            if ((*alias)->letter == letter)
                return option;
        }
    }
    *alias = NULL;
    return NULL;
}

const struct command *
commands_find(struct str name)
{
    for (size_t i = 0; i < commands_table_count; i++)
        if (str_eq(name, str_from_cstr(commands_table[i].name)))
            return &commands_table[i];
    return NULL;
}

bool
command_is_below(const struct command *below, const struct command *command)
{
    struct str name = str_from_cstr(below->name), above = str_from_cstr(command->name);
    return str_starts_with(name, above) && name.len > above.len && name.ptr[above.len] == ' ';
}

const struct command *
commands_find_below(const struct command *command, struct str word)
{
    for (size_t i = 0; i < commands_table_count; i++) {
        const struct command *below = &commands_table[i];
        if (command_is_below(below, command) &&
            str_eq(str_from_cstr(below->name + strlen(command->name) + 1), word))
            return below;
    }
    return NULL;
}

void
option_variable(const struct option *option, char out[OPTION_VARIABLE_MAX])
{
    int len = snprintf(out, OPTION_VARIABLE_MAX, "TARN_%s", option->name);
    must(len > 0 && len < OPTION_VARIABLE_MAX);
    for (char *c = out; *c; c++) {
        if (*c == '-')
            *c = '_';
        else if (*c >= 'a' && *c <= 'z')
            *c = (char)(*c - 'a' + 'A');
    }
}

bool
option_has_no(const struct option *option)
{
    if (option->type == OPTION_FLAG)
        return true;
    if (option->type != OPTION_WORD)
        return false;
    struct str words = str_from_cstr(option->words);
    while (words.len)
        if (str_eq(str_cut(&words, '|'), STR("off")))
            return true;
    return false;
}
