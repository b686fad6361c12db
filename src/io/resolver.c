#include "io/resolver.h"

#include "base/must.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* A query is one name being asked for; lookups wait in its list. When it is answered, a result is
 * made and kept, and every lookup is given a reference to it and posted to its loop, where it lies
 * in the list of posted ones until the loop runs it. So a lookup is in one list for its whole life,
 * which is how a loop that goes away finds its own.
 *
 * All lists are under the lock. Only the thread frees queries, and it asks without the lock, so a
 * cancelled lookup takes nothing away from under it: the query goes on and its answer is kept.
 *
 * A query that takes too long is late: its lookups are told so, and it stays for c-ares only, which
 * cannot stop a single question. It still counts, so that there is a bound to what is under way. */

enum { NAME_MAX_LEN = 255, FAILURE_MAX = NAME_MAX_LEN + 100, NUMERIC_S = RESOLVER_CACHE_S };
#define MS UINT64_C(1000000)
#define SECOND_NS UINT64_C(1000000000)

struct link {
    struct link *prev, *next;
};

/* Immutable but for the count, which is atomic. */
struct result {
    unsigned use_count;
    uint64_t made_ns, until_ns;
    struct dns_answer answer;
    char name[];
};

struct resolver_lookup {
    struct loop_post post; /* first */
    struct link link;      /* in its query's list, or in the posted ones */
    struct resolver *resolver;
    struct loop *loop;
    resolver_callback *callback;
    void *arg;
    struct query *query;   /* NULL: posted */
    struct result *result; /* when posted; NULL: there was no memory for it */
    bool cancelled;
    uint16_t port;
};

struct query {
    struct dns_question question; /* first */
    struct query *next;
    struct resolver *resolver;
    struct link waiting; /* lookups */
    uint64_t deadline_ns;
    uint32_t hash;
    bool asked; /* c-ares has it */
    bool late;
    char name[];
};

struct resolver {
    pthread_t thread;
    pthread_mutex_t lock;
    int wake_fd; /* -1: the thread was not needed yet */
    bool stop;
    uint32_t lookup_ms;
    struct dns dns; /* the thread's */
    struct query *queries, **queries_end;
    unsigned query_count, waiting_count;
    struct link posted;
    uint32_t kept_hashes[RESOLVER_CACHE_MAX];
    struct result *kept[RESOLVER_CACHE_MAX]; /* NULL: free */
};

/* --- lists --- */

static void
list_init(struct link *list)
{
    list->prev = list->next = list;
}

static void
list_append(struct link *list, struct link *link)
{
    link->prev = list->prev;
    link->next = list;
    list->prev->next = link;
    list->prev = link;
}

static void
list_remove(struct link *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
}

static struct resolver_lookup *
lookup_of_link(struct link *link)
{
    return (struct resolver_lookup *)((char *)link - offsetof(struct resolver_lookup, link));
}

/* --- results --- */

/* NULL: no memory. */
static struct result *
result_new(const char *name, const struct dns_answer *answer, uint32_t keep_s)
{
    struct result *result = malloc(sizeof *result + strlen(name) + 1);
    if (!result)
        return NULL;
    result->use_count = 1;
    result->made_ns = loop_clock_ns();
    result->until_ns = result->made_ns + keep_s * SECOND_NS;
    result->answer = *answer;
    strcpy(result->name, name);
    return result;
}

/* Of NULL: NULL. */
static struct result *
result_ref(struct result *result)
{
    if (result)
        __atomic_fetch_add(&result->use_count, 1, __ATOMIC_RELAXED);
    return result;
}

static void
result_unref(struct result *result)
{
    if (result && __atomic_sub_fetch(&result->use_count, 1, __ATOMIC_ACQ_REL) == 0)
        free(result);
}

/* FNV-1a. */
static uint32_t
hash_name(const char *name)
{
    uint32_t hash = 2166136261u;
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 16777619u;
    return hash;
}

static bool
keeps_name(const struct resolver *resolver, unsigned at, uint32_t hash, const char *name)
{
    return resolver->kept_hashes[at] == hash && resolver->kept[at] &&
           strcmp(resolver->kept[at]->name, name) == 0;
}

/* Borrowed; NULL: it has to be asked for. */
static struct result *
find_kept(const struct resolver *resolver, uint32_t hash, const char *name)
{
    for (unsigned i = 0; i < RESOLVER_CACHE_MAX; i++)
        if (keeps_name(resolver, i, hash, name))
            return resolver->kept[i]->until_ns > loop_clock_ns() ? resolver->kept[i] : NULL;
    return NULL;
}

static void
drop_kept(struct resolver *resolver, unsigned at)
{
    result_unref(resolver->kept[at]);
    resolver->kept[at] = NULL;
}

/* The first is to go before the second: NULL first, then what has ended, then what is old. */
static bool
goes_before(const struct result *first, const struct result *second, uint64_t now_ns)
{
    if (!first || !second)
        return second != NULL;
    bool ended = first->until_ns <= now_ns, other_ended = second->until_ns <= now_ns;
    return ended != other_ended ? ended : first->made_ns < second->made_ns;
}

static void
keep(struct resolver *resolver, uint32_t hash, struct result *result)
{
    unsigned place = 0;
    for (unsigned i = 0; i < RESOLVER_CACHE_MAX; i++) {
        if (keeps_name(resolver, i, hash, result->name)) {
            place = i;
            break;
        }
        if (goes_before(resolver->kept[i], resolver->kept[place], result->made_ns))
            place = i;
    }
    drop_kept(resolver, place);
    resolver->kept[place] = result_ref(result);
    resolver->kept_hashes[place] = hash;
}

/* Other servers may know better. */
static void
forget_failures(struct resolver *resolver)
{
    for (unsigned i = 0; i < RESOLVER_CACHE_MAX; i++)
        if (resolver->kept[i] && resolver->kept[i]->answer.failure)
            drop_kept(resolver, i);
}

/* --- answering: on the loop's thread --- */

static void
copy_address(struct resolver_address *out, const union dns_address *address, uint16_t port)
{
    union dns_address copy = *address;
    if (copy.base.sa_family == AF_INET6)
        copy.inet6.sin6_port = htons(port);
    else
        copy.inet.sin_port = htons(port);
    out->len = dns_address_len(&copy);
    memcpy(&out->storage, &copy, out->len);
}

static void
answer(const struct resolver_lookup *lookup)
{
    const struct result *result = lookup->result;
    uint64_t now_ns = loop_clock_ns();
    struct resolver_answer out = {0};
    char failure[FAILURE_MAX];
    if (!result) {
        out.failure = "no memory for the addresses of a name";
        lookup->callback(lookup->arg, &out);
        return;
    }
    if (result->answer.failure) {
        snprintf(failure, sizeof failure, "%s: %s", result->name, result->answer.failure);
        out.failure = failure;
    }
    if (result->until_ns > now_ns)
        out.ttl_s = (uint32_t)((result->until_ns - now_ns + SECOND_NS - 1) / SECOND_NS);
    for (; out.count < result->answer.count; out.count++)
        copy_address(&out.addresses[out.count], &result->answer.addresses[out.count], lookup->port);
    lookup->callback(lookup->arg, &out);
}

static void
free_lookup(struct resolver_lookup *lookup)
{
    result_unref(lookup->result);
    free(lookup);
}

static void
run_posted(struct loop_post *post)
{
    struct resolver_lookup *lookup = (struct resolver_lookup *)post;
    pthread_mutex_lock(&lookup->resolver->lock);
    list_remove(&lookup->link);
    pthread_mutex_unlock(&lookup->resolver->lock);
    if (!lookup->cancelled)
        answer(lookup);
    free_lookup(lookup);
}

/* Under the lock, so that the loop is still there. In no list. */
static void
send_result(struct resolver *resolver, struct resolver_lookup *lookup, struct result *result)
{
    lookup->query = NULL;
    lookup->result = result_ref(result);
    list_append(&resolver->posted, &lookup->link);
    loop_post(lookup->loop, &lookup->post);
}

/* --- queries; under the lock --- */

static void
stop_waiting(struct resolver_lookup *lookup)
{
    list_remove(&lookup->link);
    lookup->resolver->waiting_count--;
}

static void
tell_waiting(struct query *query, const struct dns_answer *answer, uint32_t keep_s)
{
    struct resolver *resolver = query->resolver;
    struct result *result = result_new(query->name, answer, keep_s);
    if (result)
        keep(resolver, query->hash, result);
    while (query->waiting.next != &query->waiting) {
        struct resolver_lookup *lookup = lookup_of_link(query->waiting.next);
        stop_waiting(lookup);
        send_result(resolver, lookup, result);
    }
    result_unref(result);
}

static struct query *
find_query(struct resolver *resolver, uint32_t hash, const char *name)
{
    struct query *query = resolver->queries;
    while (query && (query->late || query->hash != hash || strcmp(query->name, name) != 0))
        query = query->next;
    return query;
}

/* NULL: too many, or no memory. */
static struct query *
query_new(struct resolver *resolver, uint32_t hash, const char *name)
{
    if (resolver->query_count == RESOLVER_QUERIES_MAX)
        return NULL;
    struct query *query = calloc(1, sizeof *query + strlen(name) + 1);
    if (!query)
        return NULL;
    query->resolver = resolver;
    query->hash = hash;
    query->deadline_ns = loop_clock_ns() + resolver->lookup_ms * MS;
    list_init(&query->waiting);
    strcpy(query->name, name);
    *resolver->queries_end = query;
    resolver->queries_end = &query->next;
    resolver->query_count++;
    return query;
}

static void
query_free(struct query *query)
{
    struct resolver *resolver = query->resolver;
    struct query **link = &resolver->queries;
    must(query->waiting.next == &query->waiting);
    while (*link != query)
        link = &(*link)->next;
    *link = query->next;
    if (!query->next)
        resolver->queries_end = link;
    resolver->query_count--;
    free(query);
}

/* --- the thread --- */

static uint32_t
seconds_to_keep(const struct dns_answer *answer)
{
    if (answer->failure)
        return RESOLVER_FAILURE_S;
    if (answer->ttl_s > RESOLVER_CACHE_S)
        return RESOLVER_CACHE_S;
    return answer->ttl_s ? answer->ttl_s : 1;
}

static void
query_answered(struct dns_question *question, const struct dns_answer *answer)
{
    struct query *query = (struct query *)question;
    struct resolver *resolver = query->resolver;
    pthread_mutex_lock(&resolver->lock);
    query->asked = false;
    if (answer)
        tell_waiting(query, answer, seconds_to_keep(answer));
    if (answer || query->late)
        query_free(query);
    pthread_mutex_unlock(&resolver->lock);
}

/* Tells those who wait for a late name; the next deadline, at most a look at resolv.conf away.
 * -1: nothing is under way. */
static int
watch_deadlines(struct resolver *resolver, uint64_t now_ns)
{
    const struct dns_answer late = {.failure = "timed out"};
    uint64_t next_ns = now_ns + RESOLVER_CONF_MS * MS;
    for (struct query *query = resolver->queries; query; query = query->next) {
        if (query->late)
            continue;
        if (query->deadline_ns <= now_ns) {
            query->late = true;
            tell_waiting(query, &late, RESOLVER_FAILURE_S);
        } else if (query->deadline_ns < next_ns) {
            next_ns = query->deadline_ns;
        }
    }
    return resolver->queries ? (int)((next_ns - now_ns + MS - 1) / MS) : -1;
}

static struct query *
take_unasked(struct resolver *resolver)
{
    pthread_mutex_lock(&resolver->lock);
    struct query *query = resolver->queries;
    while (query && query->asked)
        query = query->next;
    if (query)
        query->asked = true;
    pthread_mutex_unlock(&resolver->lock);
    return query;
}

static void
ask_all(struct resolver *resolver)
{
    struct query *query;
    if (dns_refresh(&resolver->dns, loop_clock_ns())) {
        pthread_mutex_lock(&resolver->lock);
        forget_failures(resolver);
        pthread_mutex_unlock(&resolver->lock);
    }
    while ((query = take_unasked(resolver))) {
        query->question.answered = query_answered;
        dns_ask(&resolver->dns, query->name, &query->question);
    }
}

/* False: it is to end. */
static bool
turn(struct resolver *resolver)
{
    uint64_t wakes;
    pthread_mutex_lock(&resolver->lock);
    bool stop = resolver->stop;
    int wait_ms = watch_deadlines(resolver, loop_clock_ns());
    pthread_mutex_unlock(&resolver->lock);
    if (stop)
        return false;
    if (wait_ms >= 0)
        ask_all(resolver);
    dns_wait(&resolver->dns, resolver->wake_fd, wait_ms);
    (void)!read(resolver->wake_fd, &wakes, sizeof wakes);
    return true;
}

static void *
run_thread(void *arg)
{
    struct resolver *resolver = arg;
    while (turn(resolver))
        continue;
    return NULL;
}

/* Under the lock, as all that follows. False: there is none. */
static bool
start_thread(struct resolver *resolver)
{
    if (resolver->wake_fd >= 0)
        return true;
    resolver->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (resolver->wake_fd < 0)
        return false;
    if (pthread_create(&resolver->thread, NULL, run_thread, resolver) == 0)
        return true;
    close(resolver->wake_fd);
    resolver->wake_fd = -1;
    return false;
}

static void
wake_thread(const struct resolver *resolver)
{
    const uint64_t one = 1;
    (void)!write(resolver->wake_fd, &one, sizeof one);
}

/* --- the interface --- */

int
resolver_new(struct resolver **out, const struct resolver_config *config, struct error *error)
{
    static const struct resolver_config standard;
    struct resolver *resolver = calloc(1, sizeof *resolver);
    if (!resolver)
        return error_set(error, "no memory for the resolver");
    config = config ? config : &standard;
    if (dns_init(&resolver->dns, &config->dns, error) != 0) {
        free(resolver);
        return -1;
    }
    resolver->lookup_ms = config->lookup_ms ? config->lookup_ms : RESOLVER_LOOKUP_MS;
    resolver->wake_fd = -1;
    resolver->queries_end = &resolver->queries;
    list_init(&resolver->posted);
    pthread_mutex_init(&resolver->lock, NULL);
    *out = resolver;
    return 0;
}

static void
end_thread(struct resolver *resolver)
{
    pthread_mutex_lock(&resolver->lock);
    resolver->stop = true;
    pthread_mutex_unlock(&resolver->lock);
    wake_thread(resolver);
    pthread_join(resolver->thread, NULL);
    close(resolver->wake_fd);
}

void
resolver_free(struct resolver *resolver)
{
    if (!resolver)
        return;
    if (resolver->wake_fd >= 0)
        end_thread(resolver);
    dns_deinit(&resolver->dns);
    must(resolver->posted.next == &resolver->posted);
    while (resolver->queries)
        query_free(resolver->queries);
    for (unsigned i = 0; i < RESOLVER_CACHE_MAX; i++)
        drop_kept(resolver, i);
    pthread_mutex_destroy(&resolver->lock);
    free(resolver);
}

static bool
copy_name(char *out, struct str name)
{
    if (name.len == 0 || name.len > NAME_MAX_LEN || memchr(name.ptr, 0, name.len))
        return false;
    memcpy(out, name.ptr, name.len);
    out[name.len] = 0;
    return true;
}

/* To lower case; false: it can be no name. */
static bool
fold_name(char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-_.";
    for (char *at = name; *at; at++)
        *at = str_lower_char(*at);
    return name[strspn(name, allowed)] == 0;
}

/* False: too many are waiting, or no memory or thread. */
static bool
wait_for_name(struct resolver *resolver, struct resolver_lookup *lookup, uint32_t hash,
              const char *name)
{
    if (resolver->waiting_count == RESOLVER_WAITING_MAX || !start_thread(resolver))
        return false;
    lookup->query = find_query(resolver, hash, name);
    if (!lookup->query) {
        lookup->query = query_new(resolver, hash, name);
        wake_thread(resolver);
    }
    if (!lookup->query)
        return false;
    list_append(&lookup->query->waiting, &lookup->link);
    resolver->waiting_count++;
    return true;
}

static bool
enter_name(struct resolver *resolver, struct resolver_lookup *lookup, const char *name)
{
    uint32_t hash = hash_name(name);
    pthread_mutex_lock(&resolver->lock);
    struct result *kept = find_kept(resolver, hash, name);
    if (kept)
        send_result(resolver, lookup, kept);
    bool entered = kept || wait_for_name(resolver, lookup, hash, name);
    pthread_mutex_unlock(&resolver->lock);
    return entered;
}

static bool
enter_numeric(struct resolver *resolver, struct resolver_lookup *lookup, const char *name,
              const struct dns_answer *numeric)
{
    struct result *result = result_new(name, numeric, NUMERIC_S);
    if (!result)
        return false;
    pthread_mutex_lock(&resolver->lock);
    send_result(resolver, lookup, result);
    pthread_mutex_unlock(&resolver->lock);
    result_unref(result);
    return true;
}

struct resolver_lookup *
resolver_lookup(struct resolver *resolver, struct str name, uint16_t port, struct loop *loop,
                resolver_callback *callback, void *arg)
{
    char text[NAME_MAX_LEN + 1];
    struct dns_answer numeric;
    bool entered = false;
    if (!copy_name(text, name))
        return NULL;
    struct resolver_lookup *lookup = malloc(sizeof *lookup);
    if (!lookup)
        return NULL;
    *lookup = (struct resolver_lookup){
        .post.run = run_posted,
        .resolver = resolver,
        .loop = loop,
        .callback = callback,
        .arg = arg,
        .port = port,
    };
    if (dns_read_numeric(text, &numeric))
        entered = enter_numeric(resolver, lookup, text, &numeric);
    else if (fold_name(text))
        entered = enter_name(resolver, lookup, text);
    if (entered)
        return lookup;
    free(lookup);
    return NULL;
}

void
resolver_cancel(struct resolver_lookup *lookup)
{
    struct resolver *resolver = lookup->resolver;
    pthread_mutex_lock(&resolver->lock);
    bool waiting = lookup->query != NULL;
    if (waiting)
        stop_waiting(lookup);
    lookup->cancelled = true;
    pthread_mutex_unlock(&resolver->lock);
    if (waiting)
        free_lookup(lookup);
}

static void
drop_of_loop(struct link *list, const struct loop *loop)
{
    struct link *next, *link = list->next;
    for (; link != list; link = next) {
        struct resolver_lookup *lookup = lookup_of_link(link);
        next = link->next;
        if (lookup->loop != loop)
            continue;
        if (lookup->query)
            stop_waiting(lookup);
        else
            list_remove(link);
        free_lookup(lookup);
    }
}

void
resolver_detach(struct resolver *resolver, struct loop *loop)
{
    pthread_mutex_lock(&resolver->lock);
    for (struct query *query = resolver->queries; query; query = query->next)
        drop_of_loop(&query->waiting, loop);
    drop_of_loop(&resolver->posted, loop); /* the loop runs no more */
    pthread_mutex_unlock(&resolver->lock);
}
