#!/usr/bin/env python3
"""How far apart rounding alone takes PyTorch's own losses in the first steps of char-rnn's model.

    python3 benches/peers/rounding.py tinyshakespeare.txt

Trains the model of char_rnn_reference.py from one start several times: with one thread, with two, and without oneDNN,
which add the same numbers in another order. Prints for each seed the first step at which two losses differ by more than
2e-6 and by more than 1e-3, and the largest difference. Needs torch; measured with 2.15.0.
"""

import argparse
import pathlib

import torch

import char_rnn_reference as reference


def losses(rows, symbols, seed, steps, threads, onednn):
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    torch.backends.mkldnn.enabled = onednn
    model = reference.CharRnn(symbols)
    optimizer = torch.optim.RMSprop(model.parameters(), **reference.RMSPROP)
    state, found = None, []
    for inputs, targets in reference.windows(rows, whole=True):
        loss, state = model.loss(inputs, targets, state)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_value_(model.parameters(), reference.CLIP)
        optimizer.step()
        found.append(loss.item())
        if len(found) == steps:
            break
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=pathlib.Path, help="a text in UTF-8")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    args = parser.parse_args()
    text = args.text.read_text(encoding="utf-8")
    vocabulary = sorted(set(text))
    number = {character: i for i, character in enumerate(vocabulary)}
    ids = torch.tensor([number[character] for character in text])
    rows = reference.streams(ids[: int(len(ids) * (1 - reference.VALIDATION))])
    print(f"{'seed':<6}{'one thread against':<20}{'beyond 2e-6':<13}{'beyond 1e-3':<13}largest")
    for seed in args.seeds:
        one = losses(rows, len(vocabulary), seed, args.steps, 1, True)
        for name, threads, onednn in (("two threads", 2, True), ("without oneDNN", 1, False)):
            other = losses(rows, len(vocabulary), seed, args.steps, threads, onednn)
            apart = [abs(a - b) for a, b in zip(one, other)]
            beyond = [next((n + 1 for n, d in enumerate(apart) if d > limit), "never") for limit in (2e-6, 1e-3)]
            print(f"{seed:<6}{name:<20}{beyond[0]:<13}{beyond[1]:<13}{max(apart):.2g}", flush=True)


if __name__ == "__main__":
    main()
