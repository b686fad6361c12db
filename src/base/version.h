/* version: the number that `tarn --version` prints, and scripts see. */
#ifndef TARN_BASE_VERSION_H
#define TARN_BASE_VERSION_H

#define TARN_VERSION "0.1.0"

#endif
