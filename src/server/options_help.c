#include "server/options_help.h"

#include "base/version.h"
#include "server/options_value.h"
#include "server/suggest.h"

/* Every line goes through one writer that wraps at words, so that no text can grow past the edge.
 * Texts that are laid out by hand (topics) are checked by the unit test instead. */

enum { LINE_MAX_COLUMNS = 80, TEXT_COLUMN = 33, DETAIL_INDENT = 4, FACT_COLUMN = 18 };

struct writer {
    FILE *out;
    unsigned column; /* characters on this line */
    unsigned indent; /* where a wrapped line starts */
};

static void
end_line(struct writer *writer)
{
    if (writer->column)
        fputc('\n', writer->out);
    writer->column = 0;
}

static void
go_to_column(struct writer *writer, unsigned column)
{
    /* Two blanks at least stand between the columns; else the next line is taken. */
    if (writer->column && writer->column + 2 > column)
        end_line(writer);
    fprintf(writer->out, "%*s", (int)(column - writer->column), "");
    writer->column = column;
}

static void
write_word(struct writer *writer, struct str word)
{
    bool at_start = writer->column <= writer->indent;
    if (!at_start && writer->column + 1 + word.len > LINE_MAX_COLUMNS) {
        end_line(writer);
        at_start = true;
    }
    if (writer->column < writer->indent)
        go_to_column(writer, writer->indent);
    writer->column += (unsigned)fprintf(writer->out, "%s%.*s", at_start ? "" : " ", STR_ARG(word));
}

static void
write_text(struct writer *writer, const char *text)
{
    struct str rest = str_from_cstr(text);
    while (rest.len) {
        struct str word = str_cut(&rest, ' ');
        if (word.len)
            write_word(writer, word);
    }
}

/* A flag that is on by itself is worth showing as what switches it off. */
static bool
is_shown_as_no(const struct option *option)
{
    bool on;
    return option->type == OPTION_FLAG && option->default_text &&
           value_parse_bool(str_from_cstr(option->default_text), &on) && on;
}

static const char *
default_shown(const struct option *option)
{
    if (option->type == OPTION_FLAG)
        return NULL;
    return option->default_note ? option->default_note : option->default_text;
}

/* "[10s, TARN_HEADER_TIMEOUT]" */
static void
write_default_and_variable(struct writer *writer, const struct option *option)
{
    char variable[OPTION_VARIABLE_MAX], text[256];
    const char *value = default_shown(option);
    if (option->type == OPTION_ACTION)
        return;
    option_variable(option, variable);
    snprintf(text, sizeof text, "[%s%s%s%s]", value ? value : "", value ? ", " : "", variable,
             is_shown_as_no(option) ? "=off" : "");
    struct str both = str_from_cstr(text);
    if (both.len <= LINE_MAX_COLUMNS - TEXT_COLUMN)
        write_word(writer, both); /* kept together on one line */
    else
        write_text(writer, text);
}

static void
write_option_line(FILE *out, const struct option *option)
{
    struct writer writer = {.out = out, .indent = TEXT_COLUMN};
    char letter[] = {option->letter ? '-' : ' ', option->letter ? option->letter : ' ',
                     option->letter ? ',' : ' ', 0};
    writer.column = (unsigned)fprintf(
        out, "  %s --%s%s%s%s", letter, is_shown_as_no(option) ? "no-" : "", option->name,
        option->argument ? " " : "", option->argument ? option->argument : "");
    go_to_column(&writer, TEXT_COLUMN);
    write_text(&writer, option->help);
    write_default_and_variable(&writer, option);
    end_line(&writer);
}

static void
write_group(FILE *out, enum option_group group, unsigned commands)
{
    bool titled = false;
    for (size_t i = 0; i < options_table_count; i++) {
        const struct option *option = &options_table[i];
        if (option->group != group || !(option->commands & commands))
            continue;
        if (!titled)
            fprintf(out, "\n%s:\n", option_groups[group].title);
        titled = true;
        write_option_line(out, option);
    }
}

static void
write_usage(struct writer *writer, const struct command *command)
{
    bool is_default = command->kind == COMMAND_RUNS && command->command == COMMAND_SERVE;
    writer->column += (unsigned)fprintf(writer->out, is_default ? "tarn [%s]%s%s" : "tarn %s%s%s",
                                        command->name, *command->usage ? " " : "", command->usage);
}

static void
write_command(FILE *out, const struct command *command)
{
    struct writer writer = {.out = out, .indent = TEXT_COLUMN};
    go_to_column(&writer, 2);
    write_usage(&writer, command);
    go_to_column(&writer, TEXT_COLUMN);
    write_text(&writer, command->help);
    end_line(&writer);
}

static void
write_commands(FILE *out)
{
    fputs("Usage:\n", out);
    for (size_t i = 0; i < commands_table_count; i++)
        if (commands_table[i].usage)
            write_command(out, &commands_table[i]);
}

static void
write_paragraph(FILE *out, const char *text)
{
    struct writer writer = {.out = out};
    if (!text)
        return;
    fputc('\n', out);
    write_text(&writer, text);
    end_line(&writer);
}

/* Those that have its name as their first word. */
static void
write_commands_below(FILE *out, const struct command *command)
{
    bool any = false;
    for (size_t i = 0; i < commands_table_count; i++) {
        if (!command_is_below(&commands_table[i], command))
            continue;
        if (!any)
            fputs("\nCommands:\n", out);
        any = true;
        write_command(out, &commands_table[i]);
    }
    if (any)
        write_paragraph(out, command->kind == COMMAND_RUNS
                                 ? "Each has options of its own: 'tarn cache ls --help'. Without "
                                   "one of them the options are:"
                                 : "Each has a page of its own: 'tarn bpf run --help'.");
}

static void
write_topic_names(FILE *out)
{
    struct writer writer = {.out = out};
    fputc('\n', out);
    write_text(&writer, "'tarn help TOPIC' explains an option, a command, a group");
    for (size_t i = 0; i < GROUP_COUNT; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s%s%s", i == 0 ? "(" : "", option_groups[i].word,
                 i + 1 < GROUP_COUNT ? "," : ")");
        write_text(&writer, name);
    }
    write_text(&writer, "or one of:");
    for (size_t i = 0; i < help_topics_count; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s%s", help_topics[i].name,
                 i + 1 < help_topics_count ? "," : ".");
        write_text(&writer, name);
    }
    end_line(&writer);
}

/* The options of one command; first those that few commands share. */
static void
write_groups(FILE *out, unsigned commands)
{
    static const enum option_group first[] = {GROUP_CACHE_COMMANDS, GROUP_PACK};
    for (size_t i = 0; i < sizeof first / sizeof *first; i++)
        write_group(out, first[i], commands);
    for (size_t i = 0; i < GROUP_COUNT; i++)
        if (i != GROUP_CACHE_COMMANDS && i != GROUP_PACK)
            write_group(out, (enum option_group)i, commands);
}

void
options_print_version(FILE *out)
{
    fprintf(out, "tarn %s\n", TARN_VERSION);
}

void
options_print_help(FILE *out)
{
    fputs("tarn serves a site: a directory, an archive, one file or standard input.\n\n", out);
    write_commands(out);
    fputs("\nIn brackets: the default, and the environment variable that sets it.\n"
          "A flag wins over the variable.\n",
          out);
    for (size_t i = 0; i < GROUP_COUNT; i++)
        write_group(out, (enum option_group)i, FOR_ALL);
    write_topic_names(out);
}

void
options_print_command_help(FILE *out, const struct command *command)
{
    struct writer writer = {.out = out};
    fprintf(out, "Usage: ");
    write_usage(&writer, command);
    fprintf(out, "\n\n  %s\n", command->help);
    write_paragraph(out, command->detail);
    if (command->examples)
        fprintf(out, "\nExamples:\n%s", command->examples);
    write_commands_below(out, command);
    if (command->kind == COMMAND_RUNS)
        write_groups(out, 1u << command->command);
}

/* "    Default      10s" */
static void
write_fact(FILE *out, const char *name, const char *value)
{
    struct writer writer = {.out = out, .indent = FACT_COLUMN};
    if (!value || !*value)
        return;
    go_to_column(&writer, DETAIL_INDENT);
    writer.column += (unsigned)fprintf(out, "%s", name);
    go_to_column(&writer, FACT_COLUMN);
    write_text(&writer, value);
    end_line(&writer);
}

/* Appends prefix and word to a comma-separated list, cut at its end. */
static void
append_word(char *list, size_t list_len, const char *prefix, const char *word)
{
    size_t len = strlen(list);
    snprintf(list + len, list_len - len, "%s%s%s", len ? ", " : "", prefix, word);
}

static void
write_variables(FILE *out, const struct option *option)
{
    char name[OPTION_VARIABLE_MAX], list[256] = "";
    if (option->type == OPTION_ACTION)
        return;
    option_variable(option, name);
    append_word(list, sizeof list, "", name);
    for (size_t i = 0; i < OPTION_VARIABLES_MAX && option->variables[i]; i++)
        append_word(list, sizeof list, "", option->variables[i]);
    write_fact(out, "Environment", list);
}

static void
write_spellings(FILE *out, const struct option *option)
{
    char list[256] = "";
    for (size_t i = 0; i < OPTION_ALIASES_MAX && option->aliases[i].name; i++) {
        char letter[] = {option->aliases[i].letter, 0};
        append_word(list, sizeof list, "--", option->aliases[i].name);
        if (letter[0])
            append_word(list, sizeof list, "-", letter);
    }
    if (option_has_no(option))
        append_word(list, sizeof list, is_shown_as_no(option) ? "--" : "--no-", option->name);
    write_fact(out, "Also written", list);
}

static void
write_option_page(FILE *out, const struct option *option)
{
    struct writer writer = {.out = out, .indent = DETAIL_INDENT};
    char text[256] = "", commands[256] = "";
    bool on;
    write_option_line(out, option);
    fputc('\n', out);
    if (option->detail) {
        write_text(&writer, option->detail);
        end_line(&writer);
        fputc('\n', out);
    }
    for (size_t i = 0; i < commands_table_count; i++)
        if (commands_table[i].kind == COMMAND_RUNS &&
            (option->commands & (1u << commands_table[i].command)))
            append_word(commands, sizeof commands, "", commands_table[i].name);
    write_fact(out, "Value", value_describe(option, text, sizeof text));
    on = is_shown_as_no(option);
    write_fact(out, "Default",
               option->type == OPTION_FLAG ? on ? "yes" : "no" : default_shown(option));
    write_variables(out, option);
    write_spellings(out, option);
    write_fact(out, "Commands", commands);
}

/* Behind the topic "environment": what each variable sets. */
static void
write_variable_list(FILE *out)
{
    fputs("\n", out);
    for (size_t i = 0; i < options_table_count; i++) {
        const struct option *option = &options_table[i];
        struct writer writer = {.out = out, .indent = TEXT_COLUMN};
        char name[OPTION_VARIABLE_MAX];
        if (option->type == OPTION_ACTION)
            continue;
        option_variable(option, name);
        writer.column = (unsigned)fprintf(out, "  --%s", option->name);
        go_to_column(&writer, TEXT_COLUMN);
        write_text(&writer, name);
        for (size_t j = 0; j < OPTION_VARIABLES_MAX && option->variables[j]; j++)
            write_text(&writer, option->variables[j]);
        end_line(&writer);
    }
}

/* "threads", "--threads", "-t", "--no-health", "TARN_THREADS", "PORT" */
static const struct option *
find_option_topic(struct str topic)
{
    const struct option_alias *alias;
    char name[OPTION_VARIABLE_MAX];
    if (topic.len == 2 && topic.ptr[0] == '-')
        return options_find_letter(topic.ptr[1], &alias);
    while (str_starts_with(topic, STR("-")))
        topic = str_skip(topic, 1);
    const struct option *option = options_find(topic, &alias);
    if (!option && str_starts_with(topic, STR("no-")))
        option = options_find(str_skip(topic, 3), &alias);
    for (size_t i = 0; !option && i < options_table_count; i++) {
        option_variable(&options_table[i], name);
        if (str_eq(topic, str_from_cstr(name)))
            option = &options_table[i];
        for (size_t j = 0; j < OPTION_VARIABLES_MAX; j++)
            if (options_table[i].variables[j] &&
                str_eq(topic, str_from_cstr(options_table[i].variables[j])))
                option = &options_table[i];
    }
    return option;
}

static int
fail_topic(const char *topic, struct error *error)
{
    struct suggestion near;
    struct str name = str_from_cstr(topic);
    while (str_starts_with(name, STR("-")))
        name = str_skip(name, 1);
    suggestion_init(&near, name);
    for (size_t i = 0; i < help_topics_count; i++)
        suggestion_offer(&near, help_topics[i].name);
    for (size_t i = 0; i < GROUP_COUNT; i++)
        suggestion_offer(&near, option_groups[i].word);
    for (size_t i = 0; i < commands_table_count; i++)
        suggestion_offer(&near, commands_table[i].usage ? commands_table[i].name : NULL);
    for (size_t i = 0; i < options_table_count; i++)
        suggestion_offer(&near, options_table[i].name);
    if (near.best)
        return error_set(error, "no help for '%s'; did you mean 'tarn help %s'?", topic, near.best);
    return error_set(error, "no help for '%s'; 'tarn help' lists the topics", topic);
}

static bool
print_fixed_topic(FILE *out, struct str topic)
{
    for (size_t i = 0; i < help_topics_count; i++) {
        if (!str_eq(topic, str_from_cstr(help_topics[i].name)))
            continue;
        fprintf(out, "%s\n\n%s", help_topics[i].title, help_topics[i].text);
        if (str_eq(topic, STR("environment")))
            write_variable_list(out);
        return true;
    }
    for (size_t i = 0; i < GROUP_COUNT; i++) {
        if (!str_eq(topic, str_from_cstr(option_groups[i].word)))
            continue;
        write_group(out, (enum option_group)i, FOR_ALL);
        return true;
    }
    return false;
}

int
options_print_topic(FILE *out, const char *topic, struct error *error)
{
    struct str name = str_from_cstr(topic);
    /* A word may name a command and an option ("pack", "help"): with dashes it is the option. */
    const struct command *command = commands_find(name);
    if (command && command->usage) {
        options_print_command_help(out, command);
        return 0;
    }
    /* "site" is a group and an option; the group shows the option too. */
    if (print_fixed_topic(out, name))
        return 0;
    const struct option *option = find_option_topic(name);
    if (!option)
        return fail_topic(topic, error);
    write_option_page(out, option);
    return 0;
}
