#include "server/options.h"

#include "base/cidr.h"
#include "base/must.h"
#include "server/addr.h"
#include "server/options_args.h"
#include "server/options_below.h"
#include "server/options_bpf.h"
#include "server/options_client.h"
#include "server/options_help.h"
#include "server/options_script.h"
#include "server/options_value.h"
#include "server/suggest.h"

#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* The order of work:
 *
 *     1. sort the words of the command line (options_args.c), find the command
 *     2. help, version and commands of other builds end here
 *     3. defaults; over them the environment; over both the flags
 *     4. what several options decide together: the addresses and the site
 *
 * The environment is not even looked at where a flag was given, so that a broken variable can be
 * overruled. */

/* Command line and lists; the kernel's own limit on argv is of this size. */
enum { OPTIONS_MEMORY_MAX = 16 << 20, OPTIONS_MEMORY_BLOCK = 4096 };

struct parse {
    struct options *options;
    struct option_args args;
    char **envp;
    struct error *error;
};

static const struct option *
find_row(const char *name)
{
    const struct option_alias *alias;
    const struct option *option = options_find(str_from_cstr(name), &alias);
    must(option && !alias);
    return option;
}

enum options_source
options_source_of(const struct options *options, const char *name)
{
    return options->sources[option_index(find_row(name))];
}

static const struct option_use *
find_use(const struct parse *parse, const char *name)
{
    const struct option *option = find_row(name);
    for (size_t i = parse->args.use_count; i > 0; i--)
        if (parse->args.uses[i - 1].option == option)
            return &parse->args.uses[i - 1];
    return NULL;
}

static const char *
find_variable(char **envp, const char *name)
{
    size_t len = strlen(name);
    for (; *envp; envp++)
        if (strncmp(*envp, name, len) == 0 && (*envp)[len] == '=')
            return *envp + len + 1;
    return NULL;
}

/* Kubernetes gives every container NAME_PORT=tcp://IP:PORT for a Service called "name". Whoever
 * calls his Service tarn did not mean the option. */
static bool
is_service_link(const char *name, const char *value)
{
    struct str s = str_from_cstr(value);
    return str_ends_with(str_from_cstr(name), STR("_PORT")) &&
           (str_starts_with(s, STR("tcp://")) || str_starts_with(s, STR("udp://")) ||
            str_starts_with(s, STR("sctp://")));
}

/* Some shells keep the name of the machine in HOST. */
static bool
is_shell_host(const char *name, const char *value)
{
    char host[HOST_NAME_MAX + 1];
    if (strcmp(name, "HOST") != 0 || gethostname(host, sizeof host) != 0)
        return false;
    host[HOST_NAME_MAX] = 0;
    return strcmp(host, value) == 0;
}

/* The value of a variable that means something; an empty one is as good as none. */
static const char *
read_variable(char **envp, const char *name)
{
    const char *value = find_variable(envp, name);
    if (!value || !*value || is_service_link(name, value) || is_shell_host(name, value))
        return NULL;
    return value;
}

static int
store_variable(struct parse *parse, const struct option *option, const char *name,
               const char *value)
{
    struct str spelled = arena_printf(&parse->options->memory, "%s (environment)", name);
    if (!spelled.ptr)
        return error_set(parse->error, "out of memory");
    parse->options->sources[option_index(option)] = SOURCE_ENVIRONMENT;
    return value_store(parse->options, option, spelled.ptr, value, parse->error);
}

/* TARN_NO_SPA=1, as --no-spa. 1 when there is no such variable. */
static int
apply_no_variable(struct parse *parse, const struct option *option, const char *variable)
{
    char name[OPTION_VARIABLE_MAX + 4];
    bool off;
    snprintf(name, sizeof name, "TARN_NO_%s", variable + strlen("TARN_"));
    const char *value = option_has_no(option) ? read_variable(parse->envp, name) : NULL;
    if (!value)
        return 1;
    if (!value_parse_bool(str_from_cstr(value), &off))
        return error_set(parse->error, "%s (environment) wants yes or no, not '%s'", name, value);
    return store_variable(parse, option, name, off ? "off" : "on");
}

/* The first variable of the row that is set: TARN_NAME, TARN_NO_NAME, then the others. 1 when none
 * is. */
static int
apply_variables(struct parse *parse, const struct option *option)
{
    char name[OPTION_VARIABLE_MAX];
    option_variable(option, name);
    const char *value = read_variable(parse->envp, name);
    if (value)
        return store_variable(parse, option, name, value);
    int result = apply_no_variable(parse, option, name);
    for (size_t i = 0; result == 1 && i < OPTION_VARIABLES_MAX && option->variables[i]; i++) {
        value = read_variable(parse->envp, option->variables[i]);
        if (value)
            result = store_variable(parse, option, option->variables[i], value);
    }
    return result;
}

static bool
row_applies(const struct options *options, const struct option *option)
{
    return option->type != OPTION_ACTION && (option->commands & (1u << options->command));
}

static const char *
command_name(enum options_command command)
{
    for (size_t i = 0; i < commands_table_count; i++)
        if (commands_table[i].kind == COMMAND_RUNS && commands_table[i].command == command)
            return commands_table[i].name;
    return "";
}

/* The one to name when an option was given to another: its first; but of options of the cache and
 * of bpf, whose first is serve, one of theirs to their own commands. */
static enum options_command
main_command(const struct option *option, enum options_command given_to)
{
    if (options_is_client(given_to) && (option->commands & FOR_CACHE))
        return COMMAND_CACHE;
    if (options_is_bpf(given_to) && (option->commands & FOR_BPF))
        return (enum options_command)__builtin_ctz(option->commands & FOR_BPF);
    return (enum options_command)__builtin_ctz(option->commands);
}

/* An option of another command is an error that names the command it belongs to. */
static int
check_uses(struct parse *parse)
{
    struct options *options = parse->options;
    for (size_t i = 0; i < parse->args.use_count; i++) {
        const struct option_use *use = &parse->args.uses[i];
        if (use->option->type != OPTION_ACTION && !row_applies(options, use->option))
            return error_set(parse->error, "%s belongs to 'tarn %s', not to 'tarn %s'",
                             use->spelled,
                             command_name(main_command(use->option, options->command)),
                             command_name(options->command));
        options->sources[option_index(use->option)] = SOURCE_FLAG;
    }
    return 0;
}

static int
apply_values(struct parse *parse)
{
    struct options *options = parse->options;
    for (size_t i = 0; i < options_table_count; i++) {
        const struct option *option = &options_table[i];
        if (option->type == OPTION_ACTION || options->sources[i] == SOURCE_FLAG)
            continue;
        int result = row_applies(options, option) ? apply_variables(parse, option) : 1;
        if (result < 0)
            return result;
        if (result == 1 && option->default_text &&
            value_store(options, option, option->name, option->default_text, parse->error) < 0)
            return -1;
    }
    for (size_t i = 0; i < parse->args.use_count; i++) {
        const struct option_use *use = &parse->args.uses[i];
        if (use->option->type != OPTION_ACTION &&
            value_store(options, use->option, use->spelled, use->value, parse->error) < 0)
            return -1;
    }
    return 0;
}

/* --port and --bind-ip are another way to write --addr; whichever way was said more firmly counts.
 */
static int
resolve_addr(struct parse *parse)
{
    struct options *options = parse->options;
    enum options_source of_addr = options_source_of(options, "addr");
    enum options_source of_port = options_source_of(options, "port");
    enum options_source of_bind = options_source_of(options, "bind-ip");
    enum options_source of_parts = of_port > of_bind ? of_port : of_bind;
    char text[ADDR_TEXT_MAX];
    if (of_addr == SOURCE_FLAG && of_parts == SOURCE_FLAG) {
        const struct option_use *part =
            find_use(parse, of_port == SOURCE_FLAG ? "port" : "bind-ip");
        return error_set(parse->error, "--addr and %s exclude each other; write --addr HOST:PORT",
                         part->spelled);
    }
    if (of_parts <= of_addr)
        return 0;
    addr_join(text, options->bind_ip, (uint16_t)options->port);
    options->addr = (struct options_list){0};
    options->sources[option_index(find_row("addr"))] = (unsigned char)of_parts;
    return value_store(options, find_row("addr"), "--addr", text, parse->error);
}

/* HOST:PORT of --ech-relay; IPv6 in brackets. */
static int
resolve_relay(struct parse *parse)
{
    struct options *options = parse->options;
    const char *text = options->ech_relay;
    uint64_t port;
    if (!text || strcmp(text, "auto") == 0 || strcmp(text, "off") == 0)
        return 0;
    const char *colon = strrchr(text, ':');
    struct str host = str_make(text, colon ? (size_t)(colon - text) : 0);
    if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        host = str_make(host.ptr + 1, host.len - 2);
    else if (str_find(host, STR(":")) < host.len)
        host.len = 0;
    if (host.len == 0 || !str_to_u64(str_from_cstr(colon + 1), &port) || port == 0 ||
        port > UINT16_MAX)
        return error_set(parse->error, "--ech-relay wants HOST:PORT, auto or off, not '%s'", text);
    options->ech_relay_host = host;
    options->ech_relay_port = (uint16_t)port;
    return 0;
}

/* What the TLS options need of each other, and whether there is a plain listener at all. */
static int
resolve_tls(struct parse *parse)
{
    struct options *options = parse->options;
    bool has_cert = options->cert.count || options->cert_dir || options->tls_self_signed;
    if (options->key.count && options->key.count != options->cert.count)
        return error_set(parse->error, "--key: there are %zu for %zu --cert; each --cert needs one",
                         options->key.count, options->cert.count);
    if (options->tls_self_signed && (options->cert.count || options->cert_dir))
        return error_set(parse->error, "--tls-self-signed and %s exclude each other",
                         options->cert.count ? "--cert" : "--cert-dir");
    if (options->tls_addr.count && !has_cert)
        return error_set(parse->error,
                         "--tls-addr needs --cert and --key, --cert-dir or --tls-self-signed");
    if (!has_cert) {
        static const char *const without[] = {"redirect-http", "early-data", "client-ca",
                                              "ech-key",       "ech-relay",  "default-cert"};
        for (size_t i = 0; i < sizeof without / sizeof *without; i++)
            if (options_source_of(options, without[i]) != SOURCE_DEFAULT)
                return error_set(parse->error, "--%s needs --cert, --cert-dir or --tls-self-signed",
                                 without[i]);
        return 0;
    }
    if (!options->ech_key && options_source_of(options, "ech-relay") != SOURCE_DEFAULT)
        return error_set(parse->error, "--ech-relay needs --ech-key");
    if (resolve_relay(parse) < 0)
        return -1;
    if (!options->client_ca && options_source_of(options, "client-auth") != SOURCE_DEFAULT)
        return error_set(parse->error, "--client-auth needs --client-ca");
    if (options->tls_addr.count == 0 &&
        value_store(options, find_row("tls-addr"), "--tls-addr", ":8443", parse->error) < 0)
        return -1;
    if (options_source_of(options, "addr") == SOURCE_DEFAULT && !options->redirect_http)
        options->addr = (struct options_list){0};
    return 0;
}

/* A word that is no file and nearly a command was probably meant as one. (Exactly one can only
 * stand behind "--" or another command: then it is meant as a name.) */
static const char *
meant_command(const char *word)
{
    struct suggestion near;
    struct stat status;
    if (lstat(word, &status) == 0)
        return NULL;
    suggestion_init(&near, str_from_cstr(word));
    for (size_t i = 0; i < commands_table_count; i++)
        if (commands_table[i].kind != COMMAND_IS_MISSING)
            suggestion_offer(&near, commands_table[i].name);
    return near.distance > 0 ? near.best : NULL;
}

static int
check_words(struct parse *parse)
{
    const struct option_args *args = &parse->args;
    const char *meant = !args->command && args->word_count ? meant_command(args->words[0]) : NULL;
    if (meant)
        return error_set(parse->error,
                         "no file or directory '%s'; did you mean the command 'tarn %s'?",
                         args->words[0], meant);
    if (args->word_count > 1)
        return error_set(parse->error, "one %s is enough, but '%s' follows '%s'",
                         parse->options->command == COMMAND_PACK ? "DIR" : "SITE", args->words[1],
                         args->words[0]);
    return 0;
}

/* A pipe or a file, which somebody put there, and not a terminal or /dev/null. */
static bool
stdin_holds_something(void)
{
    struct stat status;
    return fstat(STDIN_FILENO, &status) == 0 &&
           (S_ISFIFO(status.st_mode) || S_ISREG(status.st_mode));
}

/* What is served when nobody named it. NULL: nothing. */
static const char *
implied_site(void)
{
    struct stat status;
    if (stdin_holds_something())
        return "-";
    if (stat("content", &status) == 0 && S_ISDIR(status.st_mode))
        return "./content";
    return NULL;
}

/* What ech-keygen needs instead of a site. */
static int
resolve_public_name(struct parse *parse)
{
    if (parse->args.word_count)
        return error_set(parse->error, "'tarn ech-keygen' takes no argument, but there is '%s'",
                         parse->args.words[0]);
    if (!parse->options->public_name)
        return error_set(parse->error, "no --public-name: name a host, as in 'tarn ech-keygen "
                                       "--public-name cover.example.com'");
    return 0;
}

/* Each part of a list of networks must be some. */
static int
check_networks(struct parse *parse, const char *name, const struct options_list *list)
{
    struct cidr_list networks = {0};
    for (size_t i = 0; i < list->count; i++)
        if (cidr_list_add(&networks, str_from_cstr(list->items[i]), parse->error) != 0)
            return error_prefix(parse->error, "--%s", name);
    return 0;
}

/* What the options of the cache need of each other. */
static int
resolve_cache(struct parse *parse)
{
    struct options *options = parse->options;
    bool is_cache = options->command == COMMAND_CACHE;
    if (is_cache && !options->cache_dir)
        return error_set(parse->error, "no --cache-dir: name a directory, as in 'tarn cache "
                                       "--cache-dir /var/cache/tarn'; or a command: ls, get, purge "
                                       "or stats");
    if (!is_cache && options->cache_path && !options->cache_dir)
        return error_set(parse->error, "--cache-path needs --cache-dir");
    if (!is_cache && options->cache_dir && !options->cache_path)
        return error_set(parse->error,
                         "--cache-dir needs --cache-path, or the command 'tarn cache'");
    if (options->default_ttl_ms > options->max_ttl_ms &&
        options_source_of(options, "default-ttl") != SOURCE_DEFAULT)
        return error_set(parse->error, "--default-ttl is more than --max-ttl");
    if (check_networks(parse, "allow-networks", &options->allow_networks) < 0 ||
        check_networks(parse, "trusted-proxies", &options->trusted_proxies) < 0 ||
        check_networks(parse, "upstream-allow", &options->upstream_allow) < 0)
        return -1;
    return 0;
}

static int
resolve_site(struct parse *parse)
{
    struct options *options = parse->options;
    bool packs = options->command == COMMAND_PACK;
    const struct option_use *use = find_use(parse, packs ? "pack" : "site");
    if (options->command == COMMAND_ECH_KEYGEN)
        return resolve_public_name(parse);
    if (options->command == COMMAND_CACHE)
        return options_check_below(&parse->args, parse->error);
    if (check_words(parse) < 0)
        return -1;
    if (use && parse->args.word_count)
        return error_set(parse->error, "%s and '%s' exclude each other", use->spelled,
                         parse->args.words[0]);
    if (parse->args.word_count) {
        options->site = parse->args.words[0];
        options->sources[option_index(find_row("site"))] = SOURCE_FLAG;
    } else if (use)
        options->site = use->value;
    if (options->site && !*options->site)
        return error_set(parse->error, "the name of the %s is empty", packs ? "DIR" : "SITE");
    if (options->site)
        return 0;
    if (packs)
        return error_set(parse->error, "no DIR: name a directory, as in 'tarn pack ./public'");
    options->site = implied_site();
    if (!options->site)
        return error_set(parse->error,
                         "no SITE: name a directory, an archive or a file, as in 'tarn ./public'");
    return 0;
}

static enum options_result
finish_output(struct error *error)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return OPTIONS_EXIT_OK;
    error_set(error, "cannot write to standard output");
    return OPTIONS_USAGE;
}

/* One topic; the name of a command may be two words. */
static int
print_topic(const struct option_args *args, size_t *at, struct error *error)
{
    const struct command *command = commands_find(str_from_cstr(args->words[*at]));
    const struct command *below =
        command && *at + 1 < args->word_count
            ? commands_find_below(command, str_from_cstr(args->words[*at + 1]))
            : NULL;
    if (!below)
        return options_print_topic(stdout, args->words[*at], error);
    ++*at;
    options_print_command_help(stdout, below);
    return 0;
}

static enum options_result
print_help(const struct option_args *args, struct error *error)
{
    const struct command *command = args->command;
    if (!command || (command->kind == COMMAND_PRINTS_HELP && args->word_count == 0)) {
        options_print_help(stdout);
    } else if (command->kind != COMMAND_PRINTS_HELP) {
        options_print_command_help(stdout, command);
    } else {
        for (size_t i = 0; i < args->word_count; i++)
            if (print_topic(args, &i, error) < 0)
                return OPTIONS_USAGE;
    }
    return finish_output(error);
}

/* The first word of two, without the second. */
static enum options_result
answer_without_command(const struct parse *parse)
{
    const struct option_args *args = &parse->args;
    if (options_check_below(args, parse->error) < 0)
        return OPTIONS_USAGE;
    if (args->use_count == 0)
        return print_help(args, parse->error);
    options_fail_below(args, parse->error);
    return OPTIONS_USAGE;
}

/* What ends before anything runs: help, version, and commands that are not there. OPTIONS_RUN: go
 * on. */
static enum options_result
answer_at_once(const struct parse *parse)
{
    const struct command *command = parse->args.command;
    if (command && command->kind == COMMAND_IS_MISSING) {
        error_set(parse->error, "'%s' is not in this build yet", command->name);
        return OPTIONS_USAGE;
    }
    if (find_use(parse, "help") || (command && command->kind == COMMAND_PRINTS_HELP))
        return print_help(&parse->args, parse->error);
    if (find_use(parse, "version") || (command && command->kind == COMMAND_PRINTS_VERSION)) {
        options_print_version(stdout);
        return finish_output(parse->error);
    }
    if (command && command->kind == COMMAND_HAS_COMMANDS)
        return answer_without_command(parse);
    return OPTIONS_RUN;
}

static int
find_command(struct parse *parse)
{
    const struct command *command = parse->args.command;
    static const struct {
        const char *name;
        enum options_command command;
    } actions[] = {
        {"pack", COMMAND_PACK},
        {"gen-ech-key", COMMAND_ECH_KEYGEN},
        {"dump-sdk", COMMAND_SDK},
    };
    const struct option_use *chosen = NULL;
    parse->options->command = command ? command->command : COMMAND_SERVE;
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        const struct option_use *use = find_use(parse, actions[i].name);
        if (use && chosen)
            return error_set(parse->error, "%s and %s exclude each other", chosen->spelled,
                             use->spelled);
        if (!use)
            continue;
        chosen = use;
        parse->options->command = actions[i].command;
    }
    if (chosen && command && command->command != COMMAND_SERVE)
        return error_set(parse->error, "%s does not go with 'tarn %s'", chosen->spelled,
                         command->name);
    return 0;
}

enum options_result
options_parse(struct options *out, int argc, char **argv, char **envp, struct error *error)
{
    struct parse parse = {.options = out, .envp = envp, .error = error};
    *out = (struct options){0};
    arena_init(&out->memory, OPTIONS_MEMORY_MAX, OPTIONS_MEMORY_BLOCK);
    if (option_args_read(&parse.args, &out->memory, argc, argv, error) < 0)
        return OPTIONS_USAGE;
    enum options_result answer = answer_at_once(&parse);
    if (answer != OPTIONS_RUN)
        return answer;
    if (find_command(&parse) < 0 || check_uses(&parse) < 0 || apply_values(&parse) < 0)
        return OPTIONS_USAGE;
    if (options_is_client(out->command))
        return options_resolve_client(out, &parse.args, error) < 0 ? OPTIONS_USAGE : OPTIONS_RUN;
    if (options_is_script(out->command))
        return options_resolve_script(out, &parse.args, error) < 0 ? OPTIONS_USAGE : OPTIONS_RUN;
    if (options_is_bpf(out->command))
        return options_resolve_bpf(out, &parse.args, error) < 0 ? OPTIONS_USAGE : OPTIONS_RUN;
    if (resolve_addr(&parse) < 0 || resolve_tls(&parse) < 0 || resolve_site(&parse) < 0 ||
        resolve_cache(&parse) < 0)
        return OPTIONS_USAGE;
    return OPTIONS_RUN;
}

void
options_free(struct options *options)
{
    arena_deinit(&options->memory);
    *options = (struct options){0};
}
