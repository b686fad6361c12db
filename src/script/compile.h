/* compile: makes object files of C, with the clang of the machine.
 *
 * The newest clang on PATH is taken, `clang-N` counting as such, unless one is named; it must be 19
 * or newer, for the eBPF back end's stack option. Nothing is looked for before the first compile.
 * It runs as a child without shell, gets the script headers from memory, and what it has to say
 * goes to the log as it is. Debug information names files as the caller does, and no directory of
 * this machine beyond that: the same source gives the same bytes.
 *
 * Bounds: SCRIPT_COMPILE_MS, BPF_OBJECT_MAX, SCRIPT_DIAGNOSTICS_MAX. Thread rule: one owner. The
 * other threads of the process are not copied, nor stopped for longer than a vfork.
 */
#ifndef TARN_SCRIPT_COMPILE_H
#define TARN_SCRIPT_COMPILE_H

#include "base/buf.h"
#include "base/error.h"
#include "script/clang.h"

struct script_compiler {
    struct clang_search search;
    int sdk_fds[3]; /* the map, tarn.h, zeroserve.h; 0: not made yet */
    unsigned timeout_ms;
};

/* `clang`: a path or a name; NULL: the newest on PATH. Borrowed. */
void script_compiler_init(struct script_compiler *compiler, const char *clang);
void script_compiler_deinit(struct script_compiler *compiler);

/* Appends the object file of the C file `path`, which `#include ""` is relative to. Of an absolute
 * path, the first `hidden_len` bytes need not show in debug information: "site:/" stands there; 0:
 * all shows. -1 with a line that names the path. Blocks. */
int script_compile(struct script_compiler *compiler, const char *path, size_t hidden_len,
                   struct buf *object, struct error *error) MUST_USE;

#endif
