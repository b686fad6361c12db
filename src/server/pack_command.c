#include "server/pack_command.h"

#include "base/log.h"
#include "server/cpus.h"
#include "server/size_text.h"
#include "site/pack.h"

#include <unistd.h>

int
pack_command(const struct options *options)
{
    struct pack_stats stats;
    struct error error;
    bool terminal = isatty(STDERR_FILENO);
    const struct pack_config config = {
        .source = options->site,
        .output = options->output,
        .compress = options->compress,
        .progress = options->progress == OPTIONS_PROGRESS_ON ||
                    (options->progress == OPTIONS_PROGRESS_AUTO && terminal),
        .threads = options->threads ? (unsigned)options->threads : cpus_usable(),
    };
    if (!options->output && isatty(STDOUT_FILENO)) {
        log_error("pack: standard output is a terminal; name a file with -o");
        return 1;
    }
    if (pack_write(&config, &stats, &error) != 0) {
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
