/* Questions, from asking to the callback. A question is in the index's list from its start to its
 * end, whoever is at it, so that a loop that goes away finds all of its own; enum index_ask_state
 * says who may touch it. Cancelling marks it; it is freed when the thread or the loop comes to it,
 * except that one that still waits is freed at once.
 */
#include "cache/index_internal.h"

#include <stdlib.h>

/* --- the list; under the lock --- */

static void
unlink_ask(struct index *index, struct index_ask *ask)
{
    struct index_ask **link = &index->asks;
    while (*link != ask)
        link = &(*link)->next;
    *link = ask->next;
    if (!ask->next)
        index->asks_end = link;
    if (ask->state == INDEX_ASK_QUEUED)
        index->queued_asks--;
}

static void
free_ask(struct index_ask *ask)
{
    if (ask->state != INDEX_ASK_QUEUED)
        arena_deinit(&ask->arena);
    free(ask);
}

struct index_ask *
index_take_ask(struct index *index)
{
    struct index_ask *ask = index->asks;
    while (ask && ask->state != INDEX_ASK_QUEUED)
        ask = ask->next;
    if (!ask)
        return NULL;
    ask->state = INDEX_ASK_RUNNING;
    index->queued_asks--;
    return ask;
}

/* --- answering: on the loop's thread --- */

static void
run_posted(struct loop_post *post)
{
    struct index_ask *ask = (struct index_ask *)post;
    struct index *index = ask->index;
    pthread_mutex_lock(&index->lock);
    unlink_ask(index, ask);
    pthread_mutex_unlock(&index->lock);
    if (!ask->cancelled)
        ask->answered(ask->arg, &ask->result);
    free_ask(ask);
}

void
index_finish_ask(struct index *index, struct index_ask *ask)
{
    if (ask->cancelled) {
        unlink_ask(index, ask);
        free_ask(ask);
    } else {
        ask->state = INDEX_ASK_POSTED;
        loop_post(ask->loop, &ask->post); /* under the lock: the loop is still there */
    }
}

/* --- the interface --- */

static struct index_ask *
new_ask(struct index *index, const struct index_query *query, struct loop *loop)
{
    /* one that is longer than any URL finds nothing, and so does its beginning */
    struct str search = str_first(query->search, URL_MAX + 1);
    struct index_ask *ask = calloc(1, sizeof *ask + search.len);
    if (!ask)
        return NULL;
    ask->post.run = run_posted;
    ask->index = index;
    ask->loop = loop;
    ask->query = *query;
    if (ask->query.count > CACHE_INDEX_LIST_MAX)
        ask->query.count = CACHE_INDEX_LIST_MAX;
    for (size_t i = 0; i < search.len; i++)
        ask->search[i] = str_lower_char(search.ptr[i]);
    ask->query.search = str_make(ask->search, search.len);
    return ask;
}

struct index_ask *
index_ask(struct index *index, const struct index_query *query, struct loop *loop,
          index_answered_fn *answered, void *arg)
{
    struct index_ask *ask = new_ask(index, query, loop);
    if (!ask)
        return NULL;
    ask->answered = answered;
    ask->arg = arg;
    pthread_mutex_lock(&index->lock);
    bool enters = index->queued_asks < CACHE_INDEX_ASKS_MAX;
    if (enters) {
        *index->asks_end = ask;
        index->asks_end = &ask->next;
        index->queued_asks++;
        pthread_cond_signal(&index->wake);
    }
    pthread_mutex_unlock(&index->lock);
    if (enters)
        return ask;
    free_ask(ask);
    return NULL;
}

/* Under the lock. Whether it was freed. */
static bool
drop(struct index *index, struct index_ask *ask)
{
    __atomic_store_n(&ask->cancelled, true, __ATOMIC_RELAXED);
    if (ask->state != INDEX_ASK_QUEUED)
        return false;
    unlink_ask(index, ask);
    free_ask(ask);
    return true;
}

void
index_cancel(struct index_ask *ask)
{
    struct index *index = ask->index;
    pthread_mutex_lock(&index->lock);
    drop(index, ask);
    pthread_mutex_unlock(&index->lock);
}

void
index_detach(struct index *index, struct loop *loop)
{
    pthread_mutex_lock(&index->lock);
    for (struct index_ask *next, *ask = index->asks; ask; ask = next) {
        next = ask->next;
        if (ask->loop != loop || drop(index, ask) || ask->state == INDEX_ASK_RUNNING)
            continue;
        unlink_ask(index, ask); /* POSTED: the loop runs no more */
        free_ask(ask);
    }
    pthread_mutex_unlock(&index->lock);
}
