/* script_report: what `tarn run-script` says of a request: facts and response for people, or one
 * JSON object for programs. docs/scripting.md has the format.
 */
#ifndef TARN_SERVER_SCRIPT_REPORT_H
#define TARN_SERVER_SCRIPT_REPORT_H

#include "script/account.h"
#include "server/script_trial.h"

/* Appends it. Of a trial that has run. */
void script_report_text(struct buf *out, struct script_trial *trial);
void script_report_json(struct buf *out, struct script_trial *trial);

/* --- for both --- */

/* "script", "proxy" and so on. */
const char *script_report_outcome(enum script_outcome outcome);
/* Cuts the next line out of a log: without "tarn: ", and whether it is an error's. False: there is
 * none. */
bool script_report_log_line(struct str *log, struct str *line, bool *is_error);
/* Cuts the next header line out of a block. */
bool script_report_field(struct str *block, struct str *name, struct str *value);

#endif
