/*
 * ech_retry: what a client whose ECH keys are out of date learns from the server.
 *
 *     ech_retry PORT SERVER_NAME ECH_CONFIG_LIST_FILE
 *
 * Connects to 127.0.0.1. Prints "accepted" when the server could decrypt, else the retry configs
 * (an ECHConfigList) in hex, which may be none. Certificates are not verified.
 */
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { CONFIGS_MAX = 65536 };

static void
die(const char *what)
{
    fprintf(stderr, "ech_retry: %s\n", what);
    exit(1);
}

static SSL *
client_of(const char *name, const char *file)
{
    static uint8_t configs[CONFIGS_MAX];
    FILE *in = fopen(file, "rb");
    if (!in)
        die("cannot open the configs");
    size_t len = fread(configs, 1, sizeof configs, in);
    fclose(in);
    SSL_CTX *context = SSL_CTX_new(TLS_method());
    SSL *ssl = context ? SSL_new(context) : NULL;
    if (!ssl || !SSL_set_tlsext_host_name(ssl, name) ||
        !SSL_set1_ech_config_list(ssl, configs, len))
        die("cannot make a client");
    SSL_CTX_free(context);
    return ssl;
}

int
main(int argc, char **argv)
{
    if (argc != 4)
        die("usage: ech_retry PORT SERVER_NAME ECH_CONFIG_LIST_FILE");
    struct sockaddr_in server = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)atoi(argv[1])),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&server, sizeof server) < 0)
        die("cannot connect");
    SSL *ssl = client_of(argv[2], argv[3]);
    SSL_set_fd(ssl, fd);
    int result = SSL_connect(ssl);
    if (result == 1) {
        puts(SSL_ech_accepted(ssl) ? "accepted" : "not offered");
    } else {
        const uint8_t *retry = NULL;
        size_t retry_len = 0;
        if (ERR_GET_REASON(ERR_peek_error()) != SSL_R_ECH_REJECTED)
            die("the handshake failed for another reason");
        SSL_get0_ech_retry_configs(ssl, &retry, &retry_len);
        for (size_t i = 0; i < retry_len; i++)
            printf("%02x", retry[i]);
        printf("\n");
    }
    SSL_free(ssl);
    return 0;
}
