#include "base/limits.h"
#include "base/log.h"
#include "server/cache_command.h"
#include "server/cache_list.h"
#include "server/cache_table.h"
#include "server/cli_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

/* One line: a URL whose every byte needs six in JSON, and what is beside it. */
enum { LINE_MAX_LEN = 8 * (URL_MAX + 2 * CACHE_FIELD_MAX) };

/* One that had no memory stays marked, and nothing comes after it. */
static void
put_line(struct buf *line)
{
    if (buf_overflowed(line))
        return;
    fwrite(line->ptr, 1, line->len, stdout);
    buf_clear(line);
}

static void
print_json(const struct cache_list *list, struct buf *line)
{
    fputs("[", stdout);
    for (size_t i = 0; i < list->count; i++) {
        buf_append(line, i ? STR(",\n") : STR("\n"));
        cache_table_append_json(line, &list->entries[i]);
        put_line(line);
    }
    fputs(list->count ? "\n]\n" : "]\n", stdout);
}

static void
print_table(const struct cache_list *list, struct buf *line)
{
    struct cache_table_widths widths;
    unsigned width = cli_text_width(STDOUT_FILENO);
    if (list->count == 0)
        return;
    cache_table_measure(&widths, list->entries, list->count, list->now_s);
    cache_table_append_head(line, &widths);
    put_line(line);
    for (size_t i = 0; i < list->count; i++) {
        cache_table_append_row(line, &widths, &list->entries[i], list->now_s, width);
        put_line(line);
    }
}

static void
print_notes(const struct cache_list *list, const struct options *options)
{
    bool is_cut = options->limit && list->count >= options->limit;
    if (list->count == 0 && !options->json)
        log_info(options->search ? "nothing like that is in the cache" : "the cache is empty");
    if (!is_cut && list->count < list->match_count)
        log_warn("the cache lists %zu of %" PRIu64 " resources; --search shows others, and "
                 "--cache-dir, on its machine, shows all",
                 list->count, list->match_count);
}

static int
print(const struct cache_list *list, const struct options *options, struct error *error)
{
    struct buf line;
    buf_init(&line, LINE_MAX_LEN);
    if (options->json)
        print_json(list, &line);
    else
        print_table(list, &line);
    int result = 0;
    if (buf_overflowed(&line))
        result = error_set(error, "no memory for a line");
    else if (fflush(stdout) != 0 || ferror(stdout))
        result = error_set(error, "cannot write to standard output");
    buf_deinit(&line);
    return result;
}

int
cache_command_ls(const struct options *options)
{
    struct cache_list list;
    struct error error;
    int result = cache_list_read(&list, options, &error);
    if (result == 0)
        result = print(&list, options, &error);
    if (result == 0)
        print_notes(&list, options);
    else
        log_error("cache ls: %s", error.text);
    cache_list_deinit(&list);
    return result == 0 ? 0 : 1;
}
