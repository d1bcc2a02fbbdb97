#!/usr/bin/env python3
"""BLEU by the length of the source, a line a model, from what `eval --by-length` found.

    wgrnn eval runs/attention source=test.de target=test.en --beam 5 --bleu none --by-length 5 --json > attention.json
    python3 benches/bleu_by_length.py attention=attention.json plain=plain.json > bleu-by-length.svg

A point stands at the middle of its lengths; those of fewer than `--least` texts are left out.
"""

import argparse
import json
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 640, 360, 48, 16, 150, 44
COLOURS = ["#1b6ca8", "#c8553d", "#4a8f4f", "#7a5195", "#b8860b"]


def points(path, least):
    with open(path) as file:
        losses = json.load(file)["losses"]
    buckets = [bucket for loss in losses for bucket in loss.get("by_length", [])]
    if not buckets:
        raise SystemExit(f"{path}: expected what `eval --by-length` prints with --json, found no by_length")
    return [((b["from"] + b["to"]) / 2, b["bleu"]) for b in buckets if b["texts"] >= least]


def drawn(lines):
    most_x = max(x for _, line in lines for x, _ in line)
    most_y = max(10, max(y for _, line in lines for _, y in line))
    most_x, most_y = 5 * (int(most_x) // 5 + 1), 10 * (int(most_y) // 10 + 1)
    at_x = lambda x: round(LEFT + (WIDTH - LEFT - RIGHT) * x / most_x, 1)
    at_y = lambda y: round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * y / most_y, 1)
    text = lambda x, y, what, more="": f'<text x="{x}" y="{y}" {more}>{escape(str(what))}</text>'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
        ' font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for y in range(0, most_y + 1, 10):
        parts.append(f'<path d="M{LEFT} {at_y(y)}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(text(LEFT - 6, at_y(y) + 4, y, 'text-anchor="end"'))
    for x in range(0, most_x + 1, 5):
        parts.append(text(at_x(x), HEIGHT - BOTTOM + 18, x, 'text-anchor="middle"'))
    parts.append(text(at_x(most_x / 2), HEIGHT - 8, "words of the source", 'text-anchor="middle"'))
    parts.append(text(LEFT + 6, TOP + 4, "BLEU"))
    for (name, line), colour in zip(lines, COLOURS):
        path = " ".join(f"{at_x(x)},{at_y(y)}" for x, y in line)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{at_x(x)}" cy="{at_y(y)}" r="3" fill="{colour}"/>' for x, y in line]
    ends = sorted((at_y(line[-1][1]), name, colour) for (name, line), colour in zip(lines, COLOURS))
    below = 0
    for y, name, colour in ends:
        below = max(y + 4, below)
        parts.append(text(WIDTH - RIGHT + 8, below, name, f'fill="{colour}"'))
        below += 15
    return "\n".join([*parts, "</svg>"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="+", help="NAME=FILE, up to five")
    parser.add_argument("--least", type=int, default=10)
    args = parser.parse_args()
    if len(args.model) > len(COLOURS) or not all("=" in model for model in args.model):
        parser.error(f"expected up to {len(COLOURS)} of NAME=FILE, got {' '.join(args.model)}")
    named = [model.split("=", 1) for model in args.model]
    print(drawn([(name, points(path, args.least)) for name, path in named]))
