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
    SITE_STDIN_MAX = 1 << 30,
    SITE_UNPACKED_MAX_MIB = 16384, /* a .tar.gz or .tar.zst unpacked */
    TAR_PAX_MAX = 1 << 20,
};
#define SITE_ARENA_MAX ((size_t)8 << 30)

#endif
