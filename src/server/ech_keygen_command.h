/* ech_keygen_command: `tarn ech-keygen`. Main thread. */
#ifndef TARN_SERVER_ECH_KEYGEN_COMMAND_H
#define TARN_SERVER_ECH_KEYGEN_COMMAND_H

#include "server/options.h"

/* Makes a key: the PEM bundle goes to standard output, what to publish to standard error. Returns
 * the exit code. */
int ech_keygen_command(const struct options *options);

#endif
