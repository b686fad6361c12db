#include "tls/client_test_run.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* A client against OpenSSL's server, over a socket on the loopback. */

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

enum { PATIENCE_MS = 10000 };

/* --- the server --- */

struct peer {
    pid_t pid;
    int in, out; /* its standard input and output */
    uint16_t port;
};

static void
run_server(const struct fixture *fixture, const char *const *options, int in, int out)
{
    const char *argv[32] = {"openssl", "s_server",
                            "-accept", "127.0.0.1:0",
                            "-cert",   in_dir(fixture, "server.pem"),
                            "-key",    in_dir(fixture, "server.pem")};
    unsigned count = 8;
    while (*options)
        argv[count++] = *options++;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* should the test die */
    dup2(in, 0);
    dup2(out, 1);
    dup2(open("/dev/null", O_WRONLY), 2);
    execvp(argv[0], (char *const *)argv);
    _exit(127);
}

/* Reads what the server says until `mark` has come; the text behind it up to `len` bytes. */
static bool
wait_for(int fd, const char *mark, char *text, size_t len)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    size_t at = 0;
    text[0] = '\0';
    while (at + 1 < len && poll(&poll_fd, 1, PATIENCE_MS) == 1) {
        ssize_t got = read(fd, text + at, len - at - 1);
        if (got <= 0)
            return false;
        at += (size_t)got;
        text[at] = '\0';
        const char *found = strstr(text, mark);
        if (found && strchr(found, '\n'))
            return true;
    }
    return false;
}

/* False: there is no openssl here. */
static bool
peer_open(struct peer *peer, const struct fixture *fixture, const char *const *options)
{
    int in[2], out[2];
    char text[4096];
    assert_int_equal(pipe(in) + pipe(out), 0);
    peer->pid = fork();
    if (peer->pid == 0) {
        close(in[1]);
        close(out[0]);
        run_server(fixture, options, in[0], out[1]);
    }
    close(in[0]);
    close(out[1]);
    peer->in = in[1];
    peer->out = out[0];
    if (!wait_for(peer->out, "ACCEPT ", text, sizeof text)) {
        close(peer->in);
        close(peer->out);
        waitpid(peer->pid, NULL, 0);
        return false;
    }
    const char *colon = strrchr(strstr(text, "ACCEPT "), ':');
    peer->port = (uint16_t)atoi(colon + 1);
    return true;
}

static void
peer_close(struct peer *peer)
{
    kill(peer->pid, SIGTERM);
    waitpid(peer->pid, NULL, 0);
    close(peer->in);
    close(peer->out);
}

/* --- the client --- */

struct talk {
    struct end end;
    int fd;
    bool is_cut; /* the socket ended */
};

static void
talk_open(struct talk *talk, struct tls_client *client, const char *host, uint16_t port)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    end_init(&talk->end, tls_stream_new_client(client, str_from_cstr(host), port), ROOMY);
    talk->is_cut = false;
    talk->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(talk->fd, (const struct sockaddr *)&address, sizeof address), 0);
    end_run(&talk->end);
}

static void
talk_close(struct talk *talk)
{
    end_deinit(&talk->end);
    close(talk->fd);
}

static void
flush(struct talk *talk)
{
    struct tls_output *output = talk->end.output;
    if (output->len)
        assert_int_equal(send(talk->fd, output->data, output->len, MSG_NOSIGNAL), output->len);
    output->len = 0;
}

/* One turn: sends what there is, waits for bytes. False: nothing came. */
static bool
turn(struct talk *talk)
{
    char wire[5000];
    struct pollfd poll_fd = {.fd = talk->fd, .events = POLLIN};
    end_run(&talk->end);
    flush(talk);
    if (talk->end.handshake == TLS_FAILED || talk->is_cut || poll(&poll_fd, 1, PATIENCE_MS) != 1)
        return false;
    ssize_t len = recv(talk->fd, wire, sizeof wire, 0);
    talk->is_cut = len <= 0;
    if (len > 0) {
        tls_stream_feed(talk->end.stream, wire, (size_t)len);
        end_run(&talk->end);
        assert_true(tls_stream_hold_input(talk->end.stream));
        flush(talk);
    }
    return len > 0;
}

static void
shake_hands(struct talk *talk)
{
    while (talk->end.handshake != TLS_DONE && turn(talk))
        ;
    if (talk->end.handshake != TLS_DONE)
        fail_msg("%s", tls_stream_failure_text(talk->end.stream));
}

/* Until the server has ended: what it said. */
static struct str
ask(struct talk *talk, const char *request)
{
    shake_hands(talk);
    end_say(&talk->end, request);
    while (turn(talk) && talk->end.read == TLS_WANTS_INPUT)
        ;
    return buf_str(&talk->end.plain);
}

/* --- tests --- */

static void
openssl_is_understood_and_sessions_are_resumed(void **state)
{
    static const char *const versions[] = {"-tls1_3", "-tls1_2"};
    struct fixture *fixture = *state;
    serve_name(fixture, "DNS:a.test,IP:127.0.0.1");
    for (unsigned version = 0; version < 2; version++) {
        const char *const options[] = {"-www", versions[version], "-alpn", "http/1.1", NULL};
        struct peer peer;
        struct talk talk;
        if (!peer_open(&peer, fixture, options))
            skip();
        struct tls_client *client = client_with(fixture, "root.pem");
        for (unsigned i = 0; i < 4; i++) {
            talk_open(&talk, client, i < 3 ? "a.test" : "127.0.0.1", peer.port);
            struct str page = ask(&talk, "GET / HTTP/1.0\r\n\r\n");
            assert_true(str_starts_with(page, STR("HTTP/1.0 200 ok")));
            assert_true(str_find(page, version ? STR("TLSv1.2") : STR("TLSv1.3")) < page.len);
            assert_true(str_eq(tls_stream_alpn(talk.end.stream), STR("http/1.1")));
            assert_int_equal(tls_stream_resumed(talk.end.stream), i == 1 || i == 2);
            assert_int_equal(talk.end.read, TLS_ENDED);
            talk_close(&talk);
        }
        tls_client_unref(client);
        peer_close(&peer);
    }
}

static void
each_suite_works(void **state)
{
    static const struct {
        const char *option, *suite;
    } cases[] = {
        {"-ciphersuites", "TLS_AES_128_GCM_SHA256"},
        {"-ciphersuites", "TLS_AES_256_GCM_SHA384"},
        {"-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"},
        {"-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"},
        {"-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"},
        {"-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"},
    };
    struct fixture *fixture = *state;
    serve_name(fixture, "DNS:a.test");
    struct tls_client *client = client_with(fixture, "root.pem");
    for (unsigned i = 0; i < 6; i++) {
        const char *const options[] = {"-www", cases[i].option, cases[i].suite,
                                       i < 3 ? "-tls1_3" : "-tls1_2", NULL};
        struct peer peer;
        struct talk talk;
        if (!peer_open(&peer, fixture, options)) {
            tls_client_unref(client);
            skip();
        }
        talk_open(&talk, client, "a.test", peer.port);
        struct str page = ask(&talk, "GET / HTTP/1.0\r\n\r\n");
        assert_true(str_starts_with(page, STR("HTTP/1.0 200 ok")));
        talk_close(&talk);
        peer_close(&peer);
    }
    tls_client_unref(client);
}

static void
check_refused(struct fixture *fixture, const char *const *options, const char *host,
              enum tls_client_failure failure, const char *text)
{
    struct peer peer;
    struct talk talk;
    if (!peer_open(&peer, fixture, options))
        skip();
    struct tls_client *client = client_with(fixture, "root.pem");
    talk_open(&talk, client, host, peer.port);
    while (turn(&talk) && talk.end.handshake != TLS_FAILED)
        ;
    client_failed(talk.end.stream, failure, text);
    talk_close(&talk);
    tls_client_unref(client);
    peer_close(&peer);
}

static void
what_openssl_must_not_get_away_with(void **state)
{
    static const char *const plain[] = {"-www", NULL};
    static const char *const old[] = {"-www", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0", NULL};
    static const char *const cbc[] = {"-www", "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256",
                                      NULL};
    static const char *const alpn[] = {"-www", "-alpn", "h2", NULL};
    struct fixture *fixture = *state;
    serve_name(fixture, "DNS:a.test");
    check_refused(fixture, plain, "b.test", TLS_CLIENT_FAILURE_NAME,
                  "certificate is for a.test, not b.test");
    check_refused(fixture, old, "a.test", TLS_CLIENT_FAILURE_VERSION,
                  "handshake refused by peer: protocol version");
    check_refused(fixture, cbc, "a.test", TLS_CLIENT_FAILURE_PEER_ALERT,
                  "handshake refused by peer: handshake failure");
    check_refused(fixture, alpn, "a.test", TLS_CLIENT_FAILURE_PEER_ALERT,
                  "handshake refused by peer: no application protocol");
}

static void
renegotiation_is_refused(void **state)
{
    static const char *const options[] = {"-tls1_2", NULL};
    struct fixture *fixture = *state;
    struct peer peer;
    struct talk talk;
    serve_name(fixture, "DNS:a.test");
    if (!peer_open(&peer, fixture, options))
        skip();
    struct tls_client *client = client_with(fixture, "root.pem");
    talk_open(&talk, client, "a.test", peer.port);
    shake_hands(&talk);
    assert_int_equal(write(peer.in, "hello\n", 6), 6);
    while (talk.end.plain.len < 6 && turn(&talk))
        ;
    assert_true(str_eq(buf_str(&talk.end.plain), STR("hello\n")));
    assert_int_equal(write(peer.in, "r\n", 2), 2); /* a HelloRequest */
    while (turn(&talk) && talk.end.read == TLS_WANTS_INPUT)
        ;
    assert_int_equal(talk.end.read, TLS_FAILED);
    client_failed(talk.end.stream, TLS_CLIENT_FAILURE_MALFORMED, "no renegotiation");
    talk_close(&talk);
    tls_client_unref(client);
    peer_close(&peer);
}

static void
a_server_that_is_killed_has_not_ended(void **state)
{
    static const char *const options[] = {"-tls1_3", NULL};
    struct fixture *fixture = *state;
    struct peer peer;
    struct talk talk;
    serve_name(fixture, "DNS:a.test");
    if (!peer_open(&peer, fixture, options))
        skip();
    struct tls_client *client = client_with(fixture, "root.pem");
    talk_open(&talk, client, "a.test", peer.port);
    shake_hands(&talk);
    assert_int_equal(write(peer.in, "half of\n", 8), 8);
    while (talk.end.plain.len < 8 && turn(&talk))
        ;
    kill(peer.pid, SIGKILL);
    while (turn(&talk))
        ;
    assert_true(talk.is_cut);
    assert_int_equal(talk.end.read, TLS_WANTS_INPUT);
    assert_int_equal(tls_stream_client_failure(talk.end.stream), TLS_CLIENT_FAILURE_NONE);
    talk_close(&talk);
    tls_client_unref(client);
    peer_close(&peer);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(openssl_is_understood_and_sessions_are_resumed),
        TEST(each_suite_works),
        TEST(what_openssl_must_not_get_away_with),
        TEST(renegotiation_is_refused),
        TEST(a_server_that_is_killed_has_not_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
