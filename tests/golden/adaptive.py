#!/usr/bin/env python3
"""Writes vocabulary/adaptive.safetensors: torch.nn.AdaptiveLogSoftmaxWithLoss on top of an LSTM, in float64.

    python3 tests/golden/adaptive.py

Needs torch and safetensors; the checked-in file came from torch 2.15.0 on a CPU. Beside the parameters under their
names there are `ids` [T+1, B], `losses` [T, B], `log_prob` [T, B, V], and `grad.NAME` of the mean loss. States start at 0.
"""

import pathlib

import torch
from safetensors.torch import save_file

V, D, H, T, B = 40, 6, 32, 5, 3
CUTOFFS = [7, 19]


def main():
    torch.manual_seed(11)
    torch.set_num_threads(1)
    embedding = torch.nn.Embedding(V, D).double()
    rnn = torch.nn.LSTM(D, H).double()
    softmax = torch.nn.AdaptiveLogSoftmaxWithLoss(H, V, CUTOFFS, div_value=4.0, head_bias=False).double()
    ids = torch.randint(0, V, (T + 1, B))
    # Every cluster has rows, one of them many.
    ids[1] = torch.tensor([2, 9, 30])
    output, _ = rnn(embedding(ids[:-1]))
    rows = output.reshape(T * B, H)
    result = softmax(rows, ids[1:].reshape(-1))
    result.loss.backward()
    tensors = {"ids": ids, "losses": -result.output.reshape(T, B)}
    tensors["log_prob"] = softmax.log_prob(rows).reshape(T, B, V)
    named = [(f"embedding.{n}", p) for n, p in embedding.named_parameters()]
    named += [(f"rnn.{n}", p) for n, p in rnn.named_parameters()]
    named += list(softmax.named_parameters())
    for name, parameter in named:
        tensors[name] = parameter
        tensors[f"grad.{name}"] = parameter.grad
    tensors = {name: t.detach().contiguous() for name, t in tensors.items()}
    save_file(tensors, pathlib.Path(__file__).resolve().parent / "vocabulary" / "adaptive.safetensors")


if __name__ == "__main__":
    main()
