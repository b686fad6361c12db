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
    CONN_COPY_MAX = 2048,         /* bodies up to this size are copied behind their head */
    CONN_SPLICE_MIN = 24576,      /* bodies from this size on are sent without copying */
    CONN_SEND_FILE_MAX = 1 << 20, /* of a file, in one call */
    CONN_TURN_MAX = 1 << 20,      /* sent to one peer before the others get their turn */
    CONN_STASH_SLACK = 1 << 20,   /* bytes that may still come after receiving was stopped */
    CONN_CHUNK_SLOTS = 256,       /* connection slots made at a time */
    CONN_SESSIONS_KEPT = 256,     /* free sessions a worker keeps */
    CONN_EVICT_BATCH = 64,        /* oldest idle connections found in one search */
    REQ_ARENA_MAX = 256 << 10,
    REQ_ARENA_BLOCK = 4096,
};

#endif
