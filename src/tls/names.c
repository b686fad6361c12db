#include "tls/names.h"

#include <arpa/inet.h>
#include <stdlib.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

/* --- keys --- */

static void
set_address(struct tls_name *out, int family, const void *bytes)
{
    out->is_address = true;
    inet_ntop(family, bytes, out->text, sizeof out->text);
    out->key = str_from_cstr(out->text);
}

/* True: the text in out is an address, and the key is set. */
static bool
is_address(struct tls_name *out, struct str text)
{
    char copy[INET6_ADDRSTRLEN];
    uint8_t bytes[16];
    if (text.len > 2 && text.ptr[0] == '[' && text.ptr[text.len - 1] == ']')
        text = str_make(text.ptr + 1, text.len - 2);
    if (text.len >= sizeof copy || memchr(text.ptr, '\0', text.len))
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    int family = str_find_char(text, ':') < text.len ? AF_INET6 : AF_INET;
    if (inet_pton(family, copy, bytes) != 1)
        return false;
    set_address(out, family, bytes);
    return true;
}

/* A dot at the end only says that nothing follows. */
static struct str
without_end_dot(struct str s)
{
    return s.len && s.ptr[s.len - 1] == '.' ? str_first(s, s.len - 1) : s;
}

/* Lower case; empty when it cannot be a DNS name. */
static void
set_dns(struct tls_name *out, struct str dns)
{
    if (dns.len > TLS_NAME_MAX || dns.ptr[0] == '.')
        return;
    for (size_t i = 0; i < dns.len; i++) {
        if (dns.ptr[i] <= ' ' || dns.ptr[i] > '~')
            return;
        out->text[i] = str_lower_char(dns.ptr[i]);
    }
    out->key = str_make(out->text, dns.len);
}

void
tls_name_of_host(struct tls_name *out, struct str host)
{
    out->key = str_make(out->text, 0);
    out->is_address = false;
    host = without_end_dot(host);
    if (host.len == 0 || is_address(out, host) || str_find_char(host, '*') < host.len)
        return;
    set_dns(out, host);
}

void
tls_name_of_dns(struct tls_name *out, struct str dns)
{
    struct str rest = str_starts_with(dns, STR("*.")) ? str_skip(dns, 2) : dns;
    tls_name_of_host(out, rest);
    if (out->is_address)
        out->key.len = 0;
    out->is_address = false;
    if (out->key.len && rest.len < dns.len)
        set_dns(out, without_end_dot(dns));
}

void
tls_name_of_address(struct tls_name *out, const void *bytes, size_t len)
{
    out->key = str_make(out->text, 0);
    if (len == 4 || len == 16)
        set_address(out, len == 4 ? AF_INET : AF_INET6, bytes);
}

/* The part from the first dot on; empty: there is no label before it, or no dot. */
static struct str
parent_of(const struct tls_name *host)
{
    size_t dot = str_find_char(host->key, '.');
    return host->is_address || dot == 0 ? str_make(NULL, 0) : str_skip(host->key, dot);
}

bool
tls_name_matches(struct str key, const struct tls_name *host)
{
    if (host->key.len == 0)
        return false;
    if (str_eq(key, host->key))
        return true;
    struct str parent = parent_of(host);
    return parent.len > 0 && key.len && key.ptr[0] == '*' && str_eq(str_skip(key, 1), parent);
}

bool
tls_cert_covers(const struct tls_cert *cert, struct str text)
{
    struct tls_name host;
    tls_name_of_host(&host, text);
    for (size_t i = 0; i < cert->name_count; i++) {
        if (tls_name_matches(cert->names[i], &host))
            return true;
    }
    return false;
}

/* --- the index --- */

/* One name of one certificate; those with the same name are chained in the order of loading. */
struct link {
    struct str name;
    const struct tls_cert *cert;
    struct link *next, *last; /* last: of the first link of a chain */
};

struct tls_names {
    size_t mask;
    struct link **slots; /* open addressing, at most half full */
    struct link links[];
};

/* The slot of a name, spelled in two parts: that of a wildcard is nowhere in one piece. */
static struct link **
find_slot(const struct tls_names *names, struct str head, struct str tail)
{
    XXH64_hash_t seed = XXH3_64bits(tail.ptr, tail.len);
    size_t at = XXH3_64bits_withSeed(head.ptr, head.len, seed) & names->mask;
    for (;; at = (at + 1) & names->mask) {
        const struct link *link = names->slots[at];
        if (!link || (link->name.len == head.len + tail.len && str_starts_with(link->name, head) &&
                      str_eq(str_skip(link->name, head.len), tail)))
            return &names->slots[at];
    }
}

static struct link **
find_key(const struct tls_names *names, struct str key)
{
    bool wild = key.len && key.ptr[0] == '*';
    return wild ? find_slot(names, STR("*"), str_skip(key, 1))
                : find_slot(names, key, str_make("", 0));
}

static void
add(struct tls_names *names, struct link *link, const struct tls_cert *cert, struct str name)
{
    struct link **slot = find_key(names, name);
    *link = (struct link){.name = name, .cert = cert, .last = link};
    if (*slot) {
        (*slot)->last->next = link;
        (*slot)->last = link;
    } else {
        *slot = link;
    }
}

struct tls_names *
tls_names_new(const struct tls_certs *certs)
{
    size_t count = 0, slot_count = 16;
    for (size_t i = 0; i < certs->count; i++)
        count += certs->list[i].name_count;
    while (slot_count < 2 * count)
        slot_count *= 2;
    struct tls_names *names = calloc(1, sizeof *names + count * sizeof names->links[0]);
    if (!names)
        return NULL;
    names->slots = calloc(slot_count, sizeof(struct link *));
    if (!names->slots) {
        free(names);
        return NULL;
    }
    names->mask = slot_count - 1;
    struct link *link = names->links;
    for (size_t i = 0; i < certs->count; i++) {
        const struct tls_cert *cert = &certs->list[i];
        for (size_t k = 0; k < cert->name_count; k++)
            add(names, link++, cert, cert->names[k]);
    }
    return names;
}

void
tls_names_free(struct tls_names *names)
{
    if (!names)
        return;
    free(names->slots);
    free(names);
}

static const struct tls_cert *
best_of(const struct link *chain, int64_t now_s)
{
    for (const struct link *link = chain; link; link = link->next) {
        if (link->cert->not_before_s <= now_s && now_s <= link->cert->not_after_s)
            return link->cert;
    }
    return chain ? chain->cert : NULL;
}

const struct tls_cert *
tls_names_find(const struct tls_names *names, const struct tls_name *host, int64_t now_s)
{
    if (host->key.len == 0)
        return NULL;
    const struct tls_cert *cert = best_of(*find_slot(names, host->key, str_make("", 0)), now_s);
    struct str parent = parent_of(host);
    if (!cert && parent.len)
        cert = best_of(*find_slot(names, STR("*"), parent), now_s);
    return cert;
}
