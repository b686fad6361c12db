#!/usr/bin/python3
"""Figures of the script virtual machine (src/bpf), with its bars.

    bench/bpf.py                  all of it
    bench/bpf.py --rounds 21 --cpu 1

Kernels (bench/bpf/*.c) are compiled twice from the same source by the same clang, to a script and, with -O2,
to native code, and both run on the same bytes; results must be equal, and those of CRC-32 and SHA-256 right by
Python's. In each round (bench/bpf.c) all contestants have a turn, so that a ratio is of two neighbours. Printed
are the median and, in brackets, the lowest and highest round. "unpolled" is the same machine code without the
look at the budget at back edges. The figures go to build/bench/bpf.json, too.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KERNELS = {"crc32": "byte", "sha256": "byte", "chase": "hop", "calls": "call"}
SCRIPTS = ["small", "stores", "large"]
BYTES = bytes((i * 2654435761 >> 24) & 255 for i in range(4096))  # as bench/bpf.c has them
MEMORY_NAMES = re.compile(r"^(ldx|ldxs|st|stx)\d+$")


def find_clang(wanted):
    names = [wanted] if wanted else [f"clang-{version}" for version in range(30, 18, -1)] + ["clang"]
    for name in names:
        if shutil.which(name):
            return name
    sys.exit(f"no {' or '.join(names)}: scripts need clang 19 or newer (apt-get install clang-19)")


def compile_kernels(clang, folder):
    for name in [*KERNELS, *SCRIPTS]:
        source = str(ROOT / "bench" / "bpf" / f"{name}.c")
        subprocess.run([clang, "-target", "bpf", "-mcpu=v3", "-O2", "-fno-builtin", "-mllvm",
                        "-bpf-stack-size=4096", "-g", "-c", source, "-o", f"{folder}/{name}.o"], check=True)
    for name in KERNELS:
        source = str(ROOT / "bench" / "bpf" / f"{name}.c")
        subprocess.run([clang, "-O2", "-fPIC", "-shared", "-nostdlib", source, "-o", f"{folder}/{name}.so"],
                       check=True)


def measure(binary, folder, rounds):
    """{(what, who): ([ns for one unit, by round], result, rounds of the kernel's own loop)}"""
    output = subprocess.run([binary, "rounds", folder, str(rounds)], stdout=subprocess.PIPE, text=True,
                            check=True).stdout
    figures = {}
    for line in output.splitlines():
        what, who, nanoseconds, units, result = line.split()
        values, _, _ = figures.setdefault((what, who), ([], int(result), int(units)))
        if figures[what, who][1] != int(result):
            sys.exit(f"{what} of {who} gave {result} and {figures[what, who][1]}")
        values.append(int(nanoseconds) / int(units))
    return figures


def check_results(figures):
    """Nobody is fast by being wrong."""
    wanted = {"crc32": lambda data: zlib.crc32(data),
              "sha256": lambda data: int.from_bytes(hashlib.sha256(data).digest()[:8], "big")}
    for (what, who), (_, result, units) in figures.items():
        if what in wanted and result != wanted[what](BYTES * (units // len(BYTES))):
            sys.exit(f"{what} of {who} is wrong")
        if what in KERNELS and who != "interp" and result != figures[what, "native"][1]:
            sys.exit(f"{what} of {who} is not what native code has")


def spread(values, digits=2):
    return f"{statistics.median(values):.{digits}f} [{min(values):.{digits}f} {max(values):.{digits}f}]"


def ratios(figures, what, who, other):
    pairs = zip(figures[what, who][0], figures[what, other][0])
    return [mine / theirs for mine, theirs in pairs]


def machine_instructions(codes):
    """How many instructions each piece of machine code (hex) is, by objdump."""
    with tempfile.NamedTemporaryFile() as file:
        starts, position = {}, 0
        for code in codes:
            starts[position] = len(starts)
            position += len(code) // 2
        file.write(bytes.fromhex("".join(codes)))
        file.flush()
        listing = subprocess.run(["objdump", "-D", "-b", "binary", "-m", "i386:x86-64", file.name],
                                 stdout=subprocess.PIPE, text=True, check=True).stdout
    counts, current = [0] * len(starts), None
    for line in listing.splitlines():
        match = re.match(r" *([0-9a-f]+):\t[^\t]*\t", line)
        if match:
            current = starts.get(int(match.group(1), 16), current)
            counts[current] += 1
    return counts


def access_counts(binary, folder):
    """{kernel: {instructions for an access: how often}}; by r10 apart."""
    counts = {}
    for name in KERNELS:
        output = subprocess.run([binary, "code", folder, name], stdout=subprocess.PIPE, text=True,
                                check=True).stdout
        rows = [line.split(maxsplit=3) for line in output.splitlines()]
        rows = [row for row in rows if MEMORY_NAMES.match(row[0]) and re.fullmatch("[0-9a-f]+", row[2])]
        for row, count in zip(rows, machine_instructions([row[2] for row in rows])):
            key = f"{name}, {'frame' if row[1] == 'r10' else 'pointer'}"
            counts.setdefault(key, {}).setdefault(count, 0)
            counts[key][count] += 1
    return counts


def report_kernels(figures):
    bars = []
    print(f"\n{'kernel, ns for a':18}{'native':>22}{'machine code':>22}{'times native':>20}"
          f"{'polling, %':>20}{'interpreter':>24}")
    for what, unit in KERNELS.items():
        times = ratios(figures, what, "jit", "native")
        polling = [(ratio - 1) * 100 for ratio in ratios(figures, what, "jit", "unpolled")]
        print(f"{what + ', ' + unit:18}{spread(figures[what, 'native'][0], 3):>22}"
              f"{spread(figures[what, 'jit'][0], 3):>22}{spread(times):>20}{spread(polling, 1):>20}"
              f"{spread(figures[what, 'interp'][0], 1):>24}")
        if what == "crc32":
            bars.append(("CRC-32, times native", statistics.median(times), 2.0))
        if what in ("crc32", "sha256"):
            bars.append((f"polling in {what}, %", statistics.median(polling), 3.0))
    return bars


def report_small(figures):
    bars = []
    rows = [("empty", "empty run", 60), ("stores", "empty run, wild stores", None),
            ("helper", "helper call with its loop", 5), ("loop", "loop alone", None),
            ("nested", "nested empty run, with call", 100), ("wait", "wait and go on", None)]
    print(f"\n{'ns':28}{'machine code':>24}{'interpreter':>24}")
    for what, label, bar in rows:
        jit, interp = figures[what, "jit"][0], figures[what, "interp"][0]
        print(f"{label:28}{spread(jit):>24}{spread(interp):>24}")
        if bar:
            bars.append((f"{label}, ns", statistics.median(jit), bar))
    print(f"\nload, check and translate an object of {figures['load', 'jit'][1]} instructions, for 10,000, ms")
    for who, label in (("jit", "with machine code"), ("interp", "without")):
        milliseconds = [value * 10000 / 1e6 for value in figures["load", who][0]]
        print(f"  {label:26}{spread(milliseconds):>24}")
        if who == "jit":
            bars.append(("load 10,000 instructions, ms", statistics.median(milliseconds), 5))
    return bars


def report_accesses(counts):
    print("\nmachine instructions for one load or store: how many of a kernel's have so many")
    most = 0
    for name, by_count in sorted(counts.items()):
        print(f"  {name:20}" + ", ".join(f"{count}: {times}" for count, times in sorted(by_count.items())))
        most = max(most, *by_count)
    return [("instructions more for an access", most - 1, 1)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--build", default="build", help="make's B")
    parser.add_argument("--clang", help="default: the newest there is")
    parser.add_argument("--cpu", type=int, help="default: where the scheduler likes")
    arguments = parser.parse_args()
    clang = find_clang(arguments.clang)
    binary = f"{arguments.build}/bench/bpf"
    subprocess.run(["make", f"B={arguments.build}", f"-j{os.cpu_count()}", binary], cwd=ROOT, check=True)
    if arguments.cpu is not None:
        os.sched_setaffinity(0, {arguments.cpu})
    with tempfile.TemporaryDirectory(prefix="tarn-bench-bpf-") as folder:
        compile_kernels(clang, folder)
        figures = measure(ROOT / binary, folder, arguments.rounds)
        counts = access_counts(ROOT / binary, folder)
    check_results(figures)
    print(f"{arguments.rounds} rounds, median [lowest highest]; {clang}")
    bars = report_kernels(figures) + report_small(figures) + report_accesses(counts)
    print("\nbars")
    for label, value, bar in bars:
        verdict = "at most" if value <= bar else "MISSED:"
        print(f"  {label:32}{value:8.2f}   {verdict} {bar}")
    out = ROOT / "build" / "bench"
    out.mkdir(parents=True, exist_ok=True)
    (out / "bpf.json").write_text(json.dumps({
        "rounds": arguments.rounds, "clang": clang, "access": counts,
        "ns": {f"{what} {who}": values for (what, who), (values, _, _) in figures.items()}}, indent=1))


if __name__ == "__main__":
    main()
