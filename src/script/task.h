/* task: the way of one request through its scripts. Not for other folders.
 *
 * A task is made when a request meets a chain that is not empty, and freed at the request's end. In
 * the request phase the scripts of the chain run one after the other; each run of a script is a
 * frame, and zs_call puts frames upon frames. When a response exists, the response phase runs the
 * hooks. Helpers get the frame by script_frame_of(run), and the task and request from it.
 *
 * What a script gets from helpers by handle (JSON) is its frame's and goes with it; what lasts for
 * the request (request as changed, metadata, hooks, answer) is the task's. A helper may end by a
 * trap at any call that can trap (views, script_charge, bpf_trap): it owns nothing at such a
 * moment that is not already the frame's, the task's or the worker's.
 *
 * Thread rule: the worker's.
 */
#ifndef TARN_SCRIPT_TASK_H
#define TARN_SCRIPT_TASK_H

#include "bpf/run.h"
#include "io/loop.h"
#include "script/answer.h"
#include "script/fields.h"
#include "script/json.h"
#include "script/meta.h"
#include "script/request.h"
#include "script/script.h"
#include "script/shared.h"

/* One script of a set. Immutable but for the counters, which are the process's, by name. */
struct script {
    struct str name; /* "10-auth.o", NUL behind its end */
    struct str from;
    uint64_t object_len;
    struct bpf_program *program;
    int64_t request_entry; /* -1: none */
    struct script_counters *counters;
    unsigned index;           /* in the set */
    bool reads_body, fetches; /* calls helpers that do */
    struct str *call_names;   /* sorted */
    unsigned call_count;
};

struct script_set {
    struct script_shared *shared;
    unsigned ref_count; /* atomic */
    unsigned count;
    bool reads_body, fetches; /* any of them */
    struct script **by_name;  /* sorted, of several with one name the last of the chain */
    unsigned name_count;
    struct script list[];
};

/* The script of that name, with or without ".o"; NULL: there is none. */
const struct script *script_set_find(const struct script_set *set, struct str name);
/* First instruction of its section for zs_call of `func`, or -1. */
int64_t script_call_entry(const struct script *script, struct str func);

struct script_worker {
    struct script_shared *shared;
    struct loop *loop;
    struct bpf_worker *bpf;
    struct upstream_pool *upstream; /* NULL: no fetches */
    unsigned fetch_count;           /* under way */
    struct script_task *free_tasks;
    struct script_frame *free_frames;
    unsigned free_task_count, free_frame_count;
    struct script_task *ready, **ready_end; /* go on in later turns */
    struct loop_post turn_post;
    bool turn_posted;
    struct buf scratch; /* a helper's, until it returns or waits */
    struct rewrite *rewrite; /* NULL: none yet; see script_rewrite */
};

struct json_cache;

struct script_view {
    struct script_worker *worker;
    struct script_set *set;
    struct json_cache *json_cache; /* NULL: none yet */
    struct bpf_pool *pools[]; /* by index of the script; NULL: not used yet */
};

enum { SCRIPT_LOG_LEN = 512 };

/* One run of a script. */
struct script_frame {
    struct bpf_run *run;
    struct script_task *task;
    const struct script *script;
    struct script_frame *caller; /* zs_call: who called; NULL: the outermost. Or a free one. */
    struct script_json json;     /* its handles */
    uint64_t footprint;          /* bytes charged; see script_charge */
    unsigned depth;              /* of zs_call; 0: the outermost */
    uint16_t log_len;
    uint16_t log_line_count;
    struct script_answer callers_answer; /* kept while a callee has one of its own */
    char log[SCRIPT_LOG_LEN];
};

enum script_phase { SCRIPT_REQUEST, SCRIPT_RESPONSE };

struct script_task {
    struct req *req;
    struct script_worker *worker;
    struct script_view *view;
    struct script_task *next, **link; /* among ready ones; or among free ones */
    struct script_frame *root;        /* of the script that runs; NULL: none */
    struct script_frame *frame;       /* the innermost: root, or a callee of it */
    struct script_frame *running;     /* whose code runs: frame, or its caller while it prepares */
    struct timer timer;
    uint8_t phase;   /* enum script_phase */
    bool is_waiting; /* the request's body is ours, to be told when it ends */
    bool has_waited;
    bool is_over;  /* the client has left */
    bool restarts; /* zs_res_continue_request was called */
    bool has_failed; /* a script was stopped, or none could run: 500 */
    uint8_t restart_count;
    unsigned position;             /* in the chain, of the script that comes next */
    struct script_request request; /* as scripts see and change it */
    struct script_meta meta;
    struct script_answer answer;
    struct script_hooks hooks;
    struct script_response response; /* in the response phase */
    struct body held;                /* the response's, while hooks wait */
    struct script_wait *wait;        /* what a helper waits for; see wait.h */
};

static inline struct script_frame *
script_frame_of(const struct bpf_run *run)
{
    return bpf_user(run);
}

/* --- frames; worker.c --- */

/* A run of `script` from `entry` on that has not begun. NULL: no memory, or too many runs. */
struct script_frame *script_frame_new(struct script_task *task, const struct script *script,
                                      int64_t entry, struct script_frame *caller);
/* Before it begins: its first argument is the address of this handle. False: no memory. */
bool script_frame_set_argument(struct script_frame *frame, int64_t handle);
/* Ends it in any state: what it has logged goes out, its counters are counted. */
void script_frame_free(struct script_frame *frame);
/* Frees the innermost frames up to `caller` (NULL: all), each giving its caller's answer back. */
void script_task_unwind(struct script_task *task, struct script_frame *caller);

struct script_task *script_task_new(struct script_worker *worker, struct script_view *view,
                                    struct req *req);
void script_task_free(struct script_task *task);

/* The task goes on in a later turn of the loop. Harmless when it will already. */
void script_task_make_ready(struct script_task *task);
/* It goes on now; task.c. */
void script_task_go_on(struct script_task *task);

/* A frame's run has trapped: says so, and frees its callees, which may still be there; task.c. */
void script_frame_trapped(struct script_frame *frame);

/* --- for helpers --- */

/* Counts bytes that a helper is about to hold for this script. Traps over the ceiling, in the run
 * that calls a helper, whosever the bytes are. */
void script_charge(struct script_frame *frame, uint64_t len);
void script_refund(struct script_frame *frame, uint64_t len);
/* Bytes that may still be charged. */
uint64_t script_room(const struct script_frame *frame);

/* What helpers that may only be called in a hook, or only before there is a response, begin with.
 * Trap otherwise. */
void script_want_response(struct script_frame *frame, const char *helper);
void script_want_request(struct script_frame *frame, const char *helper);

/* The conventions of arguments and results. Text arguments must be UTF-8: trap, naming what. */
struct str script_text(struct bpf_run *run, uint64_t addr, uint64_t len, const char *what);
/* Text without white space at both ends. */
struct str script_trimmed(struct bpf_run *run, uint64_t addr, uint64_t len, const char *what);
/* Copies min(value.len, out_len - 1) bytes and a NUL to the script; returns min(value.len,
 * out_len). out_len 0 writes nothing and returns 0. `value` may be borrowed from anything but the
 * script's own memory at the same place. */
uint64_t script_put_text(struct bpf_run *run, uint64_t out, uint64_t out_len, struct str value);
/* The same where `in` is a view that was read in this call: traps when they overlap. */
uint64_t script_put_text_apart(struct bpf_run *run, uint64_t out, uint64_t out_len,
                               struct str value, struct str in);

/* One line to the server's log, with request id and script name; control characters, and bytes that
 * are no UTF-8, become '?'. More than SCRIPT_LOG_LINES_MAX of one outermost run, those of scripts
 * that it calls included, are counted and dropped. */
void script_log_line(struct script_frame *frame, struct str line);
/* What zs_log has collected without a newline goes out. */
void script_log_flush(struct script_frame *frame);

#endif
