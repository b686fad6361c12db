#include "script/account.h"

#include "script/task.h"

static enum script_outcome
outcome_of(const struct script_task *task)
{
    const struct script_answer *answer = &task->answer;
    if (task->has_failed)
        return SCRIPT_OUTCOME_FAILED;
    if (answer->aborts)
        return SCRIPT_OUTCOME_ABORT;
    if (answer->has_response)
        return SCRIPT_OUTCOME_RESPONSE;
    if (answer->has_proxy && !answer->file_is_respond)
        return SCRIPT_OUTCOME_PROXY;
    return answer->has_file ? SCRIPT_OUTCOME_FILE : SCRIPT_OUTCOME_NONE;
}

void
script_account_read(struct script_account *out, const struct req *req)
{
    const struct script_task *task = req->filter_state;
    *out = (struct script_account){.outcome = SCRIPT_OUTCOME_UNSEEN};
    if (!task)
        return;
    out->outcome = outcome_of(task);
    out->proxy_url = buf_str(&task->answer.proxy_url);
    out->meta_count = task->meta.count;
}

void
script_account_meta(const struct req *req, uint32_t at, struct str *key, struct str *value)
{
    const struct script_task *task = req->filter_state;
    *key = script_meta_key(&task->meta, at);
    *value = script_meta_value(&task->meta, at);
}

uint64_t
script_account_stopped(struct script_shared *shared)
{
    uint64_t count = 0;
    const struct script_counters *counters = shared->counters;
    for (; counters; counters = counters->next)
        for (unsigned kind = 0; kind < BPF_TRAP_COUNT; kind++)
            count += atomic_load_explicit(&counters->traps[kind], memory_order_relaxed);
    return count;
}
