/* cli_text: text for people and programs on standard output: what came from a peer made harmless to
 * a terminal, times and URLs made short. Pure, but for the width of a terminal.
 *
 * From a peer only printable ASCII goes out; any other byte becomes '?', in JSON an escape.
 */
#ifndef TARN_SERVER_CLI_TEXT_H
#define TARN_SERVER_CLI_TEXT_H

#include "base/buf.h"

/* Printable, NUL-terminated, cut to out_len - 1 bytes. Returns out. */
const char *cli_text_copy(char *out, size_t out_len, struct str s);
void cli_text_append(struct buf *out, struct str s);

/* The same in at most `width` columns: where there is no room, an ellipsis of three dots stands for
 * the middle, and two thirds of what is left are the end. */
void cli_text_append_fitted(struct buf *out, struct str s, unsigned width);

/* A JSON string with its quotes, in ASCII. What is no UTF-8 has U+FFFD for each byte from 0x80 on.
 */
void cli_text_append_json(struct buf *out, struct str s);

/* "45s", "90m", "30h", "12d": never two numbers, and never fewer than two of the unit but for
 * seconds. Less than 0 counts as 0. Returns out. */
enum { CLI_TEXT_AGE_MAX = 32 };
const char *cli_text_age(char out[static CLI_TEXT_AGE_MAX], int64_t seconds);

/* Columns of the terminal that fd is; 0: it is none. */
unsigned cli_text_width(int fd);

#endif
