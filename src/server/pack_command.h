/* pack_command: `tarn pack`. Main thread. */
#ifndef TARN_SERVER_PACK_COMMAND_H
#define TARN_SERVER_PACK_COMMAND_H

#include "server/options.h"

/* Packs and reports on standard error; returns the exit code. */
int pack_command(const struct options *options);

#endif
