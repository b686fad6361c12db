"""The command line: help, mistakes, exit codes, the environment, and other tools' spellings."""

import os
import re
import subprocess

import pytest

from harness.binary import TARN, clean_environment, run_tarn
from harness.server import Server
from harness.site import build_site


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build_site(tmp_path_factory.mktemp("cli") / "site", {"index.html": "home", "a.txt": "a"})


@pytest.fixture
def start(request):
    def run(*args, **options):
        server = Server(args, **options)
        request.addfinalizer(server.stop)
        return server.ready()

    return run


def usage_error(*args, **options):
    """Exit 2 with one line on standard error, nothing on standard output."""
    done = run_tarn(*args, **options)
    assert done.returncode == 2, done
    assert done.stdout == ""
    return done.stderr


HELPS = [["--help"], ["-h"], ["help"], ["pack", "--help"], ["check", "--help"], ["serve", "--help"]]


@pytest.mark.parametrize("args", HELPS, ids=" ".join)
def test_help(args):
    done = run_tarn(*args)
    assert done.returncode == 0
    assert done.stderr == ""
    assert "tarn" in done.stdout
    for line in done.stdout.splitlines():
        assert len(line) <= 80, line
        assert "\t" not in line and line == line.rstrip(), repr(line)


OPTIONS = """--addr --threads --io --index --spa --try-html --browse --precompress --cache-control
    --content-type --path --allow-empty --preload-max --stdin-timeout --max-request-size
    --max-headers --header-timeout --keepalive-timeout --io-timeout --max-requests
    --max-connections --admin-addr --no-health --shutdown-delay --shutdown-timeout
    --reload-signal-file --access-log --log-format""".split()


@pytest.mark.parametrize("option", OPTIONS)
def test_help_names_every_option(option):
    text = run_tarn("--help").stdout
    assert re.search(rf"(?<![\w-]){option}(?![\w-])", text) or (
        option.startswith("--no-") and "--" + option[5:] in text
    )
    topic = run_tarn("help", option.lstrip("-"))
    assert topic.returncode == 0 and option.replace("--no-", "--")[2:] in topic.stdout


def test_help_can_be_closed_early():
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(
        [TARN, "--help"],
        stdout=write_end,
        stderr=subprocess.PIPE,
        check=False,
        env=clean_environment(),
    )
    os.close(write_end)
    assert done.returncode >= 0 or -done.returncode == 13


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_version(option):
    done = run_tarn(option)
    assert done.returncode == 0
    assert re.match(r"tarn \d+\.\d+", done.stdout)


SUGGESTIONS = [
    ("--thread", "--threads"),
    ("--trheads", "--threads"),
    ("--adr", "--addr"),
    ("--brows", "--browse"),
    ("--keep-alive-timeout", "--keepalive-timeout"),
]


@pytest.mark.parametrize("wrong,right", SUGGESTIONS)
def test_unknown_option_suggests(folder, wrong, right):
    text = usage_error(wrong, "1", folder)
    assert wrong in text and right in text


def test_unknown_option_without_a_neighbour(folder):
    assert "--xyzzyplugh" in usage_error("--xyzzyplugh", folder)


WRONG_VALUES = [
    ("--threads", "x"),
    ("--threads", "0"),
    ("--threads", "-1"),
    ("--threads", "99999999999999999999"),
    ("--threads", ""),
    ("--io", "kqueue"),
    ("--header-timeout", "soon"),
    ("--header-timeout", "10 parsecs"),
    ("--keepalive-timeout", "-5"),
    ("--max-request-size", "huge"),
    ("--max-request-size", "1X"),
    ("--max-headers", "1.5"),
    ("--log-format", "xml"),
    ("--port", "65536"),
]


@pytest.mark.parametrize("option,value", WRONG_VALUES)
def test_wrong_value(folder, option, value):
    text = usage_error(f"{option}={value}", folder)
    assert option in text or "address" in text
    assert len(text.strip().splitlines()) <= 2, text


def test_missing_value(folder):
    assert "--threads" in usage_error(folder, "--threads")


def test_value_for_a_flag(folder):
    assert "--spa" in usage_error("--spa=maybe", folder)


def test_two_sites(folder):
    usage_error(folder, folder)


def test_no_site():
    done = run_tarn()
    assert done.returncode in (1, 2)
    assert done.stderr and len(done.stderr) < 1000


def test_mistyped_command_is_explained():
    done = run_tarn("chekc")
    assert done.returncode in (1, 2)
    assert "chekc" in done.stderr and "check" in done.stderr


def test_wrong_environment_value(folder):
    done = run_tarn(folder, env={"TARN_THREADS": "many"})
    assert done.returncode == 2
    assert "TARN_THREADS" in done.stderr and "many" in done.stderr


def test_mistakes_are_not_errors_of_the_site(tmp_path):
    """Usage is checked before the site is looked at."""
    assert run_tarn("--threads", "x", tmp_path / "missing").returncode == 2
    assert run_tarn(tmp_path / "missing").returncode == 1


def test_check(folder, tmp_path):
    done = run_tarn("check", folder)
    assert done.returncode == 0
    assert "2 files" in done.stdout + done.stderr
    bad = run_tarn("check", tmp_path / "missing")
    assert bad.returncode == 1 and "missing" in bad.stderr
    (tmp_path / "_redirects").write_text("oops\n")
    (tmp_path / "index.html").write_text("x")
    bad = run_tarn("check", tmp_path)
    assert bad.returncode == 1
    assert re.search(r"_redirects.*\b1\b", bad.stderr)


def test_check_binds_nothing(start, folder):
    server = start("--addr", "127.0.0.1:0", folder)
    done = run_tarn("check", "--addr", f"127.0.0.1:{server.port}", folder)
    assert done.returncode == 0


def test_serve_word_and_plain_site(start, folder):
    for args in (["serve", "--addr", "127.0.0.1:0", folder], [folder, "--addr", "127.0.0.1:0"]):
        assert start(*args).get("/").text == "home"


def test_option_spellings(start, folder):
    for args in (["--addr=127.0.0.1:0"], ["-a", "127.0.0.1:0"], ["-a127.0.0.1:0"]):
        assert start(*args, folder).get("/").text == "home"


def test_double_dash_ends_options(start, tmp_path):
    build_site(tmp_path / "--spa", {"index.html": "odd name"})
    server = start("--addr", "127.0.0.1:0", "--", "--spa", cwd=tmp_path)
    assert server.get("/").text == "odd name"


def test_environment(start, folder):
    env = {"TARN_ADDR": "127.0.0.1:0", "TARN_CACHE_CONTROL": "private", "TARN_TRY_HTML": "1"}
    server = start(folder, env=env)
    assert server.get("/").get("Cache-Control") == "private"


def test_flag_beats_environment_beats_default(start, folder):
    env = {"TARN_CACHE_CONTROL": "private", "TARN_ADDR": "127.0.0.1:1"}
    server = start("--addr", "127.0.0.1:0", "--cache-control", "no-store", folder, env=env)
    assert server.get("/").get("Cache-Control") == "no-store"


def test_environment_flags_can_be_off(start, folder):
    server = start("--addr", "127.0.0.1:0", folder, env={"TARN_BROWSE": "0"})
    assert server.get("/").text == "home"


def test_port_and_bind_ip(start, folder):
    for name in ("--bind-ip", "--host"):
        server = start("--port", "0", name, "127.0.0.1", folder)
        assert server.main.address[0] == "127.0.0.1"
        assert server.get("/").text == "home"


def test_port_from_the_environment(start, folder):
    server = start(folder, env={"PORT": "0", "HOST": "127.0.0.1"})
    assert server.get("/").text == "home"


def test_kcup_spellings(start, folder):
    """kcup --file F --host H --port P, and FILE, HOST, PORT."""
    server = start("--file", folder / "a.txt", "--host", "127.0.0.1", "--port", "0")
    assert server.get("/anything").text == "a"
    env = {"FILE": str(folder / "a.txt"), "HOST": "127.0.0.1", "PORT": "0"}
    assert start(env=env).get("/").text == "a"


def test_kiss_spellings(start, folder):
    args = ["--static-dir", folder, "--port", "0", "--max-request-size", "8192"]
    server = start(*args, "--bind-ip", "127.0.0.1", "--keepalive-timeout-secs", "5")
    assert server.get("/").text == "home"
    env = {"KISS_STATIC_DIR": str(folder), "KISS_PORT": "0"}
    assert start(env=env).get("/").text == "home"


def test_dual_stack_default(start, folder):
    """Without an address, both families are served."""
    server = start("--port", "0", folder)
    port = server.port
    for host in ("127.0.0.1", "localhost"):
        done = subprocess.run(
            ["curl", "-sSf", f"http://{host}:{port}/"], capture_output=True, check=True
        )
        assert done.stdout == b"home"


@pytest.mark.parametrize("command", ["pack", "check"])
def test_commands_without_operand(command):
    done = run_tarn(command)
    assert done.returncode in (1, 2)
    assert done.stderr


def test_nothing_on_standard_output_while_serving(folder):
    process = subprocess.Popen(
        [TARN, "--addr", "127.0.0.1:0", folder],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=clean_environment(),
    )
    try:
        for line in process.stderr:
            if b"listening on" in line:
                break
        process.terminate()
        assert process.communicate(timeout=10)[0] == b""
        assert process.returncode == 0
    finally:
        process.kill()


def test_closed_standard_descriptors(start, folder):
    """Started without standard input and output, as some supervisors do."""
    shell = ["sh", "-c", 'exec "$0" "$@" <&- >&-']
    server = start("--addr", "127.0.0.1:0", folder, command=shell)
    assert server.get("/").text == "home"
