/* error: one line of text that says why an operation failed, for the person who started it.
 *
 * A function that can fail for a reason the operator must read takes a `struct error *`, writes one
 * line (no newline, no "error:" prefix; it names the option, file or line) and returns a negative
 * code. The owner who can say what it means logs it, once. The text lives in the caller's memory.
 */
#ifndef TARN_BASE_ERROR_H
#define TARN_BASE_ERROR_H

enum { ERROR_TEXT_MAX = 512 };

struct error {
    char text[ERROR_TEXT_MAX];
};

/* Writes the line, cut at ERROR_TEXT_MAX, and returns -1 so that callers can `return
 * error_set(...)`. */
int error_set(struct error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* As error_set, with ": " and the text of errno value `code` appended. Returns -1. */
int error_set_errno(struct error *error, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " in front of the text already there. Returns -1. */
int error_prefix(struct error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* On functions whose result must not be dropped. */
#define MUST_USE __attribute__((warn_unused_result))

#endif
