/* Nothing, in a program that elsewhere stores through a pointer: what the end of a run costs when
 * all of its stack may have been written. */
#include "kernel.h"

#define SECTION(name) __attribute__((section("stores." name)))

SECTION("empty")
uint64_t
empty(void)
{
    return 0;
}

SECTION("store")
uint64_t
store(uint8_t *bytes)
{
    bytes[0] = 1;
    return 0;
}
