/* access_log: one line a request, as text (combined format and more) or JSON. Pure formatting;
 * log_writer carries the line.
 *
 * Text:  127.0.0.1 - - [21/Nov/2026:08:19:00 +0000] "GET /a HTTP/1.1" 200 12 "referer" "agent" host
 * 0.000123 request-id What a peer sent is escaped: in text `"`, `\` and everything outside
 * printable ASCII as \xHH, so that a line is a line; in JSON by JSON's rules, bytes that are not
 * UTF-8 as \ufffd.
 */
#ifndef TARN_SERVER_ACCESS_LOG_H
#define TARN_SERVER_ACCESS_LOG_H

#include "base/buf.h"
#include "conn/conn.h"

enum access_format { ACCESS_TEXT, ACCESS_JSON };

/* Appends the line with its newline. `client`: text of the address; now_s, now_ms: wall clock. */
void access_log_format(struct buf *out, enum access_format format,
                       const struct access_record *record, struct str client, int64_t now_s,
                       unsigned now_ms);

#endif
