#include "io/resolver.h"

#include "base/must.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* A lookup is in one list from its start to its end, whoever works on it, so that a loop that goes
 * away finds all of its own. Its state says who may touch it:
 *
 *     QUEUED    waits for the thread
 *     ASKED     the thread is asking the system, without the lock: nobody else frees it
 *     POSTED    lies in its loop's posts, which the loop's thread runs
 *
 * Cancelling marks it; it is freed when the thread or the loop comes to it, except that one still
 * QUEUED is freed at once. */

enum { NAME_MAX_LEN = 255, FAILURE_MAX = 128, FAILURE_S = RESOLVER_CACHE_S / 12 };
#define SECOND_NS UINT64_C(1000000000)

enum state { QUEUED, ASKED, POSTED };

/* What is kept of an answer: all but the port. */
struct result {
    int code; /* of getaddrinfo; 0: there are addresses */
    unsigned count;
    struct resolver_address addresses[RESOLVER_ADDRESSES_MAX];
};

struct resolver_lookup {
    struct loop_post post; /* first */
    struct resolver_lookup *next;
    struct resolver *resolver;
    struct loop *loop;
    resolver_callback *callback;
    void *arg;
    enum state state;
    bool cancelled;
    uint16_t port;
    char name[NAME_MAX_LEN + 1];
    struct result result;
};

struct cached {
    uint64_t until_ns; /* 0: free */
    char name[NAME_MAX_LEN + 1];
    struct result result;
};

struct resolver {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    resolver_system *system;
    struct resolver_lookup *lookups, **lookups_end; /* in order of their coming */
    unsigned queued_count;
    bool stop;
    bool asking;   /* the thread is inside the system's resolver */
    bool orphaned; /* freed meanwhile: the thread frees the rest */
    struct cached cache[RESOLVER_CACHE_MAX];
};

/* --- the list; under the lock --- */

static void
append(struct resolver *resolver, struct resolver_lookup *lookup)
{
    *resolver->lookups_end = lookup;
    resolver->lookups_end = &lookup->next;
}

static void
unlink_lookup(struct resolver *resolver, struct resolver_lookup *lookup)
{
    struct resolver_lookup **link = &resolver->lookups;
    while (*link != lookup)
        link = &(*link)->next;
    *link = lookup->next;
    if (!lookup->next)
        resolver->lookups_end = link;
    if (lookup->state == QUEUED)
        resolver->queued_count--;
}

static struct resolver_lookup *
first_queued(struct resolver *resolver)
{
    struct resolver_lookup *lookup = resolver->lookups;
    while (lookup && lookup->state != QUEUED)
        lookup = lookup->next;
    return lookup;
}

/* --- kept answers; under the lock --- */

static const struct result *
find_kept(const struct resolver *resolver, const char *name)
{
    uint64_t now_ns = loop_clock_ns();
    for (unsigned i = 0; i < RESOLVER_CACHE_MAX; i++)
        if (resolver->cache[i].until_ns > now_ns && strcmp(resolver->cache[i].name, name) == 0)
            return &resolver->cache[i].result;
    return NULL;
}

/* In the place of the same name, or of what ends first; free places end before all others. */
static void
keep(struct resolver *resolver, const char *name, const struct result *result)
{
    struct cached *place = &resolver->cache[0];
    for (unsigned i = 0; i < RESOLVER_CACHE_MAX; i++) {
        struct cached *entry = &resolver->cache[i];
        if (strcmp(entry->name, name) == 0) {
            place = entry;
            break;
        }
        if (entry->until_ns < place->until_ns)
            place = entry;
    }
    unsigned keep_s = result->code ? FAILURE_S : RESOLVER_CACHE_S;
    place->until_ns = loop_clock_ns() + keep_s * SECOND_NS;
    strcpy(place->name, name);
    place->result = *result;
}

/* --- asking --- */

static void
copy_addresses(struct result *out, const struct addrinfo *list)
{
    for (; list && out->count < RESOLVER_ADDRESSES_MAX; list = list->ai_next) {
        struct resolver_address *address = &out->addresses[out->count];
        if (list->ai_addrlen > sizeof address->storage)
            continue;
        address->len = list->ai_addrlen;
        memcpy(&address->storage, list->ai_addr, list->ai_addrlen);
        out->count++;
    }
}

static void
ask(resolver_system *system, const char *name, int flags, struct result *out)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags};
    struct addrinfo *list = NULL;
    *out = (struct result){0};
    out->code = system(name, NULL, &hints, &list);
    if (out->code)
        return;
    copy_addresses(out, list);
    freeaddrinfo(list);
    if (!out->count)
        out->code = EAI_NONAME;
}

/* --- answering: on the loop's thread --- */

static void
set_port(struct resolver_address *address, uint16_t port)
{
    if (address->storage.ss_family == AF_INET)
        ((struct sockaddr_in *)&address->storage)->sin_port = htons(port);
    else if (address->storage.ss_family == AF_INET6)
        ((struct sockaddr_in6 *)&address->storage)->sin6_port = htons(port);
}

static void
answer(struct resolver_lookup *lookup)
{
    struct resolver_answer out = {.count = lookup->result.count};
    char failure[FAILURE_MAX];
    memcpy(out.addresses, lookup->result.addresses, sizeof out.addresses);
    for (unsigned i = 0; i < out.count; i++)
        set_port(&out.addresses[i], lookup->port);
    if (lookup->result.code) {
        snprintf(failure, sizeof failure, "%s", gai_strerror(lookup->result.code));
        out.failure = failure;
    }
    lookup->callback(lookup->arg, &out);
}

static void
run_posted(struct loop_post *post)
{
    struct resolver_lookup *lookup = (struct resolver_lookup *)post;
    struct resolver *resolver = lookup->resolver;
    pthread_mutex_lock(&resolver->lock);
    unlink_lookup(resolver, lookup);
    pthread_mutex_unlock(&resolver->lock);
    if (!lookup->cancelled)
        answer(lookup);
    free(lookup);
}

/* Under the lock, so that the loop is still there. */
static void
send_answer(struct resolver *resolver, struct resolver_lookup *lookup, const struct result *result)
{
    if (lookup->state == QUEUED)
        resolver->queued_count--;
    lookup->result = *result;
    lookup->state = POSTED;
    loop_post(lookup->loop, &lookup->post);
}

/* --- the thread --- */

static void
finish_asked(struct resolver *resolver, struct resolver_lookup *lookup, const struct result *result)
{
    keep(resolver, lookup->name, result);
    if (lookup->cancelled) {
        unlink_lookup(resolver, lookup);
        free(lookup);
    } else {
        send_answer(resolver, lookup, result);
    }
}

/* Takes the lock off and on again. */
static void
work_on(struct resolver *resolver, struct resolver_lookup *lookup)
{
    struct result result;
    const struct result *kept = find_kept(resolver, lookup->name);
    if (kept) {
        send_answer(resolver, lookup, kept);
        return;
    }
    lookup->state = ASKED;
    resolver->queued_count--;
    resolver->asking = true;
    pthread_mutex_unlock(&resolver->lock);
    ask(resolver->system, lookup->name, AI_ADDRCONFIG, &result);
    pthread_mutex_lock(&resolver->lock);
    resolver->asking = false;
    finish_asked(resolver, lookup, &result);
}

static void
destroy(struct resolver *resolver)
{
    must(!resolver->lookups);
    pthread_mutex_destroy(&resolver->lock);
    pthread_cond_destroy(&resolver->wake);
    free(resolver);
}

static void *
run_thread(void *arg)
{
    struct resolver *resolver = arg;
    pthread_mutex_lock(&resolver->lock);
    while (!resolver->stop) {
        struct resolver_lookup *lookup = first_queued(resolver);
        if (lookup)
            work_on(resolver, lookup);
        else
            pthread_cond_wait(&resolver->wake, &resolver->lock);
    }
    bool orphaned = resolver->orphaned;
    pthread_mutex_unlock(&resolver->lock);
    if (orphaned)
        destroy(resolver);
    return NULL;
}

/* --- the interface --- */

int
resolver_new(struct resolver **out, resolver_system *system, struct error *error)
{
    struct resolver *resolver = calloc(1, sizeof *resolver);
    if (!resolver)
        return error_set(error, "no memory for the resolver");
    resolver->system = system ? system : getaddrinfo;
    resolver->lookups_end = &resolver->lookups;
    pthread_mutex_init(&resolver->lock, NULL);
    pthread_cond_init(&resolver->wake, NULL);
    int code = pthread_create(&resolver->thread, NULL, run_thread, resolver);
    if (code) {
        destroy(resolver);
        return error_set_errno(error, code, "cannot start the resolver's thread");
    }
    *out = resolver;
    return 0;
}

void
resolver_free(struct resolver *resolver)
{
    if (!resolver)
        return;
    pthread_t thread = resolver->thread;
    pthread_mutex_lock(&resolver->lock);
    bool asking = resolver->asking;
    resolver->stop = true;
    resolver->orphaned = asking;
    pthread_cond_signal(&resolver->wake);
    pthread_mutex_unlock(&resolver->lock);
    if (asking) {
        pthread_detach(thread);
        return;
    }
    pthread_join(thread, NULL);
    destroy(resolver);
}

static struct resolver_lookup *
new_lookup(struct resolver *resolver, struct str name, uint16_t port, struct loop *loop)
{
    if (name.len == 0 || name.len > NAME_MAX_LEN || memchr(name.ptr, 0, name.len))
        return NULL;
    struct resolver_lookup *lookup = calloc(1, sizeof *lookup);
    if (!lookup)
        return NULL;
    lookup->post.run = run_posted;
    lookup->resolver = resolver;
    lookup->loop = loop;
    lookup->port = port;
    memcpy(lookup->name, name.ptr, name.len);
    return lookup;
}

/* Under the lock. False: too many are waiting. */
static bool
enter(struct resolver *resolver, struct resolver_lookup *lookup, const struct result *numeric)
{
    const struct result *known = numeric->code == 0 ? numeric : find_kept(resolver, lookup->name);
    if (!known && resolver->queued_count == RESOLVER_QUEUE_MAX)
        return false;
    append(resolver, lookup);
    resolver->queued_count++;
    if (known)
        send_answer(resolver, lookup, known);
    else
        pthread_cond_signal(&resolver->wake);
    return true;
}

struct resolver_lookup *
resolver_lookup(struct resolver *resolver, struct str name, uint16_t port, struct loop *loop,
                resolver_callback *callback, void *arg)
{
    struct result numeric;
    struct resolver_lookup *lookup = new_lookup(resolver, name, port, loop);
    if (!lookup)
        return NULL;
    lookup->callback = callback;
    lookup->arg = arg;
    ask(getaddrinfo, lookup->name, AI_NUMERICHOST, &numeric);
    pthread_mutex_lock(&resolver->lock);
    bool entered = enter(resolver, lookup, &numeric);
    pthread_mutex_unlock(&resolver->lock);
    if (entered)
        return lookup;
    free(lookup);
    return NULL;
}

/* Under the lock. Whether it was freed. */
static bool
drop(struct resolver *resolver, struct resolver_lookup *lookup)
{
    lookup->cancelled = true;
    if (lookup->state != QUEUED)
        return false;
    unlink_lookup(resolver, lookup);
    free(lookup);
    return true;
}

void
resolver_cancel(struct resolver_lookup *lookup)
{
    struct resolver *resolver = lookup->resolver;
    pthread_mutex_lock(&resolver->lock);
    drop(resolver, lookup);
    pthread_mutex_unlock(&resolver->lock);
}

void
resolver_detach(struct resolver *resolver, struct loop *loop)
{
    pthread_mutex_lock(&resolver->lock);
    struct resolver_lookup *next, *lookup = resolver->lookups;
    for (; lookup; lookup = next) {
        next = lookup->next;
        if (lookup->loop != loop || drop(resolver, lookup) || lookup->state == ASKED)
            continue;
        unlink_lookup(resolver, lookup); /* POSTED: the loop runs no more */
        free(lookup);
    }
    pthread_mutex_unlock(&resolver->lock);
}
