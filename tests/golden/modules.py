#!/usr/bin/env python3
"""Writes modules/: weights of PyTorch modules as their owners save them, with the loss that PyTorch has for each.

    python3 tests/golden/modules.py            writes every tests/golden/modules/*.safetensors
    python3 tests/golden/modules.py --check    recomputes them and compares, writes nothing (exit 1 on a difference)

The text is TEXT, its symbols in sorted order are the vocabulary, and it is read as one stream from zero states. Metadata
holds `cell`, the name of the cell here, and `nats`, the mean cross-entropy of all predictions, in float64 from the weights
as they are stored. Versions: those of make.py.
"""

import copy
import sys

import torch
import torch.nn.functional as F
from make import HERE
from safetensors import safe_open
from safetensors.torch import save_file, save_model

OUT = HERE / "modules"
TEXT = "the cat sat on a mat; " * 12
SYMBOLS = sorted(set(TEXT))
V, H, E = len(SYMBOLS), 5, 3


class OneHot(torch.nn.Module):
    """A module of any layers over one-hot vectors."""

    def __init__(self, rnn, bias=True):
        super().__init__()
        self.rnn = rnn
        self.decoder = torch.nn.Linear(H, V, bias=bias)

    def forward(self, ids):
        x = F.one_hot(ids, V).to(self.decoder.weight.dtype)
        return self.decoder(self.rnn(x)[0])


class Tied(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = torch.nn.Embedding(V, H)
        self.rnn = torch.nn.LSTM(H, H, num_layers=2)
        self.decoder = torch.nn.Linear(H, V)
        self.decoder.weight = self.encoder.weight

    def forward(self, ids):
        return self.decoder(self.rnn(self.encoder(ids))[0])


class Cells(torch.nn.Module):
    """A loop over steps with a cell a layer; no numbers of layers in the parameters' names."""

    def __init__(self):
        super().__init__()
        self.emb = torch.nn.Embedding(V, E)
        self.cells = torch.nn.ModuleList([torch.nn.LSTMCell(E, H), torch.nn.LSTMCell(H, H)])
        self.fc = torch.nn.Linear(H, V)

    def forward(self, ids):
        states, outputs = [None] * len(self.cells), []
        for x in self.emb(ids):
            for layer, cell in enumerate(self.cells):
                states[layer] = cell(x, states[layer])
                x = states[layer][0]
            outputs.append(x)
        return self.fc(torch.stack(outputs))


class WeightDrop(torch.nn.Module):
    """As in Merity 2017: the recurrent weight is made from a raw one before every call; here nothing is dropped."""

    def __init__(self, module):
        super().__init__()
        self.module = module
        raw = module.weight_hh_l0
        del module._parameters["weight_hh_l0"]
        module.register_parameter("weight_hh_l0_raw", raw)

    def forward(self, x):
        names = ("weight_ih_l0", "weight_hh_l0_raw", "bias_ih_l0", "bias_hh_l0")
        weights = [getattr(self.module, name) for name in names]
        zero = torch.zeros(1, 1, H, dtype=x.dtype)
        output, *last = torch.lstm(x, (zero, zero), weights, True, 1, 0.0, False, False, False)
        return output, last


class Stacked(torch.nn.Module):
    """A module a layer, under `rnns`."""

    def __init__(self):
        super().__init__()
        self.encoder = torch.nn.Embedding(V, E)
        self.rnns = torch.nn.ModuleList([WeightDrop(torch.nn.LSTM(E, H)), WeightDrop(torch.nn.LSTM(H, H))])
        self.decoder = torch.nn.Linear(H, V)

    def forward(self, ids):
        x = self.encoder(ids)[:, None]
        for rnn in self.rnns:
            x = rnn(x)[0]
        return self.decoder(x)[:, 0]


class Halved(OneHot):
    """With a buffer that counts, as modules keep them."""

    def __init__(self):
        super().__init__(torch.nn.GRU(V, H, num_layers=2))
        self.register_buffer("num_batches_tracked", torch.tensor(7))


def parallel():
    # What DataParallel's state_dict looks like, without a device to be parallel on.
    return torch.nn.ModuleDict({"module": Halved()}).half()


CASES = {
    "bias-false": ("lstm", lambda: OneHot(torch.nn.LSTM(V, H, num_layers=2, bias=False), bias=False)),
    "cells": ("lstm", Cells),
    "parallel-f16": ("gru", parallel),
    "relu": ("rnn-relu", lambda: OneHot(torch.nn.RNN(V, H, num_layers=2, nonlinearity="relu"))),
    "rnns-raw": ("lstm", Stacked),
    "tied": ("lstm", Tied),
}


def nats(model):
    # A copy, as `double` changes a module in place.
    model = copy.deepcopy(model)
    model = model["module"] if isinstance(model, torch.nn.ModuleDict) else model
    ids = torch.tensor([SYMBOLS.index(c) for c in TEXT])
    with torch.no_grad():
        logits = model.double()(ids[:-1])
    return F.cross_entropy(logits, ids[1:]).item()


def main():
    torch.set_num_threads(1)
    failed = False
    for i, (name, (cell, make)) in enumerate(CASES.items()):
        torch.manual_seed(100 + i)
        model = make()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.copy_(torch.empty(parameter.shape).uniform_(-0.5, 0.5))
        tensors = {k: v.clone() for k, v in model.state_dict().items()}
        path = OUT / f"{name}.safetensors"
        if "--check" in sys.argv:
            with safe_open(path, "pt") as file:
                same = all(torch.equal(file.get_tensor(key), tensors[key]) for key in file.keys())
                loss = float(file.metadata()["nats"])
            bad = not same or abs(loss - nats(model)) > 1e-11
            failed |= bad
            print(f"{path.name}: {'differs' if bad else 'agrees'}")
            continue
        OUT.mkdir(exist_ok=True)
        metadata = {"cell": cell, "nats": repr(nats(model))}
        if name == "tied":
            # It stores a shared tensor once, and says so in the metadata.
            save_model(model, path, metadata=metadata)
        else:
            save_file(tensors, path, metadata=metadata)
        print(f"{path.name}: {len(tensors)} tensors, {path.stat().st_size} bytes")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
