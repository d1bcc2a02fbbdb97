#!/usr/bin/env python3
"""One table: wgrnn's executors beside PyTorch and burn, the same training step, measured in one run.

    python3 benches/compare.py                               # the usual shapes
    python3 benches/compare.py --shape 128,1,32,50,65        # H,layers,B,T,V; may be given several times
    python3 benches/compare.py --gpu 0 --gpu llvmpipe        # wgrnn's GPU executor on these adapters

Every contender is a program of its own that warms up, times single steps and prints their median. The programs take
turns for --rounds rounds (A B C A B C ...), so that a machine that is busy for a while hurts all of them. A cell of the
table is the median over the rounds of (milliseconds of the peer) / (milliseconds of wgrnn) in the same round: 2x is
twice as fast as the peer. With --best the fastest single step of all rounds stands for each, which is what remains to
be said on a machine that is busy. Peers that are not installed are named with what to do. --json prints all lines.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PYTORCH = HERE / "peers" / "pytorch.py"
BURN = HERE / "peers" / "burn"
FIELDS = [("hidden", "H"), ("layers", "layers"), ("batch", "B"), ("seq-len", "T"), ("vocab", "V")]


class Contender:
    """A program that times a step, and what it printed: by shape, a list of lines or the reason for none."""

    def __init__(self, label, command, ours=False, cells=True):
        self.label, self.command = label, command
        # Whether it is wgrnn, and whether it knows other cells than the LSTM.
        self.ours, self.cells = ours, cells
        self.missing = None
        self.device = None

    def time(self, shape, steps, warm_up):
        words = [word for name, field in FIELDS for word in (f"--{name}", str(shape[field]))]
        words += ["--steps", str(steps), "--warm-up", str(warm_up)]
        if self.cells:
            words += ["--cell", shape["cell"]]
        try:
            done = subprocess.run(self.command + words, capture_output=True, text=True)
        except OSError as error:
            return None, f"{self.command[0]}: {error.strerror}"
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            return None, lines[-1]
        line = json.loads(done.stdout.strip().splitlines()[-1])
        self.device = line["device"]
        return line, None


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", action="append", metavar="H,LAYERS,B,T,V", help="default: the usual five")
    parser.add_argument("--cell", default="lstm", choices=["rnn", "lstm", "gru"], help="burn is measured for lstm alone")
    parser.add_argument("--gpu", action="append", default=[], metavar="ADAPTER", help="wgrnn on this adapter too")
    parser.add_argument("--burn-device", default="auto", help="auto, software, discrete:N, integrated:N or virtual:N")
    parser.add_argument("--burn", type=Path, help="the burn peer's program, if not where cargo puts it")
    parser.add_argument("--step", type=Path, help="the program that times wgrnn (default: cargo builds it)")
    parser.add_argument("--precision", action="append", choices=["fp32", "tf32", "bf16"],
                        help="of PyTorch on a CUDA device; may be given several times (default: all three)")
    parser.add_argument("--python", default=sys.executable, help="a Python that has torch")
    parser.add_argument("--threads", type=int, help="CPU threads for wgrnn and PyTorch (default: each one's choice)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="timed work of one contender in a round")
    parser.add_argument("--slow", type=float, default=20.0, help="a step that takes more seconds is run in one round only")
    parser.add_argument("--best", action="store_true", help="compare the fastest steps instead of the medians")
    parser.add_argument("--without", action="append", default=[], choices=["pytorch", "burn"], help="leave a peer out")
    parser.add_argument("--json", action="store_true", help="print every measurement as a line of JSON instead")
    return parser.parse_args()


def build_step():
    """Builds the program that times wgrnn and gives its path."""
    command = ["cargo", "bench", "--bench", "step", "--no-run", "--message-format=json"]
    done = subprocess.run(command, cwd=HERE.parent, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit("compare: the program that times wgrnn could not be built")
    for text in done.stdout.splitlines():
        message = json.loads(text)
        if message.get("executable") and message["target"]["name"] == "step":
            return message["executable"]
    sys.exit("compare: cargo built no program called `step`")


def pytorch(args, device, precision):
    threads = ["--threads", str(args.threads)] if args.threads else []
    label = f"PyTorch {device} {precision}" if device == "cuda" else f"PyTorch {device}"
    return Contender(label, [args.python, str(PYTORCH), "--device", device, "--precision", precision] + threads)


def contenders(args, step):
    """All contenders, and a line for each peer that is missing."""
    found = [Contender("wgrnn cpu", [step, "--device", "cpu"], ours=True)]
    found += [Contender(f"wgrnn {name}", [step, "--device", name], ours=True) for name in args.gpu]
    missing = []
    if "pytorch" not in args.without:
        probe = "import torch; print(torch.cuda.is_available())"
        try:
            torch = subprocess.run([args.python, "-c", probe], capture_output=True, text=True)
        except OSError as error:
            sys.exit(f"compare: --python {args.python}: {error.strerror}")
        if torch.returncode == 0:
            found.append(pytorch(args, "cpu", "fp32"))
            if "True" in torch.stdout:
                precisions = args.precision or ["fp32", "tf32", "bf16"]
                found += [pytorch(args, "cuda", precision) for precision in precisions]
            else:
                missing.append("PyTorch cuda: no CUDA device is visible to PyTorch")
        else:
            missing.append(f"PyTorch: {args.python} has no torch: pip install torch, or name another with --python")
    if "burn" not in args.without:
        target = Path(os.environ.get("CARGO_TARGET_DIR", BURN / "target"))
        program = args.burn or target / "release" / ("burn-peer" + (".exe" if os.name == "nt" else ""))
        if args.cell != "lstm":
            missing.append(f"burn: its program times lstm alone, not {args.cell}")
        elif program.exists():
            found.append(Contender("burn wgpu", [str(program), "--device", args.burn_device], cells=False))
        else:
            build = f"cargo build --release --locked --manifest-path {BURN / 'Cargo.toml'}"
            missing.append(f"burn: {program} does not exist: {build} (a quarter of an hour on two cores), or --burn PATH")
    return found, missing


def shapes(args, step):
    if not args.shape:
        listed = subprocess.run([step, "--shapes"], check=True, stdout=subprocess.PIPE, text=True)
        return [dict(json.loads(line), cell=args.cell) for line in listed.stdout.splitlines()]
    result = []
    for text in args.shape:
        try:
            sizes = [int(size) for size in text.split(",")]
        except ValueError:
            sizes = []
        if len(sizes) != len(FIELDS) or min(sizes) < 1:
            sys.exit(f"compare: --shape {text}: expected five whole numbers of at least 1, as in 128,1,32,50,65")
        result.append(dict(zip((field for _, field in FIELDS), sizes), cell=args.cell))
    return result


def measure(args, all_contenders, shape):
    """Milliseconds of a step by contender, a list with one entry a round; None where a program failed in a round."""
    steps, warm_up, rounds = {}, {}, {c.label: [] for c in all_contenders}
    for c in all_contenders:
        # One step, warmed up by one, tells how many steps fill the time.
        print(f"{c.label}: calibrating at {describe(shape)}", file=sys.stderr)
        line, c.missing = c.time(shape, 1, 1)
        if line is None:
            continue
        seconds = line["ms_median"] / 1e3
        if seconds > args.slow:
            rounds[c.label] = [line]
            continue
        steps[c.label] = max(2, min(200, round(args.seconds / seconds)))
        warm_up[c.label] = max(1, steps[c.label] // 4)
    for number in range(args.rounds):
        print(f"round {number + 1} of {args.rounds} at {describe(shape)}", file=sys.stderr)
        for c in all_contenders:
            if c.label in steps and not c.missing:
                line, c.missing = c.time(shape, steps[c.label], warm_up[c.label])
                rounds[c.label].append(line)
    return rounds


def describe(shape):
    return ", ".join(str(shape[field]) for _, field in FIELDS)


def times(lines, best):
    """What stands for each round, in milliseconds; with `best` one figure for all of them."""
    times = [line["ms_min" if best else "ms_median"] for line in lines if line]
    return [min(times)] if best and times else times


def ratio(peer, ours, best):
    """How many times as fast as the peer: rounds pair up, a contender with a single round stands beside all."""
    peer, ours = times(peer, best), times(ours, best)
    if not peer or not ours:
        return ""
    if len(peer) == len(ours):
        value = statistics.median(p / o for p, o in zip(peer, ours))
    else:
        value = statistics.median(peer) / statistics.median(ours)
    return f"{value:.3g}x"


def milliseconds(lines, best):
    figures = times(lines, best)
    if not figures:
        return "failed"
    # Only the calibration is a single step.
    return f"{statistics.median(figures):.4g} ms" + (" *" if lines[0]["steps"] == 1 else "")


def print_table(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for n, row in enumerate(rows):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |")
        if n == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")


def main():
    args = arguments()
    if args.rounds < 1:
        sys.exit(f"compare: --rounds {args.rounds}: expected at least 1")
    if args.threads:
        os.environ["RAYON_NUM_THREADS"] = str(args.threads)
    step = str(args.step) if args.step else build_step()
    found, missing = contenders(args, step)
    ours, peers = [c for c in found if c.ours], [c for c in found if not c.ours]
    table = [["H, layers, B, T, V", "wgrnn", "a step"] + [p.label for p in peers]]
    failures = []
    for shape in shapes(args, step):
        rounds = measure(args, found, shape)
        failures += [f"{c.label} at {describe(shape)}: {c.missing}" for c in found if c.missing]
        if args.json:
            for c in found:
                for number, line in enumerate(rounds[c.label]):
                    if line:
                        print(json.dumps(dict(line, contender=c.label, round=number)), flush=True)
            continue
        table.append([describe(shape), "", ""] + [milliseconds(rounds[p.label], args.best) for p in peers])
        for c in ours:
            row = ["", c.label, milliseconds(rounds[c.label], args.best)]
            row += [ratio(rounds[p.label], rounds[c.label], args.best) for p in peers]
            table.append(row)
    if not args.json:
        print_table(table)
        figure = "the fastest step" if args.best else "medians"
        print(f"\n{args.cell}; {figure} of {args.rounds} interleaved rounds; * a single step, too slow for rounds.")
        print("Nx: wgrnn takes 1/N of the peer's time.")
        for c in found:
            print(f"{c.label}: {c.device or 'never ran'}")
    for line in missing + failures:
        print(f"missing: {line}", file=sys.stderr if args.json else sys.stdout)
    # wgrnn itself must have run.
    sys.exit(1 if any(f.startswith("wgrnn") for f in failures) else 0)


if __name__ == "__main__":
    main()
