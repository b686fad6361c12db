#include "base/limits.h"
#include "base/log.h"
#include "script/compile.h"
#include "server/script_check.h"
#include "server/script_command.h"
#include "site/output_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* FILE.o for FILE.c, or what -o says; NULL: standard output. On the heap. */
static char *
output_name(const struct options *options)
{
    char *name = strdup(options->output ? options->output : options->object);
    if (name && !options->output)
        name[strlen(name) - 1] = 'o';
    return name;
}

static bool
is_same_file(const char *one, const char *other)
{
    struct stat a, b;
    return stat(one, &a) == 0 && stat(other, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

static int
write_object(struct str object, const char *name, struct error *error)
{
    struct output_file output;
    int result = output_file_open(&output, strcmp(name, "-") == 0 ? NULL : name, error);
    while (result == 0 && object.len) {
        ssize_t put = write(output.fd, object.ptr, object.len);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            result = error_set_errno(error, errno, "cannot write '%s'", name);
        else
            object = str_skip(object, (size_t)put);
    }
    if (result == 0)
        result = output_file_commit(&output, error);
    output_file_discard(&output);
    return result;
}

static int
check(const struct options *options, const char *name, struct str object, struct error *error)
{
    struct script_check check = {0};
    const char *slash = strrchr(name, '/');
    const struct script_source source = {
        .name = str_from_cstr(slash ? slash + 1 : name),
        .bytes = object,
        .from = str_from_cstr(options->object),
    };
    int result = script_check_object(&check, &source, error);
    script_check_deinit(&check);
    return result;
}

static int
compile(const struct options *options, const char *name, struct error *error)
{
    struct script_compiler compiler;
    struct buf object;
    if (is_same_file(options->object, name))
        return error_set(error, "'%s' would be overwritten", options->object);
    script_compiler_init(&compiler, options->clang);
    buf_init(&object, BPF_OBJECT_MAX);
    int result = script_compile(&compiler, options->object, 0, &object, error);
    if (result == 0)
        result = check(options, name, buf_str(&object), error);
    if (result == 0)
        result = write_object(buf_str(&object), name, error);
    buf_deinit(&object);
    script_compiler_deinit(&compiler);
    return result;
}

int
script_command_compile(const struct options *options)
{
    struct error error;
    char *name = output_name(options);
    int result = name ? compile(options, name, &error) : error_set(&error, "no memory");
    if (result < 0)
        log_error("compile: %s", error.text);
    free(name);
    return result < 0 ? 1 : 0;
}
