/* Packing in five steps: list the source, choose, compile and check, hash and compress in threads
 * (pack_work.c), put originals and variants in one sorted list, write it (pack_output.c).
 * Compressed variants wait in an unlinked file, the spill file, until all sizes are known.
 */
#include "site/pack.h"

#include "base/limits.h"
#include "http/mime.h"
#include "site/pack_internal.h"
#include "site/rules.h"
#include "site/source.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ARENA_BLOCK_LEN = 1 << 20, STDIN_TIMEOUT_MS = 60 * 1000 };

/* The name of a variant is its original's name and this. */
static const struct str suffixes[] = {
    [HTTP_CODING_BR] = STR_INIT(".br"),
    [HTTP_CODING_ZSTD] = STR_INIT(".zst"),
    [HTTP_CODING_GZIP] = STR_INIT(".gz"),
};
_Static_assert(sizeof suffixes / sizeof suffixes[0] == HTTP_CODING_IDENTITY, "one for each coding");

struct pack {
    const struct pack_config *config;
    struct pack_stats *stats;
    struct error *error;
    struct arena arena;
    struct member_list members;
    struct pack_item *items; /* heap */
    size_t item_count;
    struct pack_file *files; /* heap: items and variants, sorted */
    size_t file_count;
    int spill_fd;
    struct pack_scripts_job scripts;
    struct progress progress;
    struct output_file output;
};

static int
list_source(struct pack *pack)
{
    bool single_file = false;
    const char *source = pack->config->source;
    if (source_open(source, STDIN_TIMEOUT_MS, &pack->members, &single_file, pack->error) < 0)
        return -1;
    if (single_file)
        return error_set(pack->error, "'%s' is one file; pack wants a directory or a tar", source);
    return 0;
}

/* A file of the source that is also where the archive goes, as in `tarn pack . -o site.tar`. */
static bool
is_output(const struct member *member, const struct stat *st)
{
    return member->disk_path && member->identity && member->identity->dev == st->st_dev &&
           member->identity->ino == st->st_ino;
}

static bool
is_below_script_folders(struct str path)
{
    return str_starts_with(path, STR(".tarn/")) || str_starts_with(path, STR(".zeroserve/"));
}

static bool
is_wanted(const struct member *member, const struct stat *old_output)
{
    if (member->is_dir || str_eq(member->path, STR(PACKIDX_NAME)))
        return false;
    if (old_output && is_output(member, old_output))
        return false;
    return member_path_is_public(member->path) || is_below_script_folders(member->path);
}

/* Which variants to make: of what is served and shrinks, those that the source does not bring. */
static unsigned
wanted_variants(struct pack *pack, const struct member *member)
{
    unsigned wanted = 0;
    struct str path = member->path;
    size_t slash = str_find_last_char(path, '/');
    struct str name = slash < path.len ? str_skip(path, slash + 1) : path;
    if (!pack->config->compress || member->size == 0 || member->size > PACK_WHOLE_MAX ||
        !member_path_is_public(path) || !mime_is_compressible(mime_type(name)))
        return 0;
    for (enum http_coding coding = 0; coding < HTTP_CODING_IDENTITY; coding++) {
        struct str variant = arena_join(&pack->arena, path, suffixes[coding]);
        if (variant.len <= SITE_PATH_MAX && !member_list_find(&pack->members, variant))
            wanted |= 1u << coding;
    }
    return wanted;
}

static int
choose_items(struct pack *pack)
{
    struct stat st;
    const char *output = pack->config->output;
    bool has_old = output ? stat(output, &st) == 0 : fstat(STDOUT_FILENO, &st) == 0;
    pack->items = calloc(pack->members.count + 1, sizeof *pack->items);
    if (!pack->items)
        return error_set(pack->error, "no memory for %zu files", pack->members.count);
    for (size_t i = 0; i < pack->members.count; i++) {
        const struct member *member = &pack->members.list[i];
        if (!is_wanted(member, has_old ? &st : NULL))
            continue;
        if (pack_script(&pack->scripts, &member) < 0)
            return -1;
        if (!member)
            continue;
        struct pack_item *item = &pack->items[pack->item_count++];
        item->file.path = member->path;
        item->file.size = member->size;
        item->file.mtime = member->mtime;
        item->file.member = member;
        item->wanted = wanted_variants(pack, member);
        pack->stats->input_len += member->size;
    }
    pack->stats->file_count = pack->item_count;
    if (arena_overflowed(&pack->arena))
        return error_set(pack->error, "no memory for the names of %zu files", pack->item_count);
    if (pack->item_count == 0)
        return error_set(pack->error, "'%s' has no file to pack", pack->config->source);
    return 0;
}

typedef int (*rules_parser)(struct site_rules *rules, struct arena *arena, struct str text,
                            struct error *error);

static int
check_rules_file(struct pack *pack, struct site_rules *rules, struct str name, rules_parser parse)
{
    struct str text;
    const struct member *member = member_list_find(&pack->members, name);
    if (!member || member->is_dir)
        return 0;
    if (member_read(member, &pack->arena, SITE_RULES_FILE_MAX, &text, pack->error) < 0)
        return -1;
    return parse(rules, &pack->arena, text, pack->error);
}

/* What serving would refuse is refused here, where it can still be mended. */
static int
check_rules(struct pack *pack)
{
    struct site_rules *rules = site_rules_new(&pack->arena);
    if (!rules)
        return error_set(pack->error, "no memory for the rules");
    if (check_rules_file(pack, rules, STR("_headers"), site_rules_parse_headers) < 0 ||
        check_rules_file(pack, rules, STR("_redirects"), site_rules_parse_redirects) < 0)
        return error_prefix(pack->error, "%s", pack->config->source);
    if (site_rules_need_host(rules))
        return error_set(pack->error, "%s: _headers: rules for one host are not supported",
                         pack->config->source);
    return 0;
}

/* An unlinked file beside the output, where there must be room anyway; else memory. */
static int
open_spill(struct pack *pack)
{
    const char *directory = getenv("TMPDIR");
    const char *slash = pack->output.target ? strrchr(pack->output.target, '/') : NULL;
    struct str beside = STR(".");
    if (!directory || !directory[0])
        directory = "/tmp";
    if (slash)
        beside = arena_copy(
            &pack->arena, str_make(pack->output.target, (size_t)(slash - pack->output.target) + 1));
    if (pack->output.temporary && beside.ptr)
        directory = beside.ptr;
    pack->spill_fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (pack->spill_fd < 0)
        pack->spill_fd = memfd_create("tarn-pack", MFD_CLOEXEC);
    if (pack->spill_fd < 0)
        return error_set_errno(pack->error, errno, "no place for compressed data");
    return 0;
}

static unsigned
usable_cpus(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) < 0)
        return 1;
    return (unsigned)CPU_COUNT(&set);
}

static int
compare_path(const void *left, const void *right)
{
    return str_cmp(((const struct pack_file *)left)->path, ((const struct pack_file *)right)->path);
}

/* Originals and the variants that were made, in one sorted list. */
static int
collect_files(struct pack *pack)
{
    size_t max = pack->item_count * (1 + HTTP_CODING_IDENTITY);
    pack->files = malloc(max * sizeof *pack->files);
    if (!pack->files)
        return error_set(pack->error, "no memory for %zu files", max);
    for (size_t i = 0; i < pack->item_count; i++) {
        const struct pack_item *item = &pack->items[i];
        pack->files[pack->file_count++] = item->file;
        for (enum http_coding coding = 0; coding < HTTP_CODING_IDENTITY; coding++) {
            if (!(item->made & 1u << coding))
                continue;
            struct pack_file *file = &pack->files[pack->file_count++];
            *file = item->variants[coding];
            file->path = arena_join(&pack->arena, item->file.path, suffixes[coding]);
        }
    }
    if (arena_overflowed(&pack->arena))
        return error_set(pack->error, "no memory for the names of %zu files", pack->file_count);
    qsort(pack->files, pack->file_count, sizeof *pack->files, compare_path);
    pack->stats->variant_count = pack->file_count - pack->item_count;
    return 0;
}

static int
run(struct pack *pack)
{
    unsigned threads = pack->config->threads ? pack->config->threads : usable_cpus();
    if (list_source(pack) < 0 || choose_items(pack) < 0 || check_rules(pack) < 0)
        return -1;
    if (output_file_open(&pack->output, pack->config->output, pack->error) < 0 ||
        open_spill(pack) < 0)
        return -1;
    if (pack_work(pack->items, pack->item_count, threads, pack->spill_fd, &pack->progress,
                  pack->error) < 0 ||
        collect_files(pack) < 0)
        return -1;
    if (pack_write_archive(pack->output.fd, pack->files, pack->file_count, pack->spill_fd,
                           &pack->progress, &pack->stats->output_len, pack->error) < 0)
        return -1;
    return output_file_commit(&pack->output, pack->error);
}

int
pack_write(const struct pack_config *config, struct pack_stats *stats, struct error *error)
{
    struct pack pack = {
        .config = config, .stats = stats, .error = error, .spill_fd = -1, .output = {.fd = -1}};
    *stats = (struct pack_stats){0};
    arena_init(&pack.arena, SITE_ARENA_MAX, ARENA_BLOCK_LEN);
    member_list_init(&pack.members, &pack.arena);
    pack.scripts = (struct pack_scripts_job){config, &pack.members, &pack.arena, -1, error};
    progress_init(&pack.progress, config->progress);
    int result = run(&pack);
    progress_end(&pack.progress);
    output_file_discard(&pack.output);
    if (pack.spill_fd >= 0)
        close(pack.spill_fd);
    if (pack.scripts.objects_fd >= 0)
        close(pack.scripts.objects_fd);
    free(pack.files);
    free(pack.items);
    member_list_deinit(&pack.members);
    arena_deinit(&pack.arena);
    return result;
}
