/* micro_h1: nanoseconds to decode a request head, for the two kinds of request that matter: the
 * one a load generator sends and the one a browser sends. Prints the best of several rounds.
 *
 *     micro_h1 [ROUNDS]
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "http/h1_head.h"

enum { HEADS_PER_ROUND = 200 * 1000, FIELD_MAX = 128, HEAD_MAX = 16384 };

static const char small_request[] = "GET / HTTP/1.1\r\nHost: localhost:8080\r\n\r\n";

static const char browser_request[] =
    "GET /docs/guide/getting-started.html?lang=en HTTP/1.1\r\n"
    "Host: www.example.com\r\n"
    "Connection: keep-alive\r\n"
    "Cache-Control: max-age=0\r\n"
    "sec-ch-ua: \"Chromium\";v=\"122\", \"Not(A:Brand\";v=\"24\"\r\n"
    "sec-ch-ua-mobile: ?0\r\n"
    "sec-ch-ua-platform: \"Linux\"\r\n"
    "Upgrade-Insecure-Requests: 1\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/122.0.0.0 Safari/537.36\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
    "\r\n"
    "Sec-Fetch-Site: same-origin\r\n"
    "Sec-Fetch-Mode: navigate\r\n"
    "Sec-Fetch-Dest: document\r\n"
    "Referer: https://www.example.com/docs/\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Accept-Language: en-GB,en;q=0.9\r\n"
    "\r\n";

static uint64_t
now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static double
round_ns(const char *request, size_t len)
{
    struct http_field fields[FIELD_MAX];
    struct http_head head;
    struct h1_head_decoder decoder;
    http_head_init(&head, fields, FIELD_MAX);
    uint64_t start_ns = now_ns();
    for (unsigned i = 0; i < HEADS_PER_ROUND; i++) {
        h1_head_decoder_init(&decoder, &head, HEAD_MAX);
        if (h1_head_decode(&decoder, request, len) != H1_DONE)
            abort();
        __asm__ volatile("" : : "r"(&head) : "memory");
    }
    return (double)(now_ns() - start_ns) / HEADS_PER_ROUND;
}

static void
report(const char *name, const char *request, size_t len, int rounds)
{
    double best = round_ns(request, len);
    for (int i = 1; i < rounds; i++) {
        double ns = round_ns(request, len);
        best = ns < best ? ns : best;
    }
    printf("%-8s %4zu bytes %8.1f ns\n", name, len, best);
}

int
main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 10;
    report("small", small_request, sizeof(small_request) - 1, rounds);
    report("browser", browser_request, sizeof(browser_request) - 1, rounds);
    return 0;
}
