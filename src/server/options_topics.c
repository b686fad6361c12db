#include "server/options_help.h"

/* Laid out by hand; the unit test refuses a line of more than 80 columns. */

const struct help_topic help_topics[] = {
    {"addresses", "Addresses, for --addr and --admin-addr",
     "  8080, :8080, *:8080    every local address, IPv6 and IPv4\n"
     "  127.0.0.1:8080         one IPv4 address\n"
     "  [::1]:8080             one IPv6 address, in brackets\n"
     "  [fe80::1%eth0]:8080    a link-local address of one interface\n"
     "  localhost:8080         the same as 127.0.0.1:8080\n"
     "  unix:/run/tarn.sock    a Unix socket\n"
     "  unix:@tarn             a Unix socket in the abstract namespace\n"
     "  fd:3                   a listening socket inherited from the service manager\n"
     "\n"
     "Host names other than localhost are not looked up. With port 0 the kernel picks\n"
     "a free port; all workers share it, and the line 'listening on' shows it.\n"},

    {"environment", "Environment",
     "Every option can be set by a variable: TARN_ and its name in capitals, with\n"
     "underscores. A flag wins over the variable, the variable over the default.\n"
     "\n"
     "  TARN_PRELOAD_MAX=4M    --preload-max 4M\n"
     "  TARN_SPA=yes           --spa; also true, on and 1\n"
     "  TARN_SPA=no            --no-spa; also false, off and 0\n"
     "  TARN_NO_HEALTH=1       --no-health, the same as TARN_HEALTH=no\n"
     "  TARN_ADDR=:80,[::1]:81 --addr :80 --addr [::1]:81\n"
     "\n"
     "An empty variable counts as not set. So do NAME_PORT=tcp://..., which Kubernetes\n"
     "sets for its services, and a HOST that holds the name of this machine.\n"
     "Where several variables stand for one option, the first that is set counts:\n"},

    {"exit-codes", "Exit codes",
     "  0    ended as asked: after SIGTERM or SIGINT, or check found nothing wrong\n"
     "  1    could not do it: the site, an address or a file is not usable, or a\n"
     "       script failed\n"
     "  2    wrong usage: an unknown option or a value out of bounds\n"
     "\n"
     "With 1 and 2 one line on standard error says why.\n"},

    {"signals", "Signals",
     "  SIGTERM, SIGINT    stop: /ready answers 503 at once; for --shutdown-delay new\n"
     "                     connections are still accepted; then the listeners close\n"
     "                     and requests in flight have --shutdown-timeout to finish\n"
     "  the same again     stop now\n"
     "  SIGHUP             load the site again and swap it in; no connection is lost.\n"
     "                     When that fails the old one stays, and the log says why\n"
     "\n"
     "A change of the file in --reload-signal-file does what SIGHUP does.\n"},

    {"sizes", "Sizes and times",
     "  4096               bytes\n"
     "  16K, 16KiB         1024 bytes each; M, G and T likewise\n"
     "  16KB               1000 bytes each; MB, GB and TB likewise\n"
     "\n"
     "  500ms              milliseconds\n"
     "  10s, 10            seconds\n"
     "  5m, 1h, 2d         minutes, hours, days\n"
     "  1h30m              the largest unit first\n"
     "\n"
     "Units of sizes may be written in any case.\n"},
};

const size_t help_topics_count = sizeof help_topics / sizeof help_topics[0];
