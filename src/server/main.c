#include "base/log.h"
#include "server/bpf_command.h"
#include "server/cache_command.h"
#include "server/ech_keygen_command.h"
#include "server/options.h"
#include "server/pack_command.h"
#include "server/script_command.h"
#include "server/server.h"

#include <stdio.h>
#include <unistd.h>

enum { EXIT_USAGE = 2 };

static int
run_command(const struct options *options)
{
    switch (options->command) {
    case COMMAND_PACK:
        return pack_command(options);
    case COMMAND_ECH_KEYGEN:
        return ech_keygen_command(options);
    case COMMAND_CHECK:
        return server_check(options);
    case COMMAND_CACHE_LS:
        return cache_command_ls(options);
    case COMMAND_CACHE_GET:
        return cache_command_get(options);
    case COMMAND_CACHE_PURGE:
        return cache_command_purge(options);
    case COMMAND_CACHE_STATS:
        return cache_command_stats(options);
    case COMMAND_BPF_RUN:
        return bpf_command_run(options);
    case COMMAND_BPF_DIS:
        return bpf_command_dis(options);
    case COMMAND_BPF_EXEC:
        return bpf_command_exec(options);
    case COMMAND_COMPILE:
        return script_command_compile(options);
    case COMMAND_RUN_SCRIPT:
        return script_command_run(options);
    case COMMAND_SDK:
        return script_command_sdk(options);
    default:
        return server_run(options);
    }
}

int
main(int argc, char **argv)
{
    static struct options options;
    struct error error;
    int code = 0;
    switch (options_parse(&options, argc, argv, environ, &error)) {
    case OPTIONS_RUN:
        log_set_level((enum log_level)options.log_level);
        code = run_command(&options);
        break;
    case OPTIONS_EXIT_OK:
        break;
    case OPTIONS_USAGE:
        fprintf(stderr, "tarn: %s\n", error.text);
        code = EXIT_USAGE;
        break;
    }
    options_free(&options);
    return code;
}
