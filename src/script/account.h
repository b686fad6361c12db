/* account: what scripts have done with one request, for who shows it to people.
 *
 * Read when the response is there and before req_end; what it names is the request's.
 */
#ifndef TARN_SCRIPT_ACCOUNT_H
#define TARN_SCRIPT_ACCOUNT_H

#include "base/str.h"

#include <stdint.h>

struct req;
struct script_shared;

enum script_outcome {
    SCRIPT_OUTCOME_UNSEEN, /* no script saw the request */
    SCRIPT_OUTCOME_NONE,   /* no script decided: the action did */
    SCRIPT_OUTCOME_RESPONSE,
    SCRIPT_OUTCOME_FILE,
    SCRIPT_OUTCOME_PROXY,
    SCRIPT_OUTCOME_ABORT,
    SCRIPT_OUTCOME_FAILED, /* one was stopped */
};

struct script_account {
    enum script_outcome outcome;
    struct str proxy_url; /* with PROXY */
    uint32_t meta_count;
};

void script_account_read(struct script_account *out, const struct req *req);
/* An entry of the metadata, below meta_count. */
void script_account_meta(const struct req *req, uint32_t at, struct str *key, struct str *value);

/* How many runs of scripts were stopped, of all requests: in the chain, as hooks, as callees. */
uint64_t script_account_stopped(struct script_shared *shared);

#endif
