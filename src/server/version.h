/* version: the number that `tarn --version` prints. */
#ifndef TARN_SERVER_VERSION_H
#define TARN_SERVER_VERSION_H

#define TARN_VERSION "0.1.0"

#endif
