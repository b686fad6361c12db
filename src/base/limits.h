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
    SITE_UNPACKED_MAX_MIB = 16384, /* a .tar.gz or .tar.zst unpacked */
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
    RESOLVER_QUEUE_MAX = 256,      /* questions waiting for the thread */
    RESOLVER_CACHE_MAX = 256,      /* names kept */
    RESOLVER_CACHE_S = 60,
    RESOLVER_ADDRESSES_MAX = 4, /* of one name, tried one after the other */
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
};

#endif
