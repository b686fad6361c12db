/* Helper: files of the site by the request's path. */
#include "base/limits.h"
#include "script/file_server.h"
#include "script/helpers.h"
#include "script/task.h"

enum { ARENA_BLOCK = 2048 };

SCRIPT_HELPER(zs_file_server)
{
    struct script_frame *frame = script_frame_of(run);
    struct script_file_options options;
    struct arena arena;
    struct str fault;
    enum script_file_result result = SCRIPT_FILE_ERROR;
    script_want_request(frame, "zs_file_server");
    struct str json = script_text(run, r1, r2, "zs_file_server: the options");
    arena_init(&arena, 8 * SCRIPT_FILE_OPTIONS_MAX, ARENA_BLOCK);
    bool fits = json.len <= SCRIPT_FILE_OPTIONS_MAX;
    bool read = fits && script_file_options_read(json, &arena, &options, &fault);
    if (read)
        result = script_file_find(frame, &options, &arena);
    arena_deinit(&arena);
    /* Nothing is owned from here on. */
    if (!fits)
        bpf_trap(run, "zs_file_server: %zu bytes of options, at most %d", json.len,
                 SCRIPT_FILE_OPTIONS_MAX);
    if (!read && fault.len)
        bpf_trap(run, "zs_file_server: '%.*s' is not what it should be",
                 STR_ARG(str_first(fault, 100)));
    if (!read)
        bpf_trap(run, "zs_file_server: expected a JSON object of options");
    return (uint64_t)result;
}
