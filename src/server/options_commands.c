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
        .name = "compile",
        .command = COMMAND_COMPILE,
        .usage = "[-o FILE.o] FILE.c",
        .help = "compile one request script",
        .detail =
            "Compiles it with clang, 19 or newer, and the script headers of this program, and "
            "checks that a server would load it. Writes FILE.o beside FILE.c.",
        .examples = "  tarn compile auth.c\n"
                    "  tarn compile -o site/.tarn/scripts/10-auth.o src/auth.c\n",
    },
    {
        .name = "run-script",
        .command = COMMAND_RUN_SCRIPT,
        .usage = "[--request REQUEST] [-H HEADER] [OPTIONS] FILE",
        .help = "run one request through a script, show what happens",
        .detail =
            "Without a server: prints what the script logged and changed, the outcome, and the "
            "response, or with --json one object. FILE is a .c or .o file. With --site it takes "
            "the place of the site's script of its name, or comes first. The exit code is 1 when "
            "a script was stopped, or saw nothing of the request.",
        .examples = "  tarn run-script hello.c --request '/?name=Ada'\n"
                    "  tarn run-script auth.c --site public -H 'X-Api-Key: 1' --json\n"
                    "  tarn run-script api.c --request 'POST /api' --body @new.json\n",
    },
    {
        .name = "sdk",
        .command = COMMAND_SDK,
        .usage = "",
        .help = "print the header for request scripts",
        .detail = "tarn.h, which needs no other file and explains every function that scripts can "
                  "call. This program has it built in: it is printed for people, editors and "
                  "other compilers.",
        .examples = "  tarn sdk > tarn.h\n"
                    "  tarn sdk | less\n",
    },
    {
        .name = "ech-keygen",
        .command = COMMAND_ECH_KEYGEN,
        .usage = "--public-name NAME",
        .help = "make a key for Encrypted Client Hello",
    },
    {
        .name = "bpf",
        .kind = COMMAND_HAS_COMMANDS,
        .usage = "run|dis|exec",
        .help = "run and list eBPF object files",
        .detail = "Request scripts are C, compiled to eBPF. These commands run one without a "
                  "server, and show what it became.",
        .examples = "  clang-19 -target bpf -mcpu=v3 -O2 -fno-builtin -g -c hello.c\n"
                    "  tarn bpf run hello.o\n"
                    "  tarn bpf dis hello.o\n",
    },
    {
        .name = "bpf run",
        .command = COMMAND_BPF_RUN,
        .usage = "[--section S] [--jit|--interp] FILE.o",
        .help = "run a section of an object file, print its result",
        .detail =
            "Prints r0 and the CPU time. A script that fails prints section, instruction, file "
            "and line, and why; the exit code is 1. Helpers are zs_log, which writes to standard "
            "error, zs_memcpy, zs_memset, zs_memcmp, memcpy, memset, memcmp and zs_now_ms. FILE.o "
            "may be -, standard input.",
        .examples = "  tarn bpf run hello.o\n"
                    "  tarn bpf run --section tarn.call.check --interp hello.o\n",
    },
    {
        .name = "bpf dis",
        .command = COMMAND_BPF_DIS,
        .usage = "[--section S] FILE.o",
        .help = "list the instructions of an object file",
        .detail =
            "With the machine code that each became beside it, and functions and source lines as "
            "far as the file knows them. Helpers may have any names. What is no valid program is "
            "listed too, with a warning and without machine code. FILE.o may be -, standard "
            "input.",
        .examples = "  tarn bpf dis hello.o\n"
                    "  tarn bpf dis --section tarn.request --interp hello.o\n",
    },
    {
        .name = "bpf exec",
        .command = COMMAND_BPF_EXEC,
        .usage = "[MEMORY] [--jit|--interp]",
        .help = "run bare instructions from standard input",
        .detail =
            "The plug-in protocol of the eBPF conformance suite. The program is on standard input "
            "as hexadecimal bytes, eight an instruction. MEMORY, hexadecimal bytes too, is what r1 "
            "points at; r2 is its length. Prints r0 in hexadecimal. Helper 5 ends the program "
            "with 0 when its argument is 0, else gives it back.",
        .examples = "  echo b700000007000000 9500000000000000 | tarn bpf exec\n"
                    "  echo '71 10 01 00 00 00 00 00 95 00 00 00 00 00 00 00' |\n"
                    "      tarn bpf exec 'aa bb' --interp\n",
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
    {.name = "top", .kind = COMMAND_IS_MISSING},
};

const size_t commands_table_count = sizeof commands_table / sizeof commands_table[0];
