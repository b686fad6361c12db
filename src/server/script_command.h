/* script_command: `tarn compile`, `tarn run-script` and `tarn sdk`, for those who write scripts.
 * Main thread.
 *
 * Exit codes: 0 done, 1 the script does not compile or cannot run, or it could not be done, with
 * the compiler's own words and one line that says why; of run-script also when a script was
 * stopped, or none has seen the request.
 */
#ifndef TARN_SERVER_SCRIPT_COMMAND_H
#define TARN_SERVER_SCRIPT_COMMAND_H

#include "server/options.h"

/* Each returns the exit code. */
int script_command_compile(const struct options *options);
int script_command_run(const struct options *options);
int script_command_sdk(const struct options *options);

#endif
