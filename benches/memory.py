#!/usr/bin/env python3
"""Memory of a training step: bytes for a token and layer beside the least that backpropagation through time needs.

    python3 benches/memory.py                       # H 128 x 1, 256 x 2, 512 x 2 with T 50 and T 500
    python3 benches/memory.py --shape 64,1,8 --seq-len 20 --seq-len 200

The least, for a token of a layer of H LSTM units, is 6 H numbers of 4 bytes: the backward pass of a step needs the gates i, f,
g, o and the state c (its tanh is made again), and the product that makes the weights' gradient needs h; the gates' derivatives
can take the gates' place. With recomputation of the gates, from h by the same product once more, it is 2 H.

Planned are the bytes of the plan's slots, on any device; measured is the peak of the resident set in a process of its own, on
the CPU. What grows with T is told apart from what does not (weights, optimiser, program) by two lengths: (peak with the longer
- peak with the shorter) / (tokens more * layers). That holds what belongs to no layer, too: the head's scores, a few V numbers
for a token. PyTorch (CPU) is measured likewise, where it is installed.
"""

import argparse
import datetime
import json
import platform
import re
import shlex
import subprocess
import sys
from pathlib import Path

from compare import HERE, PYTORCH, build_step

# Numbers of H that the backward pass of a step of an LSTM needs: i, f, g, o, c and h; and with gates made again: c and h.
LEAST, LEAST_RECOMPUTED = 6, 2
MIB = 1 << 20


def shape(text):
    try:
        sizes = [int(size) for size in text.split(",")]
    except ValueError:
        sizes = []
    if len(sizes) != 3 or min(sizes) < 1:
        raise argparse.ArgumentTypeError(f"expected H,LAYERS,B, three whole numbers of at least 1, found {text}")
    return tuple(sizes)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=shape, action="append", metavar="H,LAYERS,B")
    parser.add_argument("--seq-len", type=int, action="append", metavar="T", help="two lengths (default: 50 and 500)")
    parser.add_argument("--step", type=Path, help="the program that times wgrnn (default: cargo builds it)")
    parser.add_argument("--python", default=sys.executable, help="a Python that has torch")
    parser.add_argument("--out", type=Path, help="a file for the tables, too")
    args = parser.parse_args()
    args.shape = args.shape or [(128, 1, 32), (256, 2, 32), (512, 2, 32)]
    args.seq_len = sorted(args.seq_len or [50, 500])
    if len(set(args.seq_len)) != 2 or args.seq_len[0] < 1:
        parser.error(f"--seq-len: expected two different lengths of at least 1, found {args.seq_len}")
    return args


def measure(command, H, layers, B, T):
    """What a process says of itself after a few steps, or the reason for none."""
    words = ["--hidden", H, "--layers", layers, "--batch", B, "--seq-len", T, "--vocab", 65, "--steps", 2, "--warm-up", 2]
    try:
        done = subprocess.run([*command, *map(str, words)], capture_output=True, text=True)
    except OSError as error:
        return None, f"{command[0]}: {error.strerror}"
    if done.returncode != 0:
        return None, (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    return json.loads(done.stdout.splitlines()[-1]), None


def layer_of(name):
    """The layer that a slot belongs to: `state.l0` to 0; none for the head and what all share."""
    found = re.search(r"\.l(\d+)(\.|$)", name)
    return int(found[1]) if found else None


def growth_of(lines, tokens):
    """What each slot takes for a token, in bytes, by its name: what it grows by between two lengths."""
    short, long = ({slot["name"]: slot["bytes"] for slot in line["slots"]} for line in lines)
    grown = {name: (size - short.get(name, 0)) / tokens for name, size in long.items()}
    return {name: each for name, each in grown.items() if each > 0}


def markdown(rows):
    head, *rest = rows
    return ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rest]]


def main():
    args = arguments()
    step = str(args.step) if args.step else build_step()
    contenders = {"wgrnn": [step, "--slots"], "PyTorch": [args.python, str(PYTORCH)]}
    planned = [["H x layers, B", "least, bytes a token and layer", "planned", "times the least", "head and loss, a token"]]
    peaks = [["H x layers, B, T", "wgrnn: slots, packed MiB", "wgrnn: peak - start MiB", "PyTorch: peak - start MiB"]]
    growth = [["H x layers, B", "least, bytes a token and layer", "wgrnn", "times the least", "PyTorch", "times the least"]]
    listings, faults, versions = [], [], {}
    for H, layers, B in args.shape:
        lines = {}
        least = 4 * LEAST * H
        for T in args.seq_len:
            title = f"{H} x {layers}, {B}, {T}"
            row = [title, "", "", ""]
            for column, (who, command) in enumerate(contenders.items(), 2):
                line, fault = measure(command, H, layers, B, T)
                if fault:
                    faults.append(f"{who} at {title}: {fault}")
                    row[column] = "missing"
                    continue
                lines[who, T] = line
                versions[who] = line["version"]
                row[column] = f"{(line['peak_bytes'] - line['baseline_bytes']) / MIB:.1f}"
            if ours := lines.get(("wgrnn", T)):
                held = sum(slot["bytes"] for slot in ours["slots"])
                row[1] = f"{held / MIB:.1f}, {ours['packed_bytes'] / MIB:.1f}"
            peaks.append(row)
        both = [lines.get(("wgrnn", T)) for T in args.seq_len]
        if all(both):
            slots = growth_of(both, (args.seq_len[1] - args.seq_len[0]) * B)
            own = sum(each for name, each in slots.items() if layer_of(name) is not None) / layers
            others = sum(each for name, each in slots.items() if layer_of(name) is None)
            planned.append([f"{H} x {layers}, {B}", str(least), f"{own:.0f}", f"{own / least:.2f}", f"{others:.0f}"])
            listings.append((H, layers, slots))
        row = [f"{H} x {layers}, {B}", str(least)]
        for who in contenders:
            short, long = (lines.get((who, T)) for T in args.seq_len)
            if short and long:
                more = (args.seq_len[1] - args.seq_len[0]) * B * layers
                grown = (long["peak_bytes"] - short["peak_bytes"]) / more
                row += [f"{grown:.0f}", f"{grown / least:.2f}"]
            else:
                row += ["missing", ""]
        growth.append(row)
    now = datetime.datetime.now(datetime.timezone.utc)
    out = [
        "# Memory of a training step",
        "",
        f"{now:%Y-%m-%d %H:%M} UTC; {platform.platform()}; `{shlex.join(['python3', *sys.argv])}`; lstm, V 65, "
        + ", ".join(f"{who} {version}" for who, version in versions.items())
        + f". The least is {LEAST} H numbers of 4 bytes for a token and layer (i, f, g, o, c, h); with the gates made again "
        f"{LEAST_RECOMPUTED} H.",
        "",
        "What the plan holds:",
        "",
        *markdown(planned),
        "",
        "Resident memory on the CPU, at its peak:",
        "",
        *markdown(peaks),
        "",
        f"What grows with T, from T {args.seq_len[0]} to {args.seq_len[1]}:",
        "",
        *markdown(growth),
    ]
    # The deepest of the models has every kind of slot.
    for H, layers, slots in sorted(listings, key=lambda of: -of[1])[:1]:
        rows = [["slot", "bytes a token", "numbers of H"]]
        for name, each in sorted(slots.items(), key=lambda slot: -slot[1]):
            rows.append([name, f"{each:.0f}", f"{each / 4 / H:.2f}"])
        out += ["", f"Slots that hold something for every token, H {H} x {layers}:", "", *markdown(rows)]
    out += ["", *[f"Missing: {fault}" for fault in faults]] if faults else []
    print(*out, sep="\n")
    if args.out:
        args.out.write_text("\n".join(out) + "\n")
    sys.exit(1 if any(f.startswith("wgrnn") for f in faults) else 0)


if __name__ == "__main__":
    main()
