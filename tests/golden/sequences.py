#!/usr/bin/env python3
"""Writes the golden values in sequences/: minibatches of sequences of different lengths, in float64 by PyTorch.

    python3 tests/golden/sequences.py            writes every tests/golden/sequences/*.safetensors
    python3 tests/golden/sequences.py --check    recomputes them and compares, writes nothing (exit 1 on a difference)

The recurrent layers read packed sequences (torch.nn.utils.rnn.pack_padded_sequence), longest first; the loss is the mean
over all tokens. `masked` is the same loss of padded tensors times a mask of zeros and ones; both are written and must
agree before anything is stored. Versions: those of make.py.
"""

import torch
import torch.nn.functional as F
from make import HERE, MODULES, STEPS, keep_all, uniform
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

OUT = HERE / "sequences"
# name: cell, layers, V, H, embedding (tied where equal to H), lengths
CASES = {
    "rnn": ("rnn", 1, 5, 4, 3, [4, 2, 1]),
    "lstm": ("lstm", 2, 6, 5, 3, [5, 5, 3, 1]),
    "gru-tied": ("gru", 2, 7, 6, 6, [6, 4, 4, 2, 2, 1]),
}


class Model(torch.nn.Module):
    def __init__(self, cell, layers, V, H, embed):
        super().__init__()
        self.embedding = torch.nn.Embedding(V, embed)
        self.rnn = MODULES[cell](embed, H, num_layers=layers)
        self.head = torch.nn.Linear(H, V)
        if embed == H:
            self.head.weight = self.embedding.weight

    def losses(self, ids, targets, lengths):
        """Cross-entropies [T, B]; anything beyond a sequence's length."""
        packed = pack_padded_sequence(self.embedding(ids), lengths)
        output, _ = pad_packed_sequence(self.rnn(packed)[0])
        logits = self.head(output)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view_as(ids)

    def masked(self, ids, targets, mask):
        """The same from padded tensors: what lies behind a sequence's end comes after all that counts."""
        logits = self.head(self.rnn(self.embedding(ids))[0])
        losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view_as(ids)
        return losses * mask


def fresh(case, seed):
    cell, layers, V, H, embed, lengths = case
    generator = torch.Generator().manual_seed(seed)
    model = Model(cell, layers, V, H, embed).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(uniform(generator, parameter.shape, 0.6))
    shape = (max(lengths), len(lengths))
    ids, targets = (torch.randint(0, V, shape, generator=generator) for _ in range(2))
    mask = (torch.arange(shape[0])[:, None] < torch.tensor(lengths)[None]).double()
    return model, ids, targets, mask


def compute(case, seed):
    lengths = torch.tensor(case[-1])
    model, ids, targets, mask = fresh(case, seed)
    tensors = {"ids": ids, "targets": targets, "lengths": lengths}
    tensors |= {name: p.detach().clone() for name, p in model.named_parameters()}
    losses = model.losses(ids, targets, lengths) * mask
    torch.testing.assert_close(losses, model.masked(ids, targets, mask), rtol=1e-13, atol=1e-13)
    loss = losses.sum() / mask.sum()
    loss.backward()
    tensors |= {"losses": losses, "loss": loss.reshape(1)}
    tensors |= {f"grad.{name}": p.grad for name, p in model.named_parameters()}

    model, ids, targets, mask = fresh(case, seed)
    adam = torch.optim.Adam(model.parameters(), lr=1e-2, betas=(0.9, 0.999), eps=1e-8)
    history = []
    for _ in range(STEPS):
        adam.zero_grad()
        loss = (model.losses(ids, targets, lengths) * mask).sum() / mask.sum()
        loss.backward()
        adam.step()
        history.append(loss.item())
    tensors["adam.losses"] = torch.tensor(history, dtype=torch.float64)
    tensors |= {f"adam.{name}": p for name, p in model.named_parameters()}
    cell, layers, V, H, embed, _ = case
    settings = dict(cell=cell, layers=layers, V=V, H=H, embed=embed, tied=embed == H, steps=STEPS)
    return {k: v.detach().contiguous().clone() for k, v in tensors.items()}, settings


if __name__ == "__main__":
    keep_all(CASES, compute, 500, OUT)
