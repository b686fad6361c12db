/* Local calls, two for each number but the lowest: CALLS of them in a round, up to 8 functions
 * open. */
#include "kernel.h"

static __attribute__((noinline)) uint64_t
fibonacci(uint64_t n)
{
    __asm__ volatile("" : "+r"(n)); /* so that nobody makes a loop of it */
    if (n < 2)
        return n;
    uint64_t low = fibonacci(n - 2);
    return low + fibonacci(n - 1);
}

KERNEL uint64_t
kernel(uint8_t *bytes, uint64_t rounds)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < rounds; i++)
        sum = sum * 3 + fibonacci(6 + (bytes[i % LEN] & 1));
    return sum;
}
