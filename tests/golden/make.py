#!/usr/bin/env python3
"""Writes the golden values beside this file: what PyTorch computes in float64 for small recurrent language models.

    python3 tests/golden/make.py             writes every tests/golden/*.safetensors
    python3 tests/golden/make.py --check     recomputes them and compares, writes nothing (exit 1 on a difference)

Needs torch >= 2.6, numpy and safetensors; the checked-in files came from torch 2.15.0 on a CPU, numpy 2.4.6,
safetensors 0.8.0. One thread and one seed: the same versions give the same bytes. README.md says what each tensor is.
"""

import argparse
import functools
import json
import pathlib
import re
import sys

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).resolve().parent
STEPS = 20
# Well conditioned: with this seed twenty steps in float32 end within 1e-4 of those in float64, for every optimiser.
# Where a gradient happens to be all but zero, Adam and Adagrad turn its sign into a whole step, and no precision helps.
SEED = 281
MODULES = {"rnn": torch.nn.RNN, "rnn-relu": functools.partial(torch.nn.RNN, nonlinearity="relu")}
MODULES |= {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}


# What a case may have beside its sizes, and how the file's name says it; settings hold only what a case has.
EXTRAS = {"bidirectional": "bi", "project": "project", "layer_norm": "norm", "residual": "residual", "skip": "skip"}


def case(cell, layers, V, H, B, T, embed=None, tied=False, optimizers=False, **extras):
    """One file: a cell, its sizes, the embedding's width (None: one-hot), whether every optimiser runs, extras."""
    name = f"{cell}-l{layers}-v{V}h{H}b{B}t{T}"
    if embed is not None:
        name += f"-tied{embed}" if tied else f"-embed{embed}"
    for key in EXTRAS:
        if key in extras:
            name += f"-{EXTRAS[key]}" + (f"{extras[key]}" if key == "project" else "")
    sizes = dict(name=name, cell=cell, layers=layers, V=V, H=H, B=B, T=T, embed=embed, tied=tied)
    return sizes | dict(optimizers=optimizers) | extras


# Every cell meets every shape once, and one to three layers; the larger shape never meets the largest model.
CASES = [
    case("rnn", 1, V=5, H=7, B=3, T=4, optimizers=True),
    case("rnn", 2, V=6, H=5, B=1, T=9),
    case("rnn", 3, V=11, H=13, B=2, T=5),
    case("lstm", 1, V=11, H=13, B=2, T=5),
    case("lstm", 2, V=5, H=7, B=3, T=4, optimizers=True),
    case("lstm", 3, V=6, H=5, B=1, T=9),
    case("gru", 1, V=6, H=5, B=1, T=9, optimizers=True),
    case("gru", 2, V=11, H=13, B=2, T=5),
    case("gru", 3, V=5, H=7, B=3, T=4),
    case("lstm", 1, V=3, H=1, B=1, T=1),
    case("rnn", 1, V=11, H=13, B=2, T=5, embed=9),
    case("lstm", 2, V=5, H=7, B=3, T=4, embed=3),
    case("gru", 2, V=5, H=7, B=3, T=4, embed=7, tied=True, optimizers=True),
    case("lstm", 1, V=6, H=5, B=1, T=9, embed=5, tied=True),
    case("lstm", 2, V=5, H=7, B=3, T=4, bidirectional=True),
    case("gru", 1, V=6, H=5, B=1, T=9, embed=3, bidirectional=True),
    case("rnn", 1, V=11, H=13, B=2, T=5, bidirectional=True),
    case("lstm-ln", 1, V=6, H=5, B=1, T=9),
    case("lstm-ln", 2, V=5, H=7, B=3, T=4, embed=3),
    case("gru-ln", 1, V=11, H=13, B=2, T=5, embed=9),
    case("gru-ln", 2, V=6, H=5, B=3, T=4),
    case("rnn-ln", 2, V=5, H=7, B=2, T=5),
    case("lstm", 2, V=5, H=7, B=3, T=4, layer_norm=True),
    case("gru", 3, V=6, H=5, B=1, T=9, residual=True),
    case("rnn", 3, V=5, H=7, B=3, T=4, embed=3, skip=True),
    case("lstm", 2, V=6, H=5, B=2, T=5, project=3),
    # All at once: how the parts are put together, not only that each is right.
    case("gru", 3, V=5, H=4, B=3, T=4, embed=3, **dict.fromkeys(EXTRAS, True) | dict(project=5)),
    case("rnn-relu", 2, V=5, H=7, B=3, T=4, embed=3),
]

# name -> what the file's settings record; `torch` names the optimiser, `args` are its arguments.
ADAM = {"adam": dict(torch="Adam", args=dict(lr=1e-2, betas=(0.9, 0.999), eps=1e-8))}
OTHERS = {
    "sgd": dict(torch="SGD", args=dict(lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-2)),
    "adagrad": dict(torch="Adagrad", args=dict(lr=0.05, eps=1e-10)),
    "rmsprop": dict(torch="RMSprop", args=dict(lr=2e-3, alpha=0.95, eps=1e-8)),
    "adamw": dict(torch="AdamW", args=dict(lr=1e-2, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1)),
    "clip_norm": dict(torch="SGD", args=dict(lr=0.1), clip_norm=0.25),
    "clip_value": dict(torch="SGD", args=dict(lr=0.1), clip_value=0.01),
    "clip_both": dict(torch="SGD", args=dict(lr=0.1), clip_value=0.01, clip_norm=0.03),
}


class NormCell(torch.nn.Module):
    """A layer of `rnn-ln`, `lstm-ln` or `gru-ln` (Ba 2016), called like a torch.nn.RNN of one layer.

    norm(a) is layer normalisation over the H units, with a gain and a shift of its own at every place it stands. Gates
    are stacked like PyTorch's; gains and shifts are stacked in the order in which the equations of `step` name them.
    """

    GATES = {"rnn-ln": "h", "lstm-ln": "ifgo", "gru-ln": "rzn"}
    NORMS = {"rnn-ln": 1, "lstm-ln": 9, "gru-ln": 6}

    def __init__(self, cell, width, H):
        super().__init__()
        self.cell, self.H, self.G = cell, H, len(self.GATES[cell])

        def parameter(*shape):
            return torch.nn.Parameter(torch.empty(shape))

        self.weight_ih_l0 = parameter(self.G * H, width)
        self.weight_hh_l0 = parameter(self.G * H, H)
        self.bias_ih_l0 = parameter(self.G * H)
        # One linear over x and h together has one bias.
        self.bias_hh_l0 = None if cell == "rnn-ln" else parameter(self.G * H)
        self.norm_weight_l0 = parameter(self.NORMS[cell] * H)
        self.norm_bias_l0 = parameter(self.NORMS[cell] * H)

    def norm(self, k, a):
        own = slice(k * self.H, (k + 1) * self.H)
        return F.layer_norm(a, (self.H,), self.norm_weight_l0[own], self.norm_bias_l0[own], eps=1e-5)

    def step(self, x, h, c):
        wx = F.linear(x, self.weight_ih_l0, self.bias_ih_l0).chunk(self.G, dim=-1)
        wh = F.linear(h, self.weight_hh_l0, self.bias_hh_l0).chunk(self.G, dim=-1)
        norm = self.norm
        if self.cell == "rnn-ln":
            return torch.tanh(norm(0, wx[0] + wh[0])), None
        if self.cell == "lstm-ln":
            i = torch.sigmoid(norm(0, wx[0]) + norm(1, wh[0]))
            f = torch.sigmoid(norm(2, wx[1]) + norm(3, wh[1]))
            g = torch.tanh(norm(4, wx[2]) + norm(5, wh[2]))
            o = torch.sigmoid(norm(6, wx[3]) + norm(7, wh[3]))
            c = f * c + i * g
            return o * torch.tanh(norm(8, c)), c
        r = torch.sigmoid(norm(0, wx[0]) + norm(1, wh[0]))
        z = torch.sigmoid(norm(2, wx[1]) + norm(3, wh[1]))
        n = torch.tanh(norm(4, wx[2]) + r * norm(5, wh[2]))
        return (1 - z) * n + z * h, None

    def forward(self, x, state):
        h, c = (state[0][0], state[1][0]) if isinstance(state, tuple) else (state[0], None)
        outputs = []
        for row in x:
            h, c = self.step(row, h, c)
            outputs.append(h)
        return torch.stack(outputs), h[None] if c is None else (h[None], c[None])


class Stack(torch.nn.Module):
    """Layers of one cell each, with what belongs to a layer: h, then a linear, plus the layer's input, then a norm."""

    def __init__(self, c, width):
        super().__init__()
        self.directions = 2 if c.get("bidirectional") else 1
        self.residual, self.skip = c.get("residual"), c.get("skip")
        self.layers, self.projects, self.norms = (torch.nn.ModuleList() for _ in range(3))
        below = width
        for layer in range(c["layers"]):
            read = below + (width if self.skip and layer > 0 else 0)
            if c["cell"] in MODULES:
                self.layers.append(MODULES[c["cell"]](read, c["H"], bidirectional=self.directions == 2))
            else:
                self.layers.append(NormCell(c["cell"], read, c["H"]))
            below = self.directions * c["H"]
            if c.get("project"):
                self.projects.append(torch.nn.Linear(below, c["project"]))
                below = c["project"]
            if c.get("layer_norm"):
                self.norms.append(torch.nn.LayerNorm(below))
        self.width = below * (c["layers"] if self.skip else 1)

    def forward(self, x, state):
        """(h of the top layer, the last states, what the head reads)."""
        states = state if isinstance(state, tuple) else (state,)
        embedding, outputs, lasts = x, [], []
        for l, layer in enumerate(self.layers):
            own = tuple(s[l * self.directions : (l + 1) * self.directions] for s in states)
            read = torch.cat([x, embedding], dim=-1) if self.skip and l > 0 else x
            h, last = layer(read, own if len(own) == 2 else own[0])
            y = self.projects[l](h) if self.projects else h
            y = x + y if self.residual and l > 0 else y
            x = self.norms[l](y) if self.norms else y
            outputs.append(x)
            lasts.append(last if isinstance(last, tuple) else (last,))
        last = tuple(torch.cat(parts) for parts in zip(*lasts))
        return h, last if len(last) == 2 else last[0], torch.cat(outputs, dim=-1) if self.skip else x


class LanguageModel(torch.nn.Module):
    """ids -> one-hot or embedding -> RNN, LSTM or GRU, or a stack of layers with extras -> linear head."""

    def __init__(self, c):
        super().__init__()
        self.V = c["V"]
        width = c["embed"] or c["V"]
        self.embedding = torch.nn.Embedding(c["V"], width) if c["embed"] else None
        # PyTorch's own stack wherever it has one.
        if c["cell"] in MODULES and not (set(c) & set(EXTRAS) - {"bidirectional"}):
            both = c.get("bidirectional", False)
            self.rnn = MODULES[c["cell"]](width, c["H"], num_layers=c["layers"], batch_first=False, bidirectional=both)
            reads = c["H"] * (2 if both else 1)
        else:
            self.rnn = Stack(c, width)
            reads = self.rnn.width
        self.head = torch.nn.Linear(reads, c["V"])
        if c["tied"]:
            self.head.weight = self.embedding.weight

    def forward(self, ids, state):
        if self.embedding is None:
            x = F.one_hot(ids, self.V).to(self.head.weight.dtype)
        else:
            x = self.embedding(ids)
        output, last, *read = self.rnn(x, state)
        return output, last, self.head(read[0] if read else output)

    def named(self):
        """(the name in files, parameter): layers are named like those of a PyTorch module of several layers."""
        for name, parameter in self.named_parameters():
            name = re.sub(r"^rnn\.layers\.(\d+)\.(.*)_l0(.*)$", r"rnn.\2_l\1\3", name)
            name = re.sub(r"^rnn\.projects\.(\d+)\.", r"project_l\1.", name)
            name = re.sub(r"^rnn\.norms\.(\d+)\.", r"norm_l\1.norm_", name)
            yield name, parameter


def uniform(generator, shape, bound):
    return (torch.rand(shape, generator=generator, dtype=torch.float64) * 2 - 1) * bound


def fresh(c, seed):
    """The model, the minibatch and the initial states of a case: a function of the case and the seed."""
    generator = torch.Generator().manual_seed(seed)
    model = LanguageModel(c).double()
    with torch.no_grad():
        # Wider than PyTorch's own initialisation, so that the gates leave the linear part of their curves.
        for parameter in model.parameters():
            parameter.copy_(uniform(generator, parameter.shape, 0.6))
    ids = torch.randint(0, c["V"], (c["T"] + 1, c["B"]), generator=generator)
    shape = (c["layers"] * (2 if c.get("bidirectional") else 1), c["B"], c["H"])
    h0 = uniform(generator, shape, 0.8)
    c0 = uniform(generator, shape, 1.2) if c["cell"] in ("lstm", "lstm-ln") else None
    return model, ids, h0, c0


def loss_of(model, ids, h0, c0):
    """Everything forward: (output, hn, cn or None, logits, log p of each target, mean cross-entropy)."""
    state = h0 if c0 is None else (h0, c0)
    output, last, logits = model(ids[:-1], state)
    hn, cn = (last, None) if c0 is None else last
    logprob = F.log_softmax(logits, dim=-1).gather(-1, ids[1:].unsqueeze(-1)).squeeze(-1)
    loss = F.cross_entropy(logits.reshape(-1, model.V), ids[1:].reshape(-1))
    return output, hn, cn, logits, logprob, loss


def train(model, ids, h0, c0, setting):
    """Twenty steps on one minibatch, every one from h0 and c0: the loss before each step, and each gradient's norm."""
    parameters = list(model.parameters())
    optimizer = getattr(torch.optim, setting["torch"])(parameters, **setting["args"])
    losses, norms = [], []
    for _ in range(STEPS):
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(model, ids, h0, c0)[-1]
        loss.backward()
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters]).item()
        if "clip_value" in setting:
            torch.nn.utils.clip_grad_value_(parameters, setting["clip_value"])
        if "clip_norm" in setting:
            norm = torch.nn.utils.clip_grad_norm_(parameters, setting["clip_norm"]).item()
        norms.append(norm)
        optimizer.step()
        losses.append(loss.item())
    return torch.tensor(losses, dtype=torch.float64), torch.tensor(norms, dtype=torch.float64)


def compute(c, seed):
    """(tensors, settings) of one file."""
    model, ids, h0, c0 = fresh(c, seed)
    tensors = {"ids": ids, "h0": h0.clone()}
    if c0 is not None:
        tensors["c0"] = c0.clone()
    tensors |= {name: p.detach().clone() for name, p in model.named()}

    h0.requires_grad_()
    if c0 is not None:
        c0.requires_grad_()
    output, hn, cn, logits, logprob, loss = loss_of(model, ids, h0, c0)
    loss.backward()
    tensors |= {"output": output, "hn": hn, "logits": logits, "logprob": logprob, "loss": loss.reshape(1)}
    tensors["grad.h0"] = h0.grad
    if c0 is not None:
        tensors |= {"cn": cn, "grad.c0": c0.grad}
    tensors |= {f"grad.{name}": p.grad for name, p in model.named()}

    optimizers = ADAM | (OTHERS if c["optimizers"] else {})
    for key, setting in optimizers.items():
        model, ids, h0, c0 = fresh(c, seed)
        losses, norms = train(model, ids, h0, c0, setting)
        tensors |= {f"{key}.losses": losses, f"{key}.norms": norms}
        tensors |= {f"{key}.{name}": p for name, p in model.named()}

    settings = {k: v for k, v in c.items() if k != "optimizers"}
    settings |= {"seed": seed, "steps": STEPS, "torch": torch.__version__.split("+")[0], "optimizers": optimizers}
    return {k: v.detach().contiguous().clone() for k, v in tensors.items()}, settings


def differences(path, tensors):
    """Names whose stored values are not the computed ones to 1e-11 (other versions round differently)."""
    with safe_open(path, "pt") as file:
        stored = {key: file.get_tensor(key) for key in file.keys()}
    if set(stored) != set(tensors):
        return sorted(set(stored) ^ set(tensors))
    return [k for k, v in tensors.items() if not torch.allclose(stored[k], v, rtol=1e-11, atol=1e-11)]


def keep(path, tensors, settings, check):
    """Writes a file of golden values, or with `check` compares it and writes nothing; whether it differs."""
    if check:
        wrong = differences(path, tensors)
        print(f"{path.name}: {'differs: ' + ', '.join(wrong) if wrong else 'agrees'}")
        return bool(wrong)
    # One metadata key only: their order in the file is not fixed.
    save_file(tensors, path, metadata={"settings": json.dumps(settings, sort_keys=True)})
    print(f"{path.name}: {len(tensors)} tensors, {path.stat().st_size} bytes, loss {tensors['loss'].item():.6f}")
    return False


def keep_all(cases, compute, first, out):
    """The same of every case by name, seeds from `first` on, as the command line says; then the script ends."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    out.mkdir(exist_ok=True)
    failed = False
    for i, (name, case) in enumerate(cases.items()):
        tensors, settings = compute(case, first + i)
        failed |= keep(out / f"{name}.safetensors", tensors, settings, "--check" in sys.argv[1:])
    sys.exit(failed)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=SEED, help=f"first seed; case i uses seed + i (default {SEED})")
    parser.add_argument("--out", type=pathlib.Path, default=HERE, help="folder to write to (default: this one)")
    parser.add_argument("--check", action="store_true", help="compare with the stored files and write nothing")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    failed = False
    for i, c in enumerate(CASES):
        tensors, settings = compute(c, args.seed + i)
        failed |= keep(args.out / f"{c['name']}.safetensors", tensors, settings, args.check)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
