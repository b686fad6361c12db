#include "server/pack_command.h"

#include "base/log.h"
#include "script/compile.h"
#include "server/cpus.h"
#include "server/script_check.h"
#include "server/size_text.h"
#include "site/pack.h"

#include <unistd.h>

/* For struct pack_scripts. */
struct packed_scripts {
    struct script_compiler compiler;
    struct script_check check;
    const char *from;
};

static int
compile_script(void *arg, const char *path, size_t hidden_len, struct buf *object,
               struct error *error)
{
    struct packed_scripts *scripts = arg;
    return script_compile(&scripts->compiler, path, hidden_len, object, error);
}

static int
check_script(void *arg, struct str name, struct str object, struct error *error)
{
    struct packed_scripts *scripts = arg;
    const struct script_source source = {name, object, str_from_cstr(scripts->from)};
    return script_check_object(&scripts->check, &source, error);
}

static int
pack(const struct options *options, struct pack_stats *stats, struct error *error)
{
    bool terminal = isatty(STDERR_FILENO);
    struct packed_scripts packed = {.from = options->site};
    const struct pack_scripts scripts = {compile_script, check_script, &packed};
    const struct pack_config config = {
        .source = options->site,
        .output = options->output,
        .compress = options->compress,
        .progress = options->progress == OPTIONS_PROGRESS_ON ||
                    (options->progress == OPTIONS_PROGRESS_AUTO && terminal),
        .threads = options->threads ? (unsigned)options->threads : cpus_usable(),
        .scripts = &scripts,
    };
    script_compiler_init(&packed.compiler, options->clang);
    int result = pack_write(&config, stats, error);
    script_check_deinit(&packed.check);
    script_compiler_deinit(&packed.compiler);
    return result;
}

int
pack_command(const struct options *options)
{
    struct pack_stats stats;
    struct error error;
    if (!options->output && isatty(STDOUT_FILENO)) {
        log_error("pack: standard output is a terminal; name a file with -o");
        return 1;
    }
    if (pack(options, &stats, &error) != 0) {
        log_error("pack: %s", error.text);
        return 1;
    }
    char input[SIZE_TEXT_MAX], output[SIZE_TEXT_MAX];
    log_info("packed %llu file%s and %llu precompressed variant%s, %s into %s",
             (unsigned long long)stats.file_count, stats.file_count == 1 ? "" : "s",
             (unsigned long long)stats.variant_count, stats.variant_count == 1 ? "" : "s",
             size_text(input, stats.input_len), size_text(output, stats.output_len));
    return 0;
}
