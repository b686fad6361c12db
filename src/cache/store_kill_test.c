/* Store and index together, killed at any moment: a child downloads, renews, evicts and replaces as
 * the fetcher does, in the order that docs/design/cache.md gives, and is killed after a random
 * time, a hundred times over. What it did is written down in shared memory before and after each
 * step, so that afterwards it is known what must be there and what must not.
 */
#include "cache/cache_dir_test_run.h"
#include "cache/index.h"
#include "cache/store.h"
#include "tls/digest.h"

#include <signal.h>
#include <sys/mman.h>
#include <time.h>

enum {
    ROUNDS = 100,
    DEEDS_MAX = 400000,
    URLS = 300,
    CONTENT_MAX = 9000,
    KILL_AFTER_US = 60000, /* at most */
};

enum deed_state {
    PART = 1,    /* a file may be there, a row must not */
    PUT,         /* a row may be there */
    PUT_FLUSHED, /* a row and its file must be there */
    GOING,       /* either may be there */
    GONE,        /* a row must not be there */
};

struct deed {
    uint64_t id;
    uint32_t url;
    uint8_t state;
};

struct shared {
    uint32_t count;
    bool ended_orderly;
    struct deed deeds[DEEDS_MAX];
};

/* One process's view. */
struct cache {
    struct cache_dir *dir;
    struct shared *shared;
    struct store *store;
    struct index *index;
    uint64_t next_id;
    uint64_t *rows; /* ids that were loaded */
    size_t row_count, next_row;
    uint64_t missing_count;
    int32_t of_url[URLS]; /* the deed that is a URL's entry; -1: none */
};

/* --- what an id stands for --- */

static struct str
url_of(uint32_t number, char text[static URL_TEXT_MAX])
{
    return str_make(text, (size_t)snprintf(text, URL_TEXT_MAX, "http://h/%u", number));
}

static struct str
content_of(uint64_t id, char bytes[static CONTENT_MAX])
{
    size_t len = 1 + id * 7919 % (CONTENT_MAX - 1);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)(id * 31 + i * 7 + (i >> 8));
    return str_make(bytes, len);
}

static struct cache_entry
entry_of(const struct deed *deed, char text[static URL_TEXT_MAX])
{
    char bytes[CONTENT_MAX];
    struct cache_entry entry = make_entry(1, text);
    entry.id = deed->id;
    entry.url = url_of(deed->url, text);
    struct str content = content_of(deed->id, bytes);
    entry.len = content.len;
    digest_of(DIGEST_SHA256, content, entry.sha256);
    return entry;
}

static struct deed *
find_deed(struct shared *shared, uint64_t id)
{
    for (uint32_t i = shared->count; i-- > 0;)
        if (shared->deeds[i].id == id)
            return &shared->deeds[i];
    fail_msg("nobody made %llu", (unsigned long long)id);
    return NULL;
}

/* --- opening, in either process --- */

static enum index_loaded
take_row(void *arg, const struct cache_entry *entry)
{
    struct cache *cache = arg;
    char text[URL_TEXT_MAX];
    const struct deed *deed = find_deed(cache->shared, entry->id);
    struct cache_entry expected = entry_of(deed, text);
    assert_true(str_eq(entry->url, expected.url));
    assert_int_equal(entry->len, expected.len);
    assert_memory_equal(entry->sha256, expected.sha256, sizeof entry->sha256);
    if (deed->state == PART || deed->state == GONE)
        fail_msg("a row for %llu, state %u", (unsigned long long)deed->id, deed->state);
    cache->of_url[deed->url] = (int32_t)(deed - cache->shared->deeds);
    cache->rows[cache->row_count++] = entry->id;
    return INDEX_TAKEN;
}

static bool
next_row(void *arg, struct store_known *known)
{
    static char texts[URLS][URL_TEXT_MAX];
    struct cache *cache = arg;
    char text[URL_TEXT_MAX];
    if (cache->next_row == cache->row_count)
        return false;
    const struct deed *deed = find_deed(cache->shared, cache->rows[cache->next_row++]);
    struct cache_entry entry = entry_of(deed, text);
    *known = (struct store_known){
        .url = url_of(deed->url, texts[deed->url]), .id = deed->id, .len = entry.len};
    return true;
}

static void
take_missing(void *arg, const struct store_known *known)
{
    struct cache *cache = arg;
    struct deed *deed = find_deed(cache->shared, known->id);
    if (deed->state != GOING)
        fail_msg("no file for %llu, state %u", (unsigned long long)deed->id, deed->state);
    cache->missing_count++;
    cache->of_url[deed->url] = -1;
    index_remove(cache->index, known->id);
}

static struct store_recovery
open_cache(struct cache *cache, struct cache_dir *dir, struct shared *shared)
{
    struct store_recovery recovery = {0};
    *cache = (struct cache){.dir = dir, .shared = shared};
    memset(cache->of_url, -1, sizeof cache->of_url);
    cache->rows = calloc(DEEDS_MAX, sizeof *cache->rows);
    if (store_open(&cache->store, dir->path, &dir->error) < 0 ||
        index_open(&cache->index, dir->path, take_row, NULL, cache, &dir->error) < 0)
        fail_msg("%s", dir->error.text);
    cache->next_id = store_last_id(cache->store);
    assert_true(index_last_id(cache->index) <= cache->next_id);
    if ((!store_was_orderly(cache->store) || !index_was_orderly(cache->index)) &&
        store_recover(cache->store, next_row, take_missing, cache, &recovery, &dir->error) < 0)
        fail_msg("%s", dir->error.text);
    return recovery;
}

static void
close_cache(struct cache *cache, bool orderly)
{
    assert_true(index_close(cache->index));
    store_close(cache->store, orderly);
    free(cache->rows);
}

/* --- the child --- */

static void
drop_entry(struct cache *cache, uint32_t url)
{
    char text[URL_TEXT_MAX];
    if (cache->of_url[url] < 0)
        return;
    struct deed *deed = &cache->shared->deeds[cache->of_url[url]];
    deed->state = GOING;
    assert_int_equal(store_remove(cache->store, url_of(url, text), deed->id), 0);
    index_remove(cache->index, deed->id);
    cache->of_url[url] = -1;
}

static void
download(struct cache *cache, uint32_t url)
{
    char text[URL_TEXT_MAX], bytes[CONTENT_MAX];
    uint32_t at = cache->shared->count;
    if (at == DEEDS_MAX)
        return;
    struct deed *deed = &cache->shared->deeds[at];
    *deed = (struct deed){.id = ++cache->next_id, .url = url, .state = PART};
    cache->shared->count++;
    struct cache_entry entry = entry_of(deed, text);
    struct str content = content_of(deed->id, bytes);
    int fd =
        store_create_part(cache->store, entry.url, deed->id, rand() % 2 ? entry.len : UINT64_MAX);
    assert_true(fd >= 0);
    for (; content.len; content = str_skip(content, 3000))
        assert_true(write(fd, content.ptr, str_first(content, 3000).len) > 0);
    close(fd);
    if (rand() % 8 == 0) {
        assert_int_equal(store_remove_part(cache->store, entry.url, deed->id), 0);
        return;
    }
    assert_int_equal(store_finish_part(cache->store, entry.url, deed->id), 0);
    if (cache->of_url[url] >= 0)
        cache->shared->deeds[cache->of_url[url]].state = GOING; /* its row goes with the put */
    deed->state = PUT;
    index_put(cache->index, &entry);
    drop_entry(cache, url); /* the file of the older version, after the new row */
    cache->of_url[url] = (int32_t)at;
}

/* What was asked for before is done now. */
static void
flush(struct cache *cache)
{
    assert_true(index_flush(cache->index));
    for (uint32_t i = 0; i < cache->shared->count; i++) {
        struct deed *deed = &cache->shared->deeds[i];
        if (deed->state == PUT)
            deed->state = PUT_FLUSHED;
        else if (deed->state == GOING)
            deed->state = GONE;
    }
}

_Noreturn static void
run_child(struct cache_dir *dir, struct shared *shared, unsigned seed)
{
    struct cache cache;
    const struct cache_totals added = {{1, 1, 1, 1, 1, 1}};
    srand(seed);
    unsigned turns = rand() % 8 ? UINT32_MAX : (unsigned)rand() % 2000;
    open_cache(&cache, dir, shared);
    for (unsigned i = 0; i < turns; i++) {
        uint32_t url = (uint32_t)rand() % URLS;
        switch (rand() % 16) {
        case 0:
            flush(&cache);
            break;
        case 1:
        case 2:
        case 3:
            drop_entry(&cache, url);
            break;
        case 4:
            index_add_totals(cache.index, time(NULL), &added);
            break;
        case 5:
            if (cache.of_url[url] >= 0)
                index_touch(cache.index, shared->deeds[cache.of_url[url]].id, time(NULL), 7);
            break;
        default:
            download(&cache, url);
        }
    }
    flush(&cache);
    close_cache(&cache, true);
    shared->ended_orderly = true;
    _exit(0);
}

/* --- the judge --- */

static void
check_file(struct cache *cache, const struct deed *deed)
{
    char text[URL_TEXT_MAX], bytes[CONTENT_MAX], found[CONTENT_MAX];
    struct str content = content_of(deed->id, bytes);
    int fd = store_open_file(cache->store, url_of(deed->url, text), deed->id, content.len);
    if (fd < 0)
        fail_msg("no file for %llu: %s", (unsigned long long)deed->id, strerror(-fd));
    assert_int_equal(read(fd, found, sizeof found), content.len);
    assert_memory_equal(found, content.ptr, content.len);
    close(fd);
}

/* Rows and files are the same set, and it is the right one. */
static void
check(struct cache *cache)
{
    struct shared *shared = cache->shared;
    uint64_t entry_count = 0;
    for (size_t i = 0; i < cache->row_count; i++) {
        const struct deed *deed = find_deed(shared, cache->rows[i]);
        if (cache->of_url[deed->url] == deed - shared->deeds) {
            check_file(cache, deed);
            entry_count++;
        }
    }
    assert_int_equal(entry_count + cache->missing_count, cache->row_count);
    assert_int_equal(shell_number(cache->dir, "find . -mindepth 2 -type f | wc -l"), entry_count);
    for (uint32_t i = 0; i < shared->count; i++) {
        struct deed *deed = &shared->deeds[i];
        bool is_there = cache->of_url[deed->url] == (int32_t)i;
        if (deed->state == PUT_FLUSHED && !is_there)
            fail_msg("%llu was lost", (unsigned long long)deed->id);
        deed->state = is_there ? PUT_FLUSHED : GONE;
    }
}

static void
run_round(struct cache_dir *dir, struct shared *shared, unsigned seed, unsigned counts[static 4])
{
    struct cache cache;
    shared->ended_orderly = false;
    pid_t child = fork_child();
    if (child == 0)
        run_child(dir, shared, seed);
    usleep((useconds_t)(rand() % KILL_AFTER_US));
    kill(child, SIGKILL);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFSIGNALED(status) && (WEXITSTATUS(status) != 0 || !shared->ended_orderly))
        fail_msg("the child failed: status %d", status);
    struct store_recovery recovery = open_cache(&cache, dir, shared);
    if (shared->ended_orderly)
        assert_true(store_was_orderly(cache.store));
    assert_int_equal(recovery.kept_count, 0);
    check(&cache);
    counts[0] += store_was_orderly(cache.store);
    counts[1] += recovery.removed_parts > 0;
    counts[2] += recovery.removed_files > 0;
    counts[3] += cache.missing_count > 0;
    close_cache(&cache, rand() % 2);
}

static void
nothing_is_lost_or_left_behind_by_a_kill(void **state)
{
    struct cache_dir dir;
    unsigned counts[4] = {0}, seed = (unsigned)time(NULL);
    struct shared *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(shared != MAP_FAILED);
    cache_dir_init_in(&dir, "/dev/shm");
    srand(seed);
    for (unsigned i = 0; i < ROUNDS; i++)
        run_round(&dir, shared, seed + i, counts);
    print_message("%u downloads; of %d ends %u orderly; part files after %u, files without a row"
                  " after %u, rows without a file after %u (seed %u)\n",
                  shared->count, ROUNDS, counts[0], counts[1], counts[2], counts[3], seed);
    cache_dir_deinit(&dir);
    munmap(shared, sizeof *shared);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost_or_left_behind_by_a_kill),
    };
    return cmocka_run_group_tests_name("store and index, killed", tests, NULL, NULL);
}
