/* name_text: a name out of an object file as text for one line.
 *
 * Whoever made the file chose its names: anything but printable ASCII becomes '?', so that a line
 * stays one line and a terminal gets no commands, and long ones are cut. Pure.
 */
#ifndef TARN_BPF_NAME_TEXT_H
#define TARN_BPF_NAME_TEXT_H

#include "base/str.h"

enum { BPF_NAME_TEXT_MAX = 64 };

/* Writes at most BPF_NAME_TEXT_MAX bytes, the NUL among them. Returns out. */
static inline const char *
bpf_name_text(char out[BPF_NAME_TEXT_MAX], struct str name)
{
    size_t len = name.len < BPF_NAME_TEXT_MAX - 1 ? name.len : BPF_NAME_TEXT_MAX - 1;
    for (size_t i = 0; i < len; i++)
        out[i] = name.ptr[i] >= 0x20 && name.ptr[i] < 0x7f ? name.ptr[i] : '?';
    out[len] = '\0';
    return out;
}

#endif
