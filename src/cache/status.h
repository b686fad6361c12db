/* status: the status document of the cache's API, in JSON, as KissCache's clients read it. */
#ifndef TARN_CACHE_STATUS_H
#define TARN_CACHE_STATUS_H

#include "req/req.h"

struct cache;

void status_answer(struct req *req, struct cache *cache);

#endif
