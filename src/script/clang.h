/* clang: finds a compiler that can make eBPF object files of scripts.
 *
 * One that was named is the only one. Else all of PATH's `clang` and `clang-N` are, the newest
 * first, of one version the first on PATH. A version below CLANG_VERSION_MIN is none. Whether a
 * compiler really can is tried only when it failed: that costs as much as a script does.
 * Blocks: runs compilers. One owner.
 */
#ifndef TARN_SCRIPT_CLANG_H
#define TARN_SCRIPT_CLANG_H

#include "base/error.h"

#include <limits.h>
#include <stdbool.h>

enum {
    CLANG_VERSION_MIN = 19, /* the first with -bpf-stack-size */
    CLANG_FOUND_MAX = 16,   /* compilers that are looked at */
};

struct clang {
    char path[PATH_MAX];
    unsigned version; /* 19 */
    bool proven;      /* compiles scripts, if they are right */
};

struct clang_search {
    const char *named; /* NULL: PATH is searched */
    bool searched;
    struct clang *list; /* best first */
    unsigned count, at;
    struct clang *old;  /* the newest that is too old; NULL: none */
    struct error unfit; /* why the last one was given up; empty: none was */
};

/* What scripts are compiled with, whatever else is said; ends in NULL. */
extern const char *const clang_target_options[];

void clang_search_init(struct clang_search *search, const char *named);
void clang_search_deinit(struct clang_search *search);

/* The best that was not given up; -1 and a line that says what to install. */
int clang_search_best(struct clang_search *search, struct clang **out,
                      struct error *error) MUST_USE;

/* After the best one failed: whether that was the script's fault. If not, it is given up. */
bool clang_search_prove(struct clang_search *search);

#endif
