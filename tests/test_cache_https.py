"""`tarn cache`: https upstreams, and proxies on the way to them."""

import threading

import pytest

from harness.cache import Broken
from harness.certs import LEAF, Authority, Pair, openssl
from harness.connect_proxy import ConnectProxy
from harness.origin import Origin, Raw, Serve, redirect
from harness.site import pattern

BODY = pattern(300_000, seed=31)
NO_RETRY = ("--download-retry-time", "0")


def expired(authority, name):
    """A leaf with a sound signature that ended yesterday."""
    folder = authority.folder
    request, key, cert = (folder / f"expired.{end}" for end in ("csr", "key", "pem"))
    extensions = folder / "expired.ext"
    extensions.write_text(f"{LEAF}\nsubjectAltName = DNS:{name}\n")
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key]
    openssl("req", "-new", *new_key, "-subj", f"/CN={name}", "-out", request)
    openssl(
        *["x509", "-req", "-in", request, "-CA", authority.pair.cert, "-days", "-1"],
        *["-CAkey", authority.pair.key, "-extfile", extensions, "-out", cert],
    )
    return Pair(cert, key)


@pytest.fixture(scope="module")
def pairs(ca, tmp_path_factory):
    stranger = Authority(tmp_path_factory.mktemp("stranger"), "Nobody's root")
    return {
        "right": ca.leaf("localhost", "127.0.0.1", "files.test", stem="cache-origin"),
        "unknown authority": stranger.leaf("localhost", "127.0.0.1"),
        "expired": expired(ca, "localhost"),
        "another name": ca.leaf("elsewhere.test", stem="cache-elsewhere"),
    }


@pytest.fixture(scope="module")
def secure(pairs):
    with Origin(pairs["right"], host="localhost") as started:
        yield started


@pytest.fixture(scope="module")
def cache(launch_cache_module, ca):
    return launch_cache_module("--upstream-ca", ca.file, *NO_RETRY, "--negative-ttl", "0")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_right(cache, secure, host, framing):
    def whole(exchange):
        Serve(BODY, framing=framing)(exchange)

    def in_order(exchange):
        """With close_notify, without which the end would be none."""
        try:
            whole(exchange)
        finally:
            exchange.socket = exchange.socket.unwrap()

    url = secure.add(in_order if framing == "close" else whole).replace("localhost", host)
    assert cache.fetch(url).body == BODY
    cache.wait_idle()
    assert cache.fetch(url).x_cache == "hit"


def test_an_end_without_close_notify_is_none(cache, secure):
    """Anybody on the way can make one."""
    url = secure.add(Serve(BODY, framing="close"))
    stream = cache.open(url)
    if stream.status == 200:
        assert BODY.startswith(stream.until_broken())
    else:
        assert stream.status == 502


@pytest.mark.parametrize("case", ["unknown authority", "expired", "another name"])
def test_wrong(cache, pairs, case):
    with Origin(pairs[case], host="localhost") as wrong:
        url = wrong.add(Serve(BODY))
        assert cache.fetch(url).status == 502
        assert wrong.count() == 0, "the request was sent"


def test_not_trusted_without_upstream_ca(launch_cache, secure):
    url = secure.add(Serve(BODY))
    assert launch_cache(*NO_RETRY).fetch(url).status == 502
    assert secure.count(url) == 0


@pytest.mark.parametrize("case", ["unknown authority", "expired", "another name"])
def test_insecure_when_told_so(launch_cache, pairs, case):
    with Origin(pairs[case], host="localhost") as wrong:
        url = wrong.add(Serve(BODY))
        assert launch_cache("--upstream-insecure", *NO_RETRY).fetch(url).body == BODY


def test_plain_text_on_the_port(cache, origin):
    url = origin.add(Serve(BODY)).replace("http:", "https:")
    assert cache.fetch(url).status == 502
    assert origin.count(url) == 0


def test_tls_on_the_plain_port(cache, secure):
    url = secure.add(Serve(BODY)).replace("https:", "http:")
    assert cache.fetch(url).status == 502


def test_redirects_between_the_schemes(cache, secure, origin):
    there = secure.add(Serve(BODY))
    assert cache.fetch(origin.add(redirect(there))).body == BODY
    back = origin.add(Serve(BODY))
    assert cache.fetch(secure.add(redirect(back))).body == BODY


def test_redirect_to_a_wrong_certificate(cache, secure, pairs):
    with Origin(pairs["another name"], host="localhost") as wrong:
        assert cache.fetch(secure.add(redirect(wrong.add(Serve(BODY))))).status == 502


def test_http_and_https_are_two_resources(cache, secure, origin):
    """Also on one host and port, as far as the text goes."""
    one, two = secure.put("/same", Serve(b"secure")), origin.put("/same", Serve(b"plain"))
    assert (cache.fetch(one).body, cache.fetch(two).body) == (b"secure", b"plain")


def test_resume(launch_cache, secure, ca):
    cache = launch_cache("--upstream-ca", ca.file)
    cut = Serve(BODY, etag='"1"', cut=100_000)
    url = secure.add(cut, Serve(BODY, etag='"1"'))
    assert cache.fetch(url).body == BODY
    assert secure.requests(url)[1].headers["range"] == "bytes=100000-"


def test_cut(cache, secure):
    gate = threading.Event()
    url = secure.add(Serve(BODY, cut=100_000, gates={50_000: gate}))
    stream = cache.open(url)
    assert stream.read(50_000) == BODY[:50_000]
    gate.set()
    with pytest.raises(Broken):
        stream.rest()


def test_a_host_that_does_not_shake_hands(launch_cache, origin, ca):
    cache = launch_cache("--upstream-ca", ca.file, "--connect-timeout", "500ms", *NO_RETRY)
    url = origin.add(Raw(then="silence")).replace("http:", "https:")
    assert cache.fetch(url).status in (502, 504)


# Proxies.


@pytest.fixture
def proxy(secure, origin):
    routes = {"files.test": ("127.0.0.1", secure.port), "plain.test": ("127.0.0.1", origin.port)}
    with ConnectProxy(routes) as started:
        yield started


def test_https_proxy(launch_cache, secure, ca, proxy):
    """The proxy finds the name, the certificate is checked through it."""
    cache = launch_cache("--upstream-ca", ca.file, *NO_RETRY, env={"https_proxy": proxy.url})
    url = secure.add(Serve(BODY))
    named = url.replace("localhost", "files.test")
    assert cache.fetch(named).body == BODY
    assert proxy.targets == [f"files.test:{secure.port}"]
    assert "GET" not in proxy.requests[0]
    wrong = named.replace("files.test", "unheard.test")
    assert cache.fetch(wrong).status == 502


def test_the_certificate_is_checked_behind_the_proxy(launch_cache, ca, pairs, proxy):
    with Origin(pairs["another name"]) as wrong:
        proxy.routes["files.test"] = ("127.0.0.1", wrong.port)
        cache = launch_cache("--upstream-ca", ca.file, *NO_RETRY, env={"https_proxy": proxy.url})
        assert cache.fetch("https://files.test/x").status == 502
        assert wrong.count() == 0


def test_http_proxy(launch_cache, origin, proxy):
    cache = launch_cache(*NO_RETRY, env={"http_proxy": proxy.url})
    url = origin.add(Serve(BODY)).replace("127.0.0.1", "plain.test")
    assert cache.fetch(url).body == BODY
    assert len(proxy.requests) == 1


@pytest.mark.parametrize("no_proxy", ["localhost", "*", "example.com, localhost"])
def test_no_proxy(launch_cache, secure, ca, proxy, no_proxy):
    environment = {"https_proxy": proxy.url, "no_proxy": no_proxy}
    cache = launch_cache("--upstream-ca", ca.file, *NO_RETRY, env=environment)
    assert cache.fetch(secure.add(Serve(BODY))).body == BODY
    assert proxy.requests == []


def test_a_proxy_that_wants_a_password(launch_cache, secure, ca, proxy):
    proxy.authorization = "Basic bWU6c2VjcmV0"  # me:secret
    url = secure.add(Serve(BODY)).replace("localhost", "files.test")
    mine = proxy.url.replace("http://", "http://me:secret@")
    trust = ("--upstream-ca", ca.file, *NO_RETRY)
    assert launch_cache(*trust, env={"https_proxy": proxy.url}).fetch(url).status == 502
    assert launch_cache(*trust, env={"https_proxy": mine}).fetch(url).body == BODY
    assert secure.requests(url)[0].headers.get("proxy-authorization") is None


@pytest.mark.parametrize("host", ["169.254.169.254", "[::1]", "127.0.0.1", "0.0.0.0"])
def test_a_proxy_is_not_asked_for_the_forbidden(launch_cache, proxy, host):
    """An address can be judged here, whoever would connect to it."""
    environment = {"https_proxy": proxy.url, "http_proxy": proxy.url}
    cache = launch_cache(*NO_RETRY, env=environment, upstream_allow=None)
    assert cache.fetch(f"https://{host}/").status == 403
    assert cache.fetch(f"http://{host}/").status == 403
    assert not [target for target in proxy.targets if host in target]
