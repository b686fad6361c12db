#include "server/script_report.h"

const char *
script_report_outcome(enum script_outcome outcome)
{
    static const char *const names[] = {
        [SCRIPT_OUTCOME_UNSEEN] = "server",   [SCRIPT_OUTCOME_NONE] = "site",
        [SCRIPT_OUTCOME_RESPONSE] = "script", [SCRIPT_OUTCOME_FILE] = "file",
        [SCRIPT_OUTCOME_PROXY] = "proxy",     [SCRIPT_OUTCOME_ABORT] = "abort",
        [SCRIPT_OUTCOME_FAILED] = "failed",
    };
    return names[outcome];
}

bool
script_report_log_line(struct str *log, struct str *line, bool *is_error)
{
    if (log->len == 0)
        return false;
    *line = str_cut(log, '\n');
    if (str_starts_with(*line, STR("tarn: ")))
        *line = str_skip(*line, 6);
    *is_error = str_starts_with(*line, STR("error: "));
    if (*is_error)
        *line = str_skip(*line, 7);
    return true;
}

bool
script_report_field(struct str *block, struct str *name, struct str *value)
{
    if (block->len == 0)
        return false;
    struct str line = str_cut(block, '\n');
    if (line.len && line.ptr[line.len - 1] == '\r')
        line.len--;
    *name = str_cut(&line, ':');
    *value = str_trim(line);
    return true;
}
