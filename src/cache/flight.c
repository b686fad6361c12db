#include "cache/flight.h"

#include "base/must.h"

#include <stdio.h>
#include <stdlib.h>

struct cache_flight *
flight_new(struct str url, uint64_t hash)
{
    must(url.len <= UINT16_MAX);
    struct cache_flight *flight = calloc(1, sizeof *flight + url.len + 1);
    if (!flight)
        return NULL;
    flight->ref_count = 1;
    pthread_mutex_init(&flight->lock, NULL);
    flight->total_len = OBJECT_LEN_UNKNOWN;
    flight->hash = hash;
    flight->url_len = (uint16_t)url.len;
    memcpy(flight->url, url.ptr, url.len);
    return flight;
}

struct cache_flight *
flight_ref(struct cache_flight *flight)
{
    __atomic_add_fetch(&flight->ref_count, 1, __ATOMIC_RELAXED);
    return flight;
}

void
flight_unref(struct cache_flight *flight)
{
    if (!flight || __atomic_sub_fetch(&flight->ref_count, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    must(!flight->watches && !flight->in_table);
    object_unref(flight->object);
    pthread_mutex_destroy(&flight->lock);
    free(flight);
}

/* --- workers --- */

void
flight_look(struct cache_flight *flight, struct flight_view *view)
{
    pthread_mutex_lock(&flight->lock);
    view->state = (enum flight_state)flight->state;
    view->source = (enum flight_source)flight->source;
    view->object = flight->object ? object_ref(flight->object) : NULL;
    view->status = flight->status;
    view->retry_after_s = flight->retry_after_s;
    memcpy(view->reason, flight->reason, sizeof view->reason);
    pthread_mutex_unlock(&flight->lock);
}

static void
post_arrived(struct loop_post *post)
{
    struct cache_watch *watch =
        (struct cache_watch *)((char *)post - offsetof(struct cache_watch, post));
    watch->news(watch);
}

void
flight_watch(struct cache_flight *flight, struct cache_watch *watch)
{
    pthread_mutex_lock(&flight->lock);
    watch->post.run = post_arrived;
    watch->posted = false;
    watch->next = flight->watches;
    flight->watches = watch;
    pthread_mutex_unlock(&flight->lock);
}

bool
flight_unwatch(struct cache_flight *flight, struct cache_watch *watch)
{
    pthread_mutex_lock(&flight->lock);
    struct cache_watch **at = &flight->watches;
    while (*at != watch) {
        must(*at);
        at = &(*at)->next;
    }
    *at = watch->next;
    bool posted = watch->posted;
    pthread_mutex_unlock(&flight->lock);
    return !posted;
}

void
flight_heard(struct cache_flight *flight, struct cache_watch *watch)
{
    pthread_mutex_lock(&flight->lock);
    watch->posted = false;
    pthread_mutex_unlock(&flight->lock);
}

void
flight_join(struct cache_flight *flight)
{
    pthread_mutex_lock(&flight->lock);
    flight->waiter_count++;
    pthread_mutex_unlock(&flight->lock);
}

void
flight_leave(struct cache_flight *flight, uint64_t now_ns)
{
    pthread_mutex_lock(&flight->lock);
    must(flight->waiter_count > 0);
    if (--flight->waiter_count == 0)
        flight->left_ns = now_ns;
    pthread_mutex_unlock(&flight->lock);
}

/* --- the fetcher --- */

static void
tell(struct cache_flight *flight)
{
    for (struct cache_watch *watch = flight->watches; watch; watch = watch->next) {
        if (watch->posted)
            continue;
        watch->posted = true;
        loop_post(watch->loop, &watch->post);
    }
}

void
flight_tell(struct cache_flight *flight)
{
    pthread_mutex_lock(&flight->lock);
    tell(flight);
    pthread_mutex_unlock(&flight->lock);
}

void
flight_set_asking(struct cache_flight *flight)
{
    pthread_mutex_lock(&flight->lock);
    __atomic_store_n(&flight->state, FLIGHT_ASKING, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&flight->lock);
}

/* Moves on to a state with this object or none. */
static struct cache_object *
change(struct cache_flight *flight, enum flight_state state, struct cache_object *object)
{
    struct cache_object *before = flight->object;
    __atomic_store_n(&flight->state, (uint8_t)state, __ATOMIC_RELAXED); /* the table counts */
    flight->object = object;
    tell(flight);
    return before;
}

void
flight_set_answered(struct cache_flight *flight, enum flight_source source,
                    struct cache_object *object)
{
    pthread_mutex_lock(&flight->lock);
    flight->source = (uint8_t)source;
    struct cache_object *before = change(flight, FLIGHT_ANSWERED, object_ref(object));
    pthread_mutex_unlock(&flight->lock);
    object_unref(before);
}

void
flight_set_over(struct cache_flight *flight)
{
    pthread_mutex_lock(&flight->lock);
    struct cache_object *before = change(flight, FLIGHT_ASKING, NULL);
    pthread_mutex_unlock(&flight->lock);
    object_unref(before);
}

void
flight_set_failed(struct cache_flight *flight, int status, uint32_t retry_after_s,
                  const char *reason)
{
    pthread_mutex_lock(&flight->lock);
    flight->status = (uint16_t)status;
    flight->retry_after_s = retry_after_s;
    snprintf(flight->reason, sizeof flight->reason, "%s", reason);
    struct cache_object *before = change(flight, FLIGHT_FAILED, NULL);
    pthread_mutex_unlock(&flight->lock);
    object_unref(before);
}

uint32_t
flight_waiters(struct cache_flight *flight, uint64_t *left_ns)
{
    pthread_mutex_lock(&flight->lock);
    uint32_t count = flight->waiter_count;
    *left_ns = count ? 0 : flight->left_ns;
    pthread_mutex_unlock(&flight->lock);
    return count;
}
