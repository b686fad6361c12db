#include "server/options_args.h"

#include "server/suggest.h"

/* What a word means depends on the words before it:
 *
 *     --name value   --name=value   -n value   -nvalue   -n=value      an option
 *     --flag   --no-flag   --flag=no                                   an option without value
 *     --                                                               no options behind it
 *     the first other word, when it is a command                       the command
 *     the next one, when it is one of that command's ("cache ls")      the command
 *     all else, and "-"                                                arguments
 *
 * Behind `help` every word is an argument, so that `tarn help --threads` works. */

struct reader {
    struct option_args *args;
    struct arena *memory;
    struct error *error;
    char **next; /* the word after the current one; NULL-terminated */
    bool options_ended;
};

static int
fail_memory(struct reader *reader)
{
    return error_set(reader->error, "the command line is too long");
}

static bool
takes_value(const struct option *option, const struct option_alias *alias)
{
    if (option->type == OPTION_FLAG || (alias && alias->value))
        return false;
    return option->argument != NULL;
}

static int
add_use(struct reader *reader, const struct option *option, const char *name, const char *value)
{
    struct str spelled = arena_printf(reader->memory, "--%s", name);
    if (!spelled.ptr)
        return fail_memory(reader);
    reader->args->uses[reader->args->use_count++] = (struct option_use){option, spelled.ptr, value};
    return 0;
}

/* The word behind an option that wants a value. A word that looks like an option is more likely a
 * forgotten value than one that was meant. */
static int
take_next_word(struct reader *reader, const struct option *option, const char *name,
               const char **value)
{
    const char *word = *reader->next;
    if (!word)
        return error_set(reader->error, "--%s wants %s behind it", name, option->argument);
    if (word[0] == '-' && word[1])
        return error_set(reader->error,
                         "--%s wants %s, but '%s' follows; write --%s=%s if that is meant", name,
                         option->argument, word, name, word);
    reader->next++;
    *value = word;
    return 0;
}

static int
fail_unknown(struct reader *reader, struct str name)
{
    struct suggestion near;
    const char *prefix = "--";
    suggestion_init(&near, name);
    for (size_t i = 0; i < options_table_count; i++) {
        suggestion_offer(&near, options_table[i].name);
        for (size_t j = 0; j < OPTION_ALIASES_MAX; j++)
            suggestion_offer(&near, options_table[i].aliases[j].name);
    }
    if (!near.best && str_starts_with(name, STR("no-"))) {
        prefix = "--no-";
        suggestion_init(&near, str_skip(name, 3));
        for (size_t i = 0; i < options_table_count; i++)
            if (option_has_no(&options_table[i]))
                suggestion_offer(&near, options_table[i].name);
    }
    if (near.best)
        return error_set(reader->error, "unknown option '--%.*s'; did you mean '%s%s'?",
                         STR_ARG(name), prefix, near.best);
    return error_set(reader->error, "unknown option '--%.*s'; see 'tarn --help'", STR_ARG(name));
}

/* A long option as written: "--name", "--name=value", "--no-name". */
struct long_word {
    const struct option *option;
    const struct option_alias *alias; /* or NULL */
    bool negated;
    const char *name;  /* "no-name" when negated */
    const char *value; /* behind the equals sign, or NULL */
};

/* `body` is the word without its dashes. */
static int
split_long(struct reader *reader, const char *body, struct long_word *out)
{
    struct str rest = str_from_cstr(body);
    struct str name = str_cut(&rest, '=');
    *out = (struct long_word){.value = body[name.len] == '=' ? body + name.len + 1 : NULL};
    out->option = options_find(name, &out->alias);
    if (!out->option && str_starts_with(name, STR("no-"))) {
        const struct option *option = options_find(str_skip(name, 3), &out->alias);
        out->negated = option && !out->alias && option_has_no(option);
        out->option = out->negated ? option : NULL;
    }
    if (!out->option)
        return fail_unknown(reader, name);
    out->name = arena_copy(reader->memory, name).ptr;
    return out->name ? 0 : fail_memory(reader);
}

static int
read_long(struct reader *reader, const char *body)
{
    struct long_word word;
    int result = split_long(reader, body, &word);
    if (result < 0)
        return result;
    const char *fixed = word.negated ? "off" : word.alias ? word.alias->value : NULL;
    bool is_flag = word.option->type == OPTION_FLAG;
    if (!fixed && takes_value(word.option, word.alias)) {
        if (!word.value)
            result = take_next_word(reader, word.option, word.name, &word.value);
        return result < 0 ? result : add_use(reader, word.option, word.name, word.value);
    }
    if (word.value && (fixed || !is_flag))
        return error_set(reader->error, "--%s takes no value", word.name);
    if (!word.value)
        word.value = fixed ? fixed : is_flag ? "on" : NULL;
    return add_use(reader, word.option, word.name, word.value);
}

/* "-n value", "-nvalue", "-n=value", and letters of options without value in one word. */
static int
read_letters(struct reader *reader, const char *word)
{
    const struct option_alias *alias;
    /* -port is --port with a dash missing, and not -p with the value "ort". */
    struct str body = str_make(word + 1, strcspn(word + 1, "="));
    if (body.len > 1 && options_find(body, &alias))
        return error_set(reader->error, "unknown option '-%.*s'; did you mean '--%.*s'?",
                         STR_ARG(body), STR_ARG(body));
    for (const char *letter = word + 1; *letter; letter++) {
        const struct option *option = options_find_letter(*letter, &alias);
        if (!option)
            return error_set(reader->error, "unknown option '-%c'; see 'tarn --help'", *letter);
        const char *name = alias && alias->name ? alias->name : option->name;
        if (takes_value(option, alias)) {
            const char *value = letter[1] == '=' ? letter + 2 : letter + 1;
            int result = letter[1] ? 0 : take_next_word(reader, option, name, &value);
            return result < 0 ? result : add_use(reader, option, name, value);
        }
        int result = add_use(reader, option, name, option->type == OPTION_FLAG ? "on" : NULL);
        if (result < 0)
            return result;
    }
    return 0;
}

static int
read_word(struct reader *reader, const char *word)
{
    struct option_args *args = reader->args;
    bool is_help = args->command && args->command->kind == COMMAND_PRINTS_HELP;
    bool is_option = word[0] == '-' && word[1] && !reader->options_ended && !is_help;
    if (is_option && strcmp(word, "--") == 0) {
        reader->options_ended = true;
        return 0;
    }
    if (is_option)
        return word[1] == '-' ? read_long(reader, word + 2) : read_letters(reader, word);
    if (args->word_count == 0 && !reader->options_ended) {
        const struct command *command =
            args->command ? commands_find_below(args->command, str_from_cstr(word))
                          : commands_find(str_from_cstr(word));
        if (command) {
            args->command = command;
            return 0;
        }
    }
    args->words[args->word_count++] = word;
    return 0;
}

int
option_args_read(struct option_args *out, struct arena *memory, int argc, char **argv,
                 struct error *error)
{
    struct reader reader = {.args = out, .memory = memory, .error = error};
    /* A word is at most one argument; letters of one word may be as many options. */
    size_t room = 1;
    for (int i = 1; i < argc; i++)
        room += argv[i][0] == '-' && argv[i][1] != '-' ? strlen(argv[i]) : 1;
    *out = (struct option_args){
        .uses = arena_alloc(memory, room * sizeof *out->uses),
        .words = arena_alloc(memory, room * sizeof *out->words),
    };
    if (!out->uses || !out->words)
        return fail_memory(&reader);
    reader.next = argv + (argc > 0); /* execve allows argc 0 */
    while (*reader.next) {
        int result = read_word(&reader, *reader.next++);
        if (result < 0)
            return result;
        /* Such a command has options of its own that nobody here knows. */
        if (out->command && out->command->kind == COMMAND_IS_MISSING)
            return 0;
    }
    return 0;
}
