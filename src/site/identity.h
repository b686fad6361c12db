/* identity: tells whether a file is still what it was when it was loaded. Pure but for fstat. */
#ifndef TARN_SITE_IDENTITY_H
#define TARN_SITE_IDENTITY_H

#include "site/site.h"

struct arena;
struct stat;

struct site_identity identity_of(const struct stat *st);

/* The same in the arena, or NULL. */
const struct site_identity *identity_new(struct arena *arena, const struct stat *st);

/* The same file with the same length and time of change. */
bool identity_matches(const struct site_identity *identity, const struct stat *st);

#endif
