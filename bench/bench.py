#!/usr/bin/python3
"""The benchmark: tarn beside nginx, Caddy and the floor, one core for the server, another for the
generator (wrk, h2load, or handshakes.c).

In every round each contestant takes one turn (start, check, warm up, load, stop), and the order
rotates from round to round. The figure that counts is server CPU time per request; a ratio is the
peer's divided by tarn's in the same round. Results go to the terminal and to build/bench/NAME.json.

    bench.py                     the default workloads
    bench.py 174B 100KB@500      these, the second with 500 connections
    bench.py --list              what there is
    bench.py --report build/bench/*.json --markdown
"""

import argparse
import datetime
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import procfs
import report
from cgroup import CgroupError
from contestants import NGINX_SENDING, BenchError, Credentials, Nginx, find_all
from measure import Bench
from workloads import GROUPS, WORKLOADS, select

ROOT = Path(__file__).resolve().parent.parent
# OpenSSL clients prefer AES-256, and not every server overrules them: all shall use the same.
GENERATOR_OPENSSL = """\
openssl_conf = all
[all]
ssl_conf = ssl
[ssl]
system_default = tls
[tls]
Ciphersuites = TLS_AES_128_GCM_SHA256
"""
TRIAL_ROUNDS = 2
TRIAL_SECONDS = 1
NGINX_CHOICES = {"auto": ("sendfile", "nopush"), "best": ("sendfile", "nopush", "copy")}


class UsageError(Exception):
    """The command line, or what is installed, does not allow to begin."""


class Sites:
    """For each file workload a directory that holds just that file, made when first needed."""

    def __init__(self, root):
        self.root = root

    def of(self, workload):
        path = workload.path if workload.has_file else WORKLOADS["174B"].path
        length = workload.body_len or WORKLOADS["174B"].body_len
        site = self.root / f"site{path.replace('/', '-')}"
        file = site / path.lstrip("/")
        if not file.exists():
            site.mkdir(mode=0o755)
            file.write_bytes(self._content(length))
        return site, file

    @staticmethod
    def _content(length):
        line = b"The quick brown fox jumps over the lazy dog, and nothing here is worth reading.\n"
        return (line * (length // len(line) + 1))[:length]


def parse_arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    add = parser.add_argument
    add("names", nargs="*", metavar="WORKLOAD", help="workload, WORKLOAD@CONNECTIONS or group")
    add("--list", action="store_true", help="list workloads and groups")
    add("--rounds", type=int, default=5)
    add("--seconds", type=int, default=3, help="length of a round (default 3)")
    add("--warmup", type=int, default=1, help="seconds of load before each round (default 1)")
    add("--connections", help="run each workload with these, e.g. 1,10,100")
    add("--contestants", help="only these, e.g. tarn-uring,nginx")
    add("--without", help="leave these out")
    add("--nginx", choices=(*NGINX_SENDING, *NGINX_CHOICES), default="auto",
        help="how nginx sends: sendfile, nopush (sendfile and tcp_nopush), copy (no sendfile); "
        "auto takes the cheaper of the first two for each workload, best the cheapest of all")
    add("--tarn", default=str(ROOT / "build/tarn"), help="the binary to measure")
    add("--out", type=Path, default=ROOT / "build/bench", help="where results and tools go")
    add("--server-cpu", type=int, help="core of the server (default: the last usable)")
    add("--load-cpu", type=int, help="core of the generator (default: the first usable)")
    add("--memory-cgroup", metavar="DIR",
        help="delegated cgroup directory in which to limit memory (kcup workloads)")
    add("--markdown", action="store_true", help="print Markdown tables")
    add("--check", action="store_true", help="exit 1 when a bar is missed")
    add("--report", nargs="+", type=Path, metavar="JSON",
        help="print saved results, measure nothing")
    arguments = parser.parse_args(argv)
    for name in ("rounds", "seconds", "warmup"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name} must be at least 1")
    return arguments


def choose_workloads(arguments):
    try:
        chosen = select(arguments.names or ["default"])
    except KeyError as error:
        raise UsageError(f"no workload or group {error}; see --list") from error
    if not arguments.connections:
        return chosen
    counts = arguments.connections.split(",")
    if not all(count.isdigit() and int(count) > 0 for count in counts):
        raise UsageError(f"--connections {arguments.connections}: not a list of numbers")
    return [workload.with_connections(int(count)) if workload.kind != "idle" else workload
            for workload in chosen for count in counts]


def choose_contestants(arguments, floor):
    """The contestants to run; all that were asked for must be there."""
    known = find_all(arguments.tarn, floor)
    wanted = arguments.contestants.split(",") if arguments.contestants else list(known)
    without = arguments.without.split(",") if arguments.without else []
    for name in wanted + without:
        if name not in known:
            raise UsageError(f"no contestant {name}; there are {', '.join(known)}")
    chosen = [known[name] for name in wanted if name not in without]
    missing = [reason for reason in (contestant.missing() for contestant in chosen) if reason]
    if missing:
        raise UsageError("\n".join(missing) + "\ninstall it, or leave it out with --without NAME")
    if not chosen:
        raise UsageError("no contestants are left")
    return chosen


def choose_cores(arguments):
    usable = tuple(sorted(os.sched_getaffinity(0)))
    server = usable[-1] if arguments.server_cpu is None else arguments.server_cpu
    load = usable[0] if arguments.load_cpu is None else arguments.load_cpu
    if server == load or server not in usable or load not in usable:
        raise UsageError("server and generator need a core each; usable here: "
                         + ", ".join(map(str, usable)))
    return server, load, usable


def compile_tool(name, out):
    """Builds bench/NAME.c into the output directory."""
    source, binary = ROOT / "bench" / f"{name}.c", out / name
    newest = max(path.stat().st_mtime for path in (source, ROOT / "bench/dial.h"))
    if not binary.exists() or binary.stat().st_mtime < newest:
        compiler = os.environ.get("CC", "cc").split()
        argv = [*compiler, "-std=gnu11", "-O2", "-D_GNU_SOURCE", "-o", str(binary), str(source)]
        if "<openssl/" in source.read_text(encoding="utf-8"):
            # BoringSSL, where Debian keeps it apart from OpenSSL.
            target = subprocess.run([*compiler, "-print-multiarch"], stdout=subprocess.PIPE,
                                    text=True, check=False).stdout.strip()
            folder = f"/usr/lib/{target}/android"
            argv += ["-isystem", "/usr/include/android", f"-L{folder}", f"-Wl,-rpath,{folder}",
                     "-lssl", "-lcrypto"]
        if subprocess.run(argv, check=False).returncode != 0:
            raise UsageError(f"cannot compile {source}")
    return str(binary)


def make_credentials(folder):
    """A self-signed ECDSA P-256 certificate, as most public sites have by now."""
    found = Credentials(cert=folder / "cert.pem", key=folder / "key.pem")
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-days", "30", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-keyout", str(found.key), "-out", str(found.cert)]
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)
    if done.returncode != 0:
        raise UsageError("openssl cannot make a certificate:\n" + done.stdout)
    # Servers that drop root must be able to read it.
    found.key.chmod(0o644)
    return found


def find_tools(workloads, out):
    """Paths of what makes the load, by name: Debian's, and our own, which are built."""
    tools = {name: compile_tool(name, out) for name in ("idle", "handshakes")}
    for name, package, kind in (("wrk", "wrk", "load"), ("h2load", "nghttp2-client", "h2")):
        tools[name] = shutil.which(name)
        if not tools[name] and any(workload.kind == kind for workload in workloads):
            raise UsageError(f"{name} is not installed (Debian package {package})")
    if not shutil.which("openssl") and any(workload.tls for workload in workloads):
        raise UsageError("openssl is not installed (Debian package openssl)")
    return tools


def describe_environment(options, contestants):
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
        "cpu": procfs.cpu_model(),
        "cpus": len(options.all_cpus),
        "kernel": platform.release(),
        "server_cpu": options.server_cpu,
        "load_cpu": options.load_cpu,
        "versions": {contestant.name: contestant.version() for contestant in contestants},
    }


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def cheapest_nginx(bench, nginx, workload, choice):
    """nginx with the way of sending, among those that the choice allows, that costs it least in
    this workload."""
    variants = [Nginx(nginx.binary, sending) for sending in NGINX_CHOICES.get(choice, (choice,))]
    # Over TLS nothing is sent straight from the file, whatever it is told.
    if workload.kind != "load" or workload.tls or len(variants) == 1:
        return variants[0]
    costs = [0.0] * len(variants)
    for _ in range(TRIAL_ROUNDS):
        for index, variant in enumerate(variants):
            progress(f"{workload.name}: trying nginx, {variant.sending}")
            costs[index] += bench.turn(variant, workload, TRIAL_SECONDS)["cpu_us"]
    return variants[costs.index(min(costs))]


def run_workload(bench, contestants, workload, arguments):
    """{name: list of samples}, one sample a round; and the label of each contestant."""
    runners, labels = {}, {}
    for contestant in contestants:
        if (workload.tls and not contestant.does_tls
                or workload.cached and not contestant.does_cache
                or workload.script and not contestant.does_scripts):
            continue
        runner, label = contestant, contestant.name
        if isinstance(contestant, Nginx):
            runner = cheapest_nginx(bench, contestant, workload, arguments.nginx)
            label += f", {runner.sending}" if workload.kind == "load" and not workload.tls else ""
        runners[contestant.name], labels[contestant.name] = runner, label
    samples = {name: [] for name in runners}
    names = list(runners)
    for number in range(arguments.rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            progress(f"{workload.name}: round {number + 1}/{arguments.rounds}: {name}")
            samples[name].append(bench.turn(runners[name], workload, arguments.seconds))
    progress("")
    return samples, labels


def make_result(workload, arguments, environment, samples, labels):
    return {
        "workload": asdict(workload),
        "options": {"rounds": arguments.rounds, "seconds": arguments.seconds,
                    "warmup": arguments.warmup, "nginx": arguments.nginx,
                    "memory_cgroup": bool(arguments.memory_cgroup)},
        "environment": environment,
        "contestants": {name: {"label": labels[name], "samples": samples[name],
                               "summary": report.summarize(samples[name])} for name in samples},
        "ratios": report.ratios(workload.kind, samples),
    }


def show(result, arguments):
    write = report.as_markdown if arguments.markdown else report.as_text
    print(write(result), flush=True)


def measure_all(arguments):
    """Runs everything that was asked for; returns whether every bar was met."""
    workloads = choose_workloads(arguments)
    server_cpu, load_cpu, usable = choose_cores(arguments)
    arguments.out.mkdir(parents=True, exist_ok=True)
    out = arguments.out.resolve()
    tools = find_tools(workloads, out)
    contestants = choose_contestants(arguments, compile_tool("floor", out))
    options = SimpleNamespace(server_cpu=server_cpu, load_cpu=load_cpu, all_cpus=usable,
                              tools=tools, credentials=None, generator_env=None,
                              warmup=arguments.warmup, memory_cgroup=arguments.memory_cgroup)
    environment = describe_environment(options, contestants)
    # The benchmark itself must not wake up on the server's core.
    os.sched_setaffinity(0, (load_cpu,))
    all_met = True
    with tempfile.TemporaryDirectory(prefix="tarn-bench-sites-") as root:
        # Servers that drop root must be able to read it.
        os.chmod(root, 0o755)
        if any(workload.tls for workload in workloads):
            options.credentials = make_credentials(Path(root))
            openssl_conf = Path(root) / "openssl.cnf"
            openssl_conf.write_text(GENERATOR_OPENSSL, encoding="ascii")
            options.generator_env = dict(os.environ, OPENSSL_CONF=str(openssl_conf))
        bench = Bench(options, Sites(Path(root)))
        print(report.environment_lines(environment), flush=True)
        for workload in workloads:
            samples, labels = run_workload(bench, contestants, workload, arguments)
            result = make_result(workload, arguments, environment, samples, labels)
            file = out / f"{workload.name}.json"
            file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
            show(result, arguments)
            all_met = all_met and all(met for _, met in report.verdicts(result))
    return all_met


def show_saved(arguments):
    results = [json.loads(path.read_text(encoding="utf-8")) for path in arguments.report]
    print(report.environment_lines(results[0]["environment"]))
    for result in results:
        show(result, arguments)


def show_list():
    for workload in WORKLOADS.values():
        print(f"{workload.name:18}{workload.title}"
              + (f", {workload.connections:,} connections" if workload.connections else ""))
    print()
    for name, members in GROUPS.items():
        print(f"{name:18}{' '.join(members)}")


def main(argv):
    # A terminated benchmark unwinds like an interrupted one, so that it stops its servers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    arguments = parse_arguments(argv)
    try:
        if arguments.list:
            show_list()
            return 0
        if arguments.report:
            show_saved(arguments)
            return 0
        all_met = measure_all(arguments)
    except (UsageError, CgroupError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except BenchError as error:
        print(f"\nbench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 1 if arguments.check and not all_met else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
