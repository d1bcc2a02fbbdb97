#!/usr/bin/env python3
"""Trains the small or medium model of Zaremba, Sutskever and Vinyals (2014) with PyTorch, as the presets of wgrnn do.

    python3 benches/peers/zaremba.py TRAIN.txt TEST.txt --epochs 3
    wgrnn train TRAIN.txt --preset zaremba-small --val 0 --epochs 3 --out RUN --device cpu
    wgrnn eval RUN TEST.txt --device cpu

Both read white-space separated words and one <eos> for every line end; the vocabulary is that of TRAIN.txt, and words of
TEST.txt that it has not are <unk>. Prints a JSON line with the perplexity on TEST.txt, read as one stream with its state.
"""

import argparse
import collections
import json
import math
import time

import torch
from torch import nn

SIZES = {
    "small": dict(hidden=200, steps=20, init=0.1, dropout=0.0, decay=0.5, after=4),
    "medium": dict(hidden=650, steps=35, init=0.05, dropout=0.5, decay=1 / 1.2, after=6),
}
BATCH, CLIP = 20, 5.0


def words(path):
    with open(path, encoding="utf-8") as file:
        return [word for line in file for word in line.split() + ["<eos>"]]


class Model(nn.Module):
    def __init__(self, vocabulary, hidden, init, dropout):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, hidden)
        self.rnn = nn.LSTM(hidden, hidden, 2, dropout=dropout)
        self.head = nn.Linear(hidden, vocabulary)
        self.drop = nn.Dropout(dropout)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -init, init)
        # The forget gate has no bias of its own at the start.
        for name, bias in self.rnn.named_parameters():
            if "bias" in name:
                with torch.no_grad():
                    bias[hidden : 2 * hidden] = 0.0

    def forward(self, ids, state):
        out, state = self.rnn(self.drop(self.embedding(ids)), state)
        return self.head(self.drop(out)), state


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train")
    parser.add_argument("test")
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    size = SIZES[args.size]
    torch.manual_seed(args.seed)

    text = words(args.train)
    ids = {word: i for i, (word, _) in enumerate(collections.Counter(text).most_common())}
    tokens = torch.tensor([ids[word] for word in text])
    test = torch.tensor([ids.get(word, ids["<unk>"]) for word in words(args.test)])

    steps = size["steps"]
    segments = (len(tokens) - 1) // (BATCH * steps)
    length = segments * steps
    rows = torch.stack([tokens[b * length : (b + 1) * length + 1] for b in range(BATCH)], 1)
    model = Model(len(ids), size["hidden"], size["init"], size["dropout"])
    loss_of = nn.CrossEntropyLoss(reduction="sum")
    start = time.time()
    for epoch in range(args.epochs):
        lr = size["decay"] ** max(0, epoch + 1 - size["after"])
        model.train()
        state, total = None, 0.0
        for segment in range(segments):
            part = rows[segment * steps : (segment + 1) * steps + 1]
            if state is not None:
                state = tuple(s.detach() for s in state)
            scores, state = model(part[:-1], state)
            loss = loss_of(scores.flatten(0, 1), part[1:].flatten())
            model.zero_grad()
            (loss / BATCH).backward()
            nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter -= lr * parameter.grad
            total += loss.item()
        print(f"epoch {epoch + 1}: lr {lr:.4g}, train perplexity {math.exp(total / (segments * steps * BATCH)):.3f}", flush=True)
    seconds = time.time() - start

    model.eval()
    state, total = None, 0.0
    with torch.no_grad():
        for at in range(0, len(test) - 1, 200):
            part = test[at : at + 201].unsqueeze(1)
            scores, state = model(part[:-1], state)
            total += loss_of(scores.flatten(0, 1), part[1:].flatten()).item()
    nats = total / (len(test) - 1)
    print(json.dumps(dict(vocabulary=len(ids), tokens=len(tokens), test_tokens=len(test), nats=nats,
                          perplexity=math.exp(nats), seconds=seconds, epochs=args.epochs, seed=args.seed)))


main()
