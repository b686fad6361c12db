/* log: lines for the operator on standard error.
 *
 * One call writes one line with one write(2), prefixed with a level. Newlines and other control
 * characters inside become `?`. Any thread may call it. On a thread that installed a sink (workers
 * do), the line goes there instead and never blocks.
 */
#ifndef TARN_BASE_LOG_H
#define TARN_BASE_LOG_H

#include "base/str.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* Lines below this level are dropped. Default LOG_INFO. Set before threads start. */
void log_set_level(enum log_level level);

void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)

/* What another program said, line by line as it is, but for control characters; longer lines are
 * broken. */
void log_text(struct str text);

/* Where this thread's lines go from now on; NULL: standard error. `line` ends in a newline and is
 * borrowed for the call. */
typedef void (*log_sink)(void *arg, struct str line);
void log_set_sink(log_sink sink, void *arg);

#endif
