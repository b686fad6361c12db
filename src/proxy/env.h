/* env: which proxy the environment names for an origin: http_proxy, https_proxy, all_proxy,
 * no_proxy, in lower and (but for HTTP_PROXY, which a CGI peer could set) upper case, as curl reads
 * them. Read once at start; immutable after that, so any thread may ask.
 *
 * A proxy is "[http://][user[:password]@]host[:port]"; without a port it is 1080, as for curl.
 * Proxies that speak TLS or SOCKS are refused. What no_proxy lists, between commas or blanks, is
 * reached directly: "*" is everything; a name is itself and what lies below it, a dot before it
 * changes nothing; an address or network ("192.0.2.0/24", "fd00::/8") is for hosts that are written
 * as addresses. Ports in it are ignored.
 */
#ifndef TARN_PROXY_ENV_H
#define TARN_PROXY_ENV_H

#include "base/error.h"
#include "http/url.h"

struct proxy_env;

/* Reads the environment. *out is NULL when it names no proxy. Errors name the variable, and show
 * nothing of its value but of no_proxy, since there may be a password in it. */
int proxy_env_new(struct proxy_env **out, struct error *error) MUST_USE;
void proxy_env_free(struct proxy_env *env); /* NULL is nothing */

/* The proxy for a URL; NULL: none. `authorization` is set to the value of Proxy-Authorization, or
 * to an empty str. Both live as long as env, which may be NULL. */
const struct url *proxy_env_find(const struct proxy_env *env, const struct url *url,
                                 struct str *authorization);

#endif
