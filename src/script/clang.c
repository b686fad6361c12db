#include "script/clang.h"

#include "base/str.h"
#include "script/child.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ANSWER_MS = 10 * 1000, ANSWER_LEN = 4096, ANSWER_FILE_MAX = 1 << 20, OPTIONS_MAX = 16 };

#define ADVICE                                                                          \
    "install it (Debian: the package clang-19), name one by --clang, or compile where " \
    "there is one, with 'tarn pack' or 'tarn compile'"

const char *const clang_target_options[] = {
    "-target", "bpf", "-mcpu=v3", "-O2", "-fno-builtin", "-mllvm", "-bpf-stack-size=4096",
    "-g",      NULL,
};

void
clang_search_init(struct clang_search *search, const char *named)
{
    *search = (struct clang_search){.named = named};
}

void
clang_search_deinit(struct clang_search *search)
{
    free(search->list);
    free(search->old);
    *search = (struct clang_search){0};
}

/* --- asking a compiler --- */

/* Runs it and gives what it says, from standard output or from standard error. -1: it cannot be
 * run. */
static int
ask(const char *path, char *const *argv, bool from_err, char answer[ANSWER_LEN],
    struct child_end *end, struct error *error)
{
    int out = child_file_open("clang-output", error);
    if (out < 0)
        return -1;
    int err = child_file_open("clang-errors", error);
    if (err < 0) {
        close(out);
        return -1;
    }
    const struct child child = {
        .path = path,
        .argv = argv,
        .out_fd = out,
        .err_fd = err,
        .timeout_ms = ANSWER_MS,
        .file_len_max = ANSWER_FILE_MAX,
    };
    int result = child_run(&child, end, error);
    ssize_t len = result == 0 ? pread(from_err ? err : out, answer, ANSWER_LEN - 1, 0) : 0;
    answer[len > 0 ? len : 0] = '\0';
    close(out);
    close(err);
    return result;
}

/* The number behind "version " in what `clang --version` prints, or 0. */
static unsigned
version_in(const char *answer)
{
    const char *at = strstr(answer, "clang version ");
    unsigned version = 0;
    if (!at)
        return 0;
    for (at += strlen("clang version "); *at >= '0' && *at <= '9' && version < 1000; at++)
        version = version * 10 + (unsigned)(*at - '0');
    return version;
}

static int
ask_version(const char *path, unsigned *version, struct error *error)
{
    char answer[ANSWER_LEN];
    struct child_end end;
    char *const argv[] = {(char *)path, "--version", NULL};
    if (ask(path, argv, false, answer, &end, error) < 0)
        return -1;
    *version = end.exit_code == 0 ? version_in(answer) : 0;
    return 0;
}

/* --- the list --- */

static int
note(struct clang_search *search, const char *path, unsigned version, struct error *error)
{
    if (version < CLANG_VERSION_MIN) {
        if (!search->old)
            search->old = calloc(1, sizeof *search->old);
        if (search->old && search->old->version < version) {
            search->old->version = version;
            snprintf(search->old->path, sizeof search->old->path, "%s", path);
        }
        return 0;
    }
    if (search->count == CLANG_FOUND_MAX) {
        if (search->list[CLANG_FOUND_MAX - 1].version >= version)
            return 0;
        search->count--;
    }
    if (!search->list)
        search->list = calloc(CLANG_FOUND_MAX, sizeof *search->list);
    if (!search->list)
        return error_set(error, "no memory to look for a compiler");
    /* Behind those that are as new: they stand before it on PATH. */
    unsigned place = search->count++;
    for (; place > 0 && search->list[place - 1].version < version; place--)
        search->list[place] = search->list[place - 1];
    search->list[place] = (struct clang){.version = version};
    snprintf(search->list[place].path, sizeof search->list[place].path, "%s", path);
    return 0;
}

static bool
is_program(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* The version in the name: 19 of "clang-19"; 0 of "clang"; -1: it is no such name. */
static int
version_of_name(struct str name)
{
    uint64_t version;
    if (str_eq(name, STR("clang")))
        return 0;
    if (!str_starts_with(name, STR("clang-")) || !str_to_u64(str_skip(name, 6), &version) ||
        version >= 1000)
        return -1;
    return (int)version;
}

static int
look_at(struct clang_search *search, const char *folder, const char *name, struct error *error)
{
    char path[PATH_MAX];
    struct error ignored;
    int of_name = version_of_name(str_from_cstr(name));
    int len = snprintf(path, sizeof path, "%s/%s", folder, name);
    if (of_name < 0 || len >= (int)sizeof path || !is_program(path))
        return 0;
    unsigned version = (unsigned)of_name;
    if (version == 0 && (ask_version(path, &version, &ignored) < 0 || version == 0))
        return 0;
    return note(search, path, version, error);
}

/* What cannot be read has no compiler. */
static int
look_into(struct clang_search *search, const char *folder, struct error *error)
{
    int result = 0;
    DIR *dir = opendir(folder);
    if (!dir)
        return 0;
    for (struct dirent *entry; result == 0 && (entry = readdir(dir));)
        result = look_at(search, folder, entry->d_name, error);
    closedir(dir);
    return result;
}

static int
search_path(struct clang_search *search, struct error *error)
{
    char folder[PATH_MAX - NAME_MAX - 2]; /* room for a name behind it */
    struct str rest = str_from_cstr(getenv("PATH"));
    while (rest.len) {
        struct str part = str_cut(&rest, ':');
        if (part.len == 0 || part.len >= sizeof folder)
            continue;
        memcpy(folder, part.ptr, part.len);
        folder[part.len] = '\0';
        if (look_into(search, folder, error) < 0)
            return -1;
    }
    return 0;
}

/* The path of a program that was named as a shell would take it: false: there is none. */
static bool
find_named(const char *name, char out[PATH_MAX])
{
    struct str rest = str_from_cstr(getenv("PATH"));
    if (strchr(name, '/'))
        return snprintf(out, PATH_MAX, "%s", name) < PATH_MAX && is_program(out);
    while (rest.len) {
        struct str part = str_cut(&rest, ':');
        int len = snprintf(out, PATH_MAX, "%.*s/%s", STR_ARG(part), name);
        if (part.len && len < PATH_MAX && is_program(out))
            return true;
    }
    return false;
}

static int
take_named(struct clang_search *search, struct error *error)
{
    char path[PATH_MAX];
    unsigned version;
    if (!find_named(search->named, path))
        return error_set(error, "--clang: there is no program '%s'", search->named);
    if (ask_version(path, &version, error) < 0)
        return error_prefix(error, "--clang");
    if (version == 0)
        return error_set(error, "--clang: '%s --version' names no version of clang", path);
    return note(search, path, version, error);
}

static int
fail_none(const struct clang_search *search, struct error *error)
{
    if (search->unfit.text[0])
        return error_set(error, "%s; scripts need clang %d or newer: " ADVICE, search->unfit.text,
                         CLANG_VERSION_MIN);
    if (search->old)
        return error_set(error, "'%s' is clang %u, and scripts need clang %d or newer: " ADVICE,
                         search->old->path, search->old->version, CLANG_VERSION_MIN);
    return error_set(error,
                     "there is no clang on PATH to compile scripts, which need clang %d or "
                     "newer: " ADVICE,
                     CLANG_VERSION_MIN);
}

int
clang_search_best(struct clang_search *search, struct clang **out, struct error *error)
{
    if (!search->searched) {
        int result = search->named ? take_named(search, error) : search_path(search, error);
        if (result < 0)
            return -1;
        search->searched = true;
    }
    if (search->at == search->count)
        return fail_none(search, error);
    *out = &search->list[search->at];
    return 0;
}

/* --- trying one --- */

bool
clang_search_prove(struct clang_search *search)
{
    struct clang *clang = &search->list[search->at];
    const char *argv[OPTIONS_MAX] = {clang->path};
    static const char *const rest[] = {"-x", "c", "-c", "-o", "-", "/dev/null"};
    char answer[ANSWER_LEN] = "";
    struct child_end end;
    struct error why;
    unsigned count = 1;
    if (clang->proven)
        return true;
    for (unsigned i = 0; clang_target_options[i]; i++)
        argv[count++] = clang_target_options[i];
    for (unsigned i = 0; i < sizeof rest / sizeof *rest; i++)
        argv[count++] = rest[i];
    if (ask(clang->path, (char *const *)argv, true, answer, &end, &why) == 0 &&
        end.exit_code == 0) {
        clang->proven = true;
        return true;
    }
    answer[strcspn(answer, "\r\n")] = '\0';
    error_set(&search->unfit, "'%s' cannot make eBPF%s%s", clang->path, answer[0] ? ": " : "",
              answer);
    search->at++;
    return false;
}
