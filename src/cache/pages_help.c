#include "cache/pages_internal.h"

#include "base/limits.h"

#include <arpa/inet.h>
#include <netinet/in.h>

/* The help page. Its examples name this cache as the client does, so that they can be copied. */

/* --- parts --- */

/* '@' stands for the URL of the cache. */
static void
append_example(struct page *page, struct str base, const char *text)
{
    struct str rest = str_from_cstr(text);
    struct buf code;
    buf_init(&code, 16 << 10);
    while (rest.len) {
        size_t at = str_find_char(rest, '@');
        buf_append(&code, str_first(rest, at));
        if (at < rest.len)
            buf_append(&code, base);
        rest = str_skip(rest, at + 1);
    }
    page_append_code(page, buf_str(&code));
    buf_deinit(&code);
}

static void
append_html(struct page *page, const char *html)
{
    buf_append(&page->out, str_from_cstr(html));
}

struct row {
    const char *term, *text; /* HTML */
};

static void
append_rows(struct page *page, const char *heads, const struct row *rows, unsigned count)
{
    struct buf *out = &page->out;
    buf_printf(out, "<div class=\"card\"><table class=\"terms\">\n<thead><tr>%s</thead>\n<tbody>\n",
               heads);
    for (unsigned i = 0; i < count; i++)
        buf_printf(out, "<tr><th scope=\"row\">%s<td>%s\n", rows[i].term, rows[i].text);
    buf_append(out, STR("</tbody></table></div>\n"));
}

#define append_table(page, first, second, rows)                                     \
    append_rows(page, "<th scope=\"col\">" first "<th scope=\"col\">" second, rows, \
                sizeof(rows) / sizeof *(rows))

/* --- access --- */

static void
append_address(struct page *page)
{
    struct sockaddr_storage address;
    char text[INET6_ADDRSTRLEN] = "";
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address;
    const void *bytes = &v6->sin6_addr;
    if (!access_client(page->worker->cache, page->req, &address)) {
        buf_append(&page->out, STR("unknown"));
        return;
    }
    bool is_v4 = address.ss_family == AF_INET;
    if (is_v4) {
        bytes = &v4->sin_addr;
    } else if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
        bytes = &v6->sin6_addr.s6_addr[12];
        is_v4 = true;
    }
    if (inet_ntop(is_v4 ? AF_INET : AF_INET6, bytes, text, sizeof text))
        html_append_text(&page->out, str_from_cstr(text));
}

static void
append_access(struct page *page)
{
    struct cache *cache = page->worker->cache;
    bool is_allowed = access_is_allowed(cache, page->req);
    append_html(page, "<h2 id=\"access\">May I use it?</h2>\n<p class=\"alert ");
    append_html(page, is_allowed ? "good\"><b>Yes.</b> Your address <b>"
                                 : "bad\"><b>No.</b> Your address <b>");
    append_address(page);
    append_html(page, is_allowed ? "</b> may fetch from this cache.</p>\n"
                                 : "</b> may not fetch from this cache: its operator decides with "
                                   "<code>--allow-networks</code> who may.</p>\n");
}

/* --- examples --- */

#define IMAGE "https://storage.example.com/builds/1234/Image.gz"

static void
append_shell_examples(struct page *page, struct str base)
{
    append_html(page, "<h2 id=\"shell\">In a shell</h2>\n<p>Put the cache in front of the URL. That"
                      " is all.</p>\n");
    append_example(page, base, "curl -fLo Image.gz '@/api/v1/fetch?url=" IMAGE "'");
    append_html(page, "<p>A URL with a query of its own, or with <code>%</code>, <code>+</code> or "
                      "<code>#</code>, has to be encoded. curl does that:</p>\n");
    append_example(page, base,
                   "curl -fGLo Image.gz '@/api/v1/fetch' \\\n"
                   "    --data-urlencode 'url=" IMAGE "?token=a+b&part=2'");
    append_html(page, "<p>Go on with a transfer that broke off:</p>\n");
    append_example(page, base, "curl -fL -C - -o Image.gz '@/api/v1/fetch?url=" IMAGE "'");
    append_example(page, base, "wget -c -O Image.gz '@/api/v1/fetch?url=" IMAGE "'");
    append_html(page, "<p>Ask for a copy of today, and only for the right one:</p>\n");
    append_example(page, base,
                   "curl -fLo Image.gz '@/api/v1/fetch?url=" IMAGE
                   "&ttl=12h&sha256=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85"
                   "5'");
}

static void
append_farm_examples(struct page *page, struct str base)
{
    append_html(page, "<h2 id=\"lava\">LAVA</h2>\n<p>For all jobs of a dispatcher, in "
                      "<code>/etc/lava-server/dispatcher.d/NAME/dispatcher.yaml</code>:</p>\n");
    append_example(page, base, "http_url_format_string: \"@/api/v1/fetch?url=%s\"");
    append_html(page, "<p>For one file of a job:</p>\n");
    append_example(page, base,
                   "actions:\n"
                   "- deploy:\n"
                   "    to: tftp\n"
                   "    kernel:\n"
                   "      url: @/api/v1/fetch?url=" IMAGE "\n"
                   "      type: image");
    append_html(page, "<h2 id=\"ci\">GitLab CI and others</h2>\n");
    append_example(page, base,
                   "test:\n"
                   "  variables:\n"
                   "    CACHE: '@/api/v1/fetch?url='\n"
                   "  script:\n"
                   "  - curl -fLo Image.gz --retry 3 \"${CACHE}" IMAGE "\"");
    append_html(page, "<p>A tool that takes the file's name from the path of the URL finds it"
                      " there when you write it there:</p>\n");
    append_example(page, base, "curl -fLO '@/api/v1/fetch/Image.gz?url=" IMAGE "'");
}

/* --- reference --- */

static void
append_routes(struct page *page)
{
    static const struct row rows[] = {
        {"<code>GET /api/v1/fetch?url=URL</code>", "the file; also with <code>/fetch/</code>"},
        {"<code>GET /api/v1/fetch/NAME?url=URL</code>", "the same, offered for saving as NAME"},
        {"<code>GET /api/v1/status/</code>", "the figures of the cache, as JSON"},
        {"<code>GET /api/v1/health/</code>", "200 <code>ok</code>; 503 while it shuts down"},
        {"<code>DELETE /api/v1/fetch?url=URL</code>",
         "forgets a file, with <code>Authorization: Bearer TOKEN</code>; who is reading it reads "
         "on"},
        {"<code>GET /resources/TAB/?format=json</code>", "the lists of these pages, as JSON"},
    };
    append_html(page, "<h2 id=\"api\">Routes</h2>\n");
    append_table(page, "Request", "Answer", rows);
}

static void
append_parameters(struct page *page)
{
    static const char url[] = "what to fetch: http or https, with a host, at most 8 KiB, without "
                              "user and password; percent-encoded where it has to be",
                      name[] = "in the path: how a browser or <code>wget "
                               "--content-disposition</code> saves it",
                      sha[] = "64 hexadecimal digits: any other content is answered with 502, and "
                              "nothing of it is sent";
    const struct cache_config *config = page_config(page);
    struct buf ttl;
    buf_init(&ttl, 1024);
    buf_append(&ttl, STR("how old it may be: a number and <code>s</code>, <code>m</code>, "
                         "<code>h</code> or <code>d</code>; "));
    html_append_duration(&ttl, config->default_ttl_s);
    buf_append(&ttl, STR(" if you say nothing, "));
    html_append_duration(&ttl, config->max_ttl_s);
    buf_append(&ttl, STR(" at most; what is older is compared with upstream first"));
    buf_append_char(&ttl, '\0');
    const struct row rows[] = {
        {"<code>url</code>", url},
        {"<code>ttl</code>", buf_overflowed(&ttl) ? "" : ttl.ptr},
        {"<code>sha256</code>", sha},
        {"NAME", name},
    };
    append_html(page, "<h2 id=\"parameters\">Parameters</h2>\n");
    append_table(page, "Name", "Meaning", rows);
    buf_deinit(&ttl);
}

static void
append_statuses(struct page *page)
{
    static const struct row rows[] = {
        {"200, 206, 304", "the file, the part that <code>Range</code> asked for, nothing new"},
        {"400", "<code>url</code> is missing or none, or another parameter is not right"},
        {"401", "a purge without the right token"},
        {"403", "your address may not use this cache, or the URL leads to an address that it may "
                "not connect to, or purging is off"},
        {"404, 410 and others", "upstream's own answer, passed on and remembered for a short time"},
        {"412, 416", "<code>If-Match</code> and the like, or <code>Range</code>, do not fit"},
        {"414", "the URL is too long"},
        {"502", "upstream cannot be reached, breaks off, or sends something else than it said"},
        {"503", "too much at once, or shutting down: try again"},
        {"504", "upstream takes too long"},
        {"507", "the disk is full of what is in use"},
    };
    static const struct row sources[] = {
        {"<code>hit</code>", "it was on the disk"},
        {"<code>miss</code>", "you were the first: it is on its way from upstream"},
        {"<code>stream</code>", "somebody was before you: it is on its way to both"},
        {"<code>revalidated</code>", "upstream confirmed the copy on the disk"},
        {"<code>stale</code>", "upstream failed; this is the older copy on the disk"},
    };
    append_html(page, "<h2 id=\"statuses\">Statuses</h2>\n");
    append_table(page, "Status", "Meaning", rows);
    append_html(page, "<p>A transfer that fails underway breaks: what ends well is whole.</p>\n"
                      "<h2 id=\"source\">X-Cache says where it came from</h2>\n");
    append_table(page, "Value", "Meaning", sources);
}

static void
append_purge(struct page *page, struct str base)
{
    append_html(page, "<h2 id=\"purge\">Purging</h2>\n");
    if (!page_config(page)->purge_token) {
        append_html(page, "<p>Purging is off here: the operator has given no "
                          "<code>--purge-token</code>.</p>\n");
        return;
    }
    append_html(page, "<p>With the token that the operator has given out:</p>\n");
    append_example(page, base,
                   "curl -f -X DELETE -H 'Authorization: Bearer TOKEN' \\\n"
                   "    '@/api/v1/fetch?url=" IMAGE "'");
}

void
help_answer(struct req *req, struct cache_worker *worker)
{
    struct page *page = page_new(req, worker, sizeof *page, STR("../"));
    if (!page)
        return;
    struct str base = page_base_url(page);
    page_begin(page, PAGES_HELP, "Help", 0);
    append_html(page, "<article class=\"help\">\n<h1>Help</h1>\n<nav class=\"chips\" "
                      "aria-label=\"On this page\"><a href=\"#access\">Access</a>"
                      "<a href=\"#shell\">Shell</a><a href=\"#lava\">LAVA</a>"
                      "<a href=\"#ci\">CI</a><a href=\"#api\">Routes</a>"
                      "<a href=\"#parameters\">Parameters</a><a href=\"#statuses\">Statuses</a>"
                      "<a href=\"#purge\">Purging</a></nav>\n");
    append_access(page);
    append_shell_examples(page, base);
    append_farm_examples(page, base);
    append_routes(page);
    append_parameters(page);
    append_statuses(page);
    append_purge(page, base);
    append_html(page, "</article>\n");
    page_end(page);
    page_respond(page, 200);
}
