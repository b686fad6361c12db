/* options: what the operator asked for, from the command line and the environment.
 *
 * options_parse fills one struct, checked: every value is inside its bounds and every address is
 * well formed. A flag wins over the environment, the environment over the default. What the options
 * are is written once, in options_table.c; parsing, help, environment and the manual come from
 * there. A new option is one row there and one field here.
 *
 * Texts are borrowed from argv and envp, or live in the struct's own memory until options_free.
 * Thread rule: called once from the main thread; read-only afterwards.
 */
#ifndef TARN_SERVER_OPTIONS_H
#define TARN_SERVER_OPTIONS_H

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"
#include "http/url.h"

enum options_result {
    OPTIONS_RUN,     /* run options->command */
    OPTIONS_EXIT_OK, /* help or version was printed: exit 0 */
    OPTIONS_USAGE,   /* wrong usage, one line in *error: print it, exit 2 */
};

enum options_command {
    COMMAND_SERVE,
    COMMAND_PACK,
    COMMAND_CHECK,
    COMMAND_ECH_KEYGEN,
    COMMAND_CACHE,
    COMMAND_CACHE_LS,
    COMMAND_CACHE_GET,
    COMMAND_CACHE_PURGE,
    COMMAND_CACHE_STATS,
    COMMAND_BPF_RUN,
    COMMAND_BPF_DIS,
    COMMAND_BPF_EXEC,
    COMMAND_COMPILE,
    COMMAND_RUN_SCRIPT,
    COMMAND_SDK,
    COMMAND_COUNT
};

/* In the order of the words in their table rows. */
enum options_io { OPTIONS_IO_AUTO, OPTIONS_IO_URING, OPTIONS_IO_EPOLL };
enum options_log_format { OPTIONS_LOG_TEXT, OPTIONS_LOG_JSON };
enum options_tls_min { OPTIONS_TLS_12, OPTIONS_TLS_13 };
enum options_client_auth { OPTIONS_CLIENT_REQUEST, OPTIONS_CLIENT_REQUIRE };
enum options_engine { OPTIONS_ENGINE_AUTO, OPTIONS_ENGINE_JIT, OPTIONS_ENGINE_INTERP };
enum options_progress { OPTIONS_PROGRESS_AUTO, OPTIONS_PROGRESS_ON, OPTIONS_PROGRESS_OFF };
enum options_sort {
    OPTIONS_SORT_URL,
    OPTIONS_SORT_SIZE,
    OPTIONS_SORT_USES,
    OPTIONS_SORT_CREATED,
    OPTIONS_SORT_USED
};

/* Where a value came from. */
enum options_source { SOURCE_DEFAULT, SOURCE_ENVIRONMENT, SOURCE_FLAG };

struct options_list {
    const char **items;
    size_t count;
};

/* Rows of the table there may be; a static assertion in options_table.c holds it. */
enum { OPTIONS_ROWS_MAX = 128 };

struct options {
    enum options_command command;

    /* serve and check: SITE; pack: DIR; never NULL there after OPTIONS_RUN. All others: NULL. */
    const char *site;

    /* listening: texts for addr_parse; `addr` and `tls_addr` are never both empty after
     * OPTIONS_RUN. --port and --bind-ip are already joined into `addr`. */
    struct options_list addr;
    uint64_t port;       /* as given; use addr */
    const char *bind_ip; /* as given, or NULL; use addr */
    uint64_t threads;    /* 0: one per usable CPU (server/cpus.h) */
    int io;              /* enum options_io */

    /* TLS; see struct tls_config */
    struct options_list tls_addr;
    struct options_list cert, key; /* pairs: as many of one as of the other */
    const char *cert_dir;          /* NULL: none */
    const char *default_cert;      /* NULL: none */
    bool tls_self_signed;
    bool redirect_http;
    int tls_min; /* enum options_tls_min */
    bool early_data;
    const char *client_ca;     /* NULL: none */
    int client_auth;           /* enum options_client_auth */
    const char *ech_key;       /* NULL: none */
    const char *ech_relay;     /* "auto", "off" or HOST:PORT; split below */
    struct str ech_relay_host; /* empty: the public name, port 443 */
    uint16_t ech_relay_port;

    /* the site; see struct site_config */
    const char *index; /* comma-separated names */
    bool spa;
    bool try_html;
    bool browse;
    bool precompress;
    bool allow_empty;
    const char *cache_control; /* NULL: by kind of file */
    const char *content_type;  /* NULL: by name */
    const char *only_path;     /* NULL: every path */
    uint64_t preload_max;
    uint64_t preload_total;
    uint64_t stdin_timeout_ms;

    /* limits */
    uint64_t max_request_len;
    uint64_t max_headers;
    uint64_t header_timeout_ms;
    uint64_t keepalive_timeout_ms;
    uint64_t io_timeout_ms;
    uint64_t handshake_timeout_ms;
    uint64_t max_requests;    /* 0: unlimited */
    uint64_t max_connections; /* per worker; 0: from the descriptor limit */

    /* operation */
    const char *admin_addr; /* for addr_parse; NULL: on the main listener */
    bool health;
    uint64_t shutdown_delay_ms;
    uint64_t shutdown_timeout_ms;
    const char *reload_signal_file; /* NULL: none */

    /* logging */
    const char *access_log; /* "auto", "off", "stderr" or a file name */
    int log_format;         /* enum options_log_format */
    int log_level;          /* enum log_level */

    /* the fetch cache; see struct cache_config. cache_dir is never NULL where there is a cache. */
    const char *cache_dir;  /* NULL: no cache */
    const char *cache_path; /* of serve: where it is mounted; NULL: no cache */
    uint64_t quota;         /* bytes; 0: no limit */
    uint64_t quota_clean;   /* percent */
    uint64_t default_ttl_ms, max_ttl_ms, negative_ttl_ms, stale_if_error_ms;
    uint64_t abandon_after_ms; /* 0: never */
    uint64_t max_downloads;
    uint64_t download_retry_ms;
    struct options_list allow_networks, trusted_proxies, upstream_allow; /* for cidr_list_add */
    const char *upstream_ca;                                             /* NULL: the system's */
    bool upstream_insecure;
    uint64_t connect_timeout_ms, first_byte_timeout_ms, read_timeout_ms;
    const char *purge_token; /* NULL: none */

    /* cache ls, get, purge and stats: those that read a directory have a cache_dir, else the cache
     * is at cache_base */
    const char *cache_url;         /* as given; use cache_base */
    struct url cache_base;         /* its path has no slash at its end */
    struct options_list resources; /* URLs, checked; get: one */
    uint64_t timeout_ms;           /* without a byte */
    const char *search;            /* NULL: everything */
    int sort;                      /* enum options_sort */
    bool reverse;
    uint64_t limit; /* 0: none */
    bool json;
    uint64_t ttl_ms;    /* 0: the cache's own */
    const char *sha256; /* 64 hexadecimal digits; NULL: not known */
    bool resume;

    /* pack, cache get, compile */
    const char *output; /* NULL: standard output; compile: beside the C file */
    bool compress;
    int progress; /* enum options_progress */

    /* scripts; see struct script_config and struct script_sources_config */
    struct options_list plugins, plugin_dirs;
    const char *clang; /* NULL: the newest on PATH */
    uint64_t script_slice_ms;
    uint64_t script_footprint_kb;
    uint64_t script_body_kb;
    struct options_list script_env; /* names, or prefixes that end in '*' */
    uint64_t script_kv_max;
    uint64_t rate_buckets_max;
    const char *geoip; /* NULL: none */

    /* scripts, and bpf run, dis and exec */
    const char *object;      /* run and dis: a file, or "-"; compile: the C file; run-script: .c or
                                .o; never NULL there after OPTIONS_RUN */
    const char *exec_memory; /* exec: hexadecimal, not checked; NULL: none */
    const char *section;     /* NULL: the one that run finds by itself, all in dis */
    int script_engine;       /* enum options_engine */
    uint64_t script_cpu_limit_ms; /* 0: none */
    uint64_t script_code_size_limit_kb;

    bool sdk_zeroserve; /* sdk: zeroserve.h in place of tarn.h */

    /* run-script: what is asked of `object`, with `site` (NULL: an empty one) */
    const char *request;         /* "METHOD TARGET", or a target */
    struct options_list headers; /* each with a colon */
    const char *body;            /* text, or '@' and a file name; NULL: none */

    /* ech-keygen */
    const char *public_name; /* never NULL after OPTIONS_RUN */

    unsigned char sources[OPTIONS_ROWS_MAX]; /* enum options_source of each table row */
    struct arena memory;
};

/* Reads argv (argv[0] is the program's name) and envp (NULL-terminated, "NAME=value"). Help and
 * version go to standard output. `out` is borrowed; after any result options_free may be called. */
enum options_result options_parse(struct options *out, int argc, char **argv, char **envp,
                                  struct error *error) MUST_USE;

void options_free(struct options *options);

/* Where the value of the option with this long name came from; the name must exist. */
enum options_source options_source_of(const struct options *options, const char *name);

#endif
