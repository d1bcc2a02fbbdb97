#!/usr/bin/env python3
"""Times one training step of a recurrent language model in PyTorch: the peer that `wgrnn` is measured against.

    python3 benches/peers/pytorch.py --hidden 128 --layers 1 --batch 32 --seq-len 50 --vocab 65 --threads 2

A step is one-hot input (or an embedding, with --embed WIDTH), nn.RNN / LSTM / GRU, linear head, mean cross-entropy over
T * B rows, backward, clipping by norm, Adam; the carried state is detached. Prints one line of JSON. ms_median and
ms_min are over single steps after the warm-up; on a GPU every step is timed between two synchronisations.
Needs torch; measured with 2.15.0.
"""

import argparse
import json
import statistics
import time

import torch
import torch.nn.functional as F

CELLS = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}


class LanguageModel(torch.nn.Module):
    def __init__(self, cell, V, H, layers, embed):
        super().__init__()
        self.V = V
        self.embedding = torch.nn.Embedding(V, embed) if embed else None
        self.rnn = CELLS[cell](embed or V, H, num_layers=layers)
        self.head = torch.nn.Linear(H, V)

    def forward(self, ids, state):
        x = self.embedding(ids) if self.embedding else F.one_hot(ids, self.V).float()
        output, state = self.rnn(x, state)
        return self.head(output), state


def detach(state):
    return tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()


def positive(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, found {text}")
    return value


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cell", choices=CELLS, default="lstm")
    parser.add_argument("--hidden", type=positive, default=128, help="H")
    parser.add_argument("--layers", type=positive, default=1)
    parser.add_argument("--batch", type=positive, default=32, help="B")
    parser.add_argument("--seq-len", type=positive, default=50, help="T")
    parser.add_argument("--vocab", type=positive, default=65, help="V")
    parser.add_argument("--embed", type=positive, help="embedding width (default: one-hot)")
    parser.add_argument("--threads", type=positive, help="CPU threads (default: PyTorch's choice)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, mps")
    parser.add_argument("--steps", type=positive, default=50, help="timed steps")
    parser.add_argument("--warm-up", type=positive, default=10, help="steps before them")
    return parser.parse_args()


def main():
    args = arguments()
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    device = torch.device(args.device)
    T, B, V = args.seq_len, args.batch, args.vocab
    model = LanguageModel(args.cell, V, args.hidden, args.layers, args.embed).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    ids = torch.randint(V, (T + 1, B), device=device)
    synchronize = getattr(torch, device.type).synchronize if device.type != "cpu" else lambda: None

    state = None
    times = []
    for step in range(args.warm_up + args.steps):
        synchronize()
        start = time.perf_counter()
        logits, state = model(ids[:-1], state)
        loss = F.cross_entropy(logits.reshape(-1, V), ids[1:].reshape(-1))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        state = detach(state)
        synchronize()
        if step >= args.warm_up:
            times.append((time.perf_counter() - start) * 1e3)

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    print(
        json.dumps(
            {
                "peer": "pytorch",
                "version": torch.__version__,
                "device": name,
                "threads": torch.get_num_threads(),
                "cell": args.cell,
                "H": args.hidden,
                "layers": args.layers,
                "B": B,
                "T": T,
                "V": V,
                "embed": args.embed,
                "steps": args.steps,
                "ms_median": round(statistics.median(times), 4),
                "ms_min": round(min(times), 4),
            }
        )
    )


if __name__ == "__main__":
    main()
