#include "server/options_test_run.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void
check_refused(const char *line, const char *environment, const char *expected)
{
    enum options_result result = parse(line, environment);
    if (result != OPTIONS_USAGE)
        fail_msg("'%s' with '%s' gave %d, not a refusal", line, environment, result);
    if (strcmp(error.text, expected) != 0)
        fail_msg("'%s': got  %s\n         expected  %s", line, error.text, expected);
}

static void
test_a_site_alone_serves_it_with_defaults(void **state)
{
    check_runs("tarn ./public", "");
    assert_int_equal(options.command, COMMAND_SERVE);
    assert_string_equal(options.site, "./public");
    assert_int_equal(options.addr.count, 1);
    assert_string_equal(options.addr.items[0], ":8080");
    assert_int_equal(options.threads, 0);
    assert_int_equal(options.io, OPTIONS_IO_AUTO);
    assert_string_equal(options.index, "index.html");
    assert_int_equal(options.preload_max, 1 << 20);
    assert_int_equal(options.preload_total, 256 << 20);
    assert_int_equal(options.stdin_timeout_ms, 60000);
    assert_int_equal(options.max_request_len, 16384);
    assert_int_equal(options.max_headers, 128);
    assert_int_equal(options.header_timeout_ms, 10000);
    assert_int_equal(options.keepalive_timeout_ms, 60000);
    assert_int_equal(options.io_timeout_ms, 30000);
    assert_int_equal(options.max_requests, 0);
    assert_int_equal(options.max_connections, 0);
    assert_int_equal(options.shutdown_delay_ms, 0);
    assert_int_equal(options.shutdown_timeout_ms, 30000);
    assert_string_equal(options.access_log, "auto");
    assert_true(options.health && options.compress);
    assert_false(options.spa || options.browse || options.try_html || options.precompress);
    assert_null(options.admin_addr);
    assert_null(options.cache_control);
    assert_null(options.only_path);
    assert_int_equal(options_source_of(&options, "threads"), SOURCE_DEFAULT);
}

static void
test_commands_are_the_first_word(void **state)
{
    check_runs("tarn serve x", "");
    assert_int_equal(options.command, COMMAND_SERVE);
    check_runs("tarn --threads 2 check --spa x", "");
    assert_int_equal(options.command, COMMAND_CHECK);
    assert_true(options.spa);
    check_runs("tarn pack dir -o out.tar --no-compress --progress on", "");
    assert_int_equal(options.command, COMMAND_PACK);
    assert_string_equal(options.site, "dir");
    assert_string_equal(options.output, "out.tar");
    assert_int_equal(options.progress, OPTIONS_PROGRESS_ON);
    assert_false(options.compress);
    check_runs("tarn --pack dir", "");
    assert_int_equal(options.command, COMMAND_PACK);
    assert_string_equal(options.site, "dir");
    assert_null(options.output);
    check_runs("tarn ech-keygen --public-name a.b", "");
    assert_int_equal(options.command, COMMAND_ECH_KEYGEN);
    assert_string_equal(options.public_name, "a.b");
    check_runs("tarn --gen-ech-key --ech-public-name=a.b", "");
    assert_int_equal(options.command, COMMAND_ECH_KEYGEN);
    assert_string_equal(options.public_name, "a.b");
    check_runs("tarn -- pack", "");
    assert_int_equal(options.command, COMMAND_SERVE);
    assert_string_equal(options.site, "pack");
    check_runs("tarn serve pack", "");
    assert_string_equal(options.site, "pack");
}

static void
test_values_are_written_in_several_ways(void **state)
{
    check_runs("tarn --threads 3 x", "");
    assert_int_equal(options.threads, 3);
    check_runs("tarn --threads=4 x", "");
    assert_int_equal(options.threads, 4);
    check_runs("tarn -t 5 x", "");
    assert_int_equal(options.threads, 5);
    check_runs("tarn -t6 x", "");
    assert_int_equal(options.threads, 6);
    check_runs("tarn x -t=7", "");
    assert_int_equal(options.threads, 7);
    check_runs("tarn -t 1 x --threads 8", "");
    assert_int_equal(options.threads, 8);
    check_runs("tarn --spa --no-spa --browse=yes --health=off x", "");
    assert_false(options.spa);
    assert_true(options.browse);
    assert_false(options.health);
    check_runs("tarn --index= x", "");
    assert_string_equal(options.index, "");
    check_runs("tarn --cache-control=no-store,|max-age=0 x", "");
    assert_string_equal(options.cache_control, "no-store, max-age=0");
    check_runs("tarn -", "");
    assert_string_equal(options.site, "-");
    check_runs("tarn -- --odd-name", "");
    assert_string_equal(options.site, "--odd-name");
}

static void
test_lists_repeat_and_split_at_commas(void **state)
{
    check_runs("tarn -a :1 --addr :2,:3 --addr=unix:/x x", "TARN_ADDR=:9");
    const char *expected[] = {":1", ":2", ":3", "unix:/x"};
    assert_int_equal(options.addr.count, 4);
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(options.addr.items[i], expected[i]);
    check_runs("tarn x", "TARN_ADDR=:8,|:9");
    assert_int_equal(options.addr.count, 2);
    assert_string_equal(options.addr.items[1], ":9");
    check_refused("tarn --addr :1, x", "",
                  "--addr wants an address: an empty address; write 127.0.0.1:8080 or :8080");
}

static void
test_flag_beats_environment_beats_default(void **state)
{
    check_runs("tarn x", "TARN_THREADS=3");
    assert_int_equal(options.threads, 3);
    assert_int_equal(options_source_of(&options, "threads"), SOURCE_ENVIRONMENT);
    check_runs("tarn -t 4 x", "TARN_THREADS=3");
    assert_int_equal(options.threads, 4);
    assert_int_equal(options_source_of(&options, "threads"), SOURCE_FLAG);
    check_runs("tarn -t 4 x", "TARN_THREADS=nonsense");
    check_runs("tarn --no-spa x", "TARN_SPA=1");
    assert_false(options.spa);
    check_runs("tarn x", "TARN_THREADS= TARN_SPA=");
    assert_int_equal(options_source_of(&options, "threads"), SOURCE_DEFAULT);
    check_runs("tarn x", "TARN_NO_HEALTH=1 TARN_NO_SPA=no");
    assert_false(options.health);
    assert_true(options.spa);
    check_runs("tarn pack x", "TARN_PORT=nonsense TARN_NO_PROGRESS=yes");
    assert_int_equal(options.progress, OPTIONS_PROGRESS_OFF);
}

static void
check_addr(const char *line, const char *environment, const char *expected)
{
    check_runs(line, environment);
    assert_int_equal(options.addr.count, 1);
    if (strcmp(options.addr.items[0], expected) != 0)
        fail_msg("'%s' with '%s' listens on %s", line, environment, options.addr.items[0]);
}

static void
test_port_and_host_make_an_address(void **state)
{
    check_addr("tarn --port 9000 x", "", ":9000");
    check_addr("tarn -p 9000 --bind-ip 127.0.0.1 x", "", "127.0.0.1:9000");
    check_addr("tarn --host ::1 x", "", "[::1]:8080");
    check_addr("tarn --host localhost x", "PORT=80", "localhost:80");
    check_addr("tarn x", "KISS_PORT=81 PORT=80", ":81");
    check_addr("tarn x", "TARN_PORT=82 KISS_PORT=81 PORT=80", ":82");
    check_addr("tarn x", "KISS_BIND_IP=0.0.0.0 HOST=127.0.0.1", "0.0.0.0:8080");
    check_addr("tarn -a :1 x", "PORT=80 HOST=127.0.0.1", ":1");
    check_addr("tarn -p 90 x", "TARN_ADDR=:1", ":90");
    check_addr("tarn x", "TARN_ADDR=:1 PORT=80", ":1");
    check_refused("tarn --addr :1 -p 2 x", "",
                  "--addr and --port exclude each other; write --addr HOST:PORT");
    check_refused("tarn --addr :1 --host ::1 x", "",
                  "--addr and --host exclude each other; write --addr HOST:PORT");
}

static void
test_variables_of_others_are_left_alone(void **state)
{
    char host[256], variable[300];
    assert_int_equal(gethostname(host, sizeof host), 0);
    snprintf(variable, sizeof variable, "HOST=%s", host);
    check_addr("tarn x", "TARN_PORT=tcp://10.0.0.1:80 KISS_PORT=udp://10.0.0.1:80", ":8080");
    check_addr("tarn x", variable, ":8080");
    check_refused("tarn x", "HOST=not-this-machine",
                  "HOST (environment) wants a numeric address or localhost, "
                  "not 'not-this-machine'");
}

static void
test_the_site_has_other_names(void **state)
{
    const char *lines[] = {"tarn --file s", "tarn -f s", "tarn --static-dir s", "tarn -ss",
                           "tarn --site=s"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        check_runs(lines[i], "FILE=other");
        assert_string_equal(options.site, "s");
    }
    const char *variables[] = {"FILE=s", "KISS_STATIC_DIR=s", "TARN_SITE=s FILE=t"};
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
        check_runs("tarn", variables[i]);
        assert_string_equal(options.site, "s");
    }
    check_runs("tarn given", "FILE=s");
    assert_string_equal(options.site, "given");
    assert_int_equal(options_source_of(&options, "site"), SOURCE_FLAG);
    check_refused("tarn --file a b", "", "--file and 'b' exclude each other");
    check_refused("tarn a b", "", "one SITE is enough, but 'b' follows 'a'");
    check_refused("tarn pack a b", "", "one DIR is enough, but 'b' follows 'a'");
    check_refused("tarn pack", "FILE=s", "no DIR: name a directory, as in 'tarn pack ./public'");
    check_refused("tarn pack --pack a", "", "--pack does not go with 'tarn pack'");
    check_refused("tarn --pack a b", "", "--pack and 'b' exclude each other");
    check_refused("tarn pack --gen-ech-key", "", "--gen-ech-key does not go with 'tarn pack'");
    check_refused("tarn --pack a --gen-ech-key", "", "--pack and --gen-ech-key exclude each other");
    check_refused("tarn --dump-sdk --pack a", "", "--pack and --dump-sdk exclude each other");
    check_refused("tarn cache --dump-sdk", "", "--dump-sdk does not go with 'tarn cache'");
    check_refused("tarn ech-keygen --public-name a.b c", "",
                  "'tarn ech-keygen' takes no argument, but there is 'c'");
    check_refused("tarn ech-keygen", "",
                  "no --public-name: name a host, as in 'tarn ech-keygen --public-name "
                  "cover.example.com'");
    check_refused("tarn --file= ", "", "--file wants a file name, not ''");
}

static void
test_standard_input_is_the_site_when_it_holds_something(void **state)
{
    int saved = dup(STDIN_FILENO), device = open("/dev/zero", O_RDONLY), ends[2];
    assert_int_equal(pipe(ends), 0);
    dup2(device, STDIN_FILENO);
    enum options_result without = parse("tarn", "");
    enum options_result nameless = parse("", ""); /* argc 0 */
    dup2(ends[0], STDIN_FILENO);
    enum options_result piped = parse("tarn", "");
    dup2(saved, STDIN_FILENO);
    close(saved);
    close(device);
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(without, OPTIONS_USAGE);
    assert_int_equal(nameless, OPTIONS_USAGE);
    assert_int_equal(piped, OPTIONS_RUN);
    assert_string_equal(options.site, "-");
}

/* As KISS does it. */
static void
test_a_directory_named_content_is_the_site_when_nothing_else_is(void **state)
{
    char dir[] = "/tmp/tarn-options-XXXXXX", before[PATH_MAX];
    int saved = dup(STDIN_FILENO), device = open("/dev/null", O_RDONLY);
    assert_non_null(getcwd(before, sizeof before));
    assert_non_null(mkdtemp(dir));
    assert_int_equal(chdir(dir), 0);
    dup2(device, STDIN_FILENO);
    close(creat("content", 0600));
    enum options_result with_file = parse("tarn", "");
    assert_int_equal(unlink("content"), 0);
    assert_int_equal(mkdir("content", 0700), 0);
    enum options_result with_directory = parse("tarn", "");
    dup2(saved, STDIN_FILENO);
    close(saved);
    close(device);
    assert_int_equal(rmdir("content"), 0);
    assert_int_equal(chdir(before), 0);
    assert_int_equal(rmdir(dir), 0);
    assert_int_equal(with_file, OPTIONS_USAGE);
    assert_int_equal(with_directory, OPTIONS_RUN);
    assert_string_equal(options.site, "./content");
}

static void
test_tls_options_need_each_other(void **state)
{
    static const struct {
        const char *line, *refused;
    } cases[] = {
        {"tarn --tls-addr :1 x",
         "--tls-addr needs --cert and --key, --cert-dir or --tls-self-signed"},
        {"tarn --redirect-http x", "--redirect-http needs --cert, --cert-dir or --tls-self-signed"},
        {"tarn --early-data x", "--early-data needs --cert, --cert-dir or --tls-self-signed"},
        {"tarn --client-ca c x", "--client-ca needs --cert, --cert-dir or --tls-self-signed"},
        {"tarn --ech-key c x", "--ech-key needs --cert, --cert-dir or --tls-self-signed"},
        {"tarn --default-cert c x", "--default-cert needs --cert, --cert-dir or --tls-self-signed"},
        {"tarn --cert a --cert b --key c x",
         "--key: there are 1 for 2 --cert; each --cert needs one"},
        {"tarn --key c x", "--key: there are 1 for 0 --cert; each --cert needs one"},
        {"tarn --tls-self-signed --cert-dir d x",
         "--tls-self-signed and --cert-dir exclude each other"},
        {"tarn --tls-self-signed --cert d x", "--tls-self-signed and --cert exclude each other"},
        {"tarn --cert c --client-auth request x", "--client-auth needs --client-ca"},
        {"tarn --ech-relay a:1 x", "--ech-relay needs --cert, --cert-dir or --tls-self-signed"},
        {"tarn --cert c --ech-relay a:1 x", "--ech-relay needs --ech-key"},
        {"tarn --cert c --ech-key k --ech-relay a x",
         "--ech-relay wants HOST:PORT, auto or off, not 'a'"},
        {"tarn --cert c --ech-key k --ech-relay :1 x",
         "--ech-relay wants HOST:PORT, auto or off, not ':1'"},
        {"tarn --cert c --ech-key k --ech-relay a:0 x",
         "--ech-relay wants HOST:PORT, auto or off, not 'a:0'"},
        {"tarn --cert c --ech-key k --ech-relay ::1:1 x",
         "--ech-relay wants HOST:PORT, auto or off, not '::1:1'"},
        {"tarn --tls-min 1.1 x", "--tls-min wants 1.2 or 1.3, not '1.1'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_refused(cases[i].line, "", cases[i].refused);
}

static void
test_tls_decides_what_is_listened_on(void **state)
{
    check_runs("tarn x", "");
    assert_int_equal(options.addr.count, 1);
    assert_int_equal(options.tls_addr.count, 0);
    check_runs("tarn --tls-self-signed x", "");
    assert_int_equal(options.addr.count, 0);
    assert_int_equal(options.tls_addr.count, 1);
    assert_string_equal(options.tls_addr.items[0], ":8443");
    check_runs("tarn --cert a,b --key c,d --tls-addr :1,:2 x", "");
    assert_int_equal(options.addr.count, 0);
    assert_int_equal(options.tls_addr.count, 2);
    assert_int_equal(options.cert.count, 2);
    check_runs("tarn --tls-self-signed --redirect-http x", "");
    assert_int_equal(options.addr.count, 1);
    check_runs("tarn --tls-self-signed x", "PORT=99");
    assert_string_equal(options.addr.items[0], ":99");
    check_runs("tarn --cert c --ech-key k --ech-relay [::1]:77 x", "");
    assert_true(str_eq(options.ech_relay_host, STR("::1")) && options.ech_relay_port == 77);
    check_runs("tarn --cert c --ech-key k --no-ech-relay x", "");
    assert_string_equal(options.ech_relay, "off");
    check_runs("tarn --tls-self-signed --addr :7 x", "");
    assert_string_equal(options.addr.items[0], ":7");
}

static void
test_wrong_values_say_what_is_wanted(void **state)
{
    check_refused("tarn --threads x y", "", "--threads wants a number from 1 to 1024, not 'x'");
    check_refused("tarn -t 0 y", "", "--threads wants a number from 1 to 1024, not '0'");
    check_refused("tarn --threads 1025 y", "",
                  "--threads wants a number from 1 to 1024, not '1025'");
    check_refused("tarn y", "TARN_THREADS=-1",
                  "TARN_THREADS (environment) wants a number from 1 to 1024, not '-1'");
    check_refused("tarn y", "PORT=http",
                  "PORT (environment) wants a number from 0 to 65535, not 'http'");
    check_refused("tarn --io kqueue y", "", "--io wants auto, uring or epoll, not 'kqueue'");
    check_refused("tarn --header-timeout 1w y", "",
                  "--header-timeout wants a time from 1ms to 1d, like 500ms, 10s or 5m, "
                  "not '1w'");
    check_refused("tarn --keepalive-timeout-secs 0 y", "",
                  "--keepalive-timeout-secs wants a time from 1ms to 1d, like 500ms, 10s or 5m, "
                  "not '0'");
    check_refused("tarn -c x y", "",
                  "--connection-timeout-secs wants a time from 1ms to 1d, like 500ms, 10s or 5m, "
                  "not 'x'");
    check_refused("tarn -r 1 y", "",
                  "--max-request-size wants a size from 512 to 1M, like 64K or 10M, not '1'");
    check_refused("tarn --admin-addr 127.0.0.1 y", "",
                  "--admin-addr wants an address: '127.0.0.1' has no port; an address looks like "
                  "127.0.0.1:8080");
    check_refused("tarn --host example.com y", "",
                  "--host wants a numeric address or localhost, not 'example.com'");
    check_refused("tarn --path x y", "", "--path wants a path that starts with a slash, not 'x'");
    check_refused("tarn --cache-control= y", "",
                  "--cache-control wants a text that is not empty, not ''");
    check_refused("tarn --content-type=a\r\nb:c y", "",
                  "--content-type wants a text without control characters");
    check_refused("tarn --spa=maybe y", "", "--spa wants yes or no, not 'maybe'");
    check_refused("tarn y", "TARN_NO_SPA=maybe",
                  "TARN_NO_SPA (environment) wants yes or no, not 'maybe'");
    check_refused("tarn --no-spa=yes y", "", "--no-spa takes no value");
    check_refused("tarn --help=yes y", "", "--help takes no value");
    check_refused("tarn --no-access-log=x y", "", "--no-access-log takes no value");
}

static void
test_missing_values_are_noticed(void **state)
{
    check_refused("tarn x --threads", "", "--threads wants N behind it");
    check_refused("tarn x -a", "", "--addr wants ADDR behind it");
    check_refused("tarn --index --spa x", "",
                  "--index wants NAMES, but '--spa' follows; write --index=--spa if that is meant");
}

static void
test_unknown_options_get_a_suggestion(void **state)
{
    check_refused("tarn --prot 80 x", "", "unknown option '--prot'; did you mean '--port'?");
    check_refused("tarn --thread 2 x", "", "unknown option '--thread'; did you mean '--threads'?");
    check_refused("tarn --no-helth x", "",
                  "unknown option '--no-helth'; did you mean "
                  "'--no-health'?");
    check_refused("tarn --static_dir x", "",
                  "unknown option '--static_dir'; did you mean '--static-dir'?");
    check_refused("tarn -port 80 x", "", "unknown option '-port'; did you mean '--port'?");
    check_refused("tarn --frobnicate x", "", "unknown option '--frobnicate'; see 'tarn --help'");
    check_refused("tarn --no-frob x", "", "unknown option '--no-frob'; see 'tarn --help'");
    check_refused("tarn -z x", "", "unknown option '-z'; see 'tarn --help'");
    check_refused("tarn --=x", "", "unknown option '--'; see 'tarn --help'");
}

static void
test_near_commands_are_hinted_at_unless_they_exist(void **state)
{
    check_refused("tarn chekc", "",
                  "no file or directory 'chekc'; did you mean the command 'tarn check'?");
    check_refused("tarn sreve ./public", "",
                  "no file or directory 'sreve'; did you mean the command 'tarn serve'?");
    check_runs("tarn ./missing", "");
    char folder[] = "/tmp/options_test_XXXXXX", *here = getcwd(NULL, 0);
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chdir(folder), 0);
    assert_int_equal(mkdir("packs", 0755), 0);
    enum options_result result = parse("tarn packs", "");
    rmdir("packs");
    assert_int_equal(chdir(here), 0);
    rmdir(folder);
    free(here);
    assert_int_equal(result, OPTIONS_RUN);
}

static void
test_options_belong_to_commands(void **state)
{
    check_refused("tarn --output f x", "", "--output belongs to 'tarn pack', not to 'tarn serve'");
    check_refused("tarn pack --spa x", "", "--spa belongs to 'tarn serve', not to 'tarn pack'");
    check_refused("tarn --public-name a.b x", "",
                  "--public-name belongs to 'tarn ech-keygen', not to 'tarn serve'");
    check_refused("tarn ech-keygen --threads 2", "",
                  "--threads belongs to 'tarn serve', not to 'tarn ech-keygen'");
    const char *missing[] = {"top"};
    for (size_t i = 0; i < sizeof missing / sizeof missing[0]; i++) {
        char line[64], expected[64];
        snprintf(line, sizeof line, "tarn %s --quota 1", missing[i]);
        snprintf(expected, sizeof expected, "'%s' is not in this build yet", missing[i]);
        check_refused(line, "", expected);
    }
}

static void
test_commands_for_those_who_write_scripts(void **state)
{
    check_runs("tarn compile --clang /opt/clang a.c", "");
    assert_int_equal(options.command, COMMAND_COMPILE);
    assert_string_equal(options.object, "a.c");
    assert_string_equal(options.clang, "/opt/clang");
    assert_null(options.output);
    check_runs("tarn compile -o out.o source", "");
    assert_string_equal(options.output, "out.o");
    check_refused("tarn compile", "", "no FILE.c: name a script, as in 'tarn compile auth.c'");
    check_refused("tarn compile a.c b.c", "", "one FILE.c is enough, but 'b.c' follows 'a.c'");
    check_refused("tarn compile source", "",
                  "'source' does not end in .c: say with -o where the object file goes");
    check_refused("tarn compile --plugin x a.c", "",
                  "--plugin belongs to 'tarn serve', not to 'tarn compile'");
    check_runs("tarn sdk", "");
    assert_int_equal(options.command, COMMAND_SDK);
    assert_false(options.sdk_zeroserve);
    check_runs("tarn sdk --zeroserve", "");
    assert_true(options.sdk_zeroserve);
    check_runs("tarn --dump-sdk", "");
    assert_int_equal(options.command, COMMAND_SDK);
    check_refused("tarn sdk x", "", "'tarn sdk' takes no argument, but there is 'x'");
}

static void
test_options_of_scripts(void **state)
{
    check_runs("tarn x", "");
    assert_int_equal(options.script_slice_ms, 1);
    assert_int_equal(options.script_cpu_limit_ms, 1000);
    assert_int_equal(options.script_footprint_kb, 256);
    assert_int_equal(options.script_body_kb, 256);
    assert_int_equal(options.script_code_size_limit_kb, 4096);
    assert_int_equal(options.script_kv_max, 16 << 20);
    assert_int_equal(options.rate_buckets_max, 10000);
    assert_int_equal(options.script_engine, OPTIONS_ENGINE_AUTO);
    assert_int_equal(options.plugins.count + options.plugin_dirs.count, 0);
    assert_int_equal(options.script_env.count, 1);
    assert_string_equal(options.script_env.items[0], "TARN_SCRIPT_*");
    assert_null(options.clang);
    assert_null(options.geoip);
    check_runs("tarn --plugin a.tar,b.c --plugin c --plugin-dir d,e x", "TARN_CLANG=clang-20");
    assert_int_equal(options.plugins.count, 3);
    assert_string_equal(options.plugins.items[2], "c");
    assert_int_equal(options.plugin_dirs.count, 2);
    assert_string_equal(options.clang, "clang-20");
    /* what is named takes the place of the default */
    check_runs("tarn check --script-env A,B* --no-jit --preempt-timer-interval-ms 2 x", "");
    assert_int_equal(options.script_env.count, 2);
    assert_int_equal(options.script_engine, OPTIONS_ENGINE_INTERP);
    assert_int_equal(options.script_slice_ms, 2);
    check_refused("tarn --script-slice-ms 0 x", "",
                  "--script-slice-ms wants a number from 1 to 1000, not '0'");
    check_refused("tarn --plugin= x", "", "--plugin wants a file name, not ''");
}

static void
test_what_the_cache_needs(void **state)
{
    check_runs("tarn cache --cache-dir d", "");
    assert_int_equal(options.command, COMMAND_CACHE);
    assert_null(options.site);
    assert_string_equal(options.cache_dir, "d");
    assert_int_equal(options.quota, UINT64_C(2) << 30);
    assert_int_equal(options.default_ttl_ms, 10 * 86400000);
    assert_int_equal(options.stale_if_error_ms, 86400000);
    check_runs("tarn cache --cache-dir d --allow-networks 10.0.0.0/8,fd00::/8 --quota 0", "");
    assert_int_equal(options.allow_networks.count, 2);
    assert_int_equal(options.quota, 0);
    check_runs("tarn --cache-dir d --cache-path /c x", "");
    assert_string_equal(options.cache_path, "/c");
    check_refused("tarn cache", "",
                  "no --cache-dir: name a directory, as in 'tarn cache --cache-dir "
                  "/var/cache/tarn'; or a command: ls, get, purge or stats");
    check_refused("tarn --cache-path /c x", "", "--cache-path needs --cache-dir");
    check_refused("tarn --cache-dir d x", "",
                  "--cache-dir needs --cache-path, or the command 'tarn cache'");
    check_refused("tarn cache --cache-dir d --default-ttl 2d --max-ttl 1d", "",
                  "--default-ttl is more than --max-ttl");
    check_refused("tarn cache --cache-dir d --spa", "",
                  "--spa belongs to 'tarn serve', not to 'tarn cache'");
    check_refused("tarn pack --quota 1 x", "",
                  "--quota belongs to 'tarn serve', not to 'tarn pack'");
    check_runs("tarn cache", "TARN_CACHE_DIR=d TARN_UPSTREAM_ALLOW=127.0.0.0/8");
    check_refused("tarn cache --cache-dir d --upstream-allow 127.0.0.1/8", "",
                  "--upstream-allow: '127.0.0.1/8' has bits set behind its prefix; the network is "
                  "127.0.0.0/8");
    check_refused("tarn cache --cache-dir d --trusted-proxies me", "",
                  "--trusted-proxies: 'me' is no network; write 10.0.0.0/8, 192.0.2.7 or fd00::/8");
}

static void
test_aliases_with_a_fixed_value(void **state)
{
    check_runs("tarn --no-access-log x", "");
    assert_string_equal(options.access_log, "off");
    check_runs("tarn --disable-request-logging x", "");
    assert_string_equal(options.access_log, "off");
    check_runs("tarn pack --no-progress x", "");
    assert_int_equal(options.progress, OPTIONS_PROGRESS_OFF);
}

static void
test_long_command_lines_are_no_trouble(void **state)
{
    char *argv[2000], *envp[] = {NULL}, list[30000] = "--addr=:1";
    for (size_t i = 9; i + 4 < sizeof list; i += 3)
        memcpy(list + i, ",:2", 4);
    argv[0] = "tarn";
    argv[1] = list;
    for (size_t i = 2; i < 1998; i++)
        argv[i] = "--spa";
    argv[1998] = "x";
    argv[1999] = NULL;
    options_free(&options);
    assert_int_equal(options_parse(&options, 1999, argv, envp, &error), OPTIONS_RUN);
    assert_in_range(options.addr.count, 9000, 10000);
    assert_string_equal(options.addr.items[options.addr.count - 1], ":2");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_site_alone_serves_it_with_defaults),
        TEST(test_commands_are_the_first_word),
        TEST(test_values_are_written_in_several_ways),
        TEST(test_lists_repeat_and_split_at_commas),
        TEST(test_flag_beats_environment_beats_default),
        TEST(test_port_and_host_make_an_address),
        TEST(test_variables_of_others_are_left_alone),
        TEST(test_the_site_has_other_names),
        TEST(test_standard_input_is_the_site_when_it_holds_something),
        TEST(test_a_directory_named_content_is_the_site_when_nothing_else_is),
        TEST(test_tls_options_need_each_other),
        TEST(test_tls_decides_what_is_listened_on),
        TEST(test_wrong_values_say_what_is_wanted),
        TEST(test_missing_values_are_noticed),
        TEST(test_unknown_options_get_a_suggestion),
        TEST(test_near_commands_are_hinted_at_unless_they_exist),
        TEST(test_options_belong_to_commands),
        TEST(test_commands_for_those_who_write_scripts),
        TEST(test_options_of_scripts),
        TEST(test_what_the_cache_needs),
        TEST(test_aliases_with_a_fixed_value),
        TEST(test_long_command_lines_are_no_trouble),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
