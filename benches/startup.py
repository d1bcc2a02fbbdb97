#!/usr/bin/env python3
"""How long a run takes to start: from the process to the end of the first training step.

    python3 benches/startup.py                                   # the CPU executor
    python3 benches/startup.py --device llvmpipe --hidden 512 --layers 2

A whole process of `wgrnn train TEXT --steps 1`, which also reads the text, makes the run's folder and saves checkpoints, is
timed from outside beside one of `step --steps 1`, which only trains; both several times, medians. Then the step program's own
times: until there is a device with memory and compiled kernels, and to the end of the first step.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from compare import build_step


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wgrnn", type=Path, default=Path("wgrnn"), help="the program (default: the one on the path)")
    parser.add_argument("--step", type=Path, help="the program that times wgrnn (default: cargo builds it)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--times", type=int, default=7)
    return parser.parse_args()


def run(command):
    """Seconds of a process, and what it printed."""
    start = time.perf_counter()
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode != 0:
        sys.exit(f"startup: {command[0]}: {(done.stderr.strip().splitlines() or ['nothing said'])[-1]}")
    return seconds, done.stdout


def main():
    args = arguments()
    step = args.step or build_step()
    sizes = ["--hidden", args.hidden, "--layers", args.layers, "--batch", 32, "--seq-len", 50]
    whole, alone, ready, first = [], [], [], []
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "text.txt"
        text.write_text("The quick brown fox jumps over the lazy dog; 0123456789 PACK MY BOX.\n" * 3000)
        for number in range(args.times):
            out = Path(folder) / f"run-{number}"
            train = [args.wgrnn, "train", text, "--steps", 1, "--device", args.device, "--out", out, "--quiet", *sizes]
            whole.append(run(train)[0])
            seconds, printed = run([step, "--device", args.device, "--steps", 1, "--warm-up", 1, *sizes])
            alone.append(seconds)
            line = json.loads(printed.splitlines()[-1])
            ready.append(line["ready_ms"] / 1e3)
            first.append(line["first_step_ms"] / 1e3)
    print(f"{line['device']}: lstm {args.hidden} x {args.layers}, B 32, T 50; medians of {args.times}")
    for what, times in [("wgrnn train --steps 1, the whole process", whole),
                        ("step --steps 1 --warm-up 1, the whole process", alone),
                        ("step: from the plan to a device that is ready", ready),
                        ("step: from the plan to the end of the first step", first)]:
        print(f"{what}: {statistics.median(times):.3f} s ({min(times):.3f} to {max(times):.3f})")


if __name__ == "__main__":
    main()
