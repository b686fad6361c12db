/* geoip: what a MaxMind database says of an address (MaxMind DB file format, version 2).
 *
 * The file is copied into memory when it is opened: what is done to it afterwards, being cut above
 * all, is not seen. A database that is damaged gives no records, or wrong ones, and nothing worse:
 * the library finds the record, of which nothing is believed here. Immutable once opened: any
 * thread may look up.
 */
#ifndef TARN_SCRIPT_GEOIP_H
#define TARN_SCRIPT_GEOIP_H

#include "base/error.h"
#include "base/limits.h"
#include "base/str.h"

struct geoip;

/* Blocks. -1 and a line that names the file. */
int geoip_open(struct geoip **out, const char *path, struct error *error) MUST_USE;
void geoip_close(struct geoip *geoip); /* NULL: none */

/* Writes the record of an address as JSON, keys as they come. The address is IPv4 or IPv6, and may
 * have a port behind it, as zs_req_peer gives it: "192.0.2.1:443", "[2001:db8::1]:443". False: it
 * is none, there is no record, or it is damaged or longer than GEOIP_RECORD_MAX.
 *
 * Numbers become numbers, but for 128-bit ones: those, and bytes, become strings of hexadecimal
 * digits. */
bool geoip_find(const struct geoip *geoip, struct str address, char out[static GEOIP_RECORD_MAX],
                size_t *len);

#endif
