#!/usr/bin/env python3
"""Does the cost of a training step grow as its work? T, B, H, layers and V, each swept over a factor of 16.

    python3 benches/sweep.py                        # the CPU executor
    python3 benches/sweep.py --device llvmpipe      # an adapter: its index or a part of its name
    python3 benches/sweep.py --only H --only T --seconds 3

Around lstm, H 128, 1 layer, B 32, T 64, V 65 one size at a time changes. Prints, for every point, the time of a step, the
work of it in floating point operations (of the plan, so that what does not depend on the size is in it), the time for a
unit of work and two local exponents: d log(time) / d log(size) and d log(time) / d log(work). The second is 1 where cost
grows as the work; below 1 something is shared by more work, above 1 something gets more expensive. Writes the plot and a
table as markdown into benches/results (needs matplotlib: pip install matplotlib; without it there is only the table).
"""

import argparse
import datetime
import json
import math
import os
import platform
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

from compare import FIELDS, HERE, build_step

# Processors that other programs may use during a measurement.
OTHERS = 0.15
BASE = {"H": 128, "layers": 1, "B": 32, "T": 64, "V": 65}
SWEEPS = {
    "T": [16, 32, 64, 128, 256],
    "B": [8, 16, 32, 64, 128],
    "H": [64, 128, 256, 512, 1024],
    "layers": [1, 2, 4, 8, 16],
    "V": [64, 128, 256, 512, 1024],
}
MEANING = {
    "T": "steps of a minibatch",
    "B": "rows of a minibatch",
    "H": "hidden units",
    "layers": "recurrent layers",
    "V": "symbols",
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", help="cpu, gpu, an adapter's index or a part of its name")
    parser.add_argument("--step", type=Path, help="the program that times wgrnn (default: cargo builds it)")
    parser.add_argument("--cell", default="lstm")
    parser.add_argument("--only", action="append", choices=SWEEPS, help="this size alone; may be given several times")
    parser.add_argument("--seconds", type=float, default=1.0, help="timed work of a point in a round")
    parser.add_argument("--rounds", type=int, default=2, help="rounds over all points, of which the best counts")
    parser.add_argument("--tries", type=int, default=4, help="for a point, while other programs use the processor")
    parser.add_argument("--limit", type=float, default=60, help="a sweep ends at a point that takes longer, in seconds")
    parser.add_argument("--out", type=Path, help="files without their endings (default: benches/results/DATE-sweep-DEVICE)")
    return parser.parse_args()


def measure(args, step, shape):
    """The line that the program prints for a shape, or the reason for none."""
    command = [step, "--device", args.device, "--cell", args.cell, "--seconds", str(args.seconds)]
    for flag, field in FIELDS:
        command += [f"--{flag}", str(shape[field])]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=args.limit)
    except subprocess.TimeoutExpired:
        return None, f"not done after {args.limit:g} s"
    if done.returncode != 0:
        return None, (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    return json.loads(done.stdout.splitlines()[-1]), None


def busy():
    """Processor seconds of all processes and of those that ended under this one; none where the system does not say."""
    try:
        words = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    except OSError:
        return None
    # user, nice, system; then idle and waiting; interrupts and what a host took away.
    everyone = sum(int(words[n]) for n in (0, 1, 2, 5, 6, 7)) / os.sysconf("SC_CLK_TCK")
    own = os.times()
    return everyone - own.children_user - own.children_system


def undisturbed(args, step, shape):
    """The same, again where other programs used the processor meanwhile; the fastest if they always do."""
    found = []
    for _ in range(args.tries):
        before, start = busy(), time.monotonic()
        line, fault = measure(args, step, shape)
        if fault:
            return None, fault
        found.append(line)
        if before is None or busy() - before <= OTHERS * (time.monotonic() - start):
            break
    return min(found, key=lambda line: line["ms_median"]), None


def exponent(points, n, key):
    """The slope between a point and the one before it, in logarithms."""
    if n == 0:
        return ""
    old, new = points[n - 1], points[n]
    change = math.log(new[key] / old[key])
    return f"{math.log(new['ms_median'] / old['ms_median']) / change:.2f}" if change else ""


def table(size, points):
    rows = [[size, "step ms", "GFLOP", "us / MFLOP", f"exponent of {size}", "exponent of the work"]]
    for n, point in enumerate(points):
        per_work = point["ms_median"] / point["gflop"]
        rows.append([
            str(point[size]), f"{point['ms_median']:.4g}", f"{point['gflop']:.4g}", f"{per_work:.4g}",
            exponent(points, n, size), exponent(points, n, "gflop"),
        ])
    head, *rest = rows
    return ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rest]]


def whole_exponent(points):
    """The slope of time against work over the whole sweep."""
    first, last = points[0], points[-1]
    return math.log(last["ms_median"] / first["ms_median"]) / math.log(last["gflop"] / first["gflop"])


def plot(sweeps, title, path):
    try:
        import matplotlib
    except ImportError:
        print("sweep: no plot: matplotlib is missing: pip install matplotlib", file=sys.stderr)
        return
    matplotlib.use("svg")
    # Equal figures make equal files.
    matplotlib.rcParams["svg.hashsalt"] = "sweep"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(sweeps), figsize=(3.4 * len(sweeps), 3.6), squeeze=False)
    for axis, (size, points) in zip(axes[0], sweeps.items()):
        sizes, times = [p[size] for p in points], [p["ms_median"] for p in points]
        # A straight line through the middle point: what cost would be at its rate.
        middle = points[len(points) // 2]
        rate = middle["ms_median"] / middle["gflop"]
        axis.plot(sizes, [rate * p["gflop"] for p in points], "--", color="0.6", label="as the work")
        axis.plot(sizes, times, "o-", color="C0", label="measured")
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        axis.set_xticks(sizes, [str(n) for n in sizes])
        axis.minorticks_off()
        axis.set_xlabel(f"{size}: {MEANING[size]}")
        axis.grid(True, alpha=0.3)
    axes[0][0].set_ylabel("a training step, ms")
    axes[0][0].legend()
    figure.suptitle(title, fontsize=10)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    print(path, file=sys.stderr)


def main():
    args = arguments()
    step = str(args.step) if args.step else build_step()
    sizes = args.only or list(SWEEPS)
    known, faults = {}, {}
    for number in range(args.rounds):
        for size in sizes:
            for value in SWEEPS[size]:
                shape = dict(BASE, **{size: value})
                key = tuple(shape.values())
                if size in faults or len(known.setdefault(key, [])) > number:
                    continue
                print(f"round {number + 1}: {size} {value}", file=sys.stderr)
                line, fault = undisturbed(args, step, shape)
                if fault:
                    faults[size] = f"{size} {value}: {fault}; what is larger was left out"
                else:
                    known[key].append(line)
    sweeps = {}
    for size in sizes:
        found = [known.get(tuple(dict(BASE, **{size: value}).values())) for value in SWEEPS[size]]
        # A round that something else on the machine held up says nothing of the size.
        points = [min(lines, key=lambda line: line["ms_median"]) for lines in found if lines]
        if len(points) > 1:
            sweeps[size] = points
    if not sweeps:
        sys.exit(f"sweep: nothing could be measured: {'; '.join(faults.values())}")
    device = next(iter(sweeps.values()))[0]["device"]
    now = datetime.datetime.now(datetime.timezone.utc)
    word = re.sub(r"[^a-z0-9]+", "-", device.lower().split(" (")[0]).strip("-")
    out = args.out or HERE / "results" / f"{now:%Y-%m-%d}-sweep-{word}"
    base = ", ".join(f"{name} {value}" for name, value in BASE.items())
    lines = [
        f"# Cost against size: {device}",
        "",
        f"{now:%Y-%m-%d %H:%M} UTC; {platform.platform()}; `{shlex.join(['python3', *sys.argv])}`; {args.cell} around {base}; "
        f"the best of {args.rounds} rounds, each the median of {args.seconds:g} s of steps.",
        "",
        "| swept | over | exponent of time against work, first to last |",
        "|---|---|---|",
    ]
    lines += [f"| {s} | {p[0][s]} to {p[-1][s]} | {whole_exponent(p):.2f} |" for s, p in sweeps.items()]
    for size, points in sweeps.items():
        lines += ["", f"## {size}, {MEANING[size]}", "", *table(size, points)]
    lines += ["", *[f"Missing: {fault}." for fault in faults.values()]] if faults else []
    # A name may have dots of its own.
    text = out.with_name(out.name + ".md")
    text.parent.mkdir(parents=True, exist_ok=True)
    text.write_text("\n".join(lines) + "\n")
    print(*lines, sep="\n")
    print(text, file=sys.stderr)
    plot(sweeps, f"{device}: {args.cell} around {base}", out.with_name(out.name + ".svg"))


if __name__ == "__main__":
    main()
