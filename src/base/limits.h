/* limits: every fixed ceiling of the program in one place. What an operator may change is an option
 * (server/options.c); its default and bounds are here. Lengths in bytes unless the name says
 * otherwise. */
#ifndef TARN_BASE_LIMITS_H
#define TARN_BASE_LIMITS_H

/* site */
enum {
    SITE_MEMBERS_MAX = 4 * 1000 * 1000,
    SITE_PATH_MAX = 4096,
    SITE_RULES_MAX = 10000,
    SITE_RULE_LINE_MAX = 4096,
    SITE_RULES_FILE_MAX = 4 << 20,
    SITE_HEAD_MAX = 16384,      /* rendered header lines of one representation */
    SITE_OPEN_FILES_MAX = 1024, /* large files of a directory kept open */
    SITE_LINK_DEPTH_MAX = 16,
    SITE_DEPTH_MAX = 128,        /* directories inside each other, each an open descriptor */
    SITE_FIELD_MAX = 1024,       /* a header value given by an option */
    SITE_LISTING_MAX = 64 << 20, /* one page of --browse */
    SITE_STDIN_MAX = 1 << 30,
    SITE_UNPACKED_MAX_MIB = 16384,    /* a .tar.gz or .tar.zst unpacked */
    SITE_TEMPLATE_LEN_MAX = 16 << 20, /* a page that is looked at for places for metadata */
    SITE_TEMPLATE_HOLES_MAX = 4096,   /* such places of a page */
    TAR_PAX_MAX = 1 << 20,
    TAR_LINKED_MAX = 1000 * 1000, /* entries that links to directories may make */
};
#define SITE_ARENA_MAX ((size_t)8 << 30)

/* event loop */
enum {
    LOOP_ACCEPT_BATCH = 64, /* connections accepted before others get their turn */
    LOOP_EPOLL_EVENTS = 256,
    LOOP_EPOLL_RECV_LEN = 65536,
    LOOP_SEGMENT_LEN = 60 << 10, /* what the kernel sends as one segment, less its headers */
    LOOP_JOIN_MAX = 256 << 10,   /* longer bodies go out behind their head, not with it */
    LOOP_LEND_MIN = 128 << 10,   /* lent to a slow socket at least */
    LOOP_PIPE_LEN = 1 << 20,     /* bytes lent to one socket at a time; what systems grant a user */
    LOOP_URING_ENTRIES = 1024,   /* submissions of one turn; more cost another system call */
    LOOP_URING_COMPLETIONS = 8192,
    LOOP_URING_BUFFERS = 256, /* receive buffers a worker; a power of two */
    LOOP_URING_BUFFER_LEN = 2048,
    LOOP_URING_MESSAGES = 128, /* gathered sends between two submissions */
};

/* logs */
enum {
    LOG_RING_LEN = 1 << 18,   /* lines of one worker on their way to the writer */
    ACCESS_TARGET_MAX = 4096, /* of a target or field in a line; the rest is cut */
    /* six of them, each byte escaped by up to six: no request is too long to be logged */
    ACCESS_LINE_MAX = 6 * 6 * ACCESS_TARGET_MAX + 1024,
};

/* connections */
enum {
    CONN_OUT_LEN = 4096,          /* heads and small bodies of one send */
    CONN_DISCARD_MAX = 256 << 10, /* request body that nobody wants */
    CONN_LINGER_MAX = 1 << 20,    /* read and thrown away after our side has ended */
    CONN_LINGER_MS = 2000,
    CONN_COPY_MAX = 2048,              /* bodies up to this size are copied behind their head */
    CONN_SPLICE_MIN = 24576,           /* bodies from this size on are sent without copying */
    CONN_SEND_FILE_MAX = 1 << 20,      /* of a file, in one call */
    CONN_TURN_MAX = 1 << 20,           /* sent to one peer before the others get their turn */
    CONN_STASH_SLACK = 1 << 20,        /* bytes that may still come after receiving was stopped */
    CONN_TLS_SMALL_LEN = 4096 + 512,   /* wire bytes of a small output */
    CONN_TLS_SMALL_PLAIN = 4096 + 256, /* plain bytes that one takes */
    CONN_TLS_LARGE_LEN = 4 * (16384 + 64) + 1024, /* of a large one, and of a handshake */
    CONN_TLS_PLAIN_LEN = 4 * 16384,               /* read from a file to be sealed */
    CONN_TLS_OUTPUTS_KEPT = 64,                   /* spare outputs of each size a worker keeps */
    CONN_TLS_BURST_MS = 1000,                     /* silence after which records start small */
    CONN_HANDSHAKES_MAX = 1024,                   /* at a time in a worker; the oldest goes */
    CONN_CHUNK_SLOTS = 256,                       /* connection slots made at a time */
    CONN_SESSIONS_KEPT = 256,                     /* free sessions a worker keeps */
    CONN_EVICT_BATCH = 64,                        /* oldest idle connections found in one search */
    REQ_ARENA_MAX = 256 << 10,
    REQ_ARENA_BLOCK = 4096,
};

/* HTTP/2; see conn/h2_flood.h for what a peer may send per time */
enum {
    H2_STREAMS_MAX = 128,         /* open at a time, of one connection */
    H2_STREAM_WINDOW = 256 << 10, /* request body bytes on their way, of a stream */
    H2_WINDOW = 1 << 20,          /* and of a connection */
    H2_CONTINUATIONS_MAX = 8,     /* frames behind a HEADERS frame */
    H2_ACKS_MAX = 256,            /* answers to PING and SETTINGS that wait for a reader */
    H2_QUEUE_MAX = 512,           /* frames that wait for a reader before receiving stops */
    H2_OUT_LEN = 64 << 10,        /* frames of one send */
    H2_FRAME_MIN = 4096,          /* room below which no DATA frame is begun */
    H2_PRIORITY_LEN_MAX = 256,    /* value of a PRIORITY_UPDATE frame that is looked at */
    H2_NOTICE_MS = 1000,          /* between the two GOAWAYs of a graceful end, at most */
    H2_STREAMS_KEPT = 256,        /* free streams a worker keeps */
    H2_OUTPUTS_KEPT = 16,         /* and output buffers */
};

/* ClientHello, ECH, the relay */
enum {
    CLIENT_HELLO_MAX = 4 + 16384,  /* the handshake message with its head; what BoringSSL accepts */
    CLIENT_HELLO_RECORDS_MAX = 64, /* that carry one message */
    ECH_FILE_MAX = 1 << 20,        /* one file of keys */
    RELAYS_MAX = 256,              /* of one worker at a time */
    RELAY_BUFFER_LEN = 32 << 10, /* one direction of a relay: what it reads before it is sent on */
    RELAY_BUFFERED_MAX = 64 << 10, /* bytes of the client handed over at the start */
};

/* the resolver */
enum {
    RESOLVER_QUERIES_MAX = 256,   /* names being asked for at a time */
    RESOLVER_WAITING_MAX = 16384, /* lookups that wait for them */
    RESOLVER_CACHE_MAX = 256,     /* names kept */
    RESOLVER_CACHE_S = 3600,      /* at most, however long the records live */
    RESOLVER_FAILURE_S = 5,       /* failures are kept */
    RESOLVER_ADDRESSES_MAX = 8,   /* of one name, tried one after the other */
    RESOLVER_TRY_MS = 1000,       /* for a name server, doubled the second time */
    RESOLVER_LOOKUP_MS = 10000,   /* for a name: three servers twice are 9 s */
    RESOLVER_CONF_MS = 1000,      /* between two looks at resolv.conf */
};

/* tls */
enum {
    TLS_FILE_MAX = 1 << 20, /* a PEM file */
    TLS_OCSP_MAX = 16 << 10,
    TLS_CERTS_MAX = 20000,
    TLS_CHAIN_MAX = 16,              /* certificates that one file sends to clients */
    TLS_CLIENT_CAS_MAX = 1000,       /* certificates of --client-ca */
    TLS_CLIENT_NAMES_MAX = 32768,    /* their names, as sent to every client */
    TLS_HELLO_KEPT_MAX = 4096,       /* a ClientHello kept for its fingerprint */
    TLS_HELD_MAX = 256 << 10,        /* wire bytes of a peer that wait for room in the output */
    TLS_FED_MAX = 64 << 10,          /* wire bytes kept while an ECH relay is possible */
    TLS_TICKET_PLAIN_MAX = 16 << 10, /* a session that is put into a ticket */
    TLS_TRUSTED_MAX = 5000,          /* CA certificates of a bundle, files of a directory of them */
    TLS_CLIENT_PROTOCOLS_MAX = 4,    /* offered by ALPN */
    TLS_SESSIONS_MAX = 256,          /* a client keeps to resume */
    TLS_SESSIONS_PER_PEER = 8,
    TLS_SESSION_LEN_MAX = 16 << 10, /* certificates and ticket of one that is kept */
};

/* urls, fetch cache */
enum {
    URL_MAX = 8192,                /* a URL as it came, and its canonical text */
    URL_HOST_MAX = 254,            /* the longest name with its last dot, RFC 1035 section 2.3.4 */
    CIDR_LIST_MAX = 256,           /* networks of one option */
    RETRY_AFTER_MAX_S = 24 * 3600, /* an upstream that asks for more gets this */
    DISPOSITION_NAME_MAX = 255,    /* of a file name offered for saving; what Linux can store */
};

/* cache store: the index */
enum {
    CACHE_INDEX_QUEUE_MAX = 16 << 20,   /* changes that wait to be written, bytes */
    CACHE_INDEX_WAIT_MS = 2000,         /* a caller waits for room there, at most */
    CACHE_INDEX_TOUCHES_MAX = 64 << 10, /* entries whose use waits to be written */
    CACHE_INDEX_TOUCH_MS = 5000,        /* that long, and so do totals */
    CACHE_INDEX_PERIODS_MAX = 48,       /* hours whose totals wait */
    CACHE_INDEX_RETRY_MS = 1000,        /* after a failure to write */
    CACHE_INDEX_NOTE_S = 60,            /* between two notes about such failures */
    CACHE_INDEX_BUSY_MS = 500,          /* another program holds the database */
    CACHE_INDEX_PAGES_KIB = 4096,       /* of the database in memory */
    CACHE_INDEX_WAL_MAX = 32 << 20,     /* the write-ahead log is cut back to this */
    CACHE_INDEX_ASKS_MAX = 64,          /* questions that wait */
    CACHE_INDEX_LIST_MAX = 1000,        /* entries of one answer */
    CACHE_INDEX_DEPTH_MAX = 20000,      /* entries that pages can reach in one order */
    CACHE_INDEX_ANSWER_MAX = 32 << 20,  /* bytes of one answer */
    CACHE_INDEX_HOURS_KEPT = 14 * 24,
    CACHE_INDEX_DAYS_KEPT = 400,
    CACHE_INDEX_DAMAGED_KEPT = 2, /* damaged databases that were moved aside */
    CACHE_UNSYNCED_S = 600,       /* after that the system has written a file to the disk */
};

/* the fetch cache's web pages */
enum {
    /* one page: as many URLs of URL_MAX, with all that JSON may have to escape in them, fit */
    CACHE_PAGE_MAX = 16 << 20,
    CACHE_PAGE_ROWS = 50,       /* resources on it */
    CACHE_PAGE_JSON_ROWS = 250, /* the same of a document in JSON, at most */
};

/* the fetch cache's commands */
enum {
    CACHE_CLIENT_URL_MAX = 2 * URL_MAX,   /* the path of a request */
    CACHE_CLIENT_QUERY_MAX = 4 * URL_MAX, /* its query, encoded */
    CACHE_CLIENT_BODY_MAX = 16 << 20,     /* an answer that is read whole */
    CACHE_CLIENT_REASON_MAX = 1024,       /* of what is said about a failure */
    CACHE_CLIENT_IDLE_S = 30,
    CACHE_CLIENT_TICK_MS = 100,
    CACHE_CLIENT_SLOW_MS = 50,      /* a write that takes longer stops the clock */
    CACHE_LIST_MEMORY_MIB = 4096,   /* of a list that is sorted */
    CACHE_GET_STATE_MAX = 16 << 10, /* the file beside one that is not whole yet */
    CACHE_GET_NAME_MAX = 255,       /* of a file that is named after its URL */
};

/* what the fetch cache holds in memory */
enum {
    CACHE_HEAD_MAX = 2048,       /* rendered header lines of a resource */
    CACHE_FIELD_MAX = 512,       /* an upstream's Content-Type or ETag that is kept */
    CACHE_CODING_MAX = 32,       /* the same of its Content-Encoding */
    CACHE_FLIGHTS_MAX = 10000,   /* downloads waiting, going on, or remembered as failed */
    CACHE_FLIGHT_BUCKETS = 4096, /* a power of two */
    CACHE_ENTRIES_MAX = 10000000,
    CACHE_OPEN_MAX = 512,     /* files kept open though nobody reads them */
    CACHE_EXPIRE_SCAN = 2000, /* entries looked at in one search for old ones */
    CACHE_UPSTREAM_HEAD_MAX = 64 << 10,
    CACHE_UPSTREAM_FIELDS_MAX = 256,
    CACHE_UPSTREAM_IDLE_S = 30,
    CACHE_REDIRECTS_MAX = 20,
    CACHE_GRANT_LEN = 1 << 20, /* charged at a time for a download of unknown length */
    CACHE_ROOM_LEN = 64 << 20, /* evicted at a time when the disk itself is full */
    CACHE_BACKOFF_MS = 500,    /* before the first retry; doubled up to CACHE_BACKOFF_MAX_MS */
    CACHE_BACKOFF_MAX_MS = 8000,
    CACHE_FAILURE_HOLD_S = 2, /* a failure that is not upstream's word is remembered */
};

/* upstream */
enum {
    UPSTREAM_IDLE_MAX = 128,        /* idle connections of one origin */
    UPSTREAM_IDLE_TOTAL_MAX = 1024, /* and of a pool */
    UPSTREAM_BUCKETS = 256,         /* of origins; a power of two */
    UPSTREAM_HELD_MAX = 1 << 20,    /* bytes that still come after receiving was stopped */
    UPSTREAM_WIRE_LEN = 4 * (16384 + 64) + 1024, /* TLS: sealed bytes that wait to be sent */
    UPSTREAM_WIRES_KEPT = 16,                    /* spare buffers for them, of a pool */
    UPSTREAM_PLAIN_LEN = 4 * 16384,   /* TLS: opened at a time, and read from a file to be sealed */
    UPSTREAM_TUNNEL_HEAD_MAX = 16384, /* a proxy's answer to CONNECT */
    UPSTREAM_TUNNEL_FIELDS_MAX = 100,
    UPSTREAM_TRY_MS = 1000,           /* an address gets, or half of what is left */
    EXCHANGE_HEAD_MAX = 64 << 10,     /* a request head */
    EXCHANGE_OUT_LEN = 16384,         /* request body copied behind it, or before the next send */
    EXCHANGE_COPY_MAX = 4096,         /* a larger piece of a body is sent from where it is */
    EXCHANGE_SEND_FILE_MAX = 1 << 20, /* of a file, in one call */
    EXCHANGE_TURN_MAX = 1 << 20,      /* sent before other connections get their turn */
    EXCHANGE_INTERIM_MAX = 16,        /* 1xx responses before the one that counts */
    EXCHANGE_CONTINUE_MS = 1000,      /* a body waits for "100 Continue" */
    EXCHANGES_KEPT = 64,              /* free ones, of a pool */
    PROXY_ENV_MAX = 1 << 20,          /* what the environment says about proxies */
};

/* scripts (src/bpf) */
enum {
    BPF_INSNS_MAX = 1000000,
    BPF_SECTIONS_MAX = 4096,
    BPF_SYMBOLS_MAX = 1 << 20,
    BPF_RELOCATIONS_MAX = 1 << 20, /* of one section */
    BPF_LINES_MAX = 1 << 20,
    BPF_NAME_MAX = 255,               /* of a code section; of a symbol the rest is cut */
    BPF_WANTED_MAX = 4096,            /* undefined symbols of a file that is only looked at */
    BPF_FILES_MAX = 1 << 16,          /* source files and folders that debug information names */
    BPF_FILE_NAME_MAX = 1024,         /* of one of them; the rest is cut */
    BPF_FILE_NAMES_MAX = 1 << 20,     /* of all that lines come from */
    BPF_OBJECT_MAX = 64 << 20,        /* bytes of an object file */
    BPF_MEMORY_MAX = 8 << 20,         /* where a script's data ends, in its address space */
    BPF_CODE_MAX = 4 << 20,           /* bytes of machine code, unless the caller says otherwise */
    BPF_NATIVE_STACK_LEN = 256 << 10, /* for the interpreter and helpers */
    BPF_SLOTS_MAX = 4096,    /* of the process: 16 TiB of 128 TiB address space, half of the memory
                                areas that Linux gives a process by default (65530; 8 each) */
    BPF_SLOTS_IDLE_MAX = 64, /* kept by a pool */
};

/* request scripts (src/script) */
enum {
    SCRIPTS_MAX = 1024,                 /* of one snapshot */
    SCRIPT_FIELDS_MAX = 64 << 10,       /* text of a list of header fields */
    SCRIPT_FIELD_COUNT_MAX = 512,       /* fields of one */
    SCRIPT_META_MAX = 64 << 10,         /* text of a request's metadata */
    SCRIPT_META_COUNT_MAX = 512,        /* entries */
    SCRIPT_HANDLES_MAX = 32,            /* live JSON handles of one run */
    SCRIPT_JSON_DEPTH_MAX = 128,        /* levels of a JSON tree */
    SCRIPT_JSON_FILES_MAX = 64,         /* JSON files of a site that a worker keeps parsed */
    SCRIPT_JSON_KEPT_MAX = 2 << 20,     /* their trees */
    SCRIPT_CALL_DEPTH_MAX = 8,          /* zs_call inside of each other */
    SCRIPT_ANSWER_MAX = 8 << 20,        /* body of a response; no script has more memory */
    SCRIPT_LISTING_ENTRIES = 10000,     /* of a directory that zs_file_server lists */
    SCRIPT_FILE_OPTIONS_MAX = 16 << 10, /* of zs_file_server, read */
    SCRIPT_HOOKS_MAX = 64,              /* of one request */
    SCRIPT_HOOK_TEXT_MAX = 256 << 10,   /* their arguments */
    SCRIPT_RESTARTS_MAX = 8,            /* zs_res_continue_request of one request */
    SCRIPT_COUNTERS_MAX = 4096,         /* names of scripts that are counted */
    SCRIPT_LOG_LINES_MAX = 100,         /* of one run; what comes after is counted and dropped */
    SCRIPT_RATE_KEY_MAX = 256,
    SCRIPT_KV_KEY_MAX = 1024,
    SCRIPT_KV_VALUE_MAX = 256 << 10,
    SCRIPT_FETCH_BODY_MAX = 1 << 20, /* of a response that zs_fetch reads */
    SCRIPT_FETCH_FIELDS_MAX = 100,   /* header fields of a request */
    SCRIPT_FETCH_MS = 10 * 1000,     /* to its whole answer, when it does not say */
    SCRIPT_FETCH_MS_MAX = 60 * 1000,
    SCRIPT_FETCH_IDLE_S = 30,        /* an idle connection to an upstream is kept */
    SCRIPT_FETCHES_MAX = 1024,       /* of one worker at a time */
    SCRIPT_THROTTLE_MS = 20,         /* CPU time after which a script pauses */
    SCRIPT_PAUSE_MS = 100,           /* for so long */
    SCRIPT_SCRATCH_MAX = 2 << 20,    /* text that a helper makes for a moment */
    SCRIPT_METHOD_MAX = 64,          /* a method that scripts set */
    SCRIPT_TARGET_MAX = 64 << 10,    /* a request target that scripts made */
    SCRIPT_CHANGES_MAX = 64 << 10,   /* JSON that says what to change, or whom to match */
    SCRIPT_CHANGE_COUNT_MAX = 64,    /* changes of one kind in it */
    SCRIPT_CHANGES_MEMORY = 1 << 20, /* while they are made */
    SCRIPT_QUERY_PARAMS_MAX = 4096,  /* of a query that is rewritten */
    REGEX_LEN_MAX = 4096,            /* an expression */
    REGEX_DEPTH_MAX = 64,            /* groups and repetitions inside of each other */
    REGEX_INSNS_MAX = 2048,          /* of a compiled one */
    REGEX_RANGES_MAX = 4096,         /* of characters, in all its classes */
    REGEX_GROUPS_MAX = 16,           /* that capture, the whole match being one */
    REGEX_REPEAT_MAX = 1000,         /* times, in {n,m} */
    REGEX_STEPS_MAX = 1 << 17,       /* of matching, of one call of a helper */
    REGEX_CACHED_MAX = 64,           /* compiled ones that a worker keeps */
    SIGV4_URI_MAX = 4096,            /* path and query of a request that is signed for AWS */
    SIGV4_FIELDS_MAX = 64,           /* its header fields */
    SIGV4_FIELDS_LEN_MAX = 16 << 10, /* their names and values */
    SIGV4_PARAMS_MAX = 256,          /* of its query, with those that a signature adds */
    SIGV4_CREDENTIAL_MAX = 256,      /* access key, secret key */
    SIGV4_NAME_MAX = 64,             /* region, service, method */
    SIGV4_BODY_HASH_MAX = 128,
    SIGV4_EXPIRES_MAX_S = 7 * 86400,     /* what AWS accepts */
    JWT_TOKEN_MAX = 16 << 10,            /* a JSON Web Token */
    JWT_KEYS_MAX = 256 << 10,            /* the keys that may have signed it, as JSON */
    JWT_KEY_MAX = 16 << 10,              /* text of one of them that is looked at */
    JWT_TRIES_MAX = 8,                   /* keys that a signature is checked with */
    JWT_LEEWAY_S = 60,                   /* clocks differ */
    GEOIP_FILE_MAX = 1 << 30,            /* a database */
    GEOIP_RECORD_MAX = 32 << 10,         /* what it says of one address, as JSON */
    GEOIP_DEPTH_MAX = 32,                /* maps and arrays inside of each other */
    SCRIPT_TASKS_KEPT = 256,             /* spare ones of a worker; and frames */
    SCRIPT_OBJECTS_MAX = 256 << 20,      /* bytes of all object files of a snapshot */
    SCRIPT_COMPILE_MS = 60 * 1000,       /* for a .c file */
    SCRIPT_DIAGNOSTICS_MAX = 64 << 10,   /* what a compiler says of it */
    SCRIPT_TRIAL_BODY_MAX = 64 << 20,    /* of run-script: a body, of request or response */
    SCRIPT_TRIAL_LOG_MAX = 1 << 20,      /* log lines */
    SCRIPT_TRIAL_REPORT_MAX = 512 << 20, /* what is printed */
};

#endif
