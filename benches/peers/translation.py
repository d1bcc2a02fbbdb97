#!/usr/bin/env python3
"""Translation in PyTorch, with the model and the settings of `wgrnn train --preset multi30k`, for a look beside it.

    python3 benches/peers/translation.py train train.de train.en --valid val.de val.en --out peer.pt
    python3 benches/peers/translation.py predict peer.pt test.de --beam 5 --count 1000 > peer.en

`train`: minibatches of pairs of about the same length (sorted by source, then target, cut, and the minibatches shuffled), padded to
their longest; the encoder is given the lengths (`pack_padded_sequence`), so that its backward direction begins with a word. Printed
are the seconds an epoch, the target tokens (ends of sentences among them) a second, and the perplexity of a token of the validation
part. `--epochs` and `--of` let a schedule that is laid out for more be looked at before its end.

`predict`: the loop of the known tutorials: one sentence after another, one hypothesis after another, a token a call.
`--together` makes one call a step for all hypotheses of a sentence.
"""

import argparse
import collections
import math
import random
import sys
import time

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

UNKNOWN, BEGIN, END, PAD = range(4)


class Translate(nn.Module):
    """A GRU in both directions over the source; Luong's general attention over its steps after a GRU over the target."""

    def __init__(self, source, target, embed, hidden, dropout):
        super().__init__()
        self.source = nn.Embedding(source, embed)
        self.target = nn.Embedding(target, embed)
        self.encoder = nn.GRU(embed, hidden, bidirectional=True, batch_first=True)
        self.start = nn.Linear(2 * hidden, hidden)
        self.decoder = nn.GRU(embed, hidden, batch_first=True)
        self.query = nn.Linear(hidden, 2 * hidden)
        self.join = nn.Linear(3 * hidden, hidden)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden, target)

    def encode(self, source, lengths):
        packed = pack_padded_sequence(self.source(source), lengths, batch_first=True, enforce_sorted=False)
        steps, last = self.encoder(packed)
        memory, _ = pad_packed_sequence(steps, batch_first=True)
        state = torch.tanh(self.start(torch.cat((last[0], last[1]), 1)))
        masked = torch.arange(memory.shape[1])[None] >= lengths[:, None]
        return memory, masked, state[None]

    def decode(self, memory, masked, state, target):
        h, state = self.decoder(self.target(target), state)
        scores = self.query(h) @ memory.transpose(1, 2)
        weights = torch.softmax(scores.masked_fill(masked[:, None], -math.inf), 2)
        o = self.dropout(torch.tanh(self.join(torch.cat((h, weights @ memory), 2))))
        return self.output(o), state


def sentences(name):
    with open(name, encoding="utf-8") as file:
        return [line.split() for line in file]


def vocabulary(texts, least):
    counts = collections.Counter(word for text in texts for word in text)
    words = sorted((word for word, count in counts.items() if count >= least), key=lambda word: (-counts[word], word))
    return {word: UNKNOWN + 4 + index for index, word in enumerate(words)}


def ids(text, vocab):
    return torch.tensor([vocab.get(word, UNKNOWN) for word in text] + [END])


def batches(pairs, size):
    """Pairs of like lengths side by side: `[B, S]`, lengths `[B]`, what the decoder reads and what it must say, `[B, T]`."""
    order = sorted(range(len(pairs)), key=lambda index: (len(pairs[index][0]), len(pairs[index][1])))
    for first in range(0, len(order), size):
        chosen = [pairs[index] for index in order[first : first + size]]
        lengths = torch.tensor([len(source) for source, _ in chosen])
        said = pad_sequence([target for _, target in chosen], batch_first=True, padding_value=PAD)
        read = torch.cat((torch.full((len(chosen), 1), BEGIN), said[:, :-1]), 1)
        yield pad_sequence([source for source, _ in chosen], batch_first=True, padding_value=PAD), lengths, read, said


def perplexity(model, minibatches):
    loss, count = 0.0, 0
    model.eval()
    with torch.no_grad():
        for source, lengths, read, said in minibatches:
            logits, _ = model.decode(*model.encode(source, lengths), read)
            loss += nn.functional.cross_entropy(logits.flatten(0, 1), said.flatten(), ignore_index=PAD, reduction="sum").item()
            count += (said != PAD).sum().item()
    model.train()
    return math.exp(loss / count)


def train(args):
    torch.manual_seed(args.seed)
    random.seed(args.seed)
    texts = [sentences(name) for name in args.files]
    vocabs = [vocabulary(side, args.min_count) for side in texts]
    encoded = [(ids(source, vocabs[0]), ids(target, vocabs[1])) for source, target in zip(*texts)]
    held = [(ids(source, vocabs[0]), ids(target, vocabs[1])) for source, target in zip(*map(sentences, args.valid))]
    sizes = [len(vocab) + 4 for vocab in vocabs]
    model = Translate(*sizes, args.embed, args.hidden, args.dropout)
    print(f"{sum(p.numel() for p in model.parameters())} parameters, vocabularies of {sizes[0]} and {sizes[1]}", flush=True)
    optimizer = torch.optim.Adam(model.parameters(), args.lr)
    minibatches, valid = list(batches(encoded, args.batch)), list(batches(held, args.batch))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, (args.of or args.epochs) * len(minibatches))
    tokens = sum((said != PAD).sum().item() for _, _, _, said in minibatches)
    for epoch in range(args.epochs):
        random.shuffle(minibatches)
        began = time.perf_counter()
        for source, lengths, read, said in minibatches:
            optimizer.zero_grad()
            logits, _ = model.decode(*model.encode(source, lengths), read)
            nn.functional.cross_entropy(logits.flatten(0, 1), said.flatten(), ignore_index=PAD).backward()
            nn.utils.clip_grad_norm_(model.parameters(), args.clip)
            optimizer.step()
            schedule.step()
        seconds = time.perf_counter() - began
        print(f"epoch {epoch + 1}: {seconds:.1f} s, {tokens / seconds:.0f} target tokens/s, perplexity {perplexity(model, valid):.3f}", flush=True)
    torch.save({"model": model.state_dict(), "vocabs": vocabs, "sizes": (*sizes, args.embed, args.hidden, args.dropout)}, args.out)


def beam(model, source, args):
    """The best of the texts that ended, by their log probability a token; hypotheses are (score, tokens, state)."""
    memory, masked, state = model.encode(source[None], torch.tensor([len(source)]))
    live, ended = [(0.0, [BEGIN], state)], []
    for _ in range(args.max_length):
        if args.together:
            many = len(live)
            logits, states = model.decode(
                memory.expand(many, -1, -1),
                masked.expand(many, -1),
                torch.cat([state for _, _, state in live], 1),
                torch.tensor([tokens[-1:] for _, tokens, _ in live]),
            )
            steps = [(logits[k, 0], states[:, k : k + 1]) for k in range(many)]
        else:
            steps = []
            for _, tokens, state in live:
                logits, after = model.decode(memory, masked, state, torch.tensor([tokens[-1:]]))
                steps.append((logits[0, 0], after))
        grown = []
        for (score, tokens, _), (logits, after) in zip(live, steps):
            best = torch.log_softmax(logits, 0).topk(args.beam)
            for more, token in zip(best.values.tolist(), best.indices.tolist()):
                grown.append((score + more, tokens + [token], after))
        grown.sort(key=lambda one: -one[0])
        live = []
        for one in grown[: args.beam]:
            (ended if one[1][-1] == END else live).append(one)
        if not live or len(ended) >= args.beam:
            break
    best = max(ended or live, key=lambda one: one[0] / (len(one[1]) - 1))
    return [token for token in best[1][1:] if token != END]


def predict(args):
    kept = torch.load(args.files[0])
    model = Translate(*kept["sizes"])
    model.load_state_dict(kept["model"])
    model.eval()
    words = {index: word for word, index in kept["vocabs"][1].items()}
    texts = sentences(args.files[1])[: args.count]
    began = time.perf_counter()
    with torch.no_grad():
        for text in texts:
            print(" ".join(words.get(token, "<unk>") for token in beam(model, ids(text, kept["vocabs"][0]), args)))
    print(f"{len(texts)} sentences, beam {args.beam}: {time.perf_counter() - began:.1f} s", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("train", "predict"))
    parser.add_argument("files", nargs=2)
    parser.add_argument("--valid", nargs=2)
    parser.add_argument("--out", default="peer.pt")
    parser.add_argument("--together", action="store_true")
    for name, value in (("hidden", 256), ("embed", 128), ("batch", 64), ("epochs", 8), ("of", 0), ("min-count", 2), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    for name, value in (("beam", 5), ("count", 1000), ("max-length", 40), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=value)
    for name, value in (("lr", 2e-3), ("dropout", 0.2), ("clip", 5.0)):
        parser.add_argument(f"--{name}", type=float, default=value)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    {"train": train, "predict": predict}[args.what](args)


if __name__ == "__main__":
    main()
