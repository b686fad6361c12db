/* mime: media types by file name. Pure; a static table of at least 150 extensions. */
#ifndef TARN_HTTP_MIME_H
#define TARN_HTTP_MIME_H

#include "base/str.h"

/* Content-Type for a file name, by its last extension in any case; text types, JSON, XML and
 * JavaScript with "; charset=utf-8". Unknown: "application/octet-stream". Names without an
 * extension but with a well-known meaning (LICENSE, README, Makefile) are text/plain. Static
 * memory. */
struct str mime_type(struct str file_name);

/* Whether content of this type (parameters ignored) shrinks under compression: text, JSON, XML,
 * JavaScript, SVG, wasm, fonts that are not woff, and the like. */
bool mime_is_compressible(struct str media_type);

#endif
