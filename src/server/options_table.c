#include "server/options_table.h"

#include <assert.h>

/* The offset of a field, refused by the compiler when the field is not of the type that the row's
 * option_type stores. */
#define FIELD(type_name, member)                                                                 \
    (offsetof(struct options, member) +                                                          \
     0 * sizeof(                                                                                 \
             char[__builtin_types_compatible_p(type_name, typeof(((struct options *)0)->member)) \
                      ? 1                                                                        \
                      : -1]))

#define IS_FLAG(member) .type = OPTION_FLAG, .field = FIELD(bool, member)
#define IS_TEXT(kind, member) .type = OPTION_##kind, .field = FIELD(const char *, member)
#define IS_LIST(kind, member) \
    .type = OPTION_##kind, .list = true, .field = FIELD(struct options_list, member)
#define IS_NUMBER(member, low, high) \
    .type = OPTION_NUMBER, .field = FIELD(uint64_t, member), .min = (low), .max = (high)
#define IS_SIZE(member, low, high) \
    .type = OPTION_SIZE, .field = FIELD(uint64_t, member), .min = (low), .max = (high)
#define IS_DURATION(member, low, high) \
    .type = OPTION_DURATION, .field = FIELD(uint64_t, member), .min = (low), .max = (high)
#define IS_WORD(member, list_of_words) \
    .type = OPTION_WORD, .field = FIELD(int, member), .words = (list_of_words)

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define TIB (UINT64_C(1) << 40)
#define SECOND_MS UINT64_C(1000)
#define HOUR_MS (3600 * SECOND_MS)
#define DAY_MS (24 * HOUR_MS)

const struct option_group_name option_groups[GROUP_COUNT] = {
    [GROUP_LISTEN] = {"listening", "Listening"},
    [GROUP_TLS] = {"tls", "TLS"},
    [GROUP_SITE] = {"site", "The site"},
    [GROUP_SCRIPTS] = {"scripts", "Scripts"},
    [GROUP_LIMITS] = {"limits", "Limits"},
    [GROUP_OPERATION] = {"operation", "Operation"},
    [GROUP_LOG] = {"logging", "Logging"},
    [GROUP_CACHE] = {"cache", "Fetch cache"},
    [GROUP_CACHE_COMMANDS] = {"cache-commands", "Commands of the fetch cache"},
    [GROUP_PACK] = {"packing", "Packing and downloading"},
    [GROUP_GENERAL] = {"general", "General"},
};

const struct option options_table[] = {
    /* listening */
    {
        .name = "addr",
        .letter = 'a',
        IS_LIST(ADDR, addr),
        .group = GROUP_LISTEN,
        .commands = FOR_RUN,
        .default_text = ":8080",
        .argument = "ADDR",
        .help = "listen on this address; may be given several times",
        .detail = "HOST:PORT, :PORT, [IPV6]:PORT, unix:/path or fd:N; see 'tarn help addresses'. "
                  "Repeat it, or separate with commas, to listen on several. Port 0 lets the "
                  "kernel choose; the line 'listening on' shows the port.",
    },
    {
        .name = "port",
        .letter = 'p',
        IS_NUMBER(port, 0, UINT16_MAX),
        .group = GROUP_LISTEN,
        .commands = FOR_RUN,
        .default_text = "8080",
        .argument = "PORT",
        .help = "listen on this port, instead of --addr",
        .detail = "Together with --bind-ip another way to write --addr. Flags win over the "
                  "environment here too: '--addr' on the command line beats PORT in the "
                  "environment.",
        .variables = {"KISS_PORT", "PORT"},
    },
    {
        .name = "bind-ip",
        .letter = 'b',
        IS_TEXT(HOST, bind_ip),
        .group = GROUP_LISTEN,
        .commands = FOR_RUN,
        .default_note = "every address",
        .argument = "IP",
        .help = "listen on this address only, with --port",
        .detail = "A numeric IPv4 or IPv6 address, or localhost. A HOST variable that holds the "
                  "name of this machine is the shell's own and is ignored.",
        .aliases = {{.name = "host"}},
        .variables = {"KISS_BIND_IP", "HOST"},
    },
    {
        .name = "threads",
        .letter = 't',
        IS_NUMBER(threads, 1, 1024),
        .group = GROUP_LISTEN,
        .commands = FOR_RUN | FOR_PACK,
        .default_note = "one per CPU",
        .argument = "N",
        .help = "number of workers",
        .detail = "By default one for each CPU that the affinity mask and the CPU quota of the "
                  "control group leave to this process.",
    },
    {
        .name = "io",
        IS_WORD(io, "auto|uring|epoll"),
        .group = GROUP_LISTEN,
        .commands = FOR_RUN,
        .default_text = "auto",
        .argument = "KIND",
        .help = "event loop: auto, uring or epoll",
        .detail = "auto takes io_uring where the kernel and the container allow it, else epoll, "
                  "and says so. With uring it is an error when io_uring cannot be used.",
    },

    /* TLS */
    {
        .name = "tls-addr",
        IS_LIST(ADDR, tls_addr),
        .group = GROUP_TLS,
        .commands = FOR_RUN,
        .default_note = "none",
        .argument = "ADDR",
        .help = "listen on this address with TLS; may be given several times",
        .detail = "Addresses as in --addr. Without it, but with a certificate, it is :8443. When "
                  "there is a TLS listener, plain HTTP is served only where --addr or --port says "
                  "so, or for --redirect-http.",
    },
    {
        .name = "cert",
        IS_LIST(PATH, cert),
        .group = GROUP_TLS,
        .commands = FOR_RUN,
        .argument = "FILE",
        .help = "certificate chain, PEM; may be given several times, each with a --key",
    },
    {
        .name = "key",
        IS_LIST(PATH, key),
        .group = GROUP_TLS,
        .commands = FOR_RUN,
        .argument = "FILE",
        .help = "private key of the --cert at the same place, PEM",
        .detail = "Without any --key, each --cert file must hold its key too.",
    },
    {
        .name = "cert-dir",
        IS_TEXT(PATH, cert_dir),
        .group = GROUP_TLS,
        .commands = FOR_RUN,
        .argument = "DIR",
        .help = "directory of certificates and keys, chosen by name (SNI)",
        .detail = "All regular files, links followed, in the order of their names; a file may hold "
                  "a chain, a key or both. Keys are matched to certificates by public key. A file "
                  "NAME.ocsp beside a certificate file is its OCSP response.",
    },
    {
        .name = "default-cert",
        IS_TEXT(STRING, default_cert),
        .min = 1,
        .group = GROUP_TLS,
        .commands = FOR_RUN,
        .default_note = "none",
        .argument = "NAME",
        .help = "serve this name's certificate to clients that ask for an unknown one",
        .detail = "Clients that ask for no name get it too. Without this option they get the first "
                  "--cert, or the first certificate of --cert-dir.",
    },
    {
        .name = "tls-self-signed",
        IS_FLAG(tls_self_signed),
        .group = GROUP_TLS,
        .commands = FOR_RUN,
        .help = "make a throw-away certificate for localhost; for development",
    },
    {
        .name = "redirect-http",
        IS_FLAG(redirect_http),
        .group = GROUP_TLS,
        .commands = FOR_RUN,
        .help = "answer every plain request with a redirect to https (308)",
        .detail = "The health endpoints still answer.",
    },
    {
        .name = "tls-min",
        IS_WORD(tls_min, "1.2|1.3"),
        .group = GROUP_TLS,
        .commands = FOR_RUN,
        .default_text = "1.3",
        .argument = "VERSION",
        .help = "oldest TLS version: 1.2 or 1.3",
        .detail = "1.2 comes with ECDHE and AEAD cipher suites only.",
    },
    {
        .name = "early-data",
        IS_FLAG(early_data),
        .group = GROUP_TLS,
        .commands = FOR_RUN,
        .help = "accept requests in the first flight of a resumed connection (0-RTT)",
        .detail = "Such a request may be a replay: only GET and HEAD are served, others get 425.",
    },
    {
        .name = "client-ca",
        IS_TEXT(PATH, client_ca),
        .group = GROUP_TLS,
        .commands = FOR_RUN,
        .argument = "FILE",
        .help = "check client certificates against these authorities, PEM",
    },
    {
        .name = "client-auth",
        IS_WORD(client_auth, "request|require"),
        .group = GROUP_TLS,
        .commands = FOR_RUN,
        .default_text = "require",
        .argument = "WHAT",
        .help = "with --client-ca: request or require a certificate",
        .detail = "With request, a client without a certificate is served; one with a certificate "
                  "that does not check is not.",
    },
    {
        .name = "ech-key",
        IS_TEXT(PATH, ech_key),
        .group = GROUP_TLS,
        .commands = FOR_RUN,
        .argument = "PATH",
        .help = "keys for Encrypted Client Hello: a file or a directory of 'tarn ech-keygen'",
    },
    {
        .name = "public-name",
        IS_TEXT(STRING, public_name),
        .min = 1,
        .group = GROUP_TLS,
        .commands = FOR_ECH_KEYGEN,
        .argument = "NAME",
        .help = "name that clients show in the clear, for 'tarn ech-keygen'",
        .detail = "A host name with a dot. The server needs a certificate for it, or it relays "
                  "connections for that name to where it is served.",
        .aliases = {{.name = "ech-public-name"}},
    },

    {
        .name = "ech-relay",
        IS_TEXT(STRING, ech_relay),
        .min = 1,
        .group = GROUP_TLS,
        .commands = FOR_RUN,
        .default_text = "auto",
        .argument = "WHERE",
        .help = "where hellos for a public name of --ech-key go: HOST:PORT, auto or off",
        .detail = "When no certificate covers the public name of a key, a client that asks for "
                  "that name in the clear is connected to whoever serves it. auto is the name "
                  "itself, port 443.",
        .aliases = {{.name = "no-ech-relay", .value = "off"}},
    },

    /* the site */
    {
        .name = "site",
        IS_TEXT(PATH, site),
        .group = GROUP_SITE,
        .commands = FOR_SCRIPTS,
        .argument = "SITE",
        .help = "what to serve, when it is not given as an argument",
        .detail = "A directory, a .tar, .tar.gz or .tar.zst, one file, or '-' for standard input. "
                  "When no SITE is given at all and standard input is a pipe or a file, that is "
                  "served; otherwise ./content, if there is such a directory.",
        .aliases = {{.name = "file", .letter = 'f'}, {.name = "static-dir", .letter = 's'}},
        .variables = {"FILE", "KISS_STATIC_DIR"},
    },
    {
        .name = "index",
        IS_TEXT(STRING, index),
        .group = GROUP_SITE,
        .commands = FOR_SCRIPTS,
        .default_text = "index.html",
        .argument = "NAMES",
        .help = "file that answers for its directory; several names with commas",
    },
    {
        .name = "spa",
        IS_FLAG(spa),
        .group = GROUP_SITE,
        .commands = FOR_SCRIPTS,
        .help = "answer navigations to missing pages with /index.html",
        .detail = "For applications that route in the browser. Only a GET that accepts HTML and "
                  "whose last path segment has no extension gets the page, with status 200. "
                  "A missing image or script is still a 404.",
    },
    {
        .name = "try-html",
        IS_FLAG(try_html),
        .group = GROUP_SITE,
        .commands = FOR_SCRIPTS,
        .help = "answer /page with page.html",
    },
    {
        .name = "browse",
        IS_FLAG(browse),
        .group = GROUP_SITE,
        .commands = FOR_SITE,
        .help = "list directories that have no index",
        .detail = "A page for browsers; JSON for clients that accept application/json.",
    },
    {
        .name = "precompress",
        IS_FLAG(precompress),
        .group = GROUP_SITE,
        .commands = FOR_SITE,
        .help = "compress the files of a directory while loading",
        .detail = "Makes the br, zstd and gzip variants in memory at start, which takes time. "
                  "'tarn pack' does it once, ahead.",
    },
    {
        .name = "cache-control",
        IS_TEXT(STRING, cache_control),
        .min = 1,
        .group = GROUP_SITE,
        .commands = FOR_SITE,
        .default_note = "by kind of file",
        .argument = "VALUE",
        .help = "Cache-Control for all content",
        .detail = "By default HTML is no-cache, names that carry a content hash are kept for a "
                  "year, and the rest for an hour.",
    },
    {
        .name = "content-type",
        IS_TEXT(STRING, content_type),
        .min = 1,
        .group = GROUP_SITE,
        .commands = FOR_SITE,
        .default_note = "by name",
        .argument = "TYPE",
        .help = "media type, when SITE is one file",
    },
    {
        .name = "path",
        IS_TEXT(URL_PATH, only_path),
        .group = GROUP_SITE,
        .commands = FOR_SITE,
        .default_note = "every path",
        .argument = "PATH",
        .help = "the one path that answers, when SITE is one file",
        .detail = "As in --path /.well-known/mta-sts.txt; all other paths are 404.",
    },
    {
        .name = "allow-empty",
        IS_FLAG(allow_empty),
        .group = GROUP_SITE,
        .commands = FOR_SITE,
        .help = "start with an empty or missing SITE and answer 404",
    },
    {
        .name = "preload-max",
        IS_SIZE(preload_max, 0, TIB),
        .group = GROUP_SITE,
        .commands = FOR_SCRIPTS,
        .default_text = "1M",
        .argument = "SIZE",
        .help = "hold files up to this size in memory",
    },
    {
        .name = "preload-total",
        IS_SIZE(preload_total, 0, TIB),
        .group = GROUP_SITE,
        .commands = FOR_SCRIPTS,
        .default_text = "256M",
        .argument = "SIZE",
        .help = "hold this much in memory in all",
    },
    {
        .name = "stdin-timeout",
        IS_DURATION(stdin_timeout_ms, 1, DAY_MS),
        .group = GROUP_SITE,
        .commands = FOR_SCRIPTS,
        .default_text = "60s",
        .argument = "TIME",
        .help = "time to read all of standard input",
        .aliases = {{.name = "stdin-read-timeout-seconds"}},
        .variables = {"STDIN_READ_TIMEOUT_SECONDS"},
    },

/* scripts */
#include "server/options_rows_scripts.h"

    /* limits */
    {
        .name = "max-request-size",
        .letter = 'r',
        IS_SIZE(max_request_len, 512, MIB),
        .group = GROUP_LIMITS,
        .commands = FOR_RUN | FOR_RUN_SCRIPT,
        .default_text = "16K",
        .argument = "SIZE",
        .help = "largest request head",
        .detail = "Request line and header lines together. A longer head is answered with 431, or "
                  "with 414 when the request line alone is too long.",
        .variables = {"KISS_MAX_REQUEST_SIZE"},
    },
    {
        .name = "max-headers",
        IS_NUMBER(max_headers, 1, 1000),
        .group = GROUP_LIMITS,
        .commands = FOR_RUN | FOR_RUN_SCRIPT,
        .default_text = "128",
        .argument = "N",
        .help = "header lines in a request",
    },
    {
        .name = "header-timeout",
        IS_DURATION(header_timeout_ms, 1, DAY_MS),
        .group = GROUP_LIMITS,
        .commands = FOR_RUN,
        .default_text = "10s",
        .argument = "TIME",
        .help = "time for a request head to arrive; then 408",
    },
    {
        .name = "keepalive-timeout",
        .letter = 'k',
        IS_DURATION(keepalive_timeout_ms, 1, DAY_MS),
        .group = GROUP_LIMITS,
        .commands = FOR_RUN,
        .default_text = "60s",
        .argument = "TIME",
        .help = "close a connection that is idle for so long",
        .aliases = {{.name = "keepalive-timeout-secs"}},
        .variables = {"KISS_KEEPALIVE_TIMEOUT", "KISS_KEEPALIVE_TIMEOUT_SECS"},
    },
    {
        .name = "io-timeout",
        IS_DURATION(io_timeout_ms, 1, DAY_MS),
        .group = GROUP_LIMITS,
        .commands = FOR_RUN,
        .default_text = "30s",
        .argument = "TIME",
        .help = "close a connection that makes no progress",
        .detail = "Counts while a request or a response is under way and no byte moves in either "
                  "direction. A slow download that moves is never cut.",
        .aliases = {{.name = "connection-timeout-secs", .letter = 'c'}},
        .variables = {"KISS_CONNECTION_TIMEOUT"},
    },
    {
        .name = "handshake-timeout",
        IS_DURATION(handshake_timeout_ms, 1, DAY_MS),
        .group = GROUP_LIMITS,
        .commands = FOR_RUN,
        .default_text = "10s",
        .argument = "TIME",
        .help = "time for a TLS handshake",
    },
    {
        .name = "max-requests",
        IS_NUMBER(max_requests, 0, UINT32_MAX),
        .group = GROUP_LIMITS,
        .commands = FOR_RUN,
        .default_text = "0",
        .default_note = "unlimited",
        .argument = "N",
        .help = "requests on one connection; 0 is unlimited",
    },
    {
        .name = "max-connections",
        IS_NUMBER(max_connections, 1, 1000000),
        .group = GROUP_LIMITS,
        .commands = FOR_RUN,
        .default_note = "from ulimit -n",
        .argument = "N",
        .help = "connections of one worker",
        .detail = "When all are taken, the one that is idle the longest is closed for a new one. "
                  "When none is idle, new ones wait in the kernel.",
    },

    /* operation */
    {
        .name = "admin-addr",
        IS_TEXT(ADDR, admin_addr),
        .group = GROUP_OPERATION,
        .commands = FOR_RUN,
        .argument = "ADDR",
        .help = "move the health endpoints here, and serve /metrics",
    },
    {
        .name = "health",
        IS_FLAG(health),
        .group = GROUP_OPERATION,
        .commands = FOR_RUN,
        .default_text = "on",
        .help = "without /health, /ready, /livez and /readyz",
        .detail = "With --no-health these paths belong to the site.",
    },
    {
        .name = "shutdown-delay",
        IS_DURATION(shutdown_delay_ms, 0, HOUR_MS),
        .group = GROUP_OPERATION,
        .commands = FOR_RUN,
        .default_text = "0",
        .argument = "TIME",
        .help = "after SIGTERM, keep accepting for so long",
        .detail = "/ready answers 503 during that time, so that a load balancer can take the "
                  "server out before the listeners close. Kubernetes wants a few seconds.",
    },
    {
        .name = "shutdown-timeout",
        IS_DURATION(shutdown_timeout_ms, 0, DAY_MS),
        .group = GROUP_OPERATION,
        .commands = FOR_RUN,
        .default_text = "30s",
        .argument = "TIME",
        .help = "then, let requests in flight finish for so long",
    },
    {
        .name = "reload-signal-file",
        IS_TEXT(PATH, reload_signal_file),
        .group = GROUP_OPERATION,
        .commands = FOR_RUN,
        .argument = "FILE",
        .help = "load the site again whenever this file changes",
        .detail = "For places where no signal can be sent. SIGHUP does the same.",
    },

    /* logging */
    {
        .name = "access-log",
        IS_TEXT(STRING, access_log),
        .min = 1,
        .group = GROUP_LOG,
        .commands = FOR_RUN,
        .default_text = "auto",
        .argument = "WHERE",
        .help = "off, stderr or a file name",
        .detail = "auto is stderr when standard error is a terminal, else off. Writing never holds "
                  "up a request: when the disk or the reader is too slow, lines are dropped and "
                  "counted. A file that is called auto, off or stderr is written ./off.",
        .aliases = {{.name = "no-access-log", .value = "off"},
                    {.name = "disable-request-logging", .value = "off"}},
    },
    {
        .name = "log-format",
        IS_WORD(log_format, "text|json"),
        .group = GROUP_LOG,
        .commands = FOR_RUN,
        .default_text = "text",
        .argument = "FORM",
        .help = "access log lines: text or json",
    },
    {
        .name = "log-level",
        IS_WORD(log_level, "debug|info|warn|error"),
        .group = GROUP_LOG,
        .commands = FOR_ALL,
        .default_text = "info",
        .argument = "LEVEL",
        .help = "debug, info, warn or error",
    },

    /* the fetch cache */
    {
        .name = "cache-dir",
        IS_TEXT(PATH, cache_dir),
        .group = GROUP_CACHE,
        .commands = FOR_RUN | FOR_CACHE_READER,
        .argument = "DIR",
        .help = "directory of the fetch cache; made when it is missing",
        .detail =
            "Files and an index that only tarn writes. One process at a time may use it. What "
            "is in it stays for the next start. 'tarn cache ls' and 'tarn cache stats' read it, "
            "whether it is in use or not.",
    },
    {
        .name = "cache-path",
        IS_TEXT(URL_PATH, cache_path),
        .group = GROUP_CACHE,
        .commands = FOR_SITE,
        .default_note = "no cache",
        .argument = "PATH",
        .help = "with SITE: mount the fetch cache there, as in --cache-path /cache",
        .detail = "'tarn cache' needs no path and no SITE.",
    },
    {
        .name = "quota",
        IS_SIZE(quota, 0, 1024 * 1024 * TIB),
        .group = GROUP_CACHE,
        .commands = FOR_RUN,
        .default_text = "2G",
        .argument = "SIZE",
        .help = "how much the cache may hold; 0: no limit",
        .detail =
            "Counted from the moment a download says how long it is, so it is never exceeded. "
            "What has not been used for longest goes first; what is being read stays. A "
            "resource that cannot fit is answered with 507.",
    },
    {
        .name = "quota-clean",
        IS_NUMBER(quota_clean, 1, 100),
        .group = GROUP_CACHE,
        .commands = FOR_RUN,
        .default_text = "75",
        .argument = "PERCENT",
        .help = "of the quota, down to which the cache is kept",
    },
    {
        .name = "default-ttl",
        IS_DURATION(default_ttl_ms, SECOND_MS, 3650 * DAY_MS),
        .group = GROUP_CACHE,
        .commands = FOR_RUN,
        .default_text = "10d",
        .argument = "TIME",
        .help = "how old a resource may be, when the request has no ttl",
    },
    {
        .name = "max-ttl",
        IS_DURATION(max_ttl_ms, SECOND_MS, 3650 * DAY_MS),
        .group = GROUP_CACHE,
        .commands = FOR_RUN,
        .default_text = "365d",
        .argument = "TIME",
        .help = "most that a request's ttl may say",
    },
    {
        .name = "negative-ttl",
        IS_DURATION(negative_ttl_ms, 0, DAY_MS),
        .group = GROUP_CACHE,
        .commands = FOR_RUN,
        .default_text = "60s",
        .argument = "TIME",
        .help = "how long an error of upstream is remembered",
    },
    {
        .name = "stale-if-error",
        IS_DURATION(stale_if_error_ms, 0, 3650 * DAY_MS),
        .group = GROUP_CACHE,
        .commands = FOR_RUN,
        .default_text = "1d",
        .argument = "TIME",
        .help = "how long after its ttl a resource stands in when upstream fails; 0: never",
    },
    {
        .name = "abandon-after",
        IS_DURATION(abandon_after_ms, 0, DAY_MS),
        .group = GROUP_CACHE,
        .commands = FOR_RUN,
        .default_text = "0",
        .default_note = "never",
        .argument = "TIME",
        .help = "stop a download that nobody has waited for so long; 0: never",
    },
    {
        .name = "max-downloads",
        IS_NUMBER(max_downloads, 1, 1000),
        .group = GROUP_CACHE,
        .commands = FOR_RUN,
        .default_text = "32",
        .argument = "N",
        .help = "downloads at a time; others wait in line",
    },
    {
        .name = "download-retry-time",
        IS_DURATION(download_retry_ms, 0, DAY_MS),
        .group = GROUP_CACHE,
        .commands = FOR_RUN,
        .default_text = "60s",
        .argument = "TIME",
        .help = "how long a download is tried again while somebody waits",
        .detail =
            "After connections that fail and after 408, 425, 429, 500, 502, 503 and 504, with "
            "growing pauses or those of Retry-After; counted again from each progress.",
    },
    {
        .name = "connect-timeout",
        IS_DURATION(connect_timeout_ms, 1, DAY_MS),
        .group = GROUP_CACHE,
        .commands = FOR_RUN | FOR_CACHE_CLIENT | FOR_RUN_SCRIPT,
        .default_text = "5s",
        .argument = "TIME",
        .help = "time to reach an upstream, name and TLS handshake included",
        .detail = "For 'tarn cache ls', get, purge and stats: to reach the cache.",
    },
    {
        .name = "first-byte-timeout",
        IS_DURATION(first_byte_timeout_ms, 1, DAY_MS),
        .group = GROUP_CACHE,
        .commands = FOR_RUN | FOR_RUN_SCRIPT,
        .default_text = "60s",
        .argument = "TIME",
        .help = "time for an upstream's answer to begin",
    },
    {
        .name = "read-timeout",
        IS_DURATION(read_timeout_ms, 1, DAY_MS),
        .group = GROUP_CACHE,
        .commands = FOR_RUN | FOR_RUN_SCRIPT,
        .default_text = "60s",
        .argument = "TIME",
        .help = "time that an upstream's body may stand still",
    },
    {
        .name = "upstream-allow",
        IS_LIST(STRING, upstream_allow),
        .min = 1,
        .group = GROUP_CACHE,
        .commands = FOR_RUN,
        .default_note = "none",
        .argument = "CIDRS",
        .help = "guarded addresses that may be fetched from all the same",
        .detail = "Loopback, link-local, unspecified and multicast addresses and those of cloud "
                  "metadata services are refused with 403, wherever a name or a redirect leads.",
    },
    {
        .name = "upstream-ca",
        IS_TEXT(PATH, upstream_ca),
        .group = GROUP_CACHE,
        .commands = FOR_RUN | FOR_CACHE_CLIENT | FOR_RUN_SCRIPT,
        .default_note = "the system's",
        .argument = "FILE",
        .help = "trust these authorities for https upstreams, PEM",
        .detail =
            "For 'tarn cache ls', get, purge and stats: for a cache that is reached by https.",
        .aliases = {{.name = "cacert"}},
    },
    {
        .name = "upstream-insecure",
        IS_FLAG(upstream_insecure),
        .group = GROUP_CACHE,
        .commands = FOR_RUN | FOR_CACHE_CLIENT | FOR_RUN_SCRIPT,
        .help = "do not check the certificates of https upstreams",
        .aliases = {{.name = "insecure"}},
    },
    {
        .name = "allow-networks",
        IS_LIST(STRING, allow_networks),
        .min = 1,
        .group = GROUP_CACHE,
        .commands = FOR_RUN,
        .default_note = "everybody",
        .argument = "CIDRS",
        .help = "networks whose clients may fetch and purge; others get 403",
    },
    {
        .name = "trusted-proxies",
        IS_LIST(STRING, trusted_proxies),
        .min = 1,
        .group = GROUP_CACHE,
        .commands = FOR_RUN,
        .default_note = "none",
        .argument = "CIDRS",
        .help = "networks whose X-Forwarded-For is believed",
    },
    {
        .name = "purge-token",
        IS_TEXT(STRING, purge_token),
        .min = 1,
        .group = GROUP_CACHE,
        .commands = FOR_RUN | FOR_CACHE_PURGE,
        .default_note = "no purging",
        .argument = "TOKEN",
        .help = "bearer token with which DELETE purges a resource",
        .detail = "Better in the environment than on the command line, which others can see.",
    },

    /* commands of the fetch cache */
    {
        .name = "cache-url",
        IS_TEXT(STRING, cache_url),
        .min = 1,
        .group = GROUP_CACHE_COMMANDS,
        .commands = FOR_CACHE_CLIENT,
        .default_text = "http://127.0.0.1:8080",
        .argument = "URL",
        .help = "the running cache, with the path under which it is mounted",
        .detail = "http or https. Without a scheme it is http: '--cache-url cache:8001'.",
        .aliases = {{.name = "url"}},
    },
    {
        .name = "timeout",
        IS_DURATION(timeout_ms, 1, DAY_MS),
        .group = GROUP_CACHE_COMMANDS,
        .commands = FOR_CACHE_CLIENT,
        .default_text = "1h",
        .argument = "TIME",
        .help = "give up when the cache says nothing for so long",
        .detail = "It may be silent while a download waits in line, or, with --sha256, until the "
                  "download is complete.",
    },
    {
        .name = "search",
        IS_TEXT(STRING, search),
        .min = 1,
        .group = GROUP_CACHE_COMMANDS,
        .commands = FOR_CACHE_LS,
        .default_note = "everything",
        .argument = "TEXT",
        .help = "list URLs that contain this, in either case",
    },
    {
        .name = "sort",
        IS_WORD(sort, "url|size|uses|created|used"),
        .group = GROUP_CACHE_COMMANDS,
        .commands = FOR_CACHE_LS,
        .default_text = "url",
        .argument = "BY",
        .help = "url, size, uses, created or used",
        .detail = "The largest, the most used and the latest come first.",
    },
    {
        .name = "reverse",
        IS_FLAG(reverse),
        .group = GROUP_CACHE_COMMANDS,
        .commands = FOR_CACHE_LS,
        .help = "sort the other way round",
    },
    {
        .name = "limit",
        .letter = 'n',
        IS_NUMBER(limit, 1, UINT32_MAX),
        .group = GROUP_CACHE_COMMANDS,
        .commands = FOR_CACHE_LS,
        .default_note = "all",
        .argument = "N",
        .help = "list only the first N",
    },
    {
        .name = "json",
        IS_FLAG(json),
        .group = GROUP_CACHE_COMMANDS,
        .commands = FOR_CACHE_READER | FOR_RUN_SCRIPT,
        .help = "print JSON",
    },
    {
        .name = "ttl",
        IS_DURATION(ttl_ms, SECOND_MS, 3650 * DAY_MS),
        .group = GROUP_CACHE_COMMANDS,
        .commands = FOR_CACHE_GET,
        .default_note = "the cache's own",
        .argument = "TIME",
        .help = "how old the resource may be",
    },
    {
        .name = "sha256",
        IS_TEXT(STRING, sha256),
        .group = GROUP_CACHE_COMMANDS,
        .commands = FOR_CACHE_GET,
        .default_note = "not checked",
        .argument = "HEX",
        .help = "digest that the resource must have",
        .detail = "The cache checks it before it sends the first byte, and keeps nothing that has "
                  "another digest; what arrives is checked again here.",
    },
    {
        .name = "continue",
        .letter = 'C',
        IS_FLAG(resume),
        .group = GROUP_CACHE_COMMANDS,
        .commands = FOR_CACHE_GET,
        .help = "go on with a download to a FILE that broke off",
        .detail = "Only what is still missing is asked for, if the resource is still the same one; "
                  "else it is downloaded from its beginning.",
    },

    /* packing and downloading */
    {
        .name = "output",
        .letter = 'o',
        IS_TEXT(PATH, output),
        .group = GROUP_PACK,
        .commands = FOR_PACK | FOR_CACHE_GET | FOR_COMPILE,
        .default_note = "standard output",
        .argument = "FILE",
        .help = "write here",
        .detail = "The file is replaced in one step when what goes there is complete. For 'tarn "
                  "cache get' it may be a directory, in which the file gets the last part of the "
                  "URL as its name. 'tarn compile' writes FILE.o beside FILE.c by itself, and to "
                  "standard output for '-'.",
    },
    {
        .name = "compress",
        IS_FLAG(compress),
        .group = GROUP_PACK,
        .commands = FOR_PACK,
        .default_text = "on",
        .help = "leave out the br, zstd and gzip variants",
    },
    {
        .name = "progress",
        IS_WORD(progress, "auto|on|off"),
        .group = GROUP_PACK,
        .commands = FOR_PACK | FOR_CACHE_GET,
        .default_text = "auto",
        .argument = "WHEN",
        .help = "progress bar: on, off, or auto for terminals",
    },

    /* general */
    {
        .name = "pack",
        .type = OPTION_ACTION,
        .group = GROUP_GENERAL,
        .commands = FOR_SERVE,
        .argument = "DIR",
        .help = "the same as 'tarn pack DIR'",
    },
    {
        .name = "dump-sdk",
        .type = OPTION_ACTION,
        .group = GROUP_GENERAL,
        .commands = FOR_SERVE,
        .help = "the same as 'tarn sdk'",
    },
    {
        .name = "gen-ech-key",
        .type = OPTION_ACTION,
        .group = GROUP_GENERAL,
        .commands = FOR_SERVE,
        .help = "the same as 'tarn ech-keygen'",
    },
    {
        .name = "help",
        .letter = 'h',
        .type = OPTION_ACTION,
        .group = GROUP_GENERAL,
        .commands = FOR_ALL,
        .help = "print this help",
        .aliases = {{.name = "manual"}},
    },
    {
        .name = "version",
        .letter = 'V',
        .type = OPTION_ACTION,
        .group = GROUP_GENERAL,
        .commands = FOR_ALL,
        .help = "print the version",
    },
};

const size_t options_table_count = sizeof options_table / sizeof options_table[0];
static_assert(sizeof options_table / sizeof options_table[0] <= OPTIONS_ROWS_MAX,
              "struct options has a source for every row");
