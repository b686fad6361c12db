/* script_listing: the scripts of a set as a table for people, one line each, in the order in which
 * they run: name, where it is from, length of the object file, instructions, bytes of machine code,
 * entry points. Names in printable ASCII.
 */
#ifndef TARN_SERVER_SCRIPT_LISTING_H
#define TARN_SERVER_SCRIPT_LISTING_H

#include "script/script.h"

#include <stdio.h>

/* Nothing for an empty set, or NULL. -1: no memory, or it cannot be written. */
int script_listing_write(FILE *out, const struct script_set *set, struct error *error) MUST_USE;

#endif
