/* cache_command: `tarn cache ls`, `get`, `purge` and `stats`. Main thread.
 *
 * What is asked for goes to standard output, all else to standard error. Exit codes: 0 done, 1
 * could not be done, with one line that says why.
 */
#ifndef TARN_SERVER_CACHE_COMMAND_H
#define TARN_SERVER_CACHE_COMMAND_H

#include "server/options.h"

/* Each returns the exit code. */
int cache_command_ls(const struct options *options);
int cache_command_get(const struct options *options);
int cache_command_purge(const struct options *options);
int cache_command_stats(const struct options *options);

#endif
