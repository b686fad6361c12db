#include "server/options_bpf.h"

static int
resolve_object(struct options *options, const struct option_args *args, struct error *error)
{
    if (args->word_count == 0 || !*args->words[0])
        return error_set(error, "no FILE.o: name an object file, as in 'tarn %s hello.o'",
                         args->command->name);
    if (args->word_count > 1)
        return error_set(error, "one FILE.o is enough, but '%s' follows '%s'", args->words[1],
                         args->words[0]);
    options->object = args->words[0];
    return 0;
}

/* Some runners of the protocol hand over an empty word where they have no memory or no options. */
static int
resolve_memory(struct options *options, const struct option_args *args, struct error *error)
{
    for (size_t i = 0; i < args->word_count; i++) {
        if (!*args->words[i])
            continue;
        if (options->exec_memory)
            return error_set(error, "one MEMORY is enough, but '%s' follows '%s'", args->words[i],
                             options->exec_memory);
        options->exec_memory = args->words[i];
    }
    return 0;
}

int
options_resolve_bpf(struct options *options, const struct option_args *args, struct error *error)
{
    if (options->command == COMMAND_BPF_EXEC)
        return resolve_memory(options, args, error);
    return resolve_object(options, args, error);
}
