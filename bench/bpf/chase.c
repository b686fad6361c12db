/* A list of NODES in an order without pattern, walked `rounds` times: each load waits for the one
 * before, and memory (128 KiB) is in the second cache. */
#include "kernel.h"

enum { NODES = 4096 };

struct node {
    struct node *next;
    uint64_t value, unused[2];
};

static struct node nodes[NODES];

/* Multiplier and summand that visit all numbers below a power of two. */
static struct node *
link_nodes(const uint8_t *bytes)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < NODES; i++) {
        uint32_t next = (at * 1741 + 1013) % NODES;
        nodes[at].next = &nodes[next];
        nodes[at].value = bytes[i];
        at = next;
    }
    return &nodes[at];
}

KERNEL uint64_t
kernel(uint8_t *bytes, uint64_t rounds)
{
    const struct node *node = link_nodes(bytes);
    uint64_t sum = 0;
    for (uint64_t i = 0; i < rounds * NODES; i++) {
        sum = sum * 3 + node->value;
        node = node->next;
    }
    return sum;
}
