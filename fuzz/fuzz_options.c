/* The command line and the environment: whatever the words are, the result keeps every promise of
 * its header, and every address that was accepted can be parsed. */
#include "server/addr.h"
#include "server/options.h"
#include "server/options_table.h"
#include "server/options_value.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { WORDS_MAX = 64 };

#define CHECK(condition)  \
    do {                  \
        if (!(condition)) \
            abort();      \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* Help goes to standard output, which nobody wants to read a million times. */
int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    int sink = memfd_create("help", MFD_CLOEXEC);
    int input = open("/dev/zero", O_RDONLY);
    CHECK(sink >= 0 && input >= 0);
    dup2(sink, STDOUT_FILENO);
    dup2(input, STDIN_FILENO);
    return 0;
}

static void
check_number(const struct options *options, const struct option *option)
{
    uint64_t value;
    if (option->type != OPTION_NUMBER && option->type != OPTION_SIZE &&
        option->type != OPTION_DURATION)
        return;
    memcpy(&value, (const char *)options + option->field, sizeof value);
    /* Without a default the field stays zero, which means "choose". */
    if (options->sources[option_index(option)] == SOURCE_DEFAULT && !option->default_text)
        CHECK(value == 0);
    else
        CHECK(value >= option->min && value <= option->max);
}

static void
check_client(const struct options *options)
{
    unsigned command = 1u << options->command;
    struct url url;
    if (!(command & FOR_CACHE_CLIENT))
        return;
    CHECK(options->cache_dir ? command & FOR_CACHE_READER : options->cache_base.host.len > 0);
    CHECK(!(command & FOR_CACHE_GET) || options->resources.count == 1);
    CHECK(!(command & FOR_CACHE_PURGE) || (options->resources.count && options->purge_token));
    CHECK(!(command & FOR_CACHE_READER) || options->resources.count == 0);
    for (size_t i = 0; i < options->resources.count; i++)
        CHECK(url_parse(str_from_cstr(options->resources.items[i]), &url));
}

static void
check_options(const struct options *options)
{
    struct addr addr;
    struct error error;
    unsigned command = 1u << options->command;
    CHECK(options->command < COMMAND_COUNT);
    CHECK(command & (FOR_SITE | FOR_PACK) ? options->site && *options->site : !options->site);
    CHECK(!(command & FOR_RUN) || options->addr.count || options->tls_addr.count);
    CHECK(!(command & FOR_CACHE) || options->cache_dir);
    check_client(options);
    CHECK(!(command & (FOR_BPF_RUN | FOR_BPF_DIS)) || (options->object && *options->object));
    for (size_t i = 0; i < options->addr.count; i++)
        CHECK(addr_parse(&addr, options->addr.items[i], &error) == 0);
    CHECK(!options->admin_addr || addr_parse(&addr, options->admin_addr, &error) == 0);
    CHECK(!options->only_path || options->only_path[0] == '/');
    for (size_t i = 0; i < options_table_count; i++)
        check_number(options, &options_table[i]);
}

/* What is printed must read back as the same. */
static void
check_values(const char *text)
{
    char printed[VALUE_TEXT_MAX];
    uint64_t value, back;
    struct addr addr, again;
    struct error error;
    struct str s = str_from_cstr(text);
    if (value_parse_duration(s, &value)) {
        s = str_from_cstr(value_print_duration(value, printed));
        CHECK(value_parse_duration(s, &back) && back == value);
    }
    s = str_from_cstr(text);
    if (value_parse_size(s, &value)) {
        s = str_from_cstr(value_print_size(value, printed));
        CHECK(value_parse_size(s, &back) && back == value);
    }
    if (addr_parse(&addr, text, &error) == 0) {
        CHECK(addr_parse(&again, addr.text, &error) == 0);
        CHECK(addr.kind == again.kind && addr.len == again.len && addr.fd == again.fd);
        CHECK(memcmp(&addr.storage, &again.storage, sizeof addr.storage) == 0);
        CHECK(strcmp(addr.text, again.text) == 0);
    }
}

/* Lines are words of the command line; those that begin with a dollar sign are variables. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *argv[WORDS_MAX + 2] = {(char[]){"tarn"}}, *envp[WORDS_MAX + 1] = {NULL};
    int argc = 1, envc = 0;
    char *text = malloc(size + 1);
    CHECK(text);
    if (size)
        memcpy(text, data, size);
    text[size] = 0;
    for (char *word = strtok(text, "\n"); word; word = strtok(NULL, "\n")) {
        check_values(word);
        if (word[0] == '$' && envc < WORDS_MAX)
            envp[envc++] = word + 1;
        else if (argc <= WORDS_MAX)
            argv[argc++] = word;
    }
    struct options options;
    struct error error = {"unset"};
    enum options_result result = options_parse(&options, argc, argv, envp, &error);
    if (result == OPTIONS_RUN)
        check_options(&options);
    else if (result == OPTIONS_USAGE)
        CHECK(error.text[0] && strcmp(error.text, "unset") != 0);
    CHECK(lseek(STDOUT_FILENO, 0, SEEK_SET) == 0 && ftruncate(STDOUT_FILENO, 0) == 0);
    options_free(&options);
    free(text);
    return 0;
}
