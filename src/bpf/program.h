/* program: a script that was read, checked and translated; immutable, shared by all workers.
 *
 * It holds the instructions (for the interpreter, messages and listings), the constants as memory
 * that every slot maps read-only, the first state of .data, and, where the translator is on,
 * machine code that is mapped read-only and executable (never writable at the same time). Counted;
 * the functions may be called on any thread.
 */
#ifndef TARN_BPF_PROGRAM_H
#define TARN_BPF_PROGRAM_H

#include "base/error.h"
#include "bpf/check.h"
#include "bpf/helper.h"
#include "bpf/object.h"

struct bpf_program;

enum bpf_engine { BPF_ENGINE_AUTO, BPF_ENGINE_JIT, BPF_ENGINE_INTERP };

struct bpf_program_config {
    const struct bpf_helper_table *helpers;
    enum bpf_engine engine; /* AUTO: machine code where it can be had, else the interpreter */
    uint64_t code_len_max;  /* bytes of machine code; 0: BPF_CODE_MAX */
    unsigned check_flags;   /* BPF_ALLOW_* */
};

/* Reads `bytes`, an object file, which are borrowed for the call. -1 with a line. ENGINE_JIT is an
 * error where machine code cannot be had; AUTO is not. */
int bpf_program_load(struct bpf_program **out, struct str bytes,
                     const struct bpf_program_config *config, struct error *error) MUST_USE;
/* The same from an object that was already read; takes what it owns, also when it fails. */
int bpf_program_new(struct bpf_program **out, struct bpf_object *object,
                    const struct bpf_program_config *config, struct error *error) MUST_USE;
struct bpf_program *bpf_program_ref(struct bpf_program *program);
void bpf_program_unref(struct bpf_program *program);

/* The first instruction of the section of that name, or -1: what bpf_run_new starts at. */
int64_t bpf_program_entry(const struct bpf_program *program, struct str section);
const struct bpf_object *bpf_program_object(const struct bpf_program *program);

/* Machine code, for listings: its length (0: interpreted), and that of one instruction. */
uint64_t bpf_program_code_len(const struct bpf_program *program);
struct str bpf_program_code(const struct bpf_program *program, uint32_t insn);
/* Why it is interpreted, when AUTO could not have machine code; "" otherwise. */
const char *bpf_program_no_jit_reason(const struct bpf_program *program);

#endif
