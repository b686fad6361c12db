/* dns_test_server: a name server for tests: a thread on loopback, UDP and TCP on the same ephemeral
 * port, which answers from a table and counts what it was asked.
 *
 * Names that are not in the table do not exist (NXDOMAIN). The server writes a resolv.conf that
 * names it, for struct dns_config. Its thread aborts the test when a system call fails.
 */
#ifndef TARN_IO_DNS_TEST_SERVER_H
#define TARN_IO_DNS_TEST_SERVER_H

#include "io/resolver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum dns_manner {
    DNS_ANSWERS,
    DNS_HELD,        /* answers when the gate is open */
    DNS_SILENT,      /* never answers */
    DNS_SILENT_AAAA, /* never answers that */
    DNS_SERVFAIL,
    DNS_REFUSED,
    DNS_TRUNCATED, /* over UDP: says so; over TCP: answers */
    DNS_TCP_LOST,  /* the same, but closes the TCP connection without a word */
    DNS_GARBAGE,   /* records of nonsense */
    DNS_CUT,       /* ends within the record */
    DNS_FORGED,    /* before the answer: datagrams with another address, all of them wrong */
};

struct dns_host {
    const char *name;      /* in lower case; "*.example": those that end so */
    const char *addresses; /* numeric, a space between; NULL: none */
    uint32_t ttl_s;
    enum dns_manner manner;
    const char *alias; /* CNAME; what the table says of that name comes in the same answer */
};

enum { DNS_HOSTS_MAX = 64, DNS_HELD_MAX = 1024, DNS_PACKET_MAX = 4096, DNS_CONNS_MAX = 8 };

struct dns_held {
    struct sockaddr_in from;
    size_t len;
    unsigned char packet[128];
};

struct dns_server {
    const struct dns_host *hosts;
    unsigned host_count;
    uint16_t port;
    char conf[64]; /* a resolv.conf that names this server */
    struct dns_config config;
    /* the rest is its own */
    pthread_t thread;
    int udp, tcp, wake[2];
    int conns[DNS_CONNS_MAX]; /* -1: free */
    pthread_mutex_t lock;
    bool shut;
    unsigned asked[DNS_HOSTS_MAX], asked_others, asked_tcp, held_count;
    struct dns_held held[DNS_HELD_MAX];
};

static inline void
dns_server_need(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "the test's name server: %s: %s\n", what, strerror(errno));
    abort();
}

/* --- packets --- */

struct dns_packet {
    size_t len;
    unsigned char bytes[DNS_PACKET_MAX];
};

struct dns_asked {
    char name[256];
    unsigned type;
    size_t end; /* of the question */
};

enum { DNS_A = 1, DNS_CNAME = 5, DNS_AAAA = 28, DNS_HEAD_LEN = 12 };

static inline void
dns_put(struct dns_packet *out, const void *bytes, size_t len)
{
    dns_server_need(out->len + len <= sizeof out->bytes, "the answer is too long");
    memcpy(out->bytes + out->len, bytes, len);
    out->len += len;
}

static inline void
dns_put_number(struct dns_packet *out, uint32_t number, size_t len)
{
    uint32_t wire = htonl(number);
    dns_put(out, (const char *)&wire + 4 - len, len);
}

static inline void
dns_put_name(struct dns_packet *out, const char *name)
{
    while (*name) {
        size_t len = strcspn(name, ".");
        dns_put_number(out, (uint32_t)len, 1);
        dns_put(out, name, len);
        name += len + (name[len] == '.');
    }
    dns_put_number(out, 0, 1);
}

static inline void
dns_put_record(struct dns_packet *out, const char *name, unsigned type, uint32_t ttl_s,
               const struct dns_packet *data)
{
    dns_put_name(out, name);
    dns_put_number(out, type, 2);
    dns_put_number(out, 1, 2);
    dns_put_number(out, ttl_s, 4);
    dns_put_number(out, (uint32_t)data->len, 2);
    dns_put(out, data->bytes, data->len);
    out->bytes[7]++;
}

/* Head and question, no records. */
static inline void
dns_put_head(struct dns_packet *out, const unsigned char *query, size_t end, unsigned rcode)
{
    out->len = 0;
    dns_put(out, query, end);
    out->bytes[2] = 0x81; /* a response to a recursive query */
    out->bytes[3] = (unsigned char)(0x80 | rcode);
    memset(out->bytes + 6, 0, 6);
}

static inline bool
dns_read_question(const unsigned char *query, size_t len, struct dns_asked *out)
{
    size_t at = DNS_HEAD_LEN, name_len = 0;
    while (at < len && query[at]) {
        size_t label_len = query[at++];
        if (label_len > 63 || at + label_len >= len || name_len + label_len + 2 > sizeof out->name)
            return false;
        for (size_t i = 0; i < label_len; i++)
            out->name[name_len++] = str_lower_char((char)query[at++]);
        out->name[name_len++] = '.';
    }
    if (at + 5 > len || name_len == 0)
        return false;
    out->name[name_len - 1] = 0;
    out->type = (unsigned)(query[at + 1] << 8 | query[at + 2]);
    out->end = at + 5;
    return true;
}

/* --- the table --- */

static inline int
dns_find_host(const struct dns_server *server, const char *name)
{
    for (unsigned i = 0; i < server->host_count; i++) {
        struct str known = str_from_cstr(server->hosts[i].name), asked = str_from_cstr(name);
        bool below = str_starts_with(known, STR("*"));
        if (below ? str_ends_with(asked, str_skip(known, 1)) : str_eq(asked, known))
            return (int)i;
    }
    return -1;
}

static inline void
dns_put_addresses(struct dns_packet *out, const char *name, const struct dns_host *host,
                  unsigned type)
{
    struct str addresses = str_from_cstr(host->addresses);
    while (addresses.len) {
        struct str address = str_cut(&addresses, ' ');
        struct dns_packet data = {0};
        char text[INET6_ADDRSTRLEN];
        unsigned char bytes[16];
        bool is_inet6 = memchr(address.ptr, ':', address.len) != NULL;
        snprintf(text, sizeof text, "%.*s", STR_ARG(address));
        dns_server_need(inet_pton(is_inet6 ? AF_INET6 : AF_INET, text, bytes) == 1, text);
        dns_put(&data, bytes, is_inet6 ? 16 : 4);
        if (type == (is_inet6 ? DNS_AAAA : DNS_A))
            dns_put_record(out, name, type, host->ttl_s, &data);
    }
}

static inline void
dns_put_records(const struct dns_server *server, struct dns_packet *out, const char *name,
                unsigned type)
{
    int at = dns_find_host(server, name);
    while (at >= 0 && server->hosts[at].alias) {
        const struct dns_host *host = &server->hosts[at];
        struct dns_packet data = {0};
        dns_put_name(&data, host->alias);
        dns_put_record(out, name, DNS_CNAME, host->ttl_s, &data);
        name = host->alias;
        at = dns_find_host(server, name);
    }
    if (at >= 0)
        dns_put_addresses(out, name, &server->hosts[at], type);
}

/* --- answering --- */

static inline void
dns_send(const struct dns_server *server, const struct sockaddr_in *to,
         const struct dns_packet *packet)
{
    ssize_t sent =
        sendto(server->udp, packet->bytes, packet->len, 0, (const struct sockaddr *)to, sizeof *to);
    dns_server_need(sent >= 0 || errno == ECONNREFUSED, "sendto"); /* the asker has gone */
}

/* Nothing at all, half a head, another id, another question. */
static inline void
dns_send_forged(const struct dns_server *server, const struct sockaddr_in *to,
                const unsigned char *query, const struct dns_asked *asked)
{
    struct dns_packet packet, data = {.len = asked->type == DNS_A ? 4 : 16, .bytes = {6, 6, 6, 6}};
    dns_put_head(&packet, query, asked->end, 0);
    dns_put_record(&packet, asked->name, asked->type, 600, &data);
    size_t len = packet.len;
    packet.len = 0;
    dns_send(server, to, &packet);
    packet.len = 5;
    dns_send(server, to, &packet);
    packet.len = len;
    packet.bytes[0] ^= 1;
    dns_send(server, to, &packet);
    packet.bytes[0] ^= 1;
    packet.bytes[DNS_HEAD_LEN + 1] ^= 1;
    dns_send(server, to, &packet);
}

static inline void
dns_put_garbage(struct dns_packet *packet)
{
    unsigned char garbage[64];
    memset(garbage, 0xff, sizeof garbage);
    dns_put(packet, garbage, sizeof garbage);
    packet->bytes[7] = 3;
}

static inline void
dns_answer_udp(const struct dns_server *server, const struct sockaddr_in *to,
               const unsigned char *query, const struct dns_asked *asked, int at)
{
    struct dns_packet packet;
    enum dns_manner manner = at >= 0 ? server->hosts[at].manner : DNS_ANSWERS;
    unsigned rcode = at < 0 ? 3 : manner == DNS_SERVFAIL ? 2 : manner == DNS_REFUSED ? 5 : 0;
    if (manner == DNS_SILENT || (manner == DNS_SILENT_AAAA && asked->type == DNS_AAAA))
        return;
    if (manner == DNS_FORGED)
        dns_send_forged(server, to, query, asked);
    dns_put_head(&packet, query, asked->end, rcode);
    if (manner == DNS_TRUNCATED || manner == DNS_TCP_LOST)
        packet.bytes[2] |= 2;
    else if (manner == DNS_GARBAGE)
        dns_put_garbage(&packet);
    else if (rcode == 0)
        dns_put_records(server, &packet, asked->name, asked->type);
    if (manner == DNS_CUT)
        packet.len -= 2;
    dns_send(server, to, &packet);
}

static inline int
dns_count(struct dns_server *server, const char *name)
{
    int at = dns_find_host(server, name);
    (*(at >= 0 ? &server->asked[at] : &server->asked_others))++;
    return at;
}

static inline void
dns_serve_udp(struct dns_server *server)
{
    struct dns_held query = {0};
    struct dns_asked asked;
    socklen_t from_len = sizeof query.from;
    ssize_t len = recvfrom(server->udp, query.packet, sizeof query.packet, 0,
                           (struct sockaddr *)&query.from, &from_len);
    if (len < 0 || !dns_read_question(query.packet, (size_t)len, &asked))
        return;
    query.len = (size_t)len;
    pthread_mutex_lock(&server->lock);
    int at = dns_count(server, asked.name);
    bool hold = at >= 0 && server->hosts[at].manner == DNS_HELD && server->shut;
    dns_server_need(!hold || server->held_count < DNS_HELD_MAX, "too many are held");
    if (hold)
        server->held[server->held_count++] = query;
    pthread_mutex_unlock(&server->lock);
    if (!hold)
        dns_answer_udp(server, &query.from, query.packet, &asked, at);
}

static inline void
dns_answer_held(struct dns_server *server)
{
    struct dns_asked asked;
    pthread_mutex_lock(&server->lock);
    for (unsigned i = 0; i < server->held_count && !server->shut; i++) {
        const struct dns_held *held = &server->held[i];
        dns_read_question(held->packet, held->len, &asked);
        dns_answer_udp(server, &held->from, held->packet, &asked,
                       dns_find_host(server, asked.name));
        usleep(50); /* no more at once than the asker's socket takes */
    }
    if (!server->shut)
        server->held_count = 0;
    pthread_mutex_unlock(&server->lock);
}

/* False: the connection is to be closed. */
static inline bool
dns_answer_tcp(struct dns_server *server, int conn, const unsigned char *query, size_t len)
{
    struct dns_asked asked;
    struct dns_packet packet, framed = {0};
    if (len < DNS_HEAD_LEN || !dns_read_question(query, len, &asked))
        return false;
    pthread_mutex_lock(&server->lock);
    server->asked_tcp++;
    pthread_mutex_unlock(&server->lock);
    int at = dns_find_host(server, asked.name);
    if (at < 0 || server->hosts[at].manner != DNS_TRUNCATED)
        return false;
    dns_put_head(&packet, query, asked.end, 0);
    dns_put_records(server, &packet, asked.name, asked.type);
    dns_put_number(&framed, (uint32_t)packet.len, 2);
    dns_put(&framed, packet.bytes, packet.len);
    return send(conn, framed.bytes, framed.len, MSG_NOSIGNAL) == (ssize_t)framed.len;
}

/* Whole questions, each behind its length. */
static inline void
dns_serve_tcp(struct dns_server *server, int *conn)
{
    unsigned char bytes[1024];
    ssize_t got = recv(*conn, bytes, sizeof bytes, 0);
    size_t at = 0, len = got > 0 ? (size_t)got : 0;
    bool open = len > 0;
    while (open && at < len) {
        size_t query_len = at + 2 <= len ? (size_t)(bytes[at] << 8 | bytes[at + 1]) : len;
        open =
            at + 2 + query_len <= len && dns_answer_tcp(server, *conn, bytes + at + 2, query_len);
        at += 2 + query_len;
    }
    if (open)
        return;
    close(*conn);
    *conn = -1;
}

static inline void
dns_accept(struct dns_server *server)
{
    int conn = accept4(server->tcp, NULL, NULL, SOCK_CLOEXEC);
    for (unsigned i = 0; i < DNS_CONNS_MAX && conn >= 0; i++) {
        if (server->conns[i] >= 0)
            continue;
        server->conns[i] = conn;
        return;
    }
    dns_server_need(conn < 0, "too many connections");
}

/* --- the thread --- */

static inline void *
dns_server_run(void *arg)
{
    struct dns_server *server = arg;
    char woken = 0;
    while (woken != 'q') {
        struct pollfd polled[3 + DNS_CONNS_MAX] = {
            {server->udp, POLLIN, 0}, {server->tcp, POLLIN, 0}, {server->wake[0], POLLIN, 0}};
        for (unsigned i = 0; i < DNS_CONNS_MAX; i++)
            polled[3 + i] = (struct pollfd){server->conns[i], POLLIN, 0};
        dns_server_need(poll(polled, 3 + DNS_CONNS_MAX, -1) > 0, "poll");
        if (polled[0].revents)
            dns_serve_udp(server);
        for (unsigned i = 0; i < DNS_CONNS_MAX; i++)
            if (polled[3 + i].revents)
                dns_serve_tcp(server, &server->conns[i]);
        if (polled[1].revents)
            dns_accept(server);
        if (polled[2].revents)
            dns_server_need(read(server->wake[0], &woken, 1) == 1, "read");
        dns_answer_held(server);
    }
    return NULL;
}

/* --- the interface --- */

/* UDP and TCP on one port: when somebody has the other half, tries again. */
static inline void
dns_server_bind(struct dns_server *server)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof addr;
    for (unsigned tries = 0; tries < 100; tries++) {
        addr.sin_port = 0;
        server->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        server->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        dns_server_need(server->udp >= 0 && server->tcp >= 0, "socket");
        dns_server_need(bind(server->udp, (struct sockaddr *)&addr, len) == 0, "bind");
        getsockname(server->udp, (struct sockaddr *)&addr, &len);
        server->port = ntohs(addr.sin_port);
        if (bind(server->tcp, (struct sockaddr *)&addr, len) == 0 && listen(server->tcp, 8) == 0)
            return;
        close(server->udp);
        close(server->tcp);
    }
    dns_server_need(false, "no port is free");
}

/* What resolv.conf says from now on. */
static inline void
dns_server_write_conf(struct dns_server *server, const char *text)
{
    FILE *file = fopen(server->conf, "w");
    dns_server_need(file && fputs(text, file) >= 0 && fclose(file) == 0, server->conf);
}

static inline void
dns_server_start(struct dns_server *server, const struct dns_host *hosts, unsigned host_count)
{
    *server = (struct dns_server){.hosts = hosts, .host_count = host_count};
    dns_server_need(host_count <= DNS_HOSTS_MAX, "the table is too long");
    pthread_mutex_init(&server->lock, NULL);
    dns_server_bind(server);
    for (unsigned i = 0; i < DNS_CONNS_MAX; i++)
        server->conns[i] = -1;
    strcpy(server->conf, "/tmp/tarn-resolv-XXXXXX");
    int conf = mkstemp(server->conf);
    dns_server_need(conf >= 0 && close(conf) == 0, server->conf);
    dns_server_write_conf(server, "nameserver 127.0.0.1\nsearch test\n");
    server->config.resolv_conf = server->conf;
    server->config.port = server->port;
    dns_server_need(pipe(server->wake) == 0, "pipe");
    int code = pthread_create(&server->thread, NULL, dns_server_run, server);
    dns_server_need(code == 0, "pthread_create");
}

static inline void
dns_server_stop(struct dns_server *server)
{
    dns_server_need(write(server->wake[1], "q", 1) == 1, "write");
    pthread_join(server->thread, NULL);
    for (unsigned i = 0; i < DNS_CONNS_MAX; i++)
        if (server->conns[i] >= 0)
            close(server->conns[i]);
    close(server->udp);
    close(server->tcp);
    close(server->wake[0]);
    close(server->wake[1]);
    unlink(server->conf);
    pthread_mutex_destroy(&server->lock);
}

static inline void
dns_server_set_gate(struct dns_server *server, bool shut)
{
    pthread_mutex_lock(&server->lock);
    server->shut = shut;
    pthread_mutex_unlock(&server->lock);
    dns_server_need(write(server->wake[1], "g", 1) == 1, "write");
}

/* Questions so far, A and AAAA each, for one entry of the table; NULL: for all other names. */
static inline unsigned
dns_server_asked(struct dns_server *server, const char *name)
{
    int at = name ? dns_find_host(server, name) : -1;
    pthread_mutex_lock(&server->lock);
    unsigned asked = at >= 0 ? server->asked[at] : server->asked_others;
    pthread_mutex_unlock(&server->lock);
    return asked;
}

static inline unsigned
dns_server_asked_tcp(struct dns_server *server)
{
    pthread_mutex_lock(&server->lock);
    unsigned asked = server->asked_tcp;
    pthread_mutex_unlock(&server->lock);
    return asked;
}

/* Until so many questions are held. */
static inline void
dns_server_wait_held(struct dns_server *server, unsigned count)
{
    for (unsigned held = 0, tries = 0; held < count && tries < 10000; tries++) {
        pthread_mutex_lock(&server->lock);
        held = server->held_count;
        pthread_mutex_unlock(&server->lock);
        usleep(1000);
    }
}

#endif
