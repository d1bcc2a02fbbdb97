#!/usr/bin/env python3
"""The forecast of a series one step ahead in PyTorch, with the settings of `wgrnn train --model forecast`, for a look beside it.

    python3 benches/peers/series.py sunspots.csv --split 2256,282,282

A table with a date and a number a row; scales are those of the steps that are trained on. Windows of `--context` steps, each
predicting its next ones, shuffled minibatches, Adam; the weights of the best validation count. Measured are the steps of the last
part, each with all that came before it.
"""

import argparse
import copy
import csv

import torch


class Forecast(torch.nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.h = torch.nn.LSTM(1, hidden, batch_first=True)
        self.linear = torch.nn.Linear(hidden, 1)

    def forward(self, x):
        return self.linear(self.h(x)[0])


def measured(model, x, first, end):
    with torch.no_grad():
        predicted = model(x[None, : end - 1])[0]
    errors = predicted[first - 1 :, 0] - x[first:end, 0]
    return (errors**2).mean().item(), errors.abs().mean().item()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--split", required=True, help="steps to train on, to validate and to test")
    for name, value in (("context", 48), ("hidden", 32), ("batch", 16), ("epochs", 60), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--lr", type=float, default=0.01)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(2)
    train, valid, test = (int(n) for n in args.split.split(","))
    with open(args.file, newline="") as file:
        numbers = torch.tensor([float(row[1]) for row in list(csv.reader(file))[1:]])
    x = ((numbers - numbers[:train].mean()) / numbers[:train].std(correction=0))[:, None]
    starts = list(range(0, train - args.context, args.context))
    if starts[-1] + args.context + 1 < train:
        starts.append(train - args.context - 1)
    windows = torch.stack([x[start : start + args.context + 1] for start in starts])
    model = Forecast(args.hidden)
    optimizer = torch.optim.Adam(model.parameters(), args.lr)
    best, kept = float("inf"), None
    for _ in range(args.epochs):
        for batch in windows[torch.randperm(len(windows))].split(args.batch):
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(model(batch[:, :-1]), batch[:, 1:]).backward()
            optimizer.step()
        mse, _ = measured(model, x, train, train + valid)
        if mse < best:
            best, kept = mse, copy.deepcopy(model.state_dict())
    model.load_state_dict(kept)
    mse, mae = measured(model, x, train + valid, train + valid + test)
    last = ((x[train + valid - 1 : -1] - x[train + valid :])[:test] ** 2).mean().item()
    print(f"validation MSE {best:.5f}; test MSE {mse:.5f} (last value {last:.5f}), MAE {mae:.5f}")


if __name__ == "__main__":
    main()
