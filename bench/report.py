"""Turns samples into medians, ratios and tables. Pure: numbers in, text out."""

from statistics import median

FOREIGN_SHARE_MAX = 0.1
PEER = "nginx"  # the one that the bars are about
OURS = "tarn-"

# What the ratios compare, by kind of workload, and what it is called.
RATIO_METRIC = {"load": "cpu_us", "h2": "cpu_us", "handshake": "cpu_us", "idle": "pss_kib",
                "held": "growth_kib"}
RATIO_TITLE = {"load": "CPU time per request", "h2": "CPU time per request",
               "handshake": "CPU time per handshake", "idle": "memory", "held": "memory growth"}


def _rate(value):
    return f"{value:,.0f}"


def _micros(value):
    return f"{value:,.2f}" if value < 100 else f"{value:,.0f}"


def _percent(value):
    return f"{value * 100:.0f}%"


def _mebibytes(kib):
    return f"{kib / 1024:.1f}"


def _mebibytes_of_bytes(count):
    return f"{count / 1024 / 1024:.1f}" if count else "-"


def _load_columns(unit, *latencies):
    return (("requests_per_s", f"{unit}s/s", _rate, True),
            ("cpu_us", f"CPU us/{unit}", _micros, True),
            ("core_us", f"core us/{unit}", _micros, True),
            ("busy_share", "core busy", _percent, False),
            *((f"{latency}_us", f"{latency} us", _rate, False) for latency in latencies),
            ("pss_kib", "PSS MiB", _mebibytes, False))


# Columns by kind: metric, title, how to write it, whether the spread is shown.
COLUMNS = {
    "load": _load_columns("request", "p50", "p99"),
    "h2": _load_columns("request", "mean", "max"),
    "handshake": _load_columns("handshake", "p50", "p99"),
    "idle": (("pss_kib", "PSS MiB", _mebibytes, True),),
    "held": (("idle_pss_kib", "PSS by default, MiB", _mebibytes, False),
             ("ready_pss_kib", "set up for them, MiB", _mebibytes, False),
             ("pss_kib", "holding them, MiB", _mebibytes, False),
             ("growth_kib", "growth, MiB", _mebibytes, True),
             ("bytes_per_connection", "bytes/connection", _rate, True)),
}
LIMITED_COLUMNS = (("peak_rss_kib", "peak RSS MiB", _mebibytes, False),
                   ("cgroup_peak_bytes", "group peak MiB", _mebibytes_of_bytes, False))


def spread(values):
    return {"median": median(values), "min": min(values), "max": max(values)}


def summarize(samples):
    """Median, least and greatest of each metric over a contestant's samples."""
    return {metric: spread([sample[metric] for sample in samples]) for metric in samples[0]}


def ratios(kind, samples):
    """{tarn contestant: {peer: spread of peer / tarn}}, each quotient taken within one round, so
    that what disturbed a whole round disturbs both of its sides."""
    return ratios_of(RATIO_METRIC[kind], samples)


def ratios_of(metric, samples):
    table = {}
    for ours in (name for name in samples if name.startswith(OURS)):
        table[ours] = {
            peer: spread([theirs[metric] / max(mine[metric], 1e-9)
                          for theirs, mine in zip(samples[peer], samples[ours])])
            for peer in samples if peer != ours}
    return table


def verdicts(result):
    """One (text, bar is met) for each tarn contestant of a workload that has a bar."""
    workload = result["workload"]
    if not workload["bar"]:
        return []
    found = []
    for ours, peers in result["ratios"].items():
        if PEER not in peers:
            continue
        value = peers[PEER]["median"]
        met = value >= workload["bar"]
        goal = "met" if value >= workload["goal"] else "not yet"
        found.append((f"{ours}: {PEER} takes {value:.2f} times its "
                      f"{RATIO_TITLE[workload['kind']]}; bar {workload['bar']:g} "
                      f"{'met' if met else 'MISSED'}, goal {workload['goal']:g} {goal}"
                      + _whole_core(result, ours), met))
    return found


def _whole_core(result, ours):
    """The same ratio over all that the server's core did: a share of the network's work runs in
    interrupts, which the scheduler charges to whom they meet, or to nobody."""
    if RATIO_METRIC[result["workload"]["kind"]] != "cpu_us":
        return ""
    samples = {name: result["contestants"][name]["samples"] for name in (ours, PEER)}
    value = ratios_of("core_us", samples)[ours][PEER]
    return (f"; interrupts included {value['median']:.2f} "
            f"({value['min']:.2f}-{value['max']:.2f})")


def warnings(result):
    """What makes the figures doubtful or needs saying beside them."""
    found = []
    for name, contestant in result["contestants"].items():
        foreign = contestant["summary"].get("foreign_share")
        if foreign and foreign["median"] > FOREIGN_SHARE_MAX:
            found.append(f"{name}: interrupts and others took {_percent(foreign['median'])} of the "
                         "server's core")
    if result["workload"]["memory_limit"] and not result["options"]["memory_cgroup"]:
        found.append("no --memory-cgroup was given: the memory limit was NOT enforced, only the "
                     "peak was measured")
    return found


def _columns(workload):
    columns = COLUMNS[workload["kind"]]
    return columns + LIMITED_COLUMNS if workload["memory_limit"] else columns


def _cell(value, write, with_spread):
    text = write(value["median"])
    if with_spread and value["min"] != value["max"]:
        text += f" ({write(value['min'])}-{write(value['max'])})"
    return text


def _ratio_cell(result, ours, peer):
    if ours == peer:
        return "1"
    value = result["ratios"][ours][peer]
    return f"{value['median']:.2f} ({value['min']:.2f}-{value['max']:.2f})"


def table(result):
    """Rows of cells, the titles first."""
    columns = _columns(result["workload"])
    ours = list(result["ratios"])
    rows = [["", *(title for _, title, _, _ in columns), *(f"x {name}" for name in ours)]]
    for name, contestant in result["contestants"].items():
        summary = contestant["summary"]
        cells = [_cell(summary[metric], write, wide) for metric, _, write, wide in columns]
        rows.append([contestant["label"], *cells, *(_ratio_cell(result, mine, name)
                                                    for mine in ours)])
    return rows


def _count(number, thing):
    return f"{number:,} {thing}" + ("s" if number != 1 else "")


def heading(result):
    workload, options = result["workload"], result["options"]
    parts = [workload["title"]]
    if workload["connections"]:
        parts.append(_count(workload["connections"], "connection"))
    if workload.get("streams", 1) > 1:
        parts[-1] += f" of {workload['streams']} streams"
    if workload["memory_limit"] and options["memory_cgroup"]:
        parts.append(f"memory limited to {workload['memory_limit'] // 1_000_000} MB")
    rounds = _count(options["rounds"], "round")
    if RATIO_METRIC[workload["kind"]] == "cpu_us":
        rounds += f" of {options['seconds']} s"
    return f"{workload['name']}: {', '.join(parts)}, {rounds}"


def notes(result):
    return [text for text, _ in verdicts(result)] + [f"note: {text}" for text in warnings(result)]


def as_text(result):
    rows = table(result)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [heading(result)]
    for row in rows:
        first, *rest = (cell.ljust(width) if i == 0 else cell.rjust(width)
                        for i, (cell, width) in enumerate(zip(row, widths)))
        lines.append("  " + "  ".join([first, *rest]).rstrip())
    lines += [f"  {note}" for note in notes(result)]
    return "\n".join(lines) + "\n"


def as_markdown(result):
    head, *body = table(result)
    lines = [f"**{heading(result)}**", "", "| " + " | ".join(head) + " |",
             "| --- |" + " ---: |" * (len(head) - 1)]
    lines += ["| " + " | ".join(row) + " |" for row in body]
    for note in notes(result):
        lines += ["", note]
    return "\n".join(lines) + "\n"


def environment_lines(environment):
    versions = ", ".join(version for version in environment["versions"].values() if version)
    return (f"{environment['date']}, {environment['cpu']}, Linux {environment['kernel']}, "
            f"{environment['cpus']} cores; server on core {environment['server_cpu']}, "
            f"generator on core {environment['load_cpu']}\n{versions}\n"
            "x NAME: CPU time per request (or memory) divided by that of NAME in the same round\n")
