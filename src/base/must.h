/* must: assertions that stay on in release builds, for our own bugs only.
 *
 * Never for anything a peer, a file or an operator can cause. A failure prints where and what, and
 * aborts.
 */
#ifndef TARN_BASE_MUST_H
#define TARN_BASE_MUST_H

#define must(cond)                                          \
    do {                                                    \
        if (__builtin_expect(!(cond), 0))                   \
            must_fail(#cond, __FILE__, __LINE__, __func__); \
    } while (0)

_Noreturn void must_fail(const char *cond, const char *file, int line, const char *func);

#endif
