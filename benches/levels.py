#!/usr/bin/env python3
"""Levels of tiles as lines of columns: from drawings to lines, from lines to drawings, and how many columns are real ones.

    python3 benches/levels.py lines LEVEL.txt... > columns.txt    # a column a line, read upwards; an empty line between levels
    wgrnn sample RUN --length 3000 > new.txt
    python3 benches/levels.py draw columns.txt new.txt            # prints the new level, and what share of its columns is real

A drawing has a row of tiles a line, top first. A line of the sample that is not as high as the columns are is a column, too, and
no real one; the last line may be cut off and is left out.
"""

import sys
from pathlib import Path

WIDTH = 100


def columns(path):
    rows = Path(path).read_text().splitlines()
    return ["".join(column)[::-1] for column in zip(*rows, strict=True)]


def draw(real, new):
    known = {line for line in Path(real).read_text().splitlines() if line}
    height = max(map(len, known))
    lines = [line for line in Path(new).read_text().split("\n")[:-1] if line]
    for first in range(0, len(lines), WIDTH):
        part = [line[:height].ljust(height)[::-1] for line in lines[first : first + WIDTH]]
        print("\n".join("".join(row) for row in zip(*part)), end="\n\n")
    right = sum(line in known for line in lines)
    kinds = len(set(lines))
    print(f"{right} of {len(lines)} columns occur in {real}: {right / max(len(lines), 1):.4f}; {kinds} kinds of columns")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["lines", *levels] if levels:
            print("\n\n".join("\n".join(columns(level)) for level in levels))
        case ["draw", real, new]:
            draw(real, new)
        case _:
            sys.exit(__doc__)
