/* server: `tarn serve` and `tarn check`: wires options, snapshot, listeners and workers together,
 * then handles signals and reloads until the end. Main thread. */
#ifndef TARN_SERVER_SERVER_H
#define TARN_SERVER_SERVER_H

#include "server/options.h"

/* Each returns the exit code; failures are logged as one line. */
int server_run(const struct options *options);
int server_check(const struct options *options);

#endif
