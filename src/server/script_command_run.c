#include "base/limits.h"
#include "base/log.h"
#include "server/script_command.h"
#include "server/script_report.h"

#include <stdio.h>

static int
print_report(struct script_trial *trial, struct error *error)
{
    struct buf out;
    int result = 0;
    buf_init(&out, SCRIPT_TRIAL_REPORT_MAX);
    if (trial->options.json)
        script_report_json(&out, trial);
    else
        script_report_text(&out, trial);
    if (buf_overflowed(&out))
        result = error_set(error, "no memory for the report, or it is too long");
    else if (fwrite(out.ptr, 1, out.len, stdout) != out.len || fflush(stdout) != 0)
        result = error_set(error, "cannot write to standard output");
    buf_deinit(&out);
    return result;
}

/* What a report cannot say by a status: no script has seen the request, or one was stopped. */
static bool
went_well(const struct script_trial *trial)
{
    struct script_account account;
    script_account_read(&account, &trial->req);
    return trial->stop_count == 0 && account.outcome != SCRIPT_OUTCOME_FAILED &&
           account.outcome != SCRIPT_OUTCOME_UNSEEN;
}

int
script_command_run(const struct options *options)
{
    static struct script_trial trial;
    struct error error;
    int result = script_trial_load(&trial, options, &error);
    if (result == 0)
        result = script_trial_run(&trial, &error);
    if (result == 0)
        result = print_report(&trial, &error);
    if (result != 0)
        log_error("run-script: %s", error.text);
    bool is_well = result == 0 && went_well(&trial);
    script_trial_free(&trial);
    return is_well ? 0 : 1;
}
