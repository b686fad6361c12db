/* Nanoseconds for what every request pays before its lookup: the Host check, the split of the
 * target and the normal form of its path.
 *
 *   gcc -std=gnu11 -O2 -Isrc -D_GNU_SOURCE -o micro_target bench/micro_target.c src/http/target.c \
 *       src/base/str.c && ./micro_target
 */
#include <stdio.h>
#include <time.h>

#include "http/target.h"

enum { ROUNDS = 400, CALLS = 20000 };

static uint64_t
now_ns(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

/* Keeps the compiler from seeing that the input is always the same. */
static struct str
opaque(struct str s)
{
    __asm__ volatile("" : "+r"(s.ptr), "+r"(s.len)::"memory");
    return s;
}

static size_t
run_host(struct str s)
{
    return target_host_is_valid(s);
}

static size_t
run_parse(struct str s)
{
    struct target target;
    return target_parse(s, HTTP_METHOD_GET, &target) ? target.path.len : 0;
}

static size_t
run_parse_and_normalize(struct str s)
{
    static char scratch[4096];
    struct target target;
    struct str out;
    if (!target_parse(s, HTTP_METHOD_GET, &target) ||
        !target_normalize_path(target.path, scratch, &out))
        return 0;
    return out.len;
}

/* The best round: the others were disturbed by something. */
static void
measure(const char *name, size_t (*run)(struct str s), const char *text)
{
    struct str s = str_from_cstr(text);
    double best = 1e9;
    size_t sum = 0;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t start = now_ns();
        for (int i = 0; i < CALLS; i++)
            sum += run(opaque(s));
        double each = (double)(now_ns() - start) / CALLS;
        best = each < best ? each : best;
    }
    printf("%-18s %7.1f ns  %s%s\n", name, best, text, sum ? "" : "  (refused)");
}

int
main(void)
{
    measure("host", run_host, "localhost");
    measure("host", run_host, "www.example.com:8080");
    measure("host", run_host, "[2001:db8::1]:8080");
    measure("parse", run_parse, "/index.html");
    measure("parse", run_parse, "http://www.example.com/index.html?q=1");
    measure("parse + normalize", run_parse_and_normalize, "/");
    measure("parse + normalize", run_parse_and_normalize, "/index.html");
    measure("parse + normalize", run_parse_and_normalize, "/index.html?utm_source=news&id=42");
    measure("parse + normalize", run_parse_and_normalize,
            "/assets/images/2024/gallery/photo-0042.webp");
    measure("parse + normalize", run_parse_and_normalize, "/a%20b/c.html");
    measure("parse + normalize", run_parse_and_normalize, "/docs/./guide/../index.html");
    return 0;
}
