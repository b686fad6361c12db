/* The script headers are given to the compiler without a file: clang's map of virtual files says
 * that SDK_FOLDER has two, whose content is in descriptors that the child inherits. So nothing is
 * left behind, nothing has to be writable, and the names in debug information are the same
 * everywhere.
 */
#include "script/compile.h"

#include "base/limits.h"
#include "base/log.h"
#include "base/must.h"
#include "script/child.h"
#include "script/sdk.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SDK_FOLDER "/tarn-sdk"
/* What stands for the current directory in debug information, and is taken out of it. */
#define HERE "/tarn-here"
/* What stands for a directory that must not show there. The back end puts lines of the source into
 * the object file when it finds a file of the name that it has written: of this name it never
 * does, wherever it is started. */
#define HIDDEN "site:/"

enum { SDK_MAP, SDK_TARN, SDK_ZEROSERVE, SDK_FILES, ARGUMENTS_MAX = 32 };

void
script_compiler_init(struct script_compiler *compiler, const char *clang)
{
    *compiler = (struct script_compiler){.timeout_ms = SCRIPT_COMPILE_MS};
    clang_search_init(&compiler->search, clang);
}

void
script_compiler_deinit(struct script_compiler *compiler)
{
    for (unsigned i = 0; i < SDK_FILES; i++) {
        if (compiler->sdk_fds[i])
            close(compiler->sdk_fds[i]);
        compiler->sdk_fds[i] = 0;
    }
    clang_search_deinit(&compiler->search);
}

/* --- the script headers --- */

/* Unless it is there. */
static int
make_file(int *fd, const char *name, struct str content, struct error *error)
{
    int file = *fd ? 0 : child_file_open(name, error);
    if (file <= 0)
        return file;
    ssize_t put = write(file, content.ptr, content.len);
    if (put != (ssize_t)content.len) {
        error_set_errno(error, put < 0 ? errno : ENOSPC, "no memory for the script headers");
        close(file);
        return -1;
    }
    *fd = file;
    return 0;
}

static int
make_sdk(struct script_compiler *compiler, struct error *error)
{
    int *fds = compiler->sdk_fds;
    char map[512];
    if (make_file(&fds[SDK_TARN], "tarn.h", script_sdk_tarn(), error) < 0 ||
        make_file(&fds[SDK_ZEROSERVE], "zeroserve.h", script_sdk_zeroserve(), error) < 0)
        return -1;
    int len = snprintf(map, sizeof map,
                       "{\"version\":0,\"use-external-names\":false,\"roots\":[{"
                       "\"type\":\"directory\",\"name\":\"" SDK_FOLDER "\",\"contents\":["
                       "{\"type\":\"file\",\"name\":\"tarn.h\",\"external-contents\":"
                       "\"/proc/self/fd/%d\"},"
                       "{\"type\":\"file\",\"name\":\"zeroserve.h\",\"external-contents\":"
                       "\"/proc/self/fd/%d\"}]}]}",
                       fds[SDK_TARN], fds[SDK_ZEROSERVE]);
    return make_file(&fds[SDK_MAP], "map", str_make(map, (size_t)len), error);
}

/* --- one run --- */

struct run {
    struct script_compiler *compiler;
    const char *path;
    size_t hidden_len;
    int out_fd, err_fd;
    struct child_end end;
    struct error *error;
};

static int
empty_files(struct run *run)
{
    if (ftruncate(run->out_fd, 0) < 0 || ftruncate(run->err_fd, 0) < 0 ||
        lseek(run->out_fd, 0, SEEK_SET) < 0 || lseek(run->err_fd, 0, SEEK_SET) < 0)
        return error_set_errno(run->error, errno, "cannot keep what a compiler writes");
    return 0;
}

struct arguments {
    const char *list[ARGUMENTS_MAX]; /* ends in NULL */
    unsigned count;
};

static void
add_argument(struct arguments *arguments, const char *argument)
{
    must(arguments->count + 1 < ARGUMENTS_MAX);
    arguments->list[arguments->count++] = argument;
}

static int
run_clang(struct run *run, const struct clang *clang)
{
    char map[64], hidden[PATH_MAX + 32];
    struct arguments arguments = {.list = {clang->path}, .count = 1};
    snprintf(map, sizeof map, "/proc/self/fd/%d", run->compiler->sdk_fds[SDK_MAP]);
    snprintf(hidden, sizeof hidden, "-ffile-prefix-map=%.*s=" HIDDEN, (int)run->hidden_len,
             run->path);
    const char *const rest[] = {
        "-ivfsoverlay",
        map,
        "-I",
        SDK_FOLDER,
        "-fdebug-compilation-dir=" HERE,
        "-fdebug-prefix-map=" HERE "=",
        "-fno-crash-diagnostics",
        "-x",
        "c",
        "-c",
        "-o",
        "-",
        run->path,
    };
    for (unsigned i = 0; clang_target_options[i]; i++)
        add_argument(&arguments, clang_target_options[i]);
    if (run->hidden_len)
        add_argument(&arguments, hidden);
    for (unsigned i = 0; i < sizeof rest / sizeof *rest; i++)
        add_argument(&arguments, rest[i]);
    const struct child child = {
        .path = clang->path,
        .argv = (char *const *)arguments.list,
        .out_fd = run->out_fd,
        .err_fd = run->err_fd,
        .kept_fds = run->compiler->sdk_fds,
        .kept_count = SDK_FILES,
        .timeout_ms = run->compiler->timeout_ms,
        .file_len_max = BPF_OBJECT_MAX,
    };
    return empty_files(run) < 0 ? -1 : child_run(&child, &run->end, run->error);
}

/* A failure that is the compiler's own goes to the next one. */
static int
run_until_proven(struct run *run, struct clang **clang)
{
    for (;;) {
        if (clang_search_best(&run->compiler->search, clang, run->error) < 0 ||
            run_clang(run, *clang) < 0)
            return error_prefix(run->error, "'%s'", run->path);
        (*clang)->proven |= run->end.exit_code == 0;
        if (run->end.timed_out || clang_search_prove(&run->compiler->search))
            return 0;
    }
}

/* --- what came of it --- */

static void
show_diagnostics(const struct run *run)
{
    char text[SCRIPT_DIAGNOSTICS_MAX];
    ssize_t len = pread(run->err_fd, text, sizeof text, 0);
    if (len <= 0)
        return;
    log_text(str_make(text, (size_t)len));
    if (lseek(run->err_fd, 0, SEEK_END) > len)
        log_warn("the compiler had more to say than %d bytes", SCRIPT_DIAGNOSTICS_MAX);
}

static int
fail_run(const struct run *run, const struct clang *clang)
{
    const struct child_end *end = &run->end;
    if (end->timed_out)
        return error_set(run->error, "'%s' does not compile: %s took more than %u s and was ended",
                         run->path, clang->path, run->compiler->timeout_ms / 1000);
    if (end->exit_code < 0)
        return error_set(run->error, "'%s' does not compile: %s was ended: %s", run->path,
                         clang->path, strsignal(end->signal_number));
    return error_set(run->error, "'%s' does not compile (%s, exit code %d)", run->path, clang->path,
                     end->exit_code);
}

static int
take_object(const struct run *run, const struct clang *clang, struct buf *object)
{
    struct stat st;
    if (fstat(run->out_fd, &st) < 0 || st.st_size == 0)
        return error_set(run->error, "'%s' does not compile: %s wrote nothing", run->path,
                         clang->path);
    size_t len = (size_t)st.st_size;
    char *room = buf_reserve(object, len);
    if (!room)
        return error_set(run->error, "'%s': the object file has %zu bytes, too many", run->path,
                         len);
    for (size_t done = 0; done < len;) {
        ssize_t got = pread(run->out_fd, room + done, len - done, (off_t)done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return error_set_errno(run->error, errno, "cannot read what a compiler wrote");
        done += (size_t)got;
    }
    buf_commit(object, len);
    return 0;
}

static int
compile(struct run *run, struct buf *object)
{
    struct clang *clang;
    if (make_sdk(run->compiler, run->error) < 0 || run_until_proven(run, &clang) < 0)
        return -1;
    show_diagnostics(run);
    if (run->end.exit_code != 0)
        return fail_run(run, clang);
    return take_object(run, clang, object);
}

int
script_compile(struct script_compiler *compiler, const char *path, size_t hidden_len,
               struct buf *object, struct error *error)
{
    char harmless[PATH_MAX];
    struct run run = {
        .compiler = compiler, .path = path, .hidden_len = hidden_len, .err_fd = -1, .error = error};
    if (snprintf(harmless, sizeof harmless, "./%s", path) >= (int)sizeof harmless)
        return error_set(error, "the name of a script has more than %d bytes", PATH_MAX - 3);
    /* What begins with a dash would be taken for an option, behind "--" too. */
    if (path[0] == '-')
        run.path = harmless;
    run.out_fd = child_file_open("object", error);
    if (run.out_fd < 0)
        return -1;
    run.err_fd = child_file_open("diagnostics", error);
    int result = run.err_fd < 0 ? -1 : compile(&run, object);
    close(run.out_fd);
    if (run.err_fd >= 0)
        close(run.err_fd);
    return result;
}
