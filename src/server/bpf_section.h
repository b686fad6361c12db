/* bpf_section: which section of an object file is meant. Pure. */
#ifndef TARN_SERVER_BPF_SECTION_H
#define TARN_SERVER_BPF_SECTION_H

#include "bpf/object.h"

/* The section `name`. NULL: there is none, and the error says which there are. */
const struct bpf_section *bpf_section_find(const struct bpf_object *object, const char *name,
                                           struct error *error);

/* The same, but without a name (NULL) the one that a server would run, zeroserve.request or
 * tarn.request, or else the only one besides .text. */
const struct bpf_section *bpf_section_to_run(const struct bpf_object *object, const char *name,
                                             struct error *error);

#endif
