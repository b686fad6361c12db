/* kernel: what the kernels of bench/bpf.c share. Each is compiled twice from the same source: as a
 * script, for its section "bench", and as native code, for its function `kernel`.
 *
 * `bytes` are LEN pseudo-random bytes; the result depends on all that was done.
 */
#ifndef TARN_BENCH_BPF_KERNEL_H
#define TARN_BENCH_BPF_KERNEL_H

typedef unsigned char uint8_t;
typedef unsigned int uint32_t;
typedef unsigned long long uint64_t;

enum { LEN = 4096 };

#define KERNEL __attribute__((section("bench"), visibility("default")))

uint64_t kernel(uint8_t *bytes, uint64_t rounds);

#endif
