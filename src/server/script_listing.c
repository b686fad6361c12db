#include "server/script_listing.h"

#include "base/buf.h"
#include "server/cli_text.h"

#include <inttypes.h>

enum { LISTING_MAX = 16 << 20, NUMBER_MAX = 32 };

/* Columns of the widest of each; what is behind the last needs none. */
enum column { NAME, FROM, SIZE, INSTRUCTIONS, CODE, COLUMNS };

static const char *const titles[COLUMNS] = {"name", "from", "size", "instructions", "machine code"};

struct listing {
    const struct script_set *set;
    unsigned widths[COLUMNS];
    struct buf out;
};

static void
print_numbers(const struct script_facts *facts, char numbers[COLUMNS][NUMBER_MAX])
{
    snprintf(numbers[SIZE], NUMBER_MAX, "%" PRIu64, facts->object_len);
    snprintf(numbers[INSTRUCTIONS], NUMBER_MAX, "%" PRIu32, facts->insn_count);
    snprintf(numbers[CODE], NUMBER_MAX, "%" PRIu64, facts->code_len);
    if (facts->code_len == 0)
        snprintf(numbers[CODE], NUMBER_MAX, "none");
}

static void
widen(unsigned *width, size_t len)
{
    if (*width < len)
        *width = (unsigned)len;
}

static void
measure(struct listing *listing)
{
    for (unsigned i = 0; i < COLUMNS; i++)
        widen(&listing->widths[i], strlen(titles[i]));
    for (unsigned i = 0; i < script_set_count(listing->set); i++) {
        char numbers[COLUMNS][NUMBER_MAX];
        struct script_facts facts;
        script_set_facts(listing->set, i, &facts);
        print_numbers(&facts, numbers);
        widen(&listing->widths[NAME], facts.name.len);
        widen(&listing->widths[FROM], facts.from.len);
        for (unsigned column = SIZE; column < COLUMNS; column++)
            widen(&listing->widths[column], strlen(numbers[column]));
    }
}

static void
append_padded(struct listing *listing, struct str text, enum column column)
{
    cli_text_append(&listing->out, text);
    buf_printf(&listing->out, "%*s  ", (int)(listing->widths[column] - text.len), "");
}

static void
append_head(struct listing *listing)
{
    buf_append(&listing->out, STR("scripts, in the order in which they run:\n  "));
    for (unsigned column = 0; column < COLUMNS; column++)
        if (column < SIZE)
            append_padded(listing, str_from_cstr(titles[column]), column);
        else
            buf_printf(&listing->out, "%*s  ", (int)listing->widths[column], titles[column]);
    buf_append(&listing->out, STR("entry points\n"));
}

static void
append_row(struct listing *listing, unsigned at)
{
    char numbers[COLUMNS][NUMBER_MAX];
    struct script_facts facts;
    script_set_facts(listing->set, at, &facts);
    print_numbers(&facts, numbers);
    buf_append(&listing->out, STR("  "));
    append_padded(listing, facts.name, NAME);
    append_padded(listing, facts.from, FROM);
    for (unsigned column = SIZE; column < COLUMNS; column++)
        buf_printf(&listing->out, "%*s  ", (int)listing->widths[column], numbers[column]);
    if (facts.has_request)
        buf_append(&listing->out, STR("request"));
    for (unsigned i = 0; i < facts.call_count; i++) {
        buf_printf(&listing->out, "%scall.", facts.has_request || i > 0 ? ", " : "");
        cli_text_append(&listing->out, script_set_call_name(listing->set, at, i));
    }
    buf_append_char(&listing->out, '\n');
}

/* The reason is nearly always the same for all of them: it is said of the first. */
static void
append_reason(struct listing *listing)
{
    for (unsigned i = 0; i < script_set_count(listing->set); i++) {
        struct script_facts facts;
        script_set_facts(listing->set, i, &facts);
        if (!facts.no_jit_reason[0])
            continue;
        cli_text_append(&listing->out, facts.name);
        buf_printf(&listing->out, " is interpreted: %s\n", facts.no_jit_reason);
        return;
    }
}

int
script_listing_write(FILE *out, const struct script_set *set, struct error *error)
{
    struct listing listing = {.set = set};
    int result = 0;
    if (!set || script_set_count(set) == 0)
        return 0;
    buf_init(&listing.out, LISTING_MAX);
    measure(&listing);
    append_head(&listing);
    for (unsigned i = 0; i < script_set_count(set); i++)
        append_row(&listing, i);
    append_reason(&listing);
    if (buf_overflowed(&listing.out))
        result = error_set(error, "no memory for the list of scripts");
    else if (fwrite(listing.out.ptr, 1, listing.out.len, out) != listing.out.len ||
             fflush(out) != 0)
        result = error_set(error, "cannot write to standard output");
    buf_deinit(&listing.out);
    return result;
}
