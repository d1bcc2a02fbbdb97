#!/usr/bin/env python3
"""Writes the golden values in models/: models of several fields over sequences of different lengths, in float64 by PyTorch.

    python3 tests/golden/models.py            writes every tests/golden/models/*.safetensors
    python3 tests/golden/models.py --check    recomputes them and compares, writes nothing (exit 1 on a difference)

Each is written as a PyTorch user would: packed sequences (torch.nn.utils.rnn.pack_padded_sequence, in any order), the last
hidden states of a layer, cross_entropy with class weights or ignore_index. `text` [B, T], `tags` [B, T] are padded with -1;
`label` [B], `image` [B, D], `reals` [B, T + k, D], of which k more steps are predicted than are read. Versions: those of
make.py.
"""

import torch
import torch.nn.functional as F
from make import HERE, keep_all, uniform
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

OUT = HERE / "models"
V, H, E, D, CLASSES = 9, 5, 4, 3, 4
LENGTHS = [3, 6, 1, 4]
START, END = 7, 8


class Named(torch.nn.Module):
    """A module whose parameters have the names of a model's text; so many steps ahead are predicted."""

    ahead = None

    def read(self, text, lengths):
        return pack_padded_sequence(text, lengths, batch_first=True, enforce_sorted=False)


class Classify(Named):
    """classify.model over an LSTM of two layers: the last layer's last hidden state."""

    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(V, E)
        self.h = torch.nn.LSTM(E, H, num_layers=2, batch_first=True)
        self.linear = torch.nn.Linear(H, CLASSES)

    def loss(self, data):
        _, (h, _) = self.h(self.read(self.embed(data["text"].clamp(min=0)), data["lengths"]))
        return F.cross_entropy(self.linear(h[-1]), data["label"], weight=data["class_weights"])

    names = {"embed": "h.embed", "h": "h", "linear": "loss.linear"}


class Tag(Named):
    """tag.model over a GRU in both directions: the mean over all words."""

    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(V, E)
        self.rnn = torch.nn.GRU(E, H, bidirectional=True, batch_first=True)
        self.linear = torch.nn.Linear(2 * H, CLASSES)

    def loss(self, data):
        packed = self.read(self.embed(data["text"].clamp(min=0)), data["lengths"])
        output, _ = pad_packed_sequence(self.rnn(packed)[0], batch_first=True)
        scores = self.linear(output)
        return F.cross_entropy(scores.flatten(0, 1), data["tags"].flatten(), ignore_index=-1)

    names = {"embed": "loss.embed", "rnn": "loss.birnn", "linear": "loss.linear"}


class Encoded(Named):
    """classify.model with birnn: the last hidden states of both directions, as PyTorch hands them out."""

    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(V, E)
        self.h = torch.nn.GRU(E, H, bidirectional=True, batch_first=True)
        self.linear = torch.nn.Linear(2 * H, CLASSES)

    def loss(self, data):
        _, h = self.h(self.read(self.embed(data["text"].clamp(min=0)), data["lengths"]))
        return F.cross_entropy(self.linear(torch.cat([h[0], h[1]], 1)), data["label"])

    names = {"embed": "h.embed", "h": "h", "linear": "loss.linear"}


class Caption(Named):
    """caption-global.model: h = tanh(W x + U h + V v), step by step, from the start mark to the end mark."""

    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(V, E)
        # W and V side by side, as weight_ih has them.
        self.h = torch.nn.RNNCell(E + D, H)
        self.linear = torch.nn.Linear(H, V)

    def loss(self, data):
        losses = []
        w, v = self.h.weight_ih[:, :E], self.h.weight_ih[:, E:]
        for text, length, image in zip(data["text"], data["lengths"], data["image"]):
            words = text[:length].tolist()
            h = torch.zeros(H, dtype=torch.float64)
            for word, target in zip([START, *words], [*words, END]):
                x = self.embed.weight[word]
                h = torch.tanh(w @ x + v @ image + self.h.bias_ih + self.h.weight_hh @ h + self.h.bias_hh)
                losses.append(-torch.log_softmax(self.linear(h), 0)[target])
        return torch.stack(losses).mean()

    names = {"embed": "h.embed", "h": "h", "linear": "loss.linear"}


class Begun(Named):
    """Many to one from a state that an image gives, by the maximum over time, with a smoothed goal."""

    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(V, E)
        self.start = torch.nn.Linear(D, H)
        self.h = torch.nn.GRU(E, H, batch_first=True)
        self.linear = torch.nn.Linear(H, CLASSES)

    def loss(self, data):
        start = torch.tanh(self.start(data["image"]))
        packed = self.read(self.embed(data["text"].clamp(min=0)), data["lengths"])
        output, _ = self.h(packed, start[None])
        output, _ = pad_packed_sequence(output, batch_first=True, padding_value=float("-inf"))
        scores = self.linear(output.max(1).values)
        return F.cross_entropy(scores, data["label"], label_smoothing=0.1)

    names = {"embed": "h.embed", "start": "h.linear", "h": "h", "linear": "loss.linear"}


class Series(Named):
    """A network over sequences of vectors, and a loss of each step's output and the vector one step on."""

    ahead = 1
    width = D

    def __init__(self):
        super().__init__()
        self.h = torch.nn.LSTM(D, H, batch_first=True)
        self.linear = torch.nn.Linear(H, self.width)

    def loss(self, data):
        output, _ = pad_packed_sequence(self.h(self.read(data["reals"], data["lengths"]))[0], batch_first=True)
        rows = [(o[:n], x[1 : n + 1]) for o, x, n in zip(output, data["reals"], data["lengths"])]
        return self.of(torch.cat([o for o, _ in rows]), torch.cat([x for _, x in rows]))

    names = {"h": "h", "linear": "loss.linear"}


class Forecast(Series):
    """forecast.model: the squared error of the next vector."""

    def of(self, output, target):
        return F.mse_loss(self.linear(output), target)


class Normal(Series):
    """The same with a Gaussian of learned variance: PyTorch's own, full, summed over the vector."""

    width = 2 * D

    def of(self, output, target):
        mean, log_variance = self.linear(output).chunk(2, 1)
        losses = F.gaussian_nll_loss(mean, target, log_variance.exp(), full=True, reduction="none")
        return losses.sum(1).mean()

    names = {"h": "h", "linear": "o"}


class Quantile(Series):
    """The same with the pinball loss of a quantile."""

    def of(self, output, target):
        away = target - self.linear(output)
        return torch.maximum(0.1 * away, (0.1 - 1) * away).mean()


class Absolute(Series):
    """The same with the absolute error."""

    def of(self, output, target):
        return F.l1_loss(self.linear(output), target)


class Mixture(Series):
    """A mixture of four Gaussians for the first number of the next vector, by PyTorch's distributions."""

    width = 12

    def of(self, output, target):
        scores, means, log_variances = self.linear(output).chunk(3, 1)
        parts = torch.distributions.Normal(means, (log_variances / 2).exp())
        weights = torch.distributions.Categorical(logits=scores)
        return -torch.distributions.MixtureSameFamily(weights, parts).log_prob(target[:, 0]).mean()

    names = {"h": "h", "linear": "m"}


class Chorale(Series):
    """chorale.model: bits, each with a score; the sum over the notes, the mean over the steps."""

    bits = True

    def of(self, output, target):
        losses = F.binary_cross_entropy_with_logits(self.linear(output), target, reduction="none")
        return losses.sum(1).mean()


class Strokes(Series):
    """strokes.model by PyTorch's distributions: a mixture of twenty bivariate normals, and a Bernoulli of the pen."""

    width = 120
    pens = True

    def __init__(self):
        super().__init__()
        self.lift = torch.nn.Linear(H, 1)

    def of(self, output, target):
        a, m1, m2, s1, s2, r = self.linear(output).chunk(6, 1)
        d1, d2, rho = s1.exp(), s2.exp(), r.tanh()
        cross = rho * d1 * d2
        covariance = torch.stack([d1 * d1, cross, cross, d2 * d2], -1).unflatten(-1, (2, 2))
        normals = torch.distributions.MultivariateNormal(torch.stack([m1, m2], -1), covariance)
        weights = torch.distributions.Categorical(logits=a)
        points = torch.distributions.MixtureSameFamily(weights, normals).log_prob(target[:, :2])
        pens = F.binary_cross_entropy_with_logits(self.lift(output)[:, 0], target[:, 2], reduction="none")
        return (pens - points).mean()

    names = {"h": "h", "linear": "mixture", "lift": "loss.linear"}


class Window(Named):
    """forecast-window.model: two steps at once, as what they differ by from the last one that is read."""

    ahead = 2

    def __init__(self):
        super().__init__()
        self.h = torch.nn.GRU(D, H, batch_first=True)
        self.linear = torch.nn.Linear(H, 2 * D)

    def loss(self, data):
        rows = list(zip(data["reals"], data["lengths"]))
        last = torch.stack([x[n - 1] for x, n in rows])
        ahead = torch.stack([x[n : n + 2].flatten() for x, n in rows])
        _, h = self.h(self.read(data["reals"] - last[:, None], data["lengths"]))
        return F.mse_loss(last.repeat(1, 2) + self.linear(h[0]), ahead)

    names = {"h": "h", "linear": "ahead.linear"}


class Frames(Named):
    """sequence-label.model: mean and maximum over the frames of both directions."""

    ahead = 0

    def __init__(self):
        super().__init__()
        self.h = torch.nn.GRU(D, H, bidirectional=True, batch_first=True)
        self.linear = torch.nn.Linear(4 * H, CLASSES)

    def loss(self, data):
        output, _ = pad_packed_sequence(self.h(self.read(data["reals"], data["lengths"]))[0], batch_first=True)
        rows = [o[:n] for o, n in zip(output, data["lengths"])]
        pooled = torch.stack([torch.cat([o.mean(0), o.max(0).values]) for o in rows])
        return F.cross_entropy(self.linear(pooled), data["label"])

    names = {"h": "h", "linear": "loss.linear"}


class Pairs(Named):
    """A source and a target of other lengths: padded encoders, and a decoder that reads from the start mark to the end mark."""

    pairs = True

    def __init__(self):
        super().__init__()
        self.source = torch.nn.Embedding(V, E)
        self.target = torch.nn.Embedding(V, E)

    def decoded(self, data):
        """What the decoder reads [B, T+1] and predicts, and the lengths of both."""
        B, T = data["target"].shape
        read, predicted = torch.full((B, T + 1), START), torch.full((B, T + 1), -1)
        for b, length in enumerate(data["target_lengths"].tolist()):
            read[b, 1 : length + 1] = data["target"][b, :length]
            predicted[b, :length] = data["target"][b, :length]
            predicted[b, length] = END
        return read, predicted, data["target_lengths"] + 1

    def encoded(self, layer, data):
        return layer(self.read(self.source(data["source"].clamp(min=0)), data["source_lengths"]))

    def away(self, scores, data):
        """Softmax over the steps that a source has."""
        beyond = torch.arange(scores.shape[-1])[None] >= data["source_lengths"][:, None]
        return torch.softmax(scores.masked_fill(beyond[:, None], float("-inf")), -1)


class Translate(Pairs):
    """translate.model: Luong's general score over a GRU in both directions."""

    def __init__(self):
        super().__init__()
        self.memory = torch.nn.GRU(E, H, bidirectional=True, batch_first=True)
        self.start = torch.nn.Linear(2 * H, H)
        self.h = torch.nn.GRU(E, H, batch_first=True)
        self.general = torch.nn.Linear(H, 2 * H)
        self.mixed = torch.nn.Linear(3 * H, H)
        self.scores = torch.nn.Linear(H, V)

    def loss(self, data):
        packed, last = self.encoded(self.memory, data)
        memory, _ = pad_packed_sequence(packed, batch_first=True)
        start = torch.tanh(self.start(torch.cat([last[0], last[1]], 1)))
        read, predicted, lengths = self.decoded(data)
        packed, _ = self.h(self.read(self.target(read), lengths), start[None])
        h, _ = pad_packed_sequence(packed, batch_first=True, total_length=read.shape[1])
        weights = self.away(self.general(h) @ memory.transpose(1, 2), data)
        o = torch.tanh(self.mixed(torch.cat([h, weights @ memory], 2)))
        return F.cross_entropy(self.scores(o).flatten(0, 1), predicted.flatten(), ignore_index=-1)

    names = {"source": "memory.embed", "target": "h.embed", "memory": "memory", "start": "start.linear", "h": "h",
             "general": "a.linear", "mixed": "o.linear", "scores": "loss.linear"}


class AdditiveAfter(Pairs):
    """Two layers of an LSTM that begin with the last states of two others, and Bahdanau's scores after them."""

    def __init__(self):
        super().__init__()
        self.m = torch.nn.LSTM(E, H, num_layers=2, batch_first=True)
        self.h = torch.nn.LSTM(E, H, num_layers=2, batch_first=True)
        self.query, self.keys = torch.nn.Linear(H, 4), torch.nn.Linear(H, 4)
        self.v = torch.nn.Linear(4, 1, bias=False)
        self.scores = torch.nn.Linear(2 * H, V)

    def loss(self, data):
        packed, states = self.encoded(self.m, data)
        memory, _ = pad_packed_sequence(packed, batch_first=True)
        read, predicted, lengths = self.decoded(data)
        packed, _ = self.h(self.read(self.target(read), lengths), states)
        h, _ = pad_packed_sequence(packed, batch_first=True, total_length=read.shape[1])
        sums = self.query(h)[:, :, None] + self.keys(memory)[:, None]
        weights = self.away(self.v(torch.tanh(sums))[..., 0], data)
        scores = self.scores(torch.cat([h, weights @ memory], 2))
        return F.cross_entropy(scores.flatten(0, 1), predicted.flatten(), ignore_index=-1)

    names = {"source": "m.embed", "target": "h.embed", "m": "m", "h": "h", "query": "a.query", "keys": "a.keys", "v": "a.v",
             "scores": "loss.linear"}


class Attending(torch.nn.Module):
    """A cell with a memory, whose parameters have the names of its text; each is [blocks * H, columns]."""

    def __init__(self, weights, biases):
        super().__init__()
        for name, blocks, columns in weights:
            setattr(self, f"{name}_l0", torch.nn.Parameter(torch.zeros(blocks * H, columns)))
        for name, blocks in biases:
            setattr(self, f"{name}_l0", torch.nn.Parameter(torch.zeros(blocks * H)))

    def parts(self, name, blocks, x):
        return (x @ getattr(self, f"{name}_l0").T).chunk(blocks, -1)


class Bahdanau(Pairs):
    """A decoder whose gates see what additive scores of the state before choose (Bahdanau 2015, appendix A)."""

    class Cell(Attending):
        def __init__(self):
            super().__init__([("weight_ih", 3, E), ("weight_hh", 3, H), ("weight_r", 3, H), ("weight_n", 1, H)],
                             [("bias_ih", 3), ("bias_hh", 1)])
            self.keys_a_l0, self.v_a_l0 = torch.nn.Linear(H, H), torch.nn.Linear(H, 1, bias=False)

    def __init__(self):
        super().__init__()
        self.both = torch.nn.GRU(E, H, bidirectional=True, batch_first=True)
        self.start, self.narrow = torch.nn.Linear(2 * H, H), torch.nn.Linear(2 * H, H)
        self.h, self.scores = self.Cell(), torch.nn.Linear(H, V)

    def loss(self, data):
        packed, last = self.encoded(self.both, data)
        both, _ = pad_packed_sequence(packed, batch_first=True)
        h, memory = torch.tanh(self.start(torch.cat([last[0], last[1]], 1))), self.narrow(both)
        read, predicted, _ = self.decoded(data)
        cell, keys, outputs = self.h, self.h.keys_a_l0(memory), []
        for x in self.target(read).unbind(1):
            query, hr, hz = cell.parts("weight_hh", 3, h)
            sums = (query + cell.bias_hh_l0)[:, None, None] + keys[:, None]
            a = (self.away(cell.v_a_l0(torch.tanh(sums))[..., 0], data) @ memory)[:, 0]
            (xr, xz, xn), (ar, az, an) = cell.parts("weight_ih", 3, x), cell.parts("weight_r", 3, a)
            br, bz, bn = cell.bias_ih_l0.chunk(3)
            r, z = torch.sigmoid(xr + hr + ar + br), torch.sigmoid(xz + hz + az + bz)
            n = torch.tanh(xn + cell.parts("weight_n", 1, r * h)[0] + an + bn)
            h = (1 - z) * h + z * n
            outputs.append(h)
        scores = self.scores(torch.stack(outputs, 1))
        return F.cross_entropy(scores.flatten(0, 1), predicted.flatten(), ignore_index=-1)

    names = {"source": "both.embed", "target": "h.embed", "both": "both", "start": "start.linear", "narrow": "memory",
             "h": "h", "scores": "loss.linear"}


class Feed(Pairs):
    """translate-feed.model: Luong's general score, and what was attended to fed to the next step (Luong 2015, section 3.3)."""

    def __init__(self):
        super().__init__()
        self.memory = torch.nn.LSTM(E, H, batch_first=True)
        self.h = Attending([("weight_ih", 4, E), ("weight_hh", 4, H), ("weight_prev_h", 4, H), ("weight_a", 2, H),
                            ("weight_o", 1, H)], [("bias_ih", 4), ("bias_hh", 2)])
        self.scores = torch.nn.Linear(H, V)

    def loss(self, data):
        packed, (h, c) = self.encoded(self.memory, data)
        memory, _ = pad_packed_sequence(packed, batch_first=True)
        read, predicted, _ = self.decoded(data)
        cell, (h, c) = self.h, (h[0], c[0])
        o, outputs = torch.zeros_like(h), []
        for x in self.target(read).unbind(1):
            sums = [x @ cell.weight_ih_l0.T, o @ cell.weight_hh_l0.T, h @ cell.weight_prev_h_l0.T, cell.bias_ih_l0]
            i, f, g, e = sum(sums).chunk(4, -1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(e) * torch.tanh(c)
            query, own = cell.parts("weight_a", 2, h)
            bq, bo = cell.bias_hh_l0.chunk(2)
            a = (self.away((query + bq)[:, None] @ memory.transpose(1, 2), data) @ memory)[:, 0]
            o = torch.tanh(cell.parts("weight_o", 1, a)[0] + own + bo)
            outputs.append(o)
        scores = self.scores(torch.stack(outputs, 1))
        return F.cross_entropy(scores.flatten(0, 1), predicted.flatten(), ignore_index=-1)

    names = {"source": "memory.embed", "target": "h.embed", "memory": "memory", "h": "h", "scores": "loss.linear"}


class Shown(Named):
    """show-attend-tell.model: a gate lets in what additive scores of the state before choose of a set (Xu 2015, section 4.2)."""

    ahead = 0

    class Cell(Attending):
        def __init__(self):
            super().__init__([("weight_ih", 4, E), ("weight_hh", 6, H), ("weight_i", 4, H)], [("bias_ih", 4), ("bias_hh", 2)])
            self.keys_a_l0, self.v_a_l0 = torch.nn.Linear(H, H), torch.nn.Linear(H, 1, bias=False)

    def __init__(self):
        super().__init__()
        self.embed, self.places = torch.nn.Embedding(V, E), torch.nn.Embedding(256, E)
        self.memory, self.start = torch.nn.Linear(D + E, H), torch.nn.Linear(H, H)
        self.h, self.scores = self.Cell(), torch.nn.Linear(H, V)

    def loss(self, data):
        losses, cell = [], self.h
        for text, length, rows in zip(data["text"], data["lengths"], data["reals"]):
            places = self.places.weight[:length]
            memory = torch.relu(self.memory(torch.cat([rows[:length], places], 1)))
            keys = cell.keys_a_l0(memory)
            h = torch.tanh(self.start(memory.mean(0)))
            c = torch.zeros_like(h)
            words = text[:length].tolist()
            for word, target in zip([START, *words], [*words, END]):
                x = self.embed.weight[word]
                query, gate, *own = cell.parts("weight_hh", 6, h)
                bq, bg = cell.bias_hh_l0.chunk(2)
                weights = torch.softmax(cell.v_a_l0(torch.tanh(query + bq + keys))[:, 0], 0)
                z = torch.sigmoid(gate + bg) * (weights @ memory)
                sums = [cell.parts("weight_ih", 4, x), own, cell.parts("weight_i", 4, z), cell.bias_ih_l0.chunk(4)]
                i, f, g, o = [sum(parts) for parts in zip(*sums)]
                c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
                h = torch.sigmoid(o) * torch.tanh(c)
                losses.append(-torch.log_softmax(self.scores(h), 0)[target])
        return torch.stack(losses).mean()

    names = {"embed": "h.embed", "places": "memory.embed", "memory": "memory.linear", "start": "start.linear", "h": "h",
             "scores": "loss.linear"}


class Drawn(Named):
    """show-attend-tell-hard.model: a row of a set is drawn for every step of a text, the steps in the order of PyTorch's packed sequences
    (Xu 2015, section 4.1), and learned by its logarithm beside a baseline, with draws that are given."""

    ahead, rounds, Z = 0, 1, 2

    def __init__(self):
        super().__init__()
        self.embed, self.places = torch.nn.Embedding(V, E), torch.nn.Embedding(256, E)
        self.memory, self.start = torch.nn.Linear(D + E, H), torch.nn.Linear(H, H)
        self.h, self.scores, self.usual = torch.nn.LSTM(E, H), torch.nn.Linear(2 * H, V), torch.nn.Linear(H, 1)
        self.query, self.keys, self.v = torch.nn.Linear(H, H), torch.nn.Linear(H, H), torch.nn.Linear(H, 1, bias=False)

    def draws(self, generator):
        return torch.randn(sum(LENGTHS) + len(LENGTHS), self.Z, generator=generator)

    def loss(self, data):
        rows, losses = {}, []
        for b, (text, length, reals) in enumerate(zip(data["text"], data["lengths"], data["reals"])):
            places = self.places.weight[:length]
            memory = torch.relu(self.memory(torch.cat([reals[:length], places], 1)))
            start = torch.tanh(self.start(memory.mean(0)))[None]
            words = text[:length].tolist()
            h, _ = self.h(self.embed.weight[[START, *words]], (start, torch.zeros_like(start)))
            for step, (state, target) in enumerate(zip(h, [*words, END])):
                rows[step, -int(length)] = (memory, state, target)
        for (_, (memory, state, target)), draws in zip(sorted(rows.items()), data["draws.0"], strict=True):
            weights = torch.softmax(self.v(torch.tanh(self.query(state) + self.keys(memory)))[:, 0], 0)
            q = torch.distributions.Categorical(weights)
            uniform = torch.exp(-(draws ** 2).sum() / 2)
            drawn = torch.searchsorted(weights.detach().cumsum(0), uniform, right=True)
            scores = torch.log_softmax(self.scores(torch.cat([state, memory[drawn]])), 0)[target]
            reward, usual = scores.exp().detach(), self.usual(state.detach())[0]
            policy = (usual.detach() - reward) * q.log_prob(drawn) - 0.01 * q.entropy()
            losses.append(-scores + policy + (usual - reward) ** 2)
        # Where losses are several, a row's weight is filled in as f32 holds it.
        return torch.stack(losses).sum() * torch.tensor(1 / len(losses)).float().double()

    names = {"embed": "h.embed", "places": "memory.embed", "memory": "memory.linear", "start": "start.linear", "h": "h",
             "scores": "scores", "usual": "usual", "query": "look.query", "keys": "look.keys", "v": "look.v"}


class Written(Strokes):
    """strokes-text.model: a window over the letters, with a component a unit, from the state before (Graves 2013, section 5.1)."""

    def __init__(self):
        super().__init__()
        self.embed, self.letters = torch.nn.Embedding(V, E), torch.nn.Linear(E, H)
        self.h = Attending([("weight_ih", 4, D), ("weight_hh", 7, H), ("weight_i", 4, H)], [("bias_ih", 4), ("bias_hh", 3)])

    def loss(self, data):
        cell, outputs, targets = self.h, [], []
        for text, length, points in zip(data["text"], data["lengths"], data["reals"]):
            letters = self.letters(self.embed.weight[text[:length]])
            places = torch.arange(1, length + 1, dtype=torch.float64)[:, None]
            h, c, k = torch.zeros(3, H, dtype=torch.float64)
            for x in points[:length]:
                *window, i, f, g, o = cell.parts("weight_hh", 7, h)
                a, b, on = [torch.exp(part + bias) for part, bias in zip(window, cell.bias_hh_l0.chunk(3))]
                k = k + on
                w = (a * torch.exp(-b * (k - places) ** 2)).mean(1) @ letters
                own = zip((i, f, g, o), cell.parts("weight_ih", 4, x), cell.parts("weight_i", 4, w), cell.bias_ih_l0.chunk(4))
                i, f, g, o = [sum(parts) for parts in own]
                c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
                h = torch.sigmoid(o) * torch.tanh(c)
                outputs.append(h)
            targets.append(points[1 : length + 1])
        return self.of(torch.stack(outputs), torch.cat(targets))

    names = {**Strokes.names, "embed": "letters.embed", "letters": "letters"}


class Vae(Named):
    """vae.model: the bound of a variational autoencoder, with draws that are given."""

    rounds, Z = 1, 20

    def __init__(self):
        super().__init__()
        self.seen, self.hidden, self.canvas = torch.nn.Linear(D, H), torch.nn.Linear(self.Z, H), torch.nn.Linear(H, D)
        self.mu, self.s = torch.nn.Linear(H, self.Z), torch.nn.Linear(H, self.Z)

    def draws(self, generator):
        return torch.randn(len(LENGTHS), self.Z, generator=generator)

    def draw(self, seen, e):
        """A draw, and what it costs by PyTorch's own divergence of two Gaussians."""
        q = torch.distributions.Normal(self.mu(seen), torch.exp(self.s(seen) / 2))
        p = torch.distributions.Normal(torch.zeros_like(q.mean), torch.ones_like(q.mean))
        return q.mean + q.stddev * e, torch.distributions.kl_divergence(q, p).sum(1).mean()

    def bound(self, canvas, image, cost):
        return F.binary_cross_entropy_with_logits(canvas, image, reduction="sum") / len(image) + cost

    def loss(self, data):
        z, cost = self.draw(torch.tanh(self.seen(data["image"])), data["draws.0"])
        return self.bound(self.canvas(torch.tanh(self.hidden(z))), data["image"], cost)

    names = {"seen": "seen.linear", "hidden": "canvas.linear", "canvas": "canvas", "mu": "mu", "s": "s"}


class Draw(Vae):
    """draw.model: ten rounds of DRAW without attention (Gregor 2015, section 2), with draws that are given."""

    rounds, Z = 10, 10

    class Cell(torch.nn.Module):
        """An LSTM step whose four sums have a layer each."""

        def __init__(self, width):
            super().__init__()
            self.f, self.i, self.g, self.o = [torch.nn.Linear(width, H) for _ in range(4)]

        def forward(self, x, c):
            c = torch.sigmoid(self.f(x)) * c + torch.sigmoid(self.i(x)) * torch.tanh(self.g(x))
            return torch.sigmoid(self.o(x)) * torch.tanh(c), c

    def __init__(self):
        Named.__init__(self)
        self.looker, self.painter, self.canvas = self.Cell(2 * D + 2 * H), self.Cell(self.Z + H), torch.nn.Linear(H, D)
        self.mu, self.s = torch.nn.Linear(H, self.Z), torch.nn.Linear(H, self.Z)

    def looked(self, images, painter):
        return images

    def painted(self, painter):
        return self.canvas(painter)

    def loss(self, data):
        image = data["image"]
        canvas, cost = torch.zeros_like(image), 0.0
        looker = looker_c = painter = painter_c = torch.zeros(len(image), H, dtype=image.dtype)
        for n in range(self.rounds):
            seen = torch.cat([*self.looked([image, image - torch.sigmoid(canvas)], painter), looker, painter], 1)
            looker, looker_c = self.looker(seen, looker_c)
            z, more = self.draw(looker, data[f"draws.{n}"])
            painter, painter_c = self.painter(torch.cat([z, painter], 1), painter_c)
            canvas, cost = canvas + self.painted(painter), cost + more
        return self.bound(canvas, image, cost)

    names = {"canvas": "canvas.linear", "mu": "mu", "s": "s",
             **{f"{who}.{gate}": f"{who}{at}" for who in ["looker", "painter"]
                for gate, at in [("f", "_c.linear"), ("i", "_c.linear_2"), ("g", "_c.linear_3"), ("o", ".linear")]}}


class DrawAttend(Draw):
    """draw-attend.model: the same where Gaussian filters read and write (Gregor 2015, section 3.2), of images of 4 x 4 pixels."""

    side, N = 4, 5
    pixels = side * side

    def __init__(self):
        Named.__init__(self)
        self.looker, self.painter = self.Cell(2 * self.N**2 + 2 * H), self.Cell(self.Z + H)
        self.place, self.patch, self.canvas = torch.nn.Linear(H, 5), torch.nn.Linear(H, self.N**2), torch.nn.Linear(H, 5)
        self.mu, self.s = torch.nn.Linear(H, self.Z), torch.nn.Linear(H, self.Z)

    def filters(self, at):
        """Equations 21 to 26: the filters down and across, and gamma."""
        across, down, variance, gap, gamma = at[..., None, None].unbind(1)
        delta = (self.side - 1) / (self.N - 1) * gap.exp()
        i = torch.arange(1, self.N + 1, dtype=at.dtype)[:, None]
        pixels = torch.arange(1, self.side + 1, dtype=at.dtype)
        both = []
        for g in [down, across]:
            mu = (self.side + 1) / 2 * (g + 1) + (i - self.N / 2 - 0.5) * delta
            f = torch.exp(-((pixels - mu) ** 2) / (2 * variance.exp()))
            both.append(f / f.sum(2, keepdim=True))
        return *both, gamma.exp()

    def looked(self, images, painter):
        fy, fx, gamma = self.filters(self.place(painter))
        return [(gamma * (fy @ image.unflatten(1, (self.side, -1)) @ fx.mT)).flatten(1) for image in images]

    def painted(self, painter):
        fy, fx, gamma = self.filters(self.canvas(painter))
        return (fy.mT @ self.patch(painter).unflatten(1, (self.N, -1)) @ fx / gamma).flatten(1)

    names = {**Draw.names, "place": "place", "patch": "patch"}


class Stacked(Named):
    """s2vt.model: two LSTMs, one over the other, that read frames without words and go on with words without frames."""

    ahead = 0

    def __init__(self):
        super().__init__()
        self.seen, self.watch = torch.nn.Linear(D, H), torch.nn.LSTM(H, H, batch_first=True)
        self.embed, self.words = torch.nn.Embedding(V, E), torch.nn.Linear(E, H)
        self.hold, self.scores = torch.nn.LSTM(2 * H, H, batch_first=True), torch.nn.Linear(H, V)

    def loss(self, data):
        losses = []
        for text, length, frames in zip(data["text"], data["lengths"], data["reals"]):
            words = text[:length].tolist()
            read = self.words(self.embed(torch.tensor([[START, *words]])))
            below, lower = self.watch(self.seen(frames[None, :length]))
            _, upper = self.hold(torch.cat([below, torch.zeros_like(below)], 2))
            below, _ = self.watch(torch.zeros_like(read), lower)
            h, _ = self.hold(torch.cat([below, read], 2), upper)
            losses.append(F.cross_entropy(self.scores(h[0]), torch.tensor([*words, END]), reduction="none"))
        return torch.cat(losses).mean()

    names = {"seen": "seen", "watch": "watch", "embed": "words.embed", "words": "words", "hold": "hold", "scores": "loss.linear"}


CASES = {"classify": Classify, "tag": Tag, "classify-both": Encoded, "caption-global": Caption, "begun": Begun,
         "forecast": Forecast, "normal": Normal, "quantile": Quantile, "chorale": Chorale, "strokes": Strokes,
         "forecast-window": Window, "sequence-label": Frames, "translate": Translate, "additive-after": AdditiveAfter,
         "bahdanau": Bahdanau, "translate-feed": Feed, "show-attend-tell": Shown, "absolute": Absolute,
         "mixture": Mixture, "strokes-text": Written, "vae": Vae, "draw": Draw,
         "draw-attend": DrawAttend, "show-attend-tell-hard": Drawn, "s2vt": Stacked}


def compute(case, seed):
    generator = torch.Generator().manual_seed(seed)
    model = case().double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(uniform(generator, parameter.shape, 0.6))
    B, T = len(LENGTHS), max(LENGTHS)
    beyond = torch.arange(T)[None] >= torch.tensor(LENGTHS)[:, None]

    def padded(below):
        return torch.randint(0, below, (B, T), generator=generator).masked_fill(beyond, -1)

    data = {
        "text": padded(START),
        "tags": padded(CLASSES),
        "label": torch.randint(0, CLASSES, (B,), generator=generator),
        # What f32 holds, as vectors and weights are filled in as such.
        "image": uniform(generator, (B, getattr(case, "pixels", D)), 1.0).float().double(),
        "class_weights": torch.tensor([0.5, 1.0, 2.0, 0.25], dtype=torch.float64),
        "lengths": torch.tensor(LENGTHS),
    }
    if model.ahead is not None:
        reals = uniform(generator, (B, T + model.ahead, D), 1.0).float().double()
        if getattr(case, "bits", False):
            reals = (reals > 0.4).double()
        if getattr(case, "pens", False):
            reals[..., 2] = (reals[..., 2] > 0.4).double()
        data["reals"] = reals
    if getattr(case, "pairs", False):
        for name, lengths in [("source", LENGTHS), ("target", [5, 2, 4, 1])]:
            past = torch.arange(T)[None] >= torch.tensor(lengths)[:, None]
            data[name] = torch.randint(0, START, (B, T), generator=generator).masked_fill(past, -1)
            data[f"{name}_lengths"] = torch.tensor(lengths)
    for n in range(getattr(case, "rounds", 0)):
        data[f"draws.{n}"] = model.draws(generator).float().double()
    loss = model.loss(data)
    loss.backward()
    tensors = {**data, "loss": loss.reshape(1)}
    for name, parameter in model.named_parameters():
        module, rest = name.rsplit(".", 1) if name.rsplit(".", 1)[0] in case.names else name.split(".", 1)
        # A cell's parameters are those of layer 0.
        own = f"{case.names[module]}.{rest}" + ("_l0" if case is Caption and module == "h" else "")
        tensors[own] = parameter
        tensors[f"grad.{own}"] = parameter.grad
    return {k: v.detach().contiguous().clone() for k, v in tensors.items()}, dict(V=V, H=H, embed=E)


if __name__ == "__main__":
    keep_all(CASES, compute, 700, OUT)
