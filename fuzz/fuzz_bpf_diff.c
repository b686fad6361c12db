/* Fuzzes the engines of src/bpf against each other: the input becomes a script (bpf_gen.h), which
 * the interpreter and machine code run, and both must do the same (bpf_compare.h). The first byte
 * chooses between a generated program and the bytes as instructions.
 *
 * A difference is printed with the listing. bpf_soak does the same without libFuzzer.
 */
#include "bpf_compare.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct bpf_compare *compare;
    static struct bpf_gen gen;
    if (!compare && !(compare = bpf_compare_new()))
        abort();
    bpf_gen_make(&gen, data, size);
    if (bpf_compare(compare, &gen, stderr) == BPF_COMPARE_DIFFERENT) {
        bpf_compare_list(&gen, stderr);
        abort();
    }
    return 0;
}
