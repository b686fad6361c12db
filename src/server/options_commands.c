#include "server/options_table.h"

/* What a first word may be; what the options are stands in options_table.c. */

const struct command commands_table[] = {
    {
        .name = "serve",
        .command = COMMAND_SERVE,
        .usage = "[OPTIONS] SITE",
        .help = "serve SITE; the default",
    },
    {
        .name = "check",
        .command = COMMAND_CHECK,
        .usage = "[OPTIONS] SITE",
        .help = "load SITE, report, and exit",
    },
    {
        .name = "cache",
        .command = COMMAND_CACHE,
        .usage = "--cache-dir DIR [OPTIONS]",
        .help = "run the fetch cache",
    },
    {
        .name = "cache ls",
        .command = COMMAND_CACHE_LS,
        .usage = "[OPTIONS]",
        .help = "list what is in a cache",
        .detail =
            "Asks the cache at --cache-url, or reads the directory --cache-dir, whether it is "
            "being served or not. On a terminal long URLs lose their middle.",
        .examples = "  tarn cache ls --search rootfs --sort size -n 10\n"
                    "  tarn cache ls --cache-dir /var/cache/tarn --json\n",
    },
    {
        .name = "cache get",
        .command = COMMAND_CACHE_GET,
        .usage = "[-o FILE] [OPTIONS] URL",
        .help = "download URL through a running cache",
        .detail =
            "Writes to standard output, or to FILE.part, which becomes FILE once it is whole: "
            "its length is always checked, its content with --sha256. A download that broke "
            "off goes on with -C.",
        .examples = "  tarn cache get -o . https://example.com/images/rootfs.img.xz\n"
                    "  tarn cache get --cache-url http://cache:8001 URL | tar xz\n",
    },
    {
        .name = "cache purge",
        .command = COMMAND_CACHE_PURGE,
        .usage = "--purge-token TOKEN URL...",
        .help = "make a running cache forget resources",
        .detail = "Whoever is reading one of them reads on. All URLs are tried; when one of them "
                  "cannot be purged, the exit code is 1.",
        .examples = "  TARN_PURGE_TOKEN=secret tarn cache purge https://example.com/latest.img\n",
    },
    {
        .name = "cache stats",
        .command = COMMAND_CACHE_STATS,
        .usage = "[OPTIONS]",
        .help = "show how full a cache is, and what it has saved",
        .detail =
            "Asks the cache at --cache-url, or reads the directory --cache-dir, whether it is "
            "being served or not. A directory knows nothing of a quota or of downloads that "
            "go on.",
    },
    {
        .name = "pack",
        .command = COMMAND_PACK,
        .usage = "[OPTIONS] DIR",
        .help = "make a site archive of DIR",
    },
    {
        .name = "ech-keygen",
        .command = COMMAND_ECH_KEYGEN,
        .usage = "--public-name NAME",
        .help = "make a key for Encrypted Client Hello",
    },
    {
        .name = "help",
        .kind = COMMAND_PRINTS_HELP,
        .usage = "[TOPIC]",
        .help = "explain an option, command or topic",
    },
    {
        .name = "version",
        .kind = COMMAND_PRINTS_VERSION,
        .usage = "",
        .help = "print the version",
    },
    {.name = "compile", .kind = COMMAND_IS_MISSING},
    {.name = "sdk", .kind = COMMAND_IS_MISSING},
    {.name = "bpf", .kind = COMMAND_IS_MISSING},
    {.name = "top", .kind = COMMAND_IS_MISSING},
};

const size_t commands_table_count = sizeof commands_table / sizeof commands_table[0];
