#include "server/options_script.h"

static int
resolve_source(struct options *options, const struct option_args *args, struct error *error)
{
    if (args->word_count == 0 || !*args->words[0])
        return error_set(error, "no FILE.c: name a script, as in 'tarn compile auth.c'");
    if (args->word_count > 1)
        return error_set(error, "one FILE.c is enough, but '%s' follows '%s'", args->words[1],
                         args->words[0]);
    options->object = args->words[0];
    if (!options->output && !str_ends_with(str_from_cstr(options->object), STR(".c")))
        return error_set(error, "'%s' does not end in .c: say with -o where the object file goes",
                         options->object);
    return 0;
}

static bool
has_name(const char *header, struct str name)
{
    struct str rest = str_from_cstr(header);
    return str_ieq(str_cut(&rest, ':'), name);
}

/* How long the body is says --body alone. */
static int
check_headers(const struct options *options, struct error *error)
{
    for (size_t i = 0; i < options->headers.count; i++) {
        const char *header = options->headers.items[i];
        if (!strchr(header, ':'))
            return error_set(error, "--header wants 'NAME: VALUE', not '%s'", header);
        if (has_name(header, STR("Content-Length")) || has_name(header, STR("Transfer-Encoding")))
            return error_set(error, "--header '%s': --body sets the length by itself", header);
    }
    return 0;
}

static int
resolve_run(struct options *options, const struct option_args *args, struct error *error)
{
    if (args->word_count == 0 || !*args->words[0])
        return error_set(error,
                         "no FILE: name a script, as in 'tarn run-script hello.c --request /'");
    if (args->word_count > 1)
        return error_set(error, "one FILE is enough, but '%s' follows '%s'", args->words[1],
                         args->words[0]);
    options->object = args->words[0];
    struct str name = str_from_cstr(options->object);
    if (!str_ends_with(name, STR(".c")) && !str_ends_with(name, STR(".o")))
        return error_set(error, "'%s' is no script: its name ends neither in .c nor in .o",
                         options->object);
    return check_headers(options, error);
}

int
options_resolve_script(struct options *options, const struct option_args *args, struct error *error)
{
    if (options->command == COMMAND_COMPILE)
        return resolve_source(options, args, error);
    if (options->command == COMMAND_RUN_SCRIPT)
        return resolve_run(options, args, error);
    if (args->word_count)
        return error_set(error, "'tarn sdk' takes no argument, but there is '%s'", args->words[0]);
    return 0;
}
