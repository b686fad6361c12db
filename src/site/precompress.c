/* Variants made at load. Every missing variant is a job; the threads take jobs from one counter,
 * and the results are added in the order of the jobs, so the same site always gives the same
 * snapshot.
 */
#include "site/compress.h"
#include "site/content.h"
#include "site/memory_file.h"

#include "http/mime.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { THREADS_MAX = 16 };

struct job {
    struct plan_entry *entry;
    enum http_coding coding;
    struct str result; /* heap; empty when it is not worth it */
    bool failed;
};

struct job_list {
    const char *map; /* the memory file so far */
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
        struct str input = str_make(jobs->map + content->off, content->len);
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
wants_variants(const struct content_store *store, const struct plan_entry *entry)
{
    return !entry->member->is_dir && !entry->is_variant && entry->bytes.loaded &&
           entry->bytes.content.fd == store->fd && entry->bytes.content.len > 0 &&
           mime_is_compressible(entry->type);
}

static int
list_jobs(const struct content_store *store, struct plan *plan, struct arena *arena,
          struct job_list *jobs, struct error *error)
{
    jobs->list = malloc((plan->file_count + 1) * HTTP_CODING_IDENTITY * sizeof *jobs->list);
    if (!jobs->list)
        return error_set(error, "no memory to compress the content");
    for (size_t i = 0; i < plan->count; i++) {
        struct plan_entry *entry = &plan->list[i];
        if (!wants_variants(store, entry))
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

static int
add_results(struct content_store *store, const struct job_list *jobs, struct error *error)
{
    for (size_t i = 0; i < jobs->count; i++) {
        const struct job *job = &jobs->list[i];
        if (job->failed)
            return error_set(error, "no memory to compress the content");
        if (job->result.len == 0 || store->used > store->preload_total ||
            job->result.len > store->preload_total - store->used)
            continue;
        if (content_add(store, job->result, &job->entry->made[job->coding], error) < 0)
            return -1;
    }
    return 0;
}

int
content_precompress(struct content_store *store, struct plan *plan, struct arena *arena,
                    struct error *error)
{
    struct job_list jobs = {0};
    if (content_flush(store, error) < 0)
        return -1;
    uint64_t len = store->len;
    int result = list_jobs(store, plan, arena, &jobs, error);
    if (result == 0 && jobs.count > 0) {
        jobs.map = memory_file_map(store->fd, len, error);
        result = jobs.map ? 0 : -1;
    }
    if (result == 0 && jobs.count > 0) {
        run_jobs(&jobs);
        result = add_results(store, &jobs, error);
    }
    if (jobs.map)
        munmap((void *)(uintptr_t)jobs.map, len);
    for (size_t i = 0; i < jobs.count; i++)
        free((void *)(uintptr_t)jobs.list[i].result.ptr);
    free(jobs.list);
    return result;
}
