/* Redirects: old addresses lead to new ones, and one of two host names is the real one.
 *
 *   curl -i localhost:8080/blog/first.html             308 to /articles/first.html
 *   curl -i -H 'Host: www.example.com' localhost:8080  308 to https://example.com/
 *
 * Redirects that depend on the path alone need no script: the file _redirects does them. A script
 * is for those that depend on more, as here on the host.
 */
#include <tarn.h>

/* A path that ends in '*' stands for all that begin so; what follows goes where TO has its '*'. */
static const struct {
    const char *from, *to;
    zs_u64 status;
} redirects[] = {
    {"/start", "/", 301},
    {"/blog/*", "/articles/*", 308},
    {"/status", "https://status.example.com/", 302},
};

enum { TEXT_MAX = 4096 };

/* A function has 4096 bytes of stack. Larger things are static: each run of the script has its own,
 * zeroed. */
static char path[TEXT_MAX], query[TEXT_MAX], url[2 * TEXT_MAX + 256];

/* The length of what `text` has in common with `pattern`, or -1: it does not match. */
static int
match(const char *text, const char *pattern)
{
    int i = 0;
    while (pattern[i] != '*' && pattern[i] && text[i] == pattern[i])
        i++;
    if (pattern[i] == '*' || (!pattern[i] && !text[i]))
        return i;
    return -1;
}

/* Redirects to `to`, with `rest` for its '*', and with the query of the request. */
static void
redirect(zs_u64 status, const char *to, const char *rest)
{
    char *end = url;
    while (*to && *to != '*')
        *end++ = *to++;
    if (*to == '*')
        end = zs_stpcpy(end, rest);
    zs_s64 query_len = zs_req_query(query, sizeof query);
    if (query_len > 0 && query_len < TEXT_MAX) {
        *end++ = '?';
        end = zs_stpcpy(end, query);
    }
    zs_redirect(status, url, end - url);
}

TARN_ENTRY zs_u64
request(void)
{
    char host[256];

    /* Text that did not fit is cut: its length is then that of the buffer. */
    if (zs_req_path(path, sizeof path) == sizeof path)
        return 0;

    zs_req_header(ZS_STR("Host"), host, sizeof host);
    if (zs_strcmp(host, "www.example.com") == 0) {
        redirect(308, "https://example.com*", path);
        return 0;
    }

    for (zs_u64 i = 0; i < sizeof redirects / sizeof redirects[0]; i++) {
        int len = match(path, redirects[i].from);
        if (len >= 0) {
            redirect(redirects[i].status, redirects[i].to, path + len);
            return 0;
        }
    }
    return 0; /* nothing was decided: the next script, or else the site, answers */
}
