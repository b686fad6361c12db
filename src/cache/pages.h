/* pages: the cache's web pages, rendered here: home, help, statistics, resources. No external
 * asset, no page needs JavaScript.
 */
#ifndef TARN_CACHE_PAGES_H
#define TARN_CACHE_PAGES_H

#include "req/req.h"

struct cache_worker;

/* Answers, at once or when the index has, if `path` (behind the cache's prefix, beginning with '/'
 * or empty) is that of a page; "/help" is sent to "/help/". False: it is none. */
bool pages_answer(struct req *req, struct cache_worker *worker, struct str path);

#endif
