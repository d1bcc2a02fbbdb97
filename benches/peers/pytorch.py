#!/usr/bin/env python3
"""Times one training step of a recurrent language model in PyTorch: the peer that `wgrnn` is measured against.

    python3 benches/peers/pytorch.py --hidden 128 --layers 1 --batch 32 --seq-len 50 --vocab 65 --threads 2
    python3 benches/peers/pytorch.py --device cuda --precision tf32 --hidden 1024

A step is one-hot input (or an embedding, with --embed WIDTH), nn.RNN / LSTM / GRU, linear head, mean cross-entropy over
T * B rows, backward, clipping by norm, Adam; the carried state is detached. Prints one line of JSON. ms_median and
ms_min are over single steps after the warm-up; on a GPU every step is timed between two synchronisations.

--precision: fp32 (TF32 off), tf32 (products of 32-bit numbers rounded to 19 bits, on GPUs that have it), or bf16 (weights,
states and gradients; the loss in 32 bits). --seconds X runs as many steps as fit. --serve reads a line of JSON for each
shape from standard input and answers each with a line: {"cell": "lstm", "H": 128, "layers": 1, "B": 32, "T": 50,
"V": 65, "precision": "fp32", "seconds": 1}; what fails answers {"error": "..."}. Needs torch; measured with 2.15.0.
"""

import argparse
import gc
import json
import resource
import statistics
import sys
import time

import torch
import torch.nn.functional as F

CELLS = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}

PRECISIONS = ["fp32", "tf32", "bf16"]


class LanguageModel(torch.nn.Module):
    def __init__(self, cell, V, H, layers, embed):
        super().__init__()
        self.V = V
        self.embedding = torch.nn.Embedding(V, embed) if embed else None
        self.rnn = CELLS[cell](embed or V, H, num_layers=layers)
        self.head = torch.nn.Linear(H, V)

    def forward(self, ids, state):
        x = self.embedding(ids) if self.embedding else F.one_hot(ids, self.V).to(self.head.weight.dtype)
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
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32")
    parser.add_argument("--steps", type=positive, default=50, help="timed steps")
    parser.add_argument("--warm-up", type=positive, default=10, help="steps before them")
    parser.add_argument("--seconds", type=float, help="time as many steps as fit, of at most 200, instead of --steps")
    parser.add_argument("--serve", action="store_true", help="read shapes from standard input, a line of JSON each")
    return parser.parse_args()


def peak(device):
    """Bytes at most so far: of the GPU's allocator, or of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    # Linux counts in KiB, macOS in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def counts(seconds, step):
    """Warm-up and timed steps that fit into some seconds, by the first steps."""
    once = min(step() for _ in range(3)) / 1e3
    steps = max(2, min(200, round(seconds / max(once, 1e-6))))
    return steps // 4, steps


def measure(args):
    """Times one shape."""
    device = torch.device(args.device)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = args.precision == "tf32"
    torch.manual_seed(1)
    T, B, V = args.seq_len, args.batch, args.vocab
    baseline = peak(device)
    model = LanguageModel(args.cell, V, args.hidden, args.layers, args.embed).to(device)
    if args.precision == "bf16":
        model = model.to(torch.bfloat16)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    ids = torch.randint(V, (T + 1, B), device=device)
    synchronize = getattr(torch, device.type).synchronize if device.type != "cpu" else lambda: None
    state = None

    def step():
        nonlocal state
        synchronize()
        start = time.perf_counter()
        logits, state = model(ids[:-1], state)
        loss = F.cross_entropy(logits.reshape(-1, V).float(), ids[1:].reshape(-1))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        state = detach(state)
        synchronize()
        return (time.perf_counter() - start) * 1e3

    warm_up, steps = counts(args.seconds, step) if args.seconds else (args.warm_up, args.steps)
    for _ in range(warm_up):
        step()
    times = [step() for _ in range(steps)]
    return {
        "peer": "pytorch",
        "version": torch.__version__,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        "precision": args.precision,
        "cell": args.cell,
        "H": args.hidden,
        "layers": args.layers,
        "B": B,
        "T": T,
        "V": V,
        "embed": args.embed,
        "steps": steps,
        "ms_median": round(statistics.median(times), 4),
        "ms_min": round(min(times), 4),
        "baseline_bytes": baseline,
        "peak_bytes": peak(device),
    }


def serve(args):
    """Answers every line until the input ends."""
    names = {"H": "hidden", "B": "batch", "T": "seq_len", "V": "vocab"}
    for line in sys.stdin:
        for name, value in json.loads(line).items():
            setattr(args, names.get(name, name), value)
        try:
            answer = measure(args)
        except RuntimeError as error:
            # Out of memory, or a combination that cuDNN does not know.
            answer = {"error": " ".join(str(error).split())[:300]}
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        print(json.dumps(answer), flush=True)


def main():
    args = arguments()
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.serve:
        serve(args)
    else:
        print(json.dumps(measure(args)))


if __name__ == "__main__":
    main()
