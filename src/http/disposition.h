/* disposition: the Content-Disposition line that offers a file for saving under a name (RFC 6266,
 * RFC 8187). Pure; the line lies in the given arena.
 */
#ifndef TARN_HTTP_DISPOSITION_H
#define TARN_HTTP_DISPOSITION_H

#include "base/arena.h"

/* `Content-Disposition: attachment; filename="NAME"` with CR LF, for a decoded name; an empty str
 * when the arena is full.
 *
 * What must not be part of a file name is replaced by '_': '/' and '\\', control characters (C0,
 * DEL, C1, and those that turn the direction of text or break lines), and every byte from 0x80 on
 * when the name is not UTF-8. It is cut behind DISPOSITION_NAME_MAX bytes, between characters. "",
 * "." and ".." become "download". A '"' is escaped.
 *
 * With a character outside ASCII in it, which a quoted string cannot carry, filename= has a '_' in
 * its place, and `filename*=UTF-8''...` follows with the name itself; also with a '%', which some
 * clients would decode in filename= (RFC 6266 appendix D). */
struct str disposition_line(struct str name, struct arena *arena);

#endif
