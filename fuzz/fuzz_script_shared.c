/* Fuzzes the helpers for what scripts share, and zs_fetch. The first byte says what:
 *
 *   wild    random calls of all of them with good and bad addresses and lengths. Checked: results
 *           are what the helper may give, outputs end in a NUL;
 *   tame    calls with a few keys, good arguments and time that passes, against a list of what was
 *           stored and a log of what was allowed. Checked: values, sums, times to live, the
 *           ceiling; that no window ever allows more than its limit, and none refuses for longer
 *           than a sixteenth more;
 *   fetch   a request, and a response to it: head, body, how it ends. Checked: the script gets a
 *           handle of what came, or -1 and a line in the log, and nothing is left.
 *
 * Fetches are answered here, without an upstream: this file has its own exchange and its own wait.
 */
#include "http/h1_response.h"
#include "io/backend.h"
#include "proxy/exchange.h"
#include "script/helpers.h"
#include "script/wait.h"
#include "script_calls.h"

enum {
    INPUT_MAX = 4096,
    CALLS_MAX = 64,
    NAMES = 6,
    LOG_MAX = 512,
    KEYS_MAX = 8,
    STORE_MAX = 64 << 10,
    VALUE_MAX = 2048,
    FIELDS_MAX = 64,
    HEAD_MAX = 2048,
    KEY_AT = 0,
    VALUE_AT = 64,
    OUT_AT = 8192,
    ENOUGH = 64 << 10, /* memory for any response that fits the input */
};

#define MINUS_1 ((uint64_t)-1)
#define NS_PER_MS UINT64_C(1000000)

static struct loop *clock_loop;

static uint64_t
now_ns(void)
{
    return clock_loop->now_ns;
}

/* --- wild --- */

static uint64_t
call(bpf_helper_fn *fn, const uint64_t r[5])
{
    return fn(r[0], r[1], r[2], r[3], r[4], calls.run);
}

static void
check_got(const uint64_t r[5], uint64_t result)
{
    check(result == MINUS_1 || result <= r[3]);
    if (r[3] == 0)
        return;
    struct str out = bpf_view(calls.run, r[2], r[3]);
    size_t end = result == MINUS_1 ? 0 : result < r[3] ? result : r[3] - 1;
    check(out.ptr[end] == '\0');
}

static void
wild_call(void)
{
    uint8_t which = calls_byte();
    uint64_t r[5] = {calls_address(), calls_len(), calls_address(), calls_len(), calls_number(999)};
    switch (which % 6) {
    case 0:
        r[2] = calls_byte() % 4;
        r[3] = calls_byte() % 4;
        uint64_t result = call(zs_rate_limit, r);
        check(result <= 4 || result == MINUS_1);
        break;
    case 1:
        check_got(r, call(zs_kv_get, r));
        break;
    case 2:
        check(call(zs_kv_set, r) + 1 <= 1);
        break;
    case 3:
        call(zs_kv_incr, r);
        break;
    case 4:
        check(call(zs_kv_delete, r) <= 1);
        break;
    default:
        check(call(zs_fetch, r) == MINUS_1);
    }
}

/* --- tame --- */

struct name {
    bool there;
    char value[VALUE_MAX];
    size_t len;
    uint64_t expires_ms;
    uint64_t taken_ns[LOG_MAX]; /* in the window `length_ns` with the limit `limit` */
    unsigned taken_count;
    unsigned window;
    uint64_t limit;
};

static struct name names[NAMES];

static void
put_key(unsigned n)
{
    calls_memory()[KEY_AT] = (char)('a' + n);
}

static uint64_t
tame(bpf_helper_fn *fn, uint64_t r3, uint64_t r4, uint64_t r5)
{
    return fn(calls_base() + KEY_AT, 1, r3, r4, r5, calls.run);
}

static bool
is_there(const struct name *name)
{
    return name->there && name->expires_ms > now_ns() / NS_PER_MS;
}

static uint64_t
expiry(uint64_t ttl_ms)
{
    return ttl_ms ? now_ns() / NS_PER_MS + ttl_ms : UINT64_MAX;
}

/* What was not used for long may have gone for others. */
static void
tame_get(struct name *name)
{
    uint64_t room = calls_number(3000);
    uint64_t result = tame(zs_kv_get, calls_base() + OUT_AT, room, 0);
    if (result == MINUS_1) {
        name->there = false;
        return;
    }
    check(is_there(name) && result == (name->len < room ? name->len : room));
    if (room)
        check(memcmp(calls_memory() + OUT_AT, name->value,
                     name->len < room ? name->len : room - 1) == 0);
}

static void
tame_set(struct name *name)
{
    uint64_t len = calls_number(VALUE_MAX), ttl_ms = calls_number(3) ? calls_number(5000) : 0;
    memset(calls_memory() + VALUE_AT, calls_byte(), len);
    if (calls_byte() % 2)
        len = (uint64_t)sprintf(calls_memory() + VALUE_AT, "%d", (int)calls_number(60000) - 30000);
    check(tame(zs_kv_set, calls_base() + VALUE_AT, len, ttl_ms) == 0);
    memcpy(name->value, calls_memory() + VALUE_AT, len);
    name->len = len;
    name->there = true;
    name->expires_ms = expiry(ttl_ms);
}

static void
tame_add(struct name *name)
{
    char *end, text[VALUE_MAX + 1] = "0";
    int64_t by = (int64_t)calls_number(60000) - 30000;
    uint64_t ttl_ms = calls_number(3) ? calls_number(5000) : 0;
    size_t len;
    bool was_there = kv_get(calls.scene->shared.kv, str_make(calls_memory() + KEY_AT, 1),
                            now_ns() / NS_PER_MS, text, VALUE_MAX, &len);
    if (was_there)
        text[len] = '\0';
    check(!was_there || is_there(name));
    name->there = was_there;
    bool is_short = strlen(text) < 19; /* of others this does not know the sum */
    int64_t wanted = is_short ? strtoll(text, &end, 10) + by : 0;
    int64_t sum = (int64_t)tame(zs_kv_incr, (uint64_t)by, ttl_ms, 0); /* or traps */
    check(!is_short || (text[0] && !*end && sum == wanted));
    name->len = (size_t)sprintf(name->value, "%lld", (long long)sum);
    name->there = true;
    if (!was_there)
        name->expires_ms = expiry(ttl_ms);
}

static unsigned
count_taken(const struct name *name, uint64_t length_ns)
{
    unsigned count = 0;
    for (unsigned i = 0; i < name->taken_count; i++)
        count += now_ns() - name->taken_ns[i] < length_ns;
    return count;
}

/* Each name has one window and one limit. */
static void
tame_take(struct name *name)
{
    static const uint64_t lengths_ns[] = {1000 * NS_PER_MS, 60000 * NS_PER_MS, 3600000 * NS_PER_MS};
    uint64_t limits[3] = {0}, length_ns = lengths_ns[name->window];
    limits[name->window] = name->limit;
    for (unsigned turns = calls_byte() % 32; turns && name->taken_count < LOG_MAX; turns--) {
        unsigned taken = count_taken(name, length_ns);
        uint64_t result = tame(zs_rate_limit, limits[0], limits[1], limits[2]);
        check(result == 0 || result == 1 + name->window);
        if (result == 0) {
            check(taken < name->limit);
            name->taken_ns[name->taken_count++] = now_ns();
        } else {
            check(count_taken(name, length_ns + length_ns / 16) >= name->limit);
            check(name->limit > 17 || taken >= name->limit);
        }
    }
}

static void
pass_time(void)
{
    static const uint64_t units_ns[] = {NS_PER_MS / 10, NS_PER_MS, 100 * NS_PER_MS,
                                        10000 * NS_PER_MS};
    clock_loop->now_ns += calls_number(1000) * units_ns[calls_byte() % 4];
}

static void
tame_call(void)
{
    uint8_t which = calls_byte();
    unsigned n = calls_byte() % NAMES;
    struct name *name = &names[n];
    put_key(n);
    switch (which % 8) {
    case 0:
        tame_get(name);
        break;
    case 1:
        tame_set(name);
        break;
    case 2:
        tame_add(name);
        break;
    case 3:
        check(tame(zs_kv_delete, 0, 0, 0) <= (uint64_t)is_there(name));
        name->there = false;
        break;
    case 4:
    case 5:
        tame_take(name);
        break;
    default:
        pass_time();
    }
    struct kv_stats stats = kv_stats(calls.scene->shared.kv);
    check(stats.used <= stats.max && stats.count <= NAMES);
}

static void
begin_tame(void)
{
    for (unsigned i = 0; i < NAMES; i++) {
        names[i].there = false;
        names[i].taken_count = 0;
        names[i].window = calls_byte() % 3;
        names[i].limit = 1u + calls_byte() % 40;
    }
}

/* --- fetches --- */

struct exchange {
    const struct exchange_ops *ops;
    void *arg;
    bool is_over;
};

static struct exchange exchange;
static bool exchange_is_there, exchange_is_done, wait_is_done;
static unsigned log_count;

struct exchange *
exchange_start(struct upstream_pool *pool, const struct exchange_request *request,
               const struct exchange_ops *ops, void *arg)
{
    struct body_piece piece;
    check(!exchange_is_there && request->method.len && request->url.host.len);
    check(request->field_count <= SCRIPT_FETCH_FIELDS_MAX + 1);
    if (request->body && request->body_len)
        check(body_pull(request->body, &piece) == BODY_PIECE && piece.len == request->body_len);
    exchange = (struct exchange){.ops = ops, .arg = arg};
    exchange_is_there = true;
    return &exchange;
}

void
exchange_cancel(struct exchange *its)
{
    check(its == &exchange && exchange_is_there);
    exchange_is_there = false;
}

/* The rest of the input: a response head up to an empty line, then pieces of a body. */
static void
respond(void)
{
    struct http_field fields[FIELDS_MAX];
    struct http_response_head head;
    struct h1_response_decoder decoder;
    struct str left = calls_bytes(INPUT_MAX);
    uint8_t how = left.len ? (uint8_t)left.ptr[left.len - 1] : 0;
    if (how % 8 == 7) { /* the deadline */
        clock_loop->now_ns += 61 * 1000 * NS_PER_MS;
        timer_run(&clock_loop->timers, clock_loop->now_ns);
        check(!exchange_is_there && wait_is_done);
        return;
    }
    http_response_head_init(&head, fields, FIELDS_MAX);
    h1_response_decoder_init(&decoder, &head, HTTP_METHOD_GET, HEAD_MAX);
    bool has_head = left.len && h1_response_decode(&decoder, left.ptr, left.len) == H1_DONE;
    if (has_head) {
        exchange.ops->head(exchange.arg, &head);
        left = str_skip(left, head.len);
    }
    while (has_head && exchange_is_there && left.len) {
        struct str piece = str_first(left, 1 + (size_t)how);
        exchange.ops->data(exchange.arg, piece);
        left = str_skip(left, piece.len);
    }
    if (!exchange_is_there)
        return;
    exchange_is_there = false;
    enum exchange_result result = how % 4 ? EXCHANGE_DONE : EXCHANGE_BROKEN;
    if (!has_head)
        result = EXCHANGE_CLOSED;
    exchange_is_done = result == EXCHANGE_DONE;
    exchange.ops->over(exchange.arg, result, result == EXCHANGE_DONE ? "" : "a.example: it failed");
}

void
script_wait(struct script_frame *frame, struct script_wait *wait)
{
    wait_is_done = false;
    uint8_t how = calls_byte();
    if (how % 16 == 15) { /* the client has left */
        wait->cancel(wait);
        bpf_end(frame->run, 0);
    }
    respond();
    check(wait_is_done && !exchange_is_there);
    if (how % 16 == 14) {
        wait->cancel(wait);
        bpf_end(frame->run, 0);
    }
}

void
script_wait_done(struct script_task *task)
{
    wait_is_done = true;
}

static void
count_line(void *arg, struct str line)
{
    calls_check_line(arg, line);
    log_count++;
}

static void
fetch_once(void)
{
    struct str request = calls_text();
    size_t len = str_first(request, CALLS_MEMORY).len;
    struct script_frame *frame = &calls.scene->frame;
    memcpy(calls_memory(), request.ptr, len);
    frame->log_line_count = 0;
    log_count = 0;
    exchange_is_done = false;
    uint64_t handle = zs_fetch(calls_base(), len, 0, 0, 0, calls.run);
    check(!exchange_is_there);
    if (handle == MINUS_1) {
        check(log_count == 1);
        check(!exchange_is_done || calls.scene->shared.config.footprint_max < ENOUGH);
    } else {
        check(log_count == 0 && zs_json_type(handle, 0, 0, 0, 0, calls.run) == 5);
        check(zs_json_len(handle, 0, 0, 0, 0, calls.run) == 3);
        check(zs_object_free(handle, 0, 0, 0, 0, calls.run) == 0);
    }
    check(frame->footprint == 0);
}

/* --- the helper that calls the others --- */

static uint8_t mode;

static uint64_t
drive(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    if (mode == 2)
        fetch_once();
    for (unsigned i = 0; mode != 2 && i < CALLS_MAX && calls.at < calls.end; i++)
        if (mode == 1)
            tame_call();
        else
            wild_call();
    return 0;
}

static const struct bpf_helper row = {"drive", drive};
static const struct bpf_helper_table table = {&row, 1};

static void
make_tables(void)
{
    struct script_shared *shared = &calls.scene->shared;
    struct error error;
    if (!clock_loop) {
        check(loop_new(&clock_loop, LOOP_EPOLL, &error) == 0);
        calls.scene->worker.loop = clock_loop;
        log_set_sink(count_line, NULL);
    }
    shared->rate_limit = rate_limit_new(KEYS_MAX);
    shared->kv = kv_new(calls_byte() % 2 ? STORE_MAX : 6 * VALUE_MAX);
    shared->config.footprint_max = calls_byte() % 4 ? ENOUGH : 8 << 10;
    check(shared->rate_limit && shared->kv);
    calls.scene->worker.upstream = mode == 2 ? (struct upstream_pool *)&exchange : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4 || size > INPUT_MAX)
        return 0;
    calls_init(&table);
    calls.at = data + 1;
    calls.end = data + size;
    mode = data[0] % 3;
    make_tables();
    if (mode == 1)
        begin_tame();
    do {
        calls_go();
        timer_run(&clock_loop->timers, clock_loop->now_ns);
        check(calls.scene->worker.fetch_count == 0 && clock_loop->timers.count == 0);
    } while (mode != 2 && calls.at < calls.end);
    rate_limit_free(calls.scene->shared.rate_limit);
    kv_free(calls.scene->shared.kv);
    calls_reset();
    return 0;
}
