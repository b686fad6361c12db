/* bpf_gen: bytes to a script, for comparing the engines (bpf_compare.h).
 *
 * The first byte chooses how the rest is taken:
 *   - most often each byte is a decision of a generator that writes a valid program over the whole
 *     instruction set. It is made of items: an instruction, or a few that belong together, such as
 *     a pointer and the access through it. Jumps and calls go to starts of items, so programs run
 *     for long; how much is risked beyond that (wild pointers, any target, endless recursion) is
 *     one of the decisions.
 *   - or such a program is made, and then some of its fields are overwritten;
 *   - or the bytes are the instructions as they are.
 * Programs of the last two kinds may be refused by the checker; the first kind must not be.
 *
 * Pure; the same bytes give the same program.
 */
#ifndef TARN_FUZZ_BPF_GEN_H
#define TARN_FUZZ_BPF_GEN_H

#include "bpf/insn.h"
#include "bpf/run.h"

enum {
    BPF_GEN_INSNS_MAX = 2048,
    BPF_GEN_ARGS = 5,
    /* What every such script finds in memory; odd on purpose, so that ends of regions are not ends
     * of pages. */
    BPF_GEN_RO_LEN = 3001,
    BPF_GEN_DATA_LEN = 1003,
    BPF_GEN_BSS_LEN = 4000,
    BPF_GEN_DATA_OFF = 0x30000, /* checked against the layout by whoever makes one */
    BPF_GEN_DATA_PAGES = 0x2000,
};

enum bpf_gen_kind { BPF_GEN_WHOLE, BPF_GEN_MUTATED, BPF_GEN_RAW, BPF_GEN_KIND_COUNT };

struct bpf_gen {
    enum bpf_gen_kind kind;
    uint64_t args[BPF_GEN_ARGS]; /* r1 to r5 */
    uint32_t args_len;           /* bytes at BPF_ARGS that are given */
    uint32_t fuel;               /* polls until it is stopped */
    uint32_t insn_count;         /* 0: the bytes were too few */
    struct bpf_insn insns[BPF_GEN_INSNS_MAX];
};

/* The test helpers, by number. Their results depend on all that they are given. */
enum {
    BPF_GEN_MIX,   /* five words */
    BPF_GEN_WRITE, /* r1, r2: writes so many bytes, from r3 and r4 */
    BPF_GEN_READ,  /* r1, r2: reads them */
    BPF_GEN_TRAP,  /* traps when r1 is a multiple of 16 */
    BPF_GEN_WAIT,  /* waits once or twice, by r1 */
    BPF_GEN_COPY,  /* 8 bytes from r1 to r2, which must be apart */
    BPF_GEN_NEST,  /* the script once more, with the same r1 to r5, as a nested run; not often */
    BPF_GEN_HELPERS,
};

void bpf_gen_make(struct bpf_gen *out, const uint8_t *bytes, size_t len);

#endif
