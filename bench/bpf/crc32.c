/* CRC-32 of IEEE 802.3, a byte at a time, with a table: each byte waits for the one before. */
#include "kernel.h"

enum { POLYNOMIAL = 0x6db88320 }; /* and the highest bit */

static uint32_t table[256];

static void
fill_table(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t value = i;
        for (unsigned bit = 0; bit < 8; bit++)
            value = value >> 1 ^ (value & 1 ? POLYNOMIAL | 0x80000000u : 0);
        table[i] = value;
    }
}

KERNEL uint64_t
kernel(uint8_t *bytes, uint64_t rounds)
{
    uint32_t crc = 0xffffffff;
    fill_table();
    for (uint64_t round = 0; round < rounds; round++) {
        for (unsigned i = 0; i < LEN; i++)
            crc = table[(crc ^ bytes[i]) & 255] ^ crc >> 8;
    }
    return ~crc;
}
