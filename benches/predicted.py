#!/usr/bin/env python3
"""Predicted times of DeepBench's recurrent layers, beside what cuDNN is published to take for them, as a table.

    python3 benches/predicted.py target/release/wgrnn > table.md

A layer over an input as wide as H is the difference of `profile --predict` of a stack of two and of one, without the norm and the
update, which DeepBench leaves out. Published: cuDNN in f32 on a V100, milliseconds of forward and both backward passes together,
baidu-research/DeepBench, results/train/DeepBench_NV_V100.xlsx, sheet "Results FP32"; `PUBLISHED` is read from the table of an
earlier result.
"""

import json
import math
import re
import subprocess
import sys
from pathlib import Path

PUBLISHED = Path(__file__).parent / "results" / "2026-11-28-predicted.md"
DEVICES = {"v100": "V100", "h100": "H100", "rtx4090": "RTX 4090", "m3-max": "M3 Max", "a770": "A770", "rx7900": "RX 7900 XTX"}
LEFT_OUT = ("norm", "update")


def published():
    """Cell, H, B, T and milliseconds of every shape."""
    rows = re.findall(r"^\| (rnn|lstm|gru) \| (\d+) \| (\d+) \| (\d+) \| ([\d.]+) \|", PUBLISHED.read_text(), re.M)
    return [(cell, int(h), int(b), int(t), float(ms)) for cell, h, b, t, ms in rows]


def kernels(program, device, shape, layers):
    cell, h, b, t, _ = shape
    words = f"profile --json --predict {device} --cell {cell} --hidden {h} --batch {b} --seq-len {t} --layers {layers}"
    done = subprocess.run([program, *words.split()], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["kernels"]


def milliseconds(all_kernels):
    return sum(kernel["ms"] for kernel in all_kernels if not kernel["name"].startswith(LEFT_OUT))


def main():
    program = sys.argv[1]
    print(f"| cell | H | B | T | cuDNN V100, published | V100 | published / predicted | {' | '.join(list(DEVICES.values())[1:])} |")
    print("|" + "---|" * 12)
    ratios = []
    for shape in published():
        times = {}
        for device in DEVICES:
            one, two = (milliseconds(kernels(program, device, shape, layers)) for layers in (1, 2))
            times[device] = two - one
        ratios.append((shape[0], shape[4] / times["v100"]))
        others = " | ".join(f"{times[device]:.3g}" for device in list(DEVICES)[1:])
        print("| " + " | ".join(map(str, shape[:4])) + f" | {shape[4]:g} | {times['v100']:.3g} | {ratios[-1][1]:.2f} | {others} |")
    print("\nGeometric mean of published / predicted:")
    for name in ["all", "rnn", "lstm", "gru"]:
        own = [ratio for cell, ratio in ratios if name in ("all", cell)]
        mean = math.exp(sum(map(math.log, own)) / len(own))
        print(f"{name} {mean:.2f}, from {min(own):.2f} to {max(own):.2f}, {len(own)} shapes")


if __name__ == "__main__":
    main()
