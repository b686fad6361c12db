/* Fuzzes the JSON helpers of scripts: random calls of them, good and bad, against a model that does
 * the same (json_model.h).
 *
 * Checked: every result, and every tree in full now and then; that traps come when they must, and
 * otherwise only for lack of room, and change nothing; that handles are dead when and only when
 * their values are gone; that what is written is read again as the same; and that the account is
 * even when the last handle is freed. A script is driven by one helper that makes all calls; where
 * it traps, the next run goes on with the same trees.
 */
#include "json_model.h"
#include "script/helpers.h"
#include "script/json_internal.h"
#include "script/scene_test_run.h"

enum {
    MEMORY = 8192, /* of the script */
    INPUT_MAX = 1024,
    TREES_MAX = 256 << 10, /* bytes of text of one tree that is compared */
    MODEL_MAX = 64 << 20,
    CALLS_MAX = 200,
};

static const uint64_t NONE = (uint64_t)-1;

/* --- what there is --- */

struct model_handle {
    uint64_t id;
    struct model *root, *node;
};

static struct {
    const uint8_t *at, *end;
    struct scene *scene;
    struct bpf_program *program;
    struct bpf_pool *pool;
    struct arena arena;
    struct buf text, wanted, got;
    struct model_handle handles[SCRIPT_HANDLES_MAX];
    unsigned handle_count, calls;
    uint64_t next_id;
    struct script_json account; /* of what is shared */
    struct arena shared_arena;
    struct model *shared_model;
    struct json_node shared;
    uint64_t shared_cost;
    bool must_trap;           /* the call that is made */
    struct model *set_string; /* the node whose old value may be gone when it traps */
} fuzz;

static uint8_t
byte(void)
{
    return fuzz.at < fuzz.end ? *fuzz.at++ : 0;
}

/* One of them; or one that is none. */
static struct model_handle
pick(void)
{
    uint8_t choice = byte();
    uint64_t bad[] = {0, NONE, fuzz.next_id + 1, UINT64_C(1) << 32, fuzz.next_id / 2};
    if (fuzz.handle_count && choice < 250)
        return fuzz.handles[choice % fuzz.handle_count];
    uint64_t id = bad[choice % 5];
    for (unsigned i = 0; i < fuzz.handle_count; i++)
        if (fuzz.handles[i].id == id)
            return fuzz.handles[i];
    return (struct model_handle){.id = id};
}

static void
want(bool good)
{
    fuzz.must_trap = fuzz.must_trap || !good;
}

static bool
is_live(struct model_handle handle)
{
    return handle.node && !handle.node->is_gone;
}

static void
add_handle(uint64_t id, struct model *root, struct model *node)
{
    check(id == ++fuzz.next_id && fuzz.handle_count < SCRIPT_HANDLES_MAX);
    fuzz.handles[fuzz.handle_count++] = (struct model_handle){id, root, node};
}

/* --- arguments --- */

static uint64_t
address(struct bpf_run *run, struct str s)
{
    uint8_t choice = byte();
    uint32_t off = choice % 64;
    if (s.len > MEMORY - off)
        off = MEMORY - (uint32_t)s.len;
    if (choice == 255 && s.len) {
        want(false);
        return choice & 1 ? 0 : UINT64_MAX;
    }
    if (s.len == 0)
        return choice & 1 ? UINT64_MAX : 0;
    memcpy(bpf_memory(run, BPF_RO_BASE + off, s.len, true), s.ptr, s.len);
    return BPF_RO_BASE + off;
}

/* A short text: a common one, or what the input says. */
static struct str
short_text(void)
{
    static const struct str common[] = {
        STR_INIT("a"),
        STR_INIT("b"),
        STR_INIT(""),
        STR_INIT("thirteen long"),
        STR_INIT("fourteen bytes"),
        STR_INIT("a key that is longer than what is short"),
        STR_INIT("\xc3\xa9\xf0\x9f\x98\x80"),
        STR_INIT("\n\"\\\x01\x7f"),
    };
    uint8_t choice = byte();
    if (choice < 160)
        return common[choice % 8];
    size_t len = byte() % 48, left = (size_t)(fuzz.end - fuzz.at);
    struct str s =
        arena_copy(&fuzz.arena, str_make((const char *)fuzz.at, len < left ? len : left));
    fuzz.at += s.len;
    return s;
}

/* --- comparing --- */

static void
compare(struct model_handle handle)
{
    check(script_json_has(&fuzz.scene->frame, handle.id) == is_live(handle));
    if (!is_live(handle))
        return;
    buf_clear(&fuzz.wanted);
    buf_clear(&fuzz.got);
    model_write(&fuzz.wanted, handle.node);
    script_json_write(&fuzz.scene->frame, handle.id, &fuzz.got);
    if (!buf_overflowed(&fuzz.wanted) && !buf_overflowed(&fuzz.got))
        check(str_eq(buf_str(&fuzz.wanted), buf_str(&fuzz.got)));
}

static void
compare_all(void)
{
    for (unsigned i = 0; i < fuzz.handle_count; i++)
        compare(fuzz.handles[i]);
}

/* --- texts to be parsed --- */

static void
put_space(void)
{
    static const struct str spaces[] = {STR_INIT(""), STR_INIT(""), STR_INIT(" "),
                                        STR_INIT("\r\n\t")};
    buf_append(&fuzz.text, spaces[byte() % 4]);
}

static void
put_escaped(struct str s)
{
    uint8_t how = byte();
    if (how & 1) {
        model_write_string(&fuzz.text, s);
        return;
    }
    buf_append_char(&fuzz.text, '"');
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] < 0x80)
            buf_printf(&fuzz.text, how & 2 ? "\\u%04x" : "\\u%04X", s.ptr[i]);
        else
            buf_append_char(&fuzz.text, s.ptr[i]);
    buf_append_char(&fuzz.text, '"');
}

static struct str
utf8_text(void)
{
    struct str s = short_text();
    return str_is_utf8(s) ? s : STR("no UTF-8");
}

static struct model *
make_number(void)
{
    static const struct {
        struct str text;
        bool is_integer;
        int64_t value;
    } numbers[] = {
        {STR_INIT("0"), true, 0},
        {STR_INIT("-17"), true, -17},
        {STR_INIT("9223372036854775807"), true, INT64_MAX},
        {STR_INIT("-9223372036854775808"), true, INT64_MIN},
        {STR_INIT("9223372036854775808"), false, 0},
        {STR_INIT("-0"), false, 0},
        {STR_INIT("1.50E+3"), false, 0},
        {STR_INIT("0.333333333333333333333"), false, 0},
    };
    unsigned choice = byte() % 8;
    struct model *node = model_new(&fuzz.arena, MODEL_NUMBER);
    node->is_integer = numbers[choice].is_integer;
    node->integer = numbers[choice].value;
    node->text = numbers[choice].text;
    buf_append(&fuzz.text, numbers[choice].text);
    return node;
}

static struct model *make_value(unsigned depth);

static struct model *
make_list(int type, unsigned depth)
{
    struct model *node = model_new(&fuzz.arena, type);
    unsigned count = byte() % 6;
    if (byte() == 99)
        count = 60;
    buf_append_char(&fuzz.text, type == MODEL_ARRAY ? '[' : '{');
    for (unsigned i = 0; i < count; i++) {
        struct str key = STR("");
        if (i)
            buf_append_char(&fuzz.text, ',');
        put_space();
        if (type == MODEL_OBJECT) {
            key = count > 6 ? arena_printf(&fuzz.arena, "%u", byte()) : utf8_text();
            put_escaped(key);
            put_space();
            buf_append_char(&fuzz.text, ':');
        }
        struct model *child = make_value(depth + 1);
        if (type == MODEL_OBJECT)
            model_set(&fuzz.arena, node, key, child);
        else
            model_add(&fuzz.arena, node, key, child);
    }
    put_space();
    buf_append_char(&fuzz.text, type == MODEL_ARRAY ? ']' : '}');
    return node;
}

/* Makes a value, and its text behind fuzz.text. */
static struct model *
make_value(unsigned depth)
{
    int type = byte() % (depth < 5 ? 6 : 4);
    struct model *node;
    put_space();
    if (type >= MODEL_ARRAY) {
        node = make_list(type, depth);
    } else if (type == MODEL_NUMBER) {
        node = make_number();
    } else {
        node = model_new(&fuzz.arena, type);
        node->boolean = type == MODEL_BOOL && byte() & 1;
        if (type == MODEL_STRING)
            put_escaped(node->text = utf8_text());
        else if (type == MODEL_BOOL)
            buf_append(&fuzz.text, node->boolean ? STR("true") : STR("false"));
        else
            buf_append(&fuzz.text, STR("null"));
    }
    put_space();
    return node;
}

/* --- calls --- */

#define CALL(name, a, b, c, d) name(a, b, c, d, 0, run)

static void
parse_made(struct bpf_run *run)
{
    buf_clear(&fuzz.text);
    struct model *node = make_value(0);
    if (buf_overflowed(&fuzz.text))
        return;
    uint64_t at = address(run, buf_str(&fuzz.text));
    want(fuzz.handle_count < SCRIPT_HANDLES_MAX);
    add_handle(CALL(zs_json_parse, at, fuzz.text.len, 0, 0), node, node);
}

/* Whatever it is: what is read is written and read again as the same. */
static void
parse_raw(struct bpf_run *run)
{
    struct script_frame *frame = &fuzz.scene->frame;
    size_t len = byte(), left = (size_t)(fuzz.end - fuzz.at);
    struct str text = str_make((const char *)fuzz.at, len < left ? len : left);
    fuzz.at += text.len;
    if (fuzz.handle_count + 2 > SCRIPT_HANDLES_MAX)
        return;
    uint64_t at = address(run, text);
    uint64_t one = CALL(zs_json_parse, at, text.len, 0, 0);
    if (one == NONE)
        return;
    check(one == ++fuzz.next_id);
    buf_clear(&fuzz.got);
    script_json_write(frame, one, &fuzz.got);
    check(!buf_overflowed(&fuzz.got));
    int64_t two = script_json_try_parse(frame, buf_str(&fuzz.got));
    if (two > 0) {
        check((uint64_t)two == ++fuzz.next_id);
        buf_clear(&fuzz.wanted);
        script_json_write(frame, (uint64_t)two, &fuzz.wanted);
        check(str_eq(buf_str(&fuzz.wanted), buf_str(&fuzz.got)));
        CALL(zs_object_free, (uint64_t)two, 0, 0, 0);
    }
    CALL(zs_object_free, one, 0, 0, 0);
}

static void
make_new(struct bpf_run *run)
{
    bool is_array = byte() & 1;
    struct model *node = model_new(&fuzz.arena, is_array ? MODEL_ARRAY : MODEL_OBJECT);
    want(fuzz.handle_count < SCRIPT_HANDLES_MAX);
    add_handle(is_array ? CALL(zs_json_new_array, 0, 0, 0, 0)
                        : CALL(zs_json_new_object, 0, 0, 0, 0),
               node, node);
}

static void
clone(struct bpf_run *run)
{
    struct model_handle handle = pick();
    want(is_live(handle) && fuzz.handle_count < SCRIPT_HANDLES_MAX);
    uint64_t id = CALL(zs_json_clone, handle.id, 0, 0, 0);
    struct model *copy = model_copy(&fuzz.arena, handle.node);
    add_handle(id, copy, copy);
}

/* As files of the site are. */
static void
share(struct bpf_run *run)
{
    want(fuzz.handle_count < SCRIPT_HANDLES_MAX);
    uint64_t id = script_json_share(&fuzz.scene->frame, &fuzz.shared, fuzz.shared_cost, "fuzz");
    struct model *copy = model_copy(&fuzz.arena, fuzz.shared_model);
    add_handle(id, copy, copy);
}

static void
get(struct bpf_run *run)
{
    struct model_handle handle = pick();
    struct str key = short_text();
    uint64_t at = address(run, key);
    struct model_child *child = is_live(handle) ? model_find(handle.node, key) : NULL;
    want(is_live(handle) && (!child || fuzz.handle_count < SCRIPT_HANDLES_MAX));
    uint64_t id = CALL(zs_json_get, handle.id, at, key.len, 0);
    if (child)
        add_handle(id, handle.root, child->node);
    else
        check(id == NONE);
}

static void
array_get(struct bpf_run *run)
{
    struct model_handle handle = pick();
    uint64_t index = byte() == 255 ? UINT64_MAX : byte() % 8;
    bool is_there =
        is_live(handle) && handle.node->type == MODEL_ARRAY && index < handle.node->count;
    want(is_live(handle) && (!is_there || fuzz.handle_count < SCRIPT_HANDLES_MAX));
    uint64_t id = CALL(zs_json_array_get, handle.id, index, 0, 0);
    if (is_there)
        add_handle(id, handle.root, handle.node->children[index].node);
    else
        check(id == NONE);
}

static void
free_handle(struct bpf_run *run)
{
    struct model_handle handle = pick();
    want(handle.node != NULL);
    check(CALL(zs_object_free, handle.id, 0, 0, 0) == 0);
    unsigned at = 0;
    while (fuzz.handles[at].id != handle.id)
        at++;
    fuzz.handles[at] = fuzz.handles[--fuzz.handle_count];
}

static void
reset(struct bpf_run *run)
{
    struct model_handle handle = pick();
    want(handle.node != NULL);
    check(CALL(zs_json_reset, handle.id, 0, 0, 0) == 0);
    for (unsigned i = 0; i < fuzz.handle_count; i++)
        if (fuzz.handles[i].id == handle.id)
            fuzz.handles[i].node = handle.root;
}

static void
look(struct bpf_run *run)
{
    struct model_handle handle = pick();
    want(is_live(handle));
    check(CALL(zs_json_type, handle.id, 0, 0, 0) == (uint64_t)handle.node->type);
    uint64_t len = CALL(zs_json_len, handle.id, 0, 0, 0);
    const struct model *node = handle.node;
    check(len == (node->type == MODEL_STRING  ? node->text.len
                  : node->type >= MODEL_ARRAY ? node->count
                                              : NONE));
    compare(handle);
}

static void
read_value(struct bpf_run *run)
{
    static bpf_helper_fn *const helpers[] = {zs_json_read_string, zs_json_read_i64,
                                             zs_json_read_bool};
    static const uint64_t lens[] = {0, 1, 8, 3, 64};
    struct model_handle handle = pick();
    unsigned which = byte() % 3;
    uint64_t len = lens[byte() % 5], to = byte() == 255 ? 8 : BPF_RO_BASE + byte(), wanted = NONE;
    const struct model *node = handle.node;
    want(is_live(handle));
    bool is_same_type =
        is_live(handle) && (which == 0   ? node->type == MODEL_STRING
                            : which == 1 ? node->type == MODEL_NUMBER && node->is_integer
                                         : node->type == MODEL_BOOL);
    if (is_same_type) {
        want(which == 0 || len == (which == 1 ? 8 : 1));
        want(len == 0 || to != 8);
        wanted = which || node->text.len > len ? len : node->text.len;
    }
    check(helpers[which](handle.id, to, len, 0, 0, run) == wanted);
    if (!is_same_type || len == 0)
        return;
    const char *out = bpf_memory(run, to, len, false);
    size_t part = node->text.len < len ? node->text.len : len - 1;
    if (which == 0)
        check((part == 0 || memcmp(out, node->text.ptr, part) == 0) && out[part] == '\0');
    else if (which == 1)
        check(memcmp(out, &node->integer, sizeof node->integer) == 0);
    else
        check(*out == (char)node->boolean);
}

/* Where a value goes that would make the tree too deep, there is a trap. */
static void
want_depth(struct model_handle handle, const struct model *value)
{
    int depth = model_depth(handle.root, handle.node);
    check(depth >= 0);
    want((unsigned)depth + 1 + model_height(value) <= SCRIPT_JSON_DEPTH_MAX);
}

static void
set(struct bpf_run *run)
{
    struct model_handle handle = pick(), value = pick();
    struct str key = short_text();
    uint64_t at = address(run, key);
    bool is_good = is_live(handle) && handle.node->type == MODEL_OBJECT && str_is_utf8(key);
    want(is_live(handle) && is_live(value));
    if (is_good && is_live(value))
        want_depth(handle, value.node);
    check(CALL(zs_json_set, handle.id, at, key.len, value.id) == (is_good ? 0 : NONE));
    if (is_good)
        model_set(&fuzz.arena, handle.node, key, model_copy(&fuzz.arena, value.node));
}

static void
remove_member(struct bpf_run *run)
{
    struct model_handle handle = pick();
    struct str key = short_text();
    uint64_t at = address(run, key);
    want(is_live(handle));
    uint64_t result = CALL(zs_json_remove, handle.id, at, key.len, 0);
    check(result == (model_remove(handle.node, key) ? 0 : NONE));
}

static void
array_push(struct bpf_run *run)
{
    struct model_handle handle = pick(), value = pick();
    bool is_good = is_live(handle) && handle.node->type == MODEL_ARRAY;
    want(is_live(handle) && is_live(value));
    if (is_good && is_live(value))
        want_depth(handle, value.node);
    uint64_t result = CALL(zs_json_array_push, handle.id, value.id, 0, 0);
    check(result == (is_good ? handle.node->count + 1 : NONE));
    if (is_good)
        model_add(&fuzz.arena, handle.node, STR(""), model_copy(&fuzz.arena, value.node));
}

static void
array_set(struct bpf_run *run)
{
    struct model_handle handle = pick(), value = pick();
    uint64_t index = byte() % 8;
    bool is_good =
        is_live(handle) && handle.node->type == MODEL_ARRAY && index < handle.node->count;
    want(is_live(handle) && is_live(value));
    if (is_good && is_live(value))
        want_depth(handle, value.node);
    check(CALL(zs_json_array_set, handle.id, index, value.id, 0) == (is_good ? 0 : NONE));
    if (!is_good)
        return;
    struct model *copy = model_copy(&fuzz.arena, value.node);
    model_kill(handle.node->children[index].node);
    handle.node->children[index].node = copy;
}

static void
set_string(struct bpf_run *run)
{
    struct model_handle handle = pick();
    struct str text = short_text();
    uint64_t at = address(run, text);
    bool is_good = str_is_utf8(text);
    want(is_live(handle));
    fuzz.set_string = handle.node;
    check(CALL(zs_json_set_string, handle.id, at, text.len, 0) == (is_good ? 0 : NONE));
    if (!is_good)
        return;
    model_kill_children(handle.node);
    handle.node->type = MODEL_STRING;
    handle.node->text = arena_copy(&fuzz.arena, text);
}

static void
set_plain(struct bpf_run *run)
{
    struct model_handle handle = pick();
    unsigned which = byte() % 3;
    uint64_t value = (uint64_t)((int64_t)byte() - 100) * UINT64_C(0x1234567890ab);
    want(is_live(handle));
    check((which == 0   ? CALL(zs_json_set_null, handle.id, 0, 0, 0)
           : which == 1 ? CALL(zs_json_set_bool, handle.id, value, 0, 0)
                        : CALL(zs_json_set_i64, handle.id, value, 0, 0)) == 0);
    model_kill_children(handle.node);
    handle.node->type = which == 0 ? MODEL_NULL : which == 1 ? MODEL_BOOL : MODEL_NUMBER;
    handle.node->boolean = value != 0;
    handle.node->is_integer = true;
    handle.node->integer = (int64_t)value;
}

static uint64_t
drive(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    static void (*const calls[])(struct bpf_run *) = {
        parse_made, parse_raw, make_new,   clone,         get,        array_get,  free_handle,
        reset,      look,      read_value, set,           array_push, array_set,  set_string,
        set_plain,  get,       set,        remove_member, share,      array_push, look,
    };
    while (fuzz.at < fuzz.end && fuzz.calls++ < CALLS_MAX) {
        fuzz.must_trap = false;
        fuzz.set_string = NULL;
        calls[byte() % (sizeof calls / sizeof *calls)](run);
        check(!fuzz.must_trap);
    }
    return 0;
}

/* --- runs --- */

/* What the trap has left; it says why. */
static void
check_trap(const char *why)
{
    bool no_room = strstr(why, "--max-request-external-memory-footprint-kb");
    check(fuzz.must_trap || no_room);
    struct model *node = fuzz.set_string;
    if (no_room && node && !node->is_gone) {
        model_kill_children(node);
        node->type = MODEL_NULL;
    }
    if (fuzz.calls % 16 == 0)
        compare_all();
    else if (fuzz.handle_count)
        compare(fuzz.handles[fuzz.calls % fuzz.handle_count]);
}

/* False: the input is used up. */
static bool
run_once(void)
{
    struct bpf_run *run = bpf_run_new(fuzz.pool, 0, &fuzz.scene->frame);
    check(run != NULL);
    fuzz.scene->frame.run = run;
    enum bpf_outcome outcome = bpf_run_go(run);
    if (outcome == BPF_TRAPPED)
        check_trap(bpf_run_trap(run).text);
    else
        check(outcome == BPF_DONE);
    bpf_run_free(run);
    return outcome == BPF_TRAPPED;
}

static uint64_t
free_all(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    while (fuzz.handle_count)
        zs_object_free(fuzz.handles[--fuzz.handle_count].id, 0, 0, 0, 0, run);
    return 0;
}

static uint64_t
entry(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    bool is_over = fuzz.at >= fuzz.end || fuzz.calls >= CALLS_MAX;
    return is_over ? free_all(0, 0, 0, 0, 0, run) : drive(0, 0, 0, 0, 0, run);
}

static const char shared_text[] =
    "{\"a\":[1,{\"b\":\"thirteen long\",\"fourteen bytes\":[true,null]},[\"a text that is longer "
    "than what is short\"]],\"b\":{\"a\":{\"a\":{\"b\":0.5}}}}";

static void
check_shared(void)
{
    buf_clear(&fuzz.got);
    json_tree_write(&fuzz.shared, &fuzz.got);
    check(str_eq(buf_str(&fuzz.got), str_from_cstr(shared_text)));
}

static struct model *
model_of(const struct json_node *node)
{
    struct arena *arena = &fuzz.shared_arena;
    struct model *model = model_new(arena, node->type);
    if (node->type == JSON_BOOL)
        model->boolean = node->boolean;
    model->is_integer = node->type == JSON_NUMBER && node->form == JSON_INTEGER;
    if (model->is_integer)
        model->integer = node->integer;
    else if (node->type == JSON_NUMBER || node->type == JSON_STRING)
        model->text = json_tree_text(node);
    for (uint32_t i = 0; node->type == JSON_ARRAY && i < node->len; i++)
        model_add(arena, model, STR(""), model_of(&json_items(node)[i]));
    for (uint32_t i = 0; node->type == JSON_OBJECT && i < node->len; i++)
        model_add(arena, model, json_tree_text(&json_members(node)[i].key),
                  model_of(&json_members(node)[i].value));
    return model;
}

static void
set_up_shared(void)
{
    fuzz.account.left = 1 << 20;
    check(json_tree_read(&fuzz.account, &fuzz.shared, str_from_cstr(shared_text)) == JSON_OK);
    fuzz.shared_cost = (1 << 20) - fuzz.account.left;
    arena_init(&fuzz.shared_arena, 1 << 20, 4096);
    fuzz.shared_model = model_of(&fuzz.shared);
    check_shared();
}

static void
set_up(void)
{
    static const struct bpf_helper row = {"entry", entry};
    static const struct bpf_helper_table table = {&row, 1};
    static char data[MEMORY];
    struct bpf_program_config config = {.helpers = &table, .engine = BPF_ENGINE_INTERP};
    struct bpf_insn insns[] = {{.opcode = 0x85}, {.opcode = 0x95}};
    struct bpf_layout layout;
    struct bpf_object object;
    struct error error;
    fuzz.scene = scene_new();
    check(bpf_layout_init(&layout, 0, sizeof data, 0) && layout.data_off == BPF_RO_BASE);
    check(bpf_object_from_insns(&object, insns, 2, str_make(data, sizeof data), &error) == 0);
    check(bpf_program_new(&fuzz.program, &object, &config, &error) == 0);
    check(bpf_pool_new(&fuzz.pool, fuzz.scene->worker.bpf, fuzz.program, &(struct bpf_budget){0},
                       &error) == 0);
    buf_init(&fuzz.text, MEMORY - 64);
    buf_init(&fuzz.wanted, TREES_MAX);
    buf_init(&fuzz.got, TREES_MAX);
    set_up_shared();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t rooms[] = {64, 512, 2048, 8192, 32768};
    if (size > INPUT_MAX)
        return 0;
    if (!fuzz.scene)
        set_up();
    struct script_frame *frame = &fuzz.scene->frame;
    fuzz.at = data;
    fuzz.end = data + size;
    fuzz.calls = 0;
    fuzz.next_id = 0;
    arena_init(&fuzz.arena, MODEL_MAX, 64 << 10);
    fuzz.scene->shared.config.footprint_max = rooms[byte() % 5];
    frame->footprint = 0;
    while (fuzz.at < fuzz.end && fuzz.calls < CALLS_MAX)
        run_once();
    compare_all();
    if (size % 2) {
        fuzz.at = fuzz.end;
        run_once();
        check(frame->footprint == 0 && frame->json.live_count == 0);
    }
    script_json_deinit(&frame->json);
    check_shared();
    fuzz.handle_count = 0;
    arena_deinit(&fuzz.arena);
    return 0;
}
