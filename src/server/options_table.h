/* options_table: the one table of all options and commands, and how to find a row in it.
 *
 * Constant data; nothing is parsed here. Read by options.c (parsing), options_help.c (help) and
 * whoever writes manual pages or shell completion. Thread rule: constant.
 */
#ifndef TARN_SERVER_OPTIONS_TABLE_H
#define TARN_SERVER_OPTIONS_TABLE_H

#include "server/options.h"

/* What kind of value an option takes, and the type of its field. */
enum option_type {
    OPTION_FLAG,     /* bool; --name and --no-name, no value */
    OPTION_STRING,   /* const char *; min: shortest length allowed */
    OPTION_PATH,     /* const char *; a file name, not empty */
    OPTION_URL_PATH, /* const char *; starts with a slash */
    OPTION_ADDR,     /* const char *; addr_parse accepts it */
    OPTION_HOST,     /* const char *; addr_is_host accepts it */
    OPTION_NUMBER,   /* uint64_t; min to max */
    OPTION_SIZE,     /* uint64_t, bytes; min to max */
    OPTION_DURATION, /* uint64_t, milliseconds; min to max */
    OPTION_WORD,     /* int: the index in words */
    OPTION_ACTION,   /* no field: does something instead of serving; never from the environment */
};

enum option_group {
    GROUP_LISTEN,
    GROUP_TLS,
    GROUP_SITE,
    GROUP_SCRIPTS,
    GROUP_LIMITS,
    GROUP_OPERATION,
    GROUP_LOG,
    GROUP_CACHE,
    GROUP_CACHE_COMMANDS,
    GROUP_PACK,
    GROUP_GENERAL,
    GROUP_COUNT,
};

/* The options of a command are those whose `commands` has its bit. */
enum {
    FOR_SERVE = 1 << COMMAND_SERVE,
    FOR_CHECK = 1 << COMMAND_CHECK,
    FOR_PACK = 1 << COMMAND_PACK,
    FOR_ECH_KEYGEN = 1 << COMMAND_ECH_KEYGEN,
    FOR_CACHE = 1 << COMMAND_CACHE,
    FOR_CACHE_LS = 1 << COMMAND_CACHE_LS,
    FOR_CACHE_GET = 1 << COMMAND_CACHE_GET,
    FOR_CACHE_PURGE = 1 << COMMAND_CACHE_PURGE,
    FOR_CACHE_STATS = 1 << COMMAND_CACHE_STATS,
    FOR_BPF_RUN = 1 << COMMAND_BPF_RUN,
    FOR_BPF_DIS = 1 << COMMAND_BPF_DIS,
    FOR_BPF_EXEC = 1 << COMMAND_BPF_EXEC,
    FOR_COMPILE = 1 << COMMAND_COMPILE,
    FOR_RUN_SCRIPT = 1 << COMMAND_RUN_SCRIPT,
    FOR_SDK = 1 << COMMAND_SDK,
    FOR_SITE = FOR_SERVE | FOR_CHECK,
    FOR_SCRIPTS = FOR_SITE | FOR_RUN_SCRIPT,           /* whatever runs scripts on requests */
    FOR_RUN = FOR_SITE | FOR_CACHE,                    /* whatever listens */
    FOR_CACHE_READER = FOR_CACHE_LS | FOR_CACHE_STATS, /* of a directory, or of a running cache */
    FOR_CACHE_CLIENT = FOR_CACHE_READER | FOR_CACHE_GET | FOR_CACHE_PURGE,
    FOR_BPF = FOR_BPF_RUN | FOR_BPF_DIS | FOR_BPF_EXEC,
    FOR_ALL = FOR_RUN | FOR_PACK | FOR_ECH_KEYGEN | FOR_CACHE_CLIENT | FOR_BPF | FOR_COMPILE |
              FOR_SDK | FOR_RUN_SCRIPT,
};

/* Another spelling of an option, from the programs that tarn replaces. */
struct option_alias {
    const char *name;  /* long, without dashes; NULL: only a letter */
    char letter;       /* 0: none */
    const char *value; /* the spelling takes no value and means this one; NULL: takes a value */
};

enum { OPTION_ALIASES_MAX = 4, OPTION_VARIABLES_MAX = 4 };

struct option {
    const char *name; /* long, without dashes; the variable is TARN_ and this in capitals */
    char letter;      /* 0: none */
    enum option_type type;
    enum option_group group;
    unsigned commands; /* FOR_ bits */
    bool list;         /* STRING, PATH, ADDR: repeatable, commas separate; struct options_list */
    bool whole;        /* of a list: commas are part of a value */
    size_t field;      /* offset in struct options */
    uint64_t min, max;
    const char *words;        /* OPTION_WORD: "auto|uring|epoll" */
    const char *default_text; /* parsed like a value; NULL: the field stays zero */
    const char *default_note; /* shown as the default when default_text is NULL or says little */
    const char *argument;     /* name of the value in help; NULL for flags */
    const char *help;         /* one line, no full stop */
    const char *detail;       /* paragraphs for `tarn help NAME`; NULL: help says it all */
    struct option_alias aliases[OPTION_ALIASES_MAX];
    const char *variables[OPTION_VARIABLES_MAX]; /* more environment variables, in order */
};

extern const struct option options_table[];
extern const size_t options_table_count;

/* Titles of the groups, and the word for `tarn help WORD`. */
struct option_group_name {
    const char *word;
    const char *title;
};
extern const struct option_group_name option_groups[GROUP_COUNT];

enum command_kind {
    COMMAND_RUNS,
    COMMAND_HAS_COMMANDS, /* by itself it only prints its page, with the commands below it */
    COMMAND_PRINTS_HELP,
    COMMAND_PRINTS_VERSION,
    COMMAND_IS_MISSING,
};

/* A first word that is a command and not a SITE, or two words, the first of which is a command by
 * itself ("cache ls"). */
struct command {
    const char *name;
    enum command_kind kind;
    enum options_command command; /* COMMAND_RUNS */
    const char *usage;            /* what stands behind the name; NULL: not shown in help */
    const char *help;
    const char *detail;   /* a paragraph of its page; NULL: help says it all */
    const char *examples; /* lines laid out by hand, at most 80 columns; NULL: none */
};
extern const struct command commands_table[];
extern const size_t commands_table_count;

/* The row with this long name or alias, or NULL. *alias: the alias that matched, or NULL. */
const struct option *options_find(struct str name, const struct option_alias **alias);
const struct option *options_find_letter(char letter, const struct option_alias **alias);

const struct command *commands_find(struct str name);
/* "ls" behind "cache" is "cache ls". NULL: there is no such command. */
const struct command *commands_find_below(const struct command *command, struct str word);
/* Whether `below` is one of them. */
bool command_is_below(const struct command *below, const struct command *command);

static inline size_t
option_index(const struct option *option)
{
    return (size_t)(option - options_table);
}

/* "TARN_HEADER_TIMEOUT" for the row "header-timeout". */
enum { OPTION_VARIABLE_MAX = 64 };
void option_variable(const struct option *option, char out[OPTION_VARIABLE_MAX]);

/* Whether --no-NAME means something: flags, and choices that have the word "off". */
bool option_has_no(const struct option *option);

#endif
