#!/usr/bin/env python3
"""Trains char-rnn's model in PyTorch on a text, with char-rnn's settings: what `train --preset char-rnn` is held against.

    python3 benches/peers/char_rnn_reference.py tinyshakespeare.txt

The model: one-hot characters, two LSTM layers of 128, linear head. Parameters uniform in +-0.08, then the forget gates'
input bias 1. The last 5% of the text are for validation; the rest is cut into 50 contiguous streams, read in segments of
50 characters with the state carried over and reset at an epoch's end. RMSprop (2e-3, alpha 0.95, eps 1e-8), every
gradient element clipped to +-5; ten epochs, in which char-rnn's rate is constant.

Prints a line an epoch: the mean of the minibatches' losses and the validation loss, both in nats a character. Validation
reads the tail as 50 contiguous streams with carried state, all of it. Needs torch; measured with 2.15.0.
"""

import argparse
import pathlib
import sys
import time

import torch
import torch.nn.functional as F

H, LAYERS, T, B = 128, 2, 50, 50
VALIDATION = 0.05
FORGET_BIAS, INIT = 1.0, 0.08
RMSPROP = dict(lr=2e-3, alpha=0.95, eps=1e-8)
CLIP = 5.0


class CharRnn(torch.nn.Module):
    def __init__(self, V):
        super().__init__()
        self.V = V
        self.rnn = torch.nn.LSTM(V, H, num_layers=LAYERS)
        self.head = torch.nn.Linear(H, V)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.uniform_(-INIT, INIT)
            for layer in range(LAYERS):
                # Gates i, f, g, o: the second block of H. PyTorch adds a second bias, which stays as drawn.
                getattr(self.rnn, f"bias_ih_l{layer}")[H : 2 * H] = FORGET_BIAS

    def loss(self, ids, targets, state):
        output, state = self.rnn(F.one_hot(ids, self.V).float(), state)
        loss = F.cross_entropy(self.head(output).reshape(-1, self.V), targets.reshape(-1))
        return loss, tuple(s.detach() for s in state)


def streams(ids):
    """[N] -> [N / B, B]: B contiguous streams side by side; what does not fill a row of streams is left out."""
    return ids[: len(ids) // B * B].reshape(B, -1).t().contiguous()


def segments(rows, whole):
    """(inputs, targets) of T steps, one segment after another; `whole`: no shorter one at the end."""
    last = len(rows) - 1
    for start in range(0, last, T):
        end = min(start + T, last)
        if end - start == T or not whole:
            yield rows[start:end], rows[start + 1 : end + 1]


def evaluate(model, rows):
    state, total, count = None, 0.0, 0
    with torch.no_grad():
        for ids, targets in segments(rows, whole=False):
            loss, state = model.loss(ids, targets, state)
            total += loss.item() * targets.numel()
            count += targets.numel()
    return total / count


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=pathlib.Path, help="a text in UTF-8")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--steps", type=int, help="stop after that many minibatches")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, help="CPU threads (default: PyTorch's choice)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, mps")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)

    try:
        text = args.text.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        sys.exit(f"{args.text}: {error}")
    vocabulary = sorted(set(text))
    number = {character: i for i, character in enumerate(vocabulary)}
    ids = torch.tensor([number[character] for character in text], dtype=torch.long, device=args.device)
    cut = int(len(ids) * (1 - VALIDATION))
    training, validation = streams(ids[:cut]), streams(ids[cut:])
    minibatches = max(0, len(training) - 1) // T
    if minibatches == 0 or len(validation) < 2:
        sys.exit(f"{args.text}: {len(ids)} characters are too few for {B} streams of {T} and {VALIDATION:.0%} validation")

    model = CharRnn(len(vocabulary)).to(args.device)
    optimizer = torch.optim.RMSprop(model.parameters(), **RMSPROP)
    parameters = sum(p.numel() for p in model.parameters())
    print(
        f"torch {torch.__version__}, {args.device}, seed {args.seed}: V {len(vocabulary)}, {parameters} parameters, "
        f"{minibatches} minibatches an epoch, {validation.numel()} characters of validation",
        flush=True,
    )
    step = 0
    for epoch in range(1, args.epochs + 1):
        state, total, count, begun = None, 0.0, 0, time.perf_counter()
        for inputs, targets in segments(training, whole=True):
            loss, state = model.loss(inputs, targets, state)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_value_(model.parameters(), CLIP)
            optimizer.step()
            total += loss.item()
            count += 1
            step += 1
            if step == args.steps:
                break
        milliseconds = (time.perf_counter() - begun) / count * 1e3
        print(
            f"epoch {epoch}, step {step}: training {total / count:.4f}, validation {evaluate(model, validation):.4f} "
            f"nats/char, {milliseconds:.1f} ms a step",
            flush=True,
        )
        if step == args.steps:
            break


if __name__ == "__main__":
    main()
