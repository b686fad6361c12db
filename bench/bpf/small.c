/* Sections that only scripts have: nothing; so many calls of a helper that does nothing; so many
 * waits; so many nested runs of nothing. The loops of `loop` cost what is around those calls. */
#include "kernel.h"

#define SECTION(name) __attribute__((section("small." name)))

extern uint64_t nothing(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e);
extern uint64_t wait(void);
extern uint64_t nest(void);

SECTION("empty")
uint64_t
empty(void)
{
    return 0;
}

SECTION("loop")
uint64_t
loop(uint8_t *bytes, uint64_t rounds)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < rounds; i++) {
        sum += i;
        __asm__ volatile("" : "+r"(sum));
    }
    return sum;
}

SECTION("helper")
uint64_t
helper(uint8_t *bytes, uint64_t rounds)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < rounds; i++)
        sum += nothing(i, 2, 3, 4, 5);
    return sum;
}

SECTION("wait")
uint64_t
waits(uint8_t *bytes, uint64_t rounds)
{
    for (uint64_t i = 0; i < rounds; i++)
        wait();
    return 0;
}

SECTION("nested")
uint64_t
nested(uint8_t *bytes, uint64_t rounds)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < rounds; i++)
        sum += nest();
    return sum;
}
