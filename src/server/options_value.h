/* options_value: the text forms of option values: read, checked against the bounds of a row, and
 * described. Pure.
 */
#ifndef TARN_SERVER_OPTIONS_VALUE_H
#define TARN_SERVER_OPTIONS_VALUE_H

#include "server/options_table.h"

/* "500ms", "10s", "5m", "1h", "2d", "1h30m"; a plain number is seconds. False when it is none of
 * them or too large. */
bool value_parse_duration(struct str text, uint64_t *out_ms);

/* "4096", "16K", "1 MiB" without the space, "2GB"; K, M, G, T and KiB.. are powers of 1024, KB.. of
 * 1000, in any case. False when it is none of them or too large. */
bool value_parse_size(struct str text, uint64_t *out_len);

/* yes, true, on, 1; no, false, off, 0; in any case. */
bool value_parse_bool(struct str text, bool *out);

/* The index of text among "a|b|c", or -1. */
int value_parse_word(struct str text, const char *words);

/* The shortest exact form: 16K, 500ms, 1h. Returns out. */
enum { VALUE_TEXT_MAX = 32 };
const char *value_print_duration(uint64_t ms, char out[VALUE_TEXT_MAX]);
const char *value_print_size(uint64_t len, char out[VALUE_TEXT_MAX]);

/* What the row accepts: "a number from 1 to 1024". Cut at out_len. Returns out. */
const char *value_describe(const struct option *option, char *out, size_t out_len);

/* Reads `text` as a value of the row and stores it into the row's field of `options`, or appends it
 * to the field's list. `text` is borrowed by the field. On failure -1, nothing stored, and an error
 * that starts with `spelled` ("--threads", "TARN_THREADS (environment)"). */
int value_store(struct options *options, const struct option *option, const char *spelled,
                const char *text, struct error *error) MUST_USE;

#endif
