/* bpf_listing: a program as text for people, with the machine code that it became beside it. */
#ifndef TARN_SERVER_BPF_LISTING_H
#define TARN_SERVER_BPF_LISTING_H

#include "bpf/program.h"

#include <stdio.h>

struct bpf_listing {
    const char *name;                       /* of the file */
    const struct bpf_object *object;        /* need not be a valid program */
    const struct bpf_helper_table *helpers; /* that its calls name */
    const struct bpf_program *program;      /* whose machine code is shown; NULL: none is */
    const struct bpf_section *section;      /* NULL: all */
};

/* In lines of at most 100 columns, unless a name is long; names from the file in printable ASCII.
 * -1: no memory, or it cannot be written. */
int bpf_listing_write(FILE *out, const struct bpf_listing *listing, struct error *error) MUST_USE;

#endif
