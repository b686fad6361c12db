"""The servers that are compared: how each is configured, started, watched and stopped.

Every contestant gets the same site directory, a port of 127.0.0.1, and a scratch directory of its
own; nothing outside that directory is written. A server lives for one turn only, so that no two
contestants ever run (or share pages) at the same time.
"""

import ctypes
import hmac
import os
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import procfs

SCRIPTS = Path(__file__).resolve().parent / "scripts"
SIGNING_KEY = b"a secret of thirty-two bytes...."
START_SECONDS = 15
STOP_SECONDS = 10
LOG_TAIL_LEN = 2000
PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


class BenchError(Exception):
    """The measurement cannot be made or cannot be trusted; the text is for the user."""


@dataclass(frozen=True)
class Credentials:
    """A certificate for 127.0.0.1 and localhost, PEM files."""

    cert: Path
    key: Path


@dataclass(frozen=True)
class Setup:
    """What a contestant is asked to serve, and where it may run."""

    site: Path
    file: Path  # the one file that the workload asks for
    status: int
    workers: int
    cpus: tuple  # cores it is pinned to
    connections: int
    tls: Credentials = None  # TLS 1.3 with HTTP/2 on the port; None: plain
    origin: int = 0  # port of the server that has the site, which is to be cached; 0: none
    script: str = ""  # of bench/scripts/, without suffix; "": none
    scripts: int = 1  # so many in a row


class Contestant:
    """One server; subclasses say how its command line and its configuration look."""

    name = ""
    package = ""
    does_tls = True
    does_cache = False
    does_scripts = False

    def __init__(self, binary):
        self.binary = binary

    def missing(self):
        """Why it cannot take part, or None."""
        if self.binary and os.access(self.binary, os.X_OK):
            return None
        return f"{self.name}: not installed (Debian package {self.package})"

    def version(self):
        return ""

    def command(self, setup, scratch, port):
        """The argument list; writes configuration files into `scratch`."""
        raise NotImplementedError

    def target(self, setup, path):
        """What is asked for to get a file of the site."""
        return path

    def environment(self, setup, scratch):
        return {}


def _first_line(argv):
    result = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            timeout=10, check=False)
    return result.stdout.strip().splitlines()[0] if result.stdout.strip() else ""


class Tarn(Contestant):
    """This project's server, on one of its two event loops."""

    does_cache = True
    does_scripts = True

    def __init__(self, binary, loop):
        super().__init__(binary)
        self.loop = loop
        self.name = f"tarn-{loop}"

    def missing(self):
        if os.access(self.binary, os.X_OK):
            return None
        return f"{self.name}: {self.binary} does not exist, run make first"

    def version(self):
        return _first_line([self.binary, "--version"])

    def command(self, setup, scratch, port):
        listen = ["--addr", f"127.0.0.1:{port}"]
        if setup.tls:
            listen = ["--tls-addr", f"127.0.0.1:{port}", "--cert", str(setup.tls.cert),
                      "--key", str(setup.tls.key)]
        what = [str(setup.site)]
        command = []
        if setup.origin:
            command = ["cache"]
            what = ["--cache-dir", str(scratch / "cache"), "--upstream-allow", "127.0.0.0/8"]
        plugins = [f"--plugin={SCRIPTS}/{setup.script}.c"] * setup.scripts if setup.script else []
        return [self.binary, *command, *listen, "--threads", str(setup.workers), "--io", self.loop,
                "--access-log", "off", *plugins, *what]

    def signed(self, path):
        """The path with what bench/scripts/signed.c wants."""
        return sign(path, "sha256")

    def target(self, setup, path):
        if setup.origin:
            return f"/api/v1/fetch?url=http://127.0.0.1:{setup.origin}{path}"
        return path


NGINX_CONFIG = """\
{modules}
daemon off;
worker_processes {workers};
worker_rlimit_nofile {files};
pid {scratch}/nginx.pid;
error_log stderr error;
events {{ worker_connections {worker_connections}; }}
http {{
    types {{ text/html html; text/plain txt; }}
    default_type application/octet-stream;
    access_log off;
    {sending}
    open_file_cache max=1000 inactive=1h;
    open_file_cache_valid 1h;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    client_body_temp_path {scratch}/body;
    proxy_temp_path {scratch}/proxy;
    fastcgi_temp_path {scratch}/fastcgi;
    uwsgi_temp_path {scratch}/uwsgi;
    scgi_temp_path {scratch}/scgi;
    {cache}
    {shared}
    server {{
        listen 127.0.0.1:{port} {listen}backlog=4096;
        root {site};
        {tls}
        {cached}
        {script}
        location = /health {{
            default_type application/json;
            return 200 '{{"status":"healthy","timestamp":"$msec"}}';
        }}
    }}
}}
"""


NGINX_TLS = """\
ssl_certificate {cert};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.3;
        ssl_session_tickets on;
        http2_max_concurrent_streams 128;"""

NGINX_CACHE = "proxy_cache_path {scratch}/cache levels=1:2 keys_zone=all:10m max_size=2g;"

NGINX_CACHED = """\
location / {{
            proxy_pass http://127.0.0.1:{origin};
            proxy_http_version 1.1;
            proxy_cache all;
            proxy_cache_valid 200 1d;
            proxy_cache_lock on;
        }}"""

NGINX_MODULES = """\
load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;
"""


def sign(path, digest):
    """A path with its signature and expiry, an hour from now."""
    expires = str(int(time.time()) + 3600)
    mac = hmac.new(SIGNING_KEY, (path + expires).encode("ascii"), digest)
    return f"{path}?expires={expires}&sig={mac.hexdigest()}"


# Ways to send a file; which one costs least depends on its size.
NGINX_SENDING = {
    "sendfile": "sendfile on; tcp_nopush off;",
    "nopush": "sendfile on; tcp_nopush on;",
    "copy": "sendfile off;",
}


class Nginx(Contestant):
    """nginx set up as a careful administrator would for static files."""

    name = "nginx"
    package = "nginx-light"
    # Memory for connections is taken at start, so it gets as many as the workload needs, not more.
    CONNECTIONS_MIN = 1024
    does_cache = True
    does_scripts = True

    def __init__(self, binary, sending="sendfile"):
        super().__init__(binary)
        self.sending = sending

    def version(self):
        return _first_line([self.binary, "-v"])

    def command(self, setup, scratch, port):
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        config = scratch / "nginx.conf"
        config.write_text(NGINX_CONFIG.format(
            workers=setup.workers, files=files, scratch=scratch, port=port, site=setup.site,
            sending=NGINX_SENDING[self.sending], listen="ssl http2 " if setup.tls else "",
            tls=NGINX_TLS.format(cert=setup.tls.cert, key=setup.tls.key) if setup.tls else "",
            cache=NGINX_CACHE.format(scratch=scratch) if setup.origin else "",
            cached=NGINX_CACHED.format(origin=setup.origin) if setup.origin else "",
            modules=NGINX_MODULES if setup.script else "",
            shared="lua_shared_dict state 10m;" if setup.script else "",
            script=self.script(setup.script) if setup.script else "",
            worker_connections=max(self.CONNECTIONS_MIN, setup.connections * 5 // 4)),
            encoding="utf-8")
        return [self.binary, "-p", str(scratch), "-e", "stderr", "-c", str(config)]

    @staticmethod
    def script(name):
        """A location for everything; a script without a Lua side is nothing there."""
        text = SCRIPTS / f"{name}.lua"
        body = text.read_text(encoding="utf-8") if text.exists() else ""
        return f"location / {{\n{body}}}"

    def signed(self, path):
        return sign(path, "sha1")


CADDY_CONFIG = """\
{{
    admin off
    auto_https off
    servers {{
        protocols h1 h2
    }}
}}
{scheme}://127.0.0.1:{port} {{
    bind 127.0.0.1
    {tls}
    root * {site}
    header /health Content-Type application/json
    respond /health `{{"status":"healthy","timestamp":"{{time.now.unix}}"}}` 200
    file_server
}}
"""


class Caddy(Contestant):
    name = "caddy"
    package = "caddy"

    def version(self):
        return "caddy " + _first_line([self.binary, "version"])

    def command(self, setup, scratch, port):
        config = scratch / "Caddyfile"
        tls = f"tls {setup.tls.cert} {setup.tls.key} {{\n protocols tls1.3\n}}" if setup.tls else ""
        config.write_text(CADDY_CONFIG.format(port=port, site=setup.site, tls=tls,
                                              scheme="https" if setup.tls else "http"),
                          encoding="utf-8")
        return [self.binary, "run", "--adapter", "caddyfile", "--config", str(config)]

    def environment(self, setup, scratch):
        return {"GOMAXPROCS": str(setup.workers), "HOME": str(scratch),
                "XDG_DATA_HOME": str(scratch), "XDG_CONFIG_HOME": str(scratch)}


class Floor(Contestant):
    """The responder that parses nothing (floor.c); always one thread."""

    name = "floor"
    does_tls = False

    def version(self):
        return "bench/floor.c"

    def command(self, setup, scratch, port):
        return [self.binary, str(port), str(setup.status), str(setup.file)]


def find_all(tarn, floor):
    """All known contestants by name, whether installed or not."""
    path = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"
    found = [Tarn(tarn, "uring"), Tarn(tarn, "epoll"), Nginx(shutil.which("nginx", path=path)),
             Caddy(shutil.which("caddy", path=path)), Floor(floor)]
    return {contestant.name: contestant for contestant in found}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def child_setup(cpus, group=None):
    """A function for the child to run before exec: it dies with the benchmark, may open as many
    files as the hard limit says, and stays on its cores."""
    def prepare():
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        os.sched_setaffinity(0, cpus)
        if group:
            group.join()
    return prepare


class Server:
    """A running contestant; a context manager that always stops it."""

    def __init__(self, contestant, setup, group=None):
        self.contestant = contestant
        self.setup = setup
        self.group = group
        self.port = 0
        self.process = None
        self.scratch = None
        self.log = None

    def __enter__(self):
        self.scratch = Path(tempfile.mkdtemp(prefix=f"tarn-bench-{self.contestant.name}-"))
        # A server that drops root must still reach its own files.
        self.scratch.chmod(0o755)
        try:
            self._start()
            self._wait_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.process:
            self._stop()
        if self.log:
            self.log.close()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def _start(self):
        self.port = free_port()
        argv = self.contestant.command(self.setup, self.scratch, self.port)
        environment = dict(os.environ, **self.contestant.environment(self.setup, self.scratch))
        self.log = open(self.scratch / "log", "w+b")
        self.process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=environment,
            start_new_session=True, preexec_fn=child_setup(self.setup.cpus, self.group))

    def _wait_ready(self):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            self.check_running()
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            time.sleep(0.02)
        raise BenchError(f"{self.contestant.name}: not ready after {START_SECONDS} s\n"
                         + self.log_tail())

    def check_running(self):
        code = self.process.poll()
        if code is not None:
            raise BenchError(f"{self.contestant.name}: ended with {code}\n{self.log_tail()}")

    def log_tail(self):
        self.log.flush()
        return (self.scratch / "log").read_bytes()[-LOG_TAIL_LEN:].decode(errors="replace")

    def _stop(self):
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            # The session is ours alone: whatever is left of it goes with it.
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def pids(self):
        return procfs.tree_of(self.process.pid)
