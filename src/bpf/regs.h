/* regs: what translators know of the registers around an instruction without running it: which it
 * reads, which it writes, and bounds of their values.
 *
 * Sets of registers are words with a bit for each. Pure functions of checked instructions. Bounds
 * matter for the cage: an access through a register whose value is surely inside of it needs no
 * mask. So a bound that is too low would be a hole; see regs.c for the rules.
 */
#ifndef TARN_BPF_REGS_H
#define TARN_BPF_REGS_H

#include "bpf/insn.h"

/* All whose value may matter to the instruction or, where it leaves the block, to what follows. */
uint16_t bpf_regs_read(struct bpf_insn insn);
/* All that may have changed behind it. */
uint16_t bpf_regs_written(struct bpf_insn insn);

/* No register holds more, as an unsigned number. */
struct bpf_bounds {
    uint64_t max[BPF_REG_COUNT];
};

/* Where nothing is known: where jumps and calls go to. */
void bpf_bounds_init(struct bpf_bounds *bounds);
/* From what holds before `insn` (two of them, when it is a wide one) to what holds behind it. */
void bpf_bounds_pass(struct bpf_bounds *bounds, const struct bpf_insn *insn);

#endif
