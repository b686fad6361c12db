/* script: request scripts: programs that stand before, and behind, every action of a request.
 *
 * Four things, from the longest life to the shortest:
 *   - script_shared: of the process: limits, counters and tables that all workers and all
 *     snapshots share;
 *   - script_set: the scripts of one snapshot, checked and translated; immutable, counted;
 *   - script_worker: a thread that runs scripts;
 *   - script_view: a set as one worker sees it, with its pools of slots.
 * A request that meets scripts has a task (task.h) from its start to its end.
 *
 * Threads: shared and set are any thread's; a worker and its views are one thread's. Bounds:
 * script_config, SCRIPT_* in base/limits.h. Design: docs/design/scripts.md.
 */
#ifndef TARN_SCRIPT_SCRIPT_H
#define TARN_SCRIPT_SCRIPT_H

#include "base/buf.h"
#include "base/error.h"
#include "bpf/program.h"
#include "req/req.h"

struct loop;
struct upstream_pool;

struct script_config {
    uint64_t slice_ns;      /* a script runs that long before others get their turn */
    uint64_t cpu_limit_ns;  /* CPU time of one script for one request */
    uint64_t footprint_max; /* bytes of helper objects of one script for one request */
    uint64_t body_max;      /* bytes of a request body that scripts can read */
    uint64_t code_len_max;  /* bytes of machine code of one script */
    enum bpf_engine engine;
    uint32_t rate_buckets_max;
    uint64_t kv_max; /* bytes of all keys and values */
    /* Environment variables that scripts may read: names, or prefixes that end in '*'. Borrowed. */
    const char *const *env_names;
    unsigned env_name_count;
    const char *geoip_path; /* a MaxMind database; NULL: none. Borrowed. */
};

struct script_shared;
int script_shared_new(struct script_shared **out, const struct script_config *config,
                      struct error *error) MUST_USE;
/* When no set and no worker is left. */
void script_shared_free(struct script_shared *shared);

/* An object file on its way into a set. All is borrowed for the call. */
struct script_source {
    struct str name;  /* "10-auth.o" */
    struct str bytes; /* of the object file */
    struct str from;  /* for messages: the file, tar or directory that it came from */
};

struct script_set;

/* Loads the scripts in the order of the chain. Of two with one name, the later one is what zs_call
 * and hooks find; both run. -1 with a line that names script, section and instruction. Blocks. */
int script_set_new(struct script_set **out, struct script_shared *shared,
                   const struct script_source *sources, unsigned count,
                   struct error *error) MUST_USE;
struct script_set *script_set_ref(struct script_set *set);
void script_set_unref(struct script_set *set);
unsigned script_set_count(const struct script_set *set);
struct script_shared *script_set_shared(const struct script_set *set);
/* Whether any of them calls zs_fetch. */
bool script_set_fetches(const struct script_set *set);

/* What `tarn check` and metrics say of a script. */
struct script_facts {
    struct str name, from;
    uint64_t object_len; /* bytes of the object file */
    uint32_t insn_count;
    uint64_t code_len;         /* 0: interpreted */
    const char *no_jit_reason; /* "" or why it is interpreted */
    bool has_request;          /* has a request section: part of the chain */
    unsigned call_count;       /* call sections */
};
void script_set_facts(const struct script_set *set, unsigned index, struct script_facts *facts);
/* The NAME of its call section `at`, below call_count. */
struct str script_set_call_name(const struct script_set *set, unsigned index, unsigned at);

struct script_worker;
/* On the worker's thread, whose loop it is. */
int script_worker_new(struct script_worker **out, struct script_shared *shared, struct loop *loop,
                      struct error *error) MUST_USE;
/* When no view is left. */
void script_worker_free(struct script_worker *worker);
/* For zs_fetch; borrowed. Without one, fetches fail. */
void script_worker_set_upstream(struct script_worker *worker, struct upstream_pool *pool);

struct script_view;
/* Takes a reference to the set. NULL: no memory. */
struct script_view *script_view_new(struct script_worker *worker, struct script_set *set);
/* When no request has a task of it. */
void script_view_free(struct script_view *view);

/* To be put into req_env: `arg` of the filter is the script_worker; each pin has its view. */
extern const struct req_filter_ops script_filter_ops;

/* Counters of all scripts, by name, as lines of Prometheus text. Any thread. */
void script_render_metrics(struct script_shared *shared, struct buf *out);

#endif
