/* A script of about 10,000 instructions, as scripts are: loads, stores, conditions, constants,
 * helper calls, functions. Only loaded, never run. */
#include "kernel.h"

extern uint64_t nothing(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e);

struct record {
    uint64_t count;
    uint32_t kind, flags;
    char name[16];
};

static struct record records[16];

#define STEP(n)                                                                              \
    static __attribute__((noinline)) uint64_t step##n(uint8_t *bytes, uint64_t len)          \
    {                                                                                        \
        struct record *record = &records[(n) % 16];                                          \
        char text[32];                                                                       \
        for (unsigned i = 0; i < 16 && i < len; i++)                                         \
            text[i] = (char)(bytes[i] >= 'A' && bytes[i] <= 'Z' ? bytes[i] | 32 : bytes[i]); \
        uint64_t result = nothing((uint64_t)text, len, n, record->flags, 5);                 \
        if (result == (n) + 1 || record->kind == (n))                                        \
            record->count += result * ((n) + 3);                                             \
        else if ((record->flags & 7) > 3 && len > (n))                                       \
            record->count -= nothing(result, (uint64_t)record->name, 16, n, 0);              \
        record->flags = (uint32_t)(result >> 3) ^ record->kind;                              \
        return record->count / ((n) + 7) + text[(n)&15];                                     \
    }

#define EIGHT(X, n) X(n##0) X(n##1) X(n##2) X(n##3) X(n##4) X(n##5) X(n##6) X(n##7)
#define ALL(X)                                                                          \
    EIGHT(X, 1)                                                                         \
    EIGHT(X, 2)                                                                         \
    EIGHT(X, 3) EIGHT(X, 4) EIGHT(X, 5) EIGHT(X, 6) EIGHT(X, 7) EIGHT(X, 8) EIGHT(X, 9) \
        EIGHT(X, 11) EIGHT(X, 12) EIGHT(X, 13) EIGHT(X, 14) EIGHT(X, 15) EIGHT(X, 16) EIGHT(X, 17)

ALL(STEP)

#define CALL(n) sum += step##n(bytes, sum);

KERNEL uint64_t
kernel(uint8_t *bytes, uint64_t rounds)
{
    uint64_t sum = rounds;
    ALL(CALL)
    return sum;
}
