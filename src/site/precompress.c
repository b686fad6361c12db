/* Variants made at load. Every missing variant is a job; the threads take jobs from one counter,
 * and the results are added in the order of the jobs, so the same site always gives the same
 * snapshot.
 */
#include "site/compress.h"
#include "site/content.h"

#include "http/mime.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { THREADS_MAX = 16 };

struct job {
    struct plan_entry *entry;
    enum http_coding coding;
    struct str result; /* heap; empty when it is not worth it */
    bool failed;
    bool drop; /* there is no room for it, or nothing to add */
};

struct job_list {
    struct job *list;
    size_t count;
    atomic_size_t next;
};

static void *
work(void *arg)
{
    struct job_list *jobs = arg;
    for (;;) {
        size_t index = atomic_fetch_add(&jobs->next, 1);
        if (index >= jobs->count)
            return NULL;
        struct job *job = &jobs->list[index];
        const struct site_content *content = &job->entry->bytes.content;
        struct str input = str_make(content->mem, content->len);
        job->failed = compress_buffer(job->coding, input, &job->result) < 0;
    }
}

static unsigned
usable_cpus(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) < 0)
        return 1;
    int count = CPU_COUNT(&set);
    return count < 1 ? 1 : count > THREADS_MAX ? THREADS_MAX : (unsigned)count;
}

static void
run_jobs(struct job_list *jobs)
{
    pthread_t threads[THREADS_MAX];
    unsigned wanted = usable_cpus(), started = 0;
    while (started + 1 < wanted && pthread_create(&threads[started], NULL, work, jobs) == 0)
        started++;
    work(jobs);
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
}

static bool
wants_variants(const struct plan_entry *entry)
{
    return !entry->member->is_dir && !entry->is_variant && entry->bytes.loaded &&
           entry->bytes.content.mem && entry->bytes.content.len > 0 &&
           mime_is_compressible(entry->type);
}

static int
list_jobs(struct plan *plan, struct arena *arena, struct job_list *jobs, struct error *error)
{
    jobs->list = malloc((plan->file_count + 1) * HTTP_CODING_IDENTITY * sizeof *jobs->list);
    if (!jobs->list)
        return error_set(error, "no memory to compress the content");
    for (size_t i = 0; i < plan->count; i++) {
        struct plan_entry *entry = &plan->list[i];
        if (!wants_variants(entry))
            continue;
        entry->made = arena_alloc(arena, HTTP_CODING_IDENTITY * sizeof *entry->made);
        if (!entry->made)
            return error_set(error, "no memory to compress the content");
        for (int coding = 0; coding < HTTP_CODING_IDENTITY; coding++)
            if (!entry->variants[coding])
                jobs->list[jobs->count++] =
                    (struct job){.entry = entry, .coding = (enum http_coding)coding};
    }
    return 0;
}

/* Spends what is left of the ceiling in the order of the jobs: results that do not fit are
 * dropped. */
static void
drop_what_exceeds(const struct content_store *store, struct job_list *jobs)
{
    uint64_t used = store->used;
    for (size_t i = 0; i < jobs->count; i++) {
        struct job *job = &jobs->list[i];
        job->drop = job->result.len == 0 || used > store->preload_total ||
                    job->result.len > store->preload_total - used;
        used += job->drop ? 0 : job->result.len;
    }
}

static int
add_results(struct content_store *store, const struct job_list *jobs, struct error *error)
{
    uint64_t end = 0;
    for (size_t i = 0; i < jobs->count; i++) {
        if (jobs->list[i].failed)
            return error_set(error, "no memory to compress the content");
        if (!jobs->list[i].drop)
            end = page_store_end(end, jobs->list[i].result.len);
    }
    int result = content_expect(store, end, error);
    for (size_t i = 0; i < jobs->count && result == 0; i++) {
        const struct job *job = &jobs->list[i];
        if (!job->drop)
            result = content_add(store, job->result, &job->entry->made[job->coding], error);
    }
    return result;
}

int
content_precompress(struct content_store *store, struct plan *plan, struct arena *arena,
                    struct error *error)
{
    struct job_list jobs = {0};
    int result = list_jobs(plan, arena, &jobs, error);
    if (result == 0 && jobs.count > 0) {
        run_jobs(&jobs);
        drop_what_exceeds(store, &jobs);
        result = add_results(store, &jobs, error);
    }
    for (size_t i = 0; i < jobs.count; i++)
        free((void *)(uintptr_t)jobs.list[i].result.ptr);
    free(jobs.list);
    return result;
}
