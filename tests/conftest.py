"""Fixtures. A test that takes `launch` (or `launch_module`) runs once on each loop backend."""

import os
import resource
import shutil
import signal

import pytest

from harness.binary import TARN, is_sanitized, kernel_refuses_uring
from harness.cache import Cache, new_folder
from harness.certs import Authority
from harness.origin import Origin
from harness.server import Server
from harness.site import build_site

TEST_SECONDS = 120


def pytest_configure(config):
    if not os.access(TARN, os.X_OK):
        pytest.exit(f"no program to test at {TARN}: build it, or set TARN_BIN", 2)
    # Clients open thousands of connections; servers get their limit from the tests themselves.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@pytest.fixture(autouse=True)
def watchdog():
    """A test that hangs fails instead of hanging the run."""

    def expire(_signum, _frame):
        raise TimeoutError(f"the test took more than {TEST_SECONDS} s")

    before = signal.signal(signal.SIGALRM, expire)
    signal.alarm(TEST_SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="session", params=["uring", "epoll"])
def loop(request):
    """The loop backends. io_uring is left out only where the kernel itself refuses it."""
    if request.param == "uring":
        reason = kernel_refuses_uring()
        if reason:
            pytest.skip(f"this kernel refuses io_uring ({reason})")
    return request.param


def start_server(loop, site, *args, addr="127.0.0.1:0", **options):
    """Starts tarn on a free port over one backend and waits until it listens."""
    arguments = ["--io", loop, *args]
    if addr:
        arguments = ["--addr", addr, *arguments]
    if site is not None:
        arguments.append(site)
    return Server(arguments, **options)


def launcher(loop, request):
    """The body of both launch fixtures: what was launched is stopped and checked at the end."""

    def launch(site, *args, **options):
        server = start_server(loop, site, *args, **options)
        request.addfinalizer(server.stop)
        return server.ready()

    return launch


@pytest.fixture
def launch(loop, request):
    """launch(site, *options) → Server, for one test."""
    return launcher(loop, request)


@pytest.fixture(scope="module")
def launch_module(loop, request):
    """The same for a server that all tests of a file share."""
    return launcher(loop, request)


def cache_launcher(loop, request, base):
    """The body of both cache fixtures. `folder`: another directory than a fresh one; `wait`: until
    it listens."""

    def launch_cache(*args, folder=None, wait=True, **options):
        server = Cache(loop, folder or new_folder(base), *args, **options)
        request.addfinalizer(server.stop)
        return server.ready() if wait else server

    return launch_cache


@pytest.fixture
def launch_cache(loop, request, tmp_path):
    """launch_cache(*options, folder=None, …) → Cache, for one test. At its end every file in its
    directory is checked."""
    return cache_launcher(loop, request, tmp_path)


@pytest.fixture(scope="module")
def launch_cache_module(loop, request, tmp_path_factory):
    base = tmp_path_factory.mktemp("caches")
    request.addfinalizer(lambda: shutil.rmtree(base, ignore_errors=True))
    return cache_launcher(loop, request, base)


@pytest.fixture(scope="module")
def origin():
    """A scriptable upstream. Who breaks it makes another."""
    with Origin() as started:
        yield started


@pytest.fixture(scope="session")
def ca(tmp_path_factory):
    """The authority that the certificates of all tests come from."""
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="session")
def pair(ca):
    """A certificate and key for what most tests ask for."""
    return ca.leaf("site.test", "localhost", "127.0.0.1", stem="site")


def tls_launcher(launch, pair):
    """launch_tls(site, *options, cert=None, plain=False) → Server with a TLS listener. `cert` is
    what stands instead of the usual --cert and --key."""

    def launch_tls(site, *args, cert=None, plain=False, **options):
        mine = pair.options if cert is None else cert
        options.setdefault("listener_count", 1 + plain + ("--admin-addr" in args))
        addr = "127.0.0.1:0" if plain else None
        tls = ["--tls-addr", "127.0.0.1:0", *mine]
        return launch(site, *tls, *args, addr=addr, **options)

    return launch_tls


@pytest.fixture
def launch_tls(launch, pair):
    """As `launch`, over TLS."""
    return tls_launcher(launch, pair)


@pytest.fixture(scope="module")
def launch_tls_module(launch_module, pair):
    return tls_launcher(launch_module, pair)


@pytest.fixture(scope="module")
def folder(request, tmp_path_factory):
    """The site of a test file that has its content in FILES; who changes it makes another."""
    module = request.module
    return build_site(tmp_path_factory.mktemp(module.__name__) / "site", module.FILES)


@pytest.fixture(scope="module")
def tls_server(launch_tls_module, folder):
    """Serves `folder` over TLS to all tests of a file."""
    return launch_tls_module(folder)


@pytest.fixture(scope="module")
def tls_unloaded(launch_tls_module, folder):
    """The same, but every file is read when it is asked for."""
    return launch_tls_module(folder, "--preload-max", "0")


@pytest.fixture(params=["preloaded", "unloaded"])
def tls_either(request, tls_server, tls_unloaded):
    """Runs a test on each of the two."""
    return {"preloaded": tls_server, "unloaded": tls_unloaded}[request.param]


@pytest.fixture
def tmp_path(tmp_path):
    """pytest would keep the folders of three runs: gigabytes of large files."""
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.fixture
def site(tmp_path):
    """site({path: content}) → directory."""
    return lambda files: build_site(tmp_path / "site", files)


@pytest.fixture(scope="session")
def slowness():
    """Factor for deadlines: a sanitizer build is several times slower."""
    return 5.0 if is_sanitized() else 1.0
