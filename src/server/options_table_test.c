#include "server/options_table.h"

#include "server/options_test_run.h"

/* Every row, so that a row that nobody can reach, or whose field is wrong, is found. */

static const char *
sample_value(const struct option *option)
{
    switch (option->type) {
    case OPTION_FLAG:
        return option->default_text ? "off" : "on";
    case OPTION_ADDR:
        return "127.0.0.9:99";
    case OPTION_HOST:
        return "127.0.0.9";
    case OPTION_NUMBER:
        return "77";
    case OPTION_SIZE:
        return "777";
    case OPTION_DURATION:
        return "7777ms";
    case OPTION_WORD:
        return strrchr(option->words, '|') + 1;
    default:
        if (option->type == OPTION_STRING && option->group == GROUP_CACHE && option->list)
            return "10.7.0.0/16";
        break;
    }
    static const char *const samples[][2] = {
        {"ech-relay", "relay.example:77"},
        {"cache-url", "https://cache.example:77/sample/"},
        {"header", "X-Sample:77"},
        {"sha256", "0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789abcdef"},
    };
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
        if (strcmp(option->name, samples[i][0]) == 0)
            return samples[i][1];
    return "/sample";
}

static uint64_t
sample_number(const struct option *option)
{
    return option->type == OPTION_NUMBER ? 77 : option->type == OPTION_SIZE ? 777 : 7777;
}

static int
last_word_index(const char *words)
{
    int count = 0;
    for (; *words; words++)
        count += *words == '|';
    return count;
}

static void
check_field(const struct option *option, const char *how, enum options_source source)
{
    const char *field = (const char *)&options + option->field;
    const char *text = NULL;
    bool ok = true;
    if (option->type == OPTION_FLAG)
        ok = *(const bool *)field == !option->default_text;
    else if (option->type == OPTION_WORD)
        ok = *(const int *)field == last_word_index(option->words);
    else if (option->type == OPTION_NUMBER || option->type == OPTION_SIZE ||
             option->type == OPTION_DURATION)
        ok = *(const uint64_t *)field == sample_number(option);
    else if (option->list)
        text = ((const struct options_list *)field)->items[0];
    else
        text = *(const char *const *)field;
    if (text)
        ok = strcmp(text, sample_value(option)) == 0;
    if (!ok || options_source_of(&options, option->name) != source)
        fail_msg("--%s: %s does not set the field", option->name, how);
}

/* What else must be said, because the option means nothing without it. */
static const char *
companion(const struct option *option)
{
    static const char *const with_cert[] = {"tls-addr",  "redirect-http", "early-data",
                                            "client-ca", "ech-key",       "default-cert"};
    if (strcmp(option->name, "key") == 0)
        return "--cert c";
    if (strcmp(option->name, "cache-dir") == 0)
        return "--cache-path /c";
    if (strcmp(option->name, "cache-path") == 0)
        return "--cache-dir d";
    if (strcmp(option->name, "ech-relay") == 0)
        return "--tls-self-signed --ech-key k";
    if (strcmp(option->name, "continue") == 0)
        return "--output f";
    if (strcmp(option->name, "client-auth") == 0)
        return "--tls-self-signed --client-ca c";
    for (size_t i = 0; i < sizeof with_cert / sizeof *with_cert; i++)
        if (strcmp(option->name, with_cert[i]) == 0)
            return "--tls-self-signed";
    return "";
}

/* A command that takes the option, with what it needs. */
static const char *
command_of(const struct option *option)
{
    if (option->commands & FOR_SITE)
        return strcmp(option->name, "site") ? "tarn x" : "tarn";
    if (option->commands & FOR_PACK)
        return "tarn pack x";
    if (option->commands & FOR_BPF_RUN)
        return "tarn bpf run x";
    if (option->commands & FOR_SDK)
        return "tarn sdk";
    if (option->commands & FOR_RUN_SCRIPT)
        return "tarn run-script x.c";
    if (option->commands & FOR_CACHE_LS)
        return "tarn cache ls";
    return option->commands & FOR_CACHE_GET ? "tarn cache get http://a/" : "tarn ech-keygen";
}

static void
check_way(const struct option *option, enum options_source source, const char *format, ...)
{
    char way[256], line[320];
    va_list args;
    va_start(args, format);
    vsnprintf(way, sizeof way, format, args);
    va_end(args);
    snprintf(line, sizeof line, "%s %s %s", command_of(option), companion(option),
             source == SOURCE_FLAG ? way : "");
    check_runs(line, source == SOURCE_FLAG ? "" : way);
    check_field(option, way, source);
}

static void
test_every_row_is_reachable_in_every_way(void **state)
{
    for (size_t i = 0; i < options_table_count; i++) {
        const struct option *option = &options_table[i];
        char variable[OPTION_VARIABLE_MAX];
        if (option->type == OPTION_ACTION)
            continue;
        const char *value = sample_value(option);
        check_way(option, SOURCE_FLAG, "--%s=%s", option->name, value);
        if (option->letter && option->type != OPTION_FLAG)
            check_way(option, SOURCE_FLAG, "-%c %s", option->letter, value);
        option_variable(option, variable);
        check_way(option, SOURCE_ENVIRONMENT, "%s=%s", variable, value);
        for (size_t j = 0; j < OPTION_VARIABLES_MAX && option->variables[j]; j++)
            check_way(option, SOURCE_ENVIRONMENT, "%s=%s", option->variables[j], value);
        for (size_t j = 0; j < OPTION_ALIASES_MAX && option->aliases[j].name; j++) {
            const struct option_alias *alias = &option->aliases[j];
            if (!alias->value)
                check_way(option, SOURCE_FLAG, "--%s%s%s", alias->name,
                          option->type == OPTION_FLAG ? "=" : " ", value);
            if (alias->letter)
                check_way(option, SOURCE_FLAG, "-%c%s", alias->letter, value);
        }
    }
}

static void
test_spellings_in_the_table_are_unique(void **state)
{
    const struct option_alias *alias;
    for (size_t i = 0; i < options_table_count; i++) {
        const struct option *option = &options_table[i];
        assert_ptr_equal(options_find(str_from_cstr(option->name), &alias), option);
        if (option->letter)
            assert_ptr_equal(options_find_letter(option->letter, &alias), option);
        for (size_t j = 0; j < OPTION_ALIASES_MAX; j++) {
            const struct option_alias *own = &option->aliases[j];
            if (own->name) {
                assert_ptr_equal(options_find(str_from_cstr(own->name), &alias), option);
                assert_ptr_equal(alias, own);
            }
            if (own->letter)
                assert_ptr_equal(options_find_letter(own->letter, &alias), option);
        }
    }
    assert_null(options_find(STR(""), &alias));
    assert_null(options_find_letter(0, &alias));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_every_row_is_reachable_in_every_way),
        TEST(test_spellings_in_the_table_are_unique),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
