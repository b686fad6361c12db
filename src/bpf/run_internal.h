/* run_internal: what the parts of src/bpf know of a run and of a program: the engines, the cage's
 * fault handler, helpers' views. Not for other folders.
 */
#ifndef TARN_BPF_RUN_INTERNAL_H
#define TARN_BPF_RUN_INTERNAL_H

#include "bpf/cage.h"
#include "bpf/check.h"
#include "bpf/fiber.h"
#include "bpf/jit.h"
#include "bpf/run.h"

#include <stdatomic.h>

/* An engine executes from run->entry to the outermost exit and returns r0. It is called on the
 * run's native stack. It sets run->insn before whatever may leave it (helpers, polls, traps). */
typedef uint64_t bpf_engine_fn(struct bpf_run *run);

struct bpf_program {
    atomic_uint refs;
    struct bpf_object object;
    struct bpf_check check;
    const struct bpf_helper_table *helpers;
    bpf_engine_fn *engine;
    struct bpf_code code; /* len 0: interpreted */
    int image;            /* see bpf_cage_image_new */
    char no_jit_reason[ERROR_TEXT_MAX];
};

enum { BPF_TRAP_TEXT_MAX = 256 };

/* At base - BPF_RUN_BACK, so that translated code reaches it from the register that holds base. */
struct bpf_run {
    /* of the translated code: the offsets are in its instructions */
    _Atomic uint32_t poll; /* not 0: call bpf_run_poll at the next back edge or local call */
    uint32_t insn;         /* where it is */
    uint64_t args[5];
    /* of all */
    struct bpf_cage cage;
    const struct bpf_program *program;
    uint32_t entry;
    uint64_t result;
    struct bpf_fiber fiber;
    struct bpf_pool *pool;
    struct bpf_run *caller; /* the run whose helper has called this one; NULL: nobody's callee */
    void *user;
    enum bpf_outcome outcome; /* once begun */
    bool begun;
    /* what is to be cleaned when it ends; see bpf_run_note_write */
    bool data_dirty;
    uint32_t dirty_low;
    uint32_t args_len;
    /* budget; CPU times are the thread's clock, which is looked at only once a run was long */
    bool clock_on;
    uint32_t wait_count;
    uint64_t cpu_ns, throttle_left_ns, cpu_since_ns, fuel_left;
    /* trap */
    enum bpf_trap_kind trap_kind;
    int64_t fault_addr; /* effective address, from the fault handler to its continuation */
    char trap_text[BPF_TRAP_TEXT_MAX];
    struct bpf_run *next; /* in the pool's list of idle ones */
};
static_assert(sizeof(struct bpf_run) <= BPF_RUN_LEN, "has its mapping");

/* The run whose code this thread executes now, of a nest the innermost, for the fault handler; NULL
 * outside bpf_run_go. */
extern _Thread_local struct bpf_run *volatile bpf_run_current;

uint64_t bpf_interp(struct bpf_run *run);  /* a bpf_engine_fn */
uint64_t bpf_jit_run(struct bpf_run *run); /* a bpf_engine_fn: into run->program->code */

/* At a back edge or local call when run->poll is not 0: does what the budget asks for, which may
 * be a switch to the owner and back, or the end. run->insn is set. */
void bpf_run_poll(struct bpf_run *run);

/* Ends the run from its native stack; run->insn is set. */
_Noreturn void bpf_run_trap_calls(struct bpf_run *run);
_Noreturn void bpf_run_trap_unknown(struct bpf_run *run);
/* A load or store of `len` bytes at the effective address `addr`, which may be just outside of the
 * cage on either side. */
_Noreturn void bpf_run_trap_access(struct bpf_run *run, int64_t addr, unsigned len, bool write);

/* Helpers were given these bytes to write to: they are cleaned when the run ends. Stores of the
 * script itself need no note (see struct bpf_check). The bytes are mapped and writable. */
static inline void
bpf_run_note_write(struct bpf_run *run, uint32_t addr, uint32_t len)
{
    if (addr >= BPF_RO_BASE) {
        run->data_dirty = true;
        return;
    }
    if (addr < run->dirty_low)
        run->dirty_low = addr;
    if (addr + len > BPF_ARGS && addr + len - BPF_ARGS > run->args_len)
        run->args_len = addr + len - BPF_ARGS;
}

/* The host's address of `len` bytes of the script's memory, or NULL. `addr` is not masked: outside
 * of what is mapped is outside. Opens the stack where that is needed. Whoever hands the address to
 * a helper for writing calls bpf_run_note_write. Stack and arguments are one region: bytes may lie
 * in both. */
char *bpf_memory(struct bpf_run *run, uint64_t addr, uint64_t len, bool write);

/* What an access of the script reaches: (address & mask) + displacement. */
static inline int64_t
bpf_effective(uint64_t address, int16_t displacement)
{
    return (int64_t)(address & (bpf_cage_len() - 1)) + displacement;
}

#endif
