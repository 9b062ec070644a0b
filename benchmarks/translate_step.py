"""One training step of an encoder-decoder with attention, beside the same model in torch.nn.

    OMP_NUM_THREADS=1 python benchmarks/translate_step.py [--rounds 9] [--cells gru lstm] [--mixed]

Sizes of Multi30k: 64 pairs of 20 tokens, 8000 symbols, embeddings of 256, states of 512, a
bidirectional encoder, multiplicative attention (Luong et al. 2015). A step is forward, loss,
backward and Adam. All models have the same parameters and the same loss, which is checked first.
They take turns in one process with one thread; medians and quartiles of processor time.

torch.nn stands in three forms: the loop over the decoder as most write it, with attention and
scores of the vocabulary in each step; the loop with the scores after it; and no loop, which this
model allows but input feeding would not.

`--mixed` takes pairs as they come, of 4 to 40 symbols, 14 in the mean, which is what shuffled pairs
of Multi30k have. All models are given the same batch. The loops are padded to its longest pair, as
most write them: encoders are packed, attention is masked, padding is left out of the loss. Ours
leaves it out of the recurrence and of the scores of the vocabulary.

The second table says where our step spends its time, by torch's profiler: in the recurrence, in
products, in other operations, and outside all of them, in Python.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from elman.nn import Recurrent
from elman.nn.attention import MultiplicativeAttention
from elman.nn.decoder import Decoder
from elman.nn.seq2seq import EncoderDecoder
from elman.tasks.translate.translator import IGNORED

BOS = 0
PRODUCTS = ("mm", "addmm", "bmm", "baddbmm", "linear")


def ours(cell: str, size: argparse.Namespace) -> EncoderDecoder:
    """The model of our layers."""
    encoder = Recurrent(cell, size.embedding, size.hidden, bidirectional=True)
    attention = MultiplicativeAttention(size.hidden, 2 * size.hidden)
    decoder = Decoder(
        nn.Embedding(size.symbols, size.embedding),
        Recurrent(cell, size.embedding, size.hidden),
        nn.Linear(size.hidden, size.symbols),
        bos=BOS,
        attention=attention,
    )
    return EncoderDecoder(encoder, decoder, embedding=nn.Embedding(size.symbols, size.embedding))


class Pairs(NamedTuple):
    """A batch: symbols `(B, S)` and `(B, T)`, the latter `IGNORED` beyond their ends; lengths."""

    source: Tensor
    target: Tensor
    lengths: Tensor

    @classmethod
    def drawn(cls, size: argparse.Namespace) -> Pairs:
        """Draw pairs, of one length or of mixed ones."""
        shape = 2, size.batch
        lengths = torch.full(shape, size.steps)
        if size.mixed:
            lengths = (14 + 5 * torch.randn(shape)).round().clamp(4, 40).long()
        both = []
        for side, pad in zip(lengths, (BOS, IGNORED), strict=True):
            ids = torch.randint(1, size.symbols, (size.batch, int(side.max())))
            beyond = torch.arange(ids.shape[1]) >= side.unsqueeze(1)
            both.append(ids.masked_fill(beyond, pad))
        return cls(*both, lengths[0])


class Ours(nn.Module):
    """Our layers, as the task uses them: only what is there is scored."""

    def __init__(self, model: EncoderDecoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, pairs: Pairs) -> Tensor:
        """Return logits `(n, V)` of the symbols that are there."""
        there = pairs.target != IGNORED
        start = self.model.start(pairs.source, lengths=pairs.lengths)
        decoder = self.model.decoder
        target = pairs.target.clamp(min=0)
        written = decoder.unroll(target, *start, lengths=there.sum(1))
        return decoder.head(written.features[there])


class Loop(nn.Module):
    """The same model in torch.nn.

    Args:
        cell: "gru" or "lstm".
        model: whose parameters are taken.
        form: "scores in the loop", "scores after the loop" or "no loop".
    """

    def __init__(self, cell: str, model: EncoderDecoder, form: str) -> None:
        super().__init__()
        decoder, self.form = model.decoder, form
        embedding, hidden = decoder.embedding.embedding_dim, decoder.head.in_features
        layer, step = (nn.GRU, nn.GRUCell) if cell == "gru" else (nn.LSTM, nn.LSTMCell)
        self.source = nn.Embedding.from_pretrained(model.embedding.weight.clone(), freeze=False)
        self.target = nn.Embedding.from_pretrained(decoder.embedding.weight.clone(), freeze=False)
        self.encoder = layer(embedding, hidden, bidirectional=True, batch_first=True)
        whole = form == "no loop"
        self.recurrent = (
            layer(embedding, hidden, batch_first=True) if whole else step(embedding, hidden)
        )
        self.bridge, self.keys = _like(model.bridge.W), _like(decoder.attention.W)
        self.C, self.head = _like(decoder.C), _like(decoder.head)
        for number, ending in enumerate(("_l0", "_l0_reverse")):
            _copied(model.encoder.cells[number], self.encoder, ending)
        _copied(decoder.recurrent.cells[0], self.recurrent, "_l0" if whole else "")

    def forward(self, pairs: Pairs) -> Tensor:
        """Return logits `(B, T, V)`."""
        target = pairs.target.clamp(min=0)
        read, steps = self.source(pairs.source), pairs.source.shape[1]
        absent = torch.arange(steps) >= pairs.lengths.unsqueeze(1)
        mixed = bool(absent.any())
        if mixed:
            read = pack_padded_sequence(read, pairs.lengths, batch_first=True, enforce_sorted=False)
        memory, ended = self.encoder(read)
        if mixed:
            memory, _ = pad_packed_sequence(memory, batch_first=True)
        absent = absent.unsqueeze(1) if mixed else None
        parts = ended if isinstance(ended, tuple) else (ended,)
        # As our state: of each direction all of its tensors.
        last = torch.cat([part[way] for way in (0, 1) for part in parts], -1)
        begun = torch.tanh(self.bridge(last)).chunk(len(parts), -1)
        keys = self.keys(memory)
        first = torch.full_like(target[:, :1], BOS)
        x = self.target(torch.cat([first, target[:, :-1]], 1))
        if self.form == "no loop":
            state = tuple(one.unsqueeze(0).contiguous() for one in begun)
            h, _ = self.recurrent(x, state if len(state) > 1 else state[0])
            return self.head(self._read(h, keys, memory, absent))
        state, found = (begun if len(begun) > 1 else begun[0]), []
        for step in range(x.shape[1]):
            state = self.recurrent(x[:, step], state)
            h = state[0] if isinstance(state, tuple) else state
            read = self._read(h.unsqueeze(1), keys, memory, absent)
            found.append(self.head(read) if self.form == "scores in the loop" else read)
        after = torch.cat(found, 1)
        return after if self.form == "scores in the loop" else self.head(after)

    def _read(self, h: Tensor, keys: Tensor, memory: Tensor, absent: Tensor | None) -> Tensor:
        scores = h @ keys.transpose(1, 2)
        if absent is not None:
            scores = scores.masked_fill(absent, -torch.inf)
        weights = scores.softmax(-1)
        return torch.tanh(self.C(torch.cat([weights @ memory, h], -1)))


def _like(linear: Any) -> nn.Linear:
    made = nn.Linear(linear.in_features, linear.out_features, linear.bias is not None)
    made.load_state_dict(linear.state_dict())
    return made


@torch.no_grad()
def _copied(cell: Any, layer: Any, ending: str) -> None:
    names = {
        "W.weight": "weight_ih",
        "W.bias": "bias_ih",
        "U.weight": "weight_hh",
        "U.bias": "bias_hh",
    }
    for name, theirs in names.items():
        getattr(layer, theirs + ending).copy_(cell.get_parameter(name))


def training(model: nn.Module, pairs: Pairs, half: bool = False) -> Callable[[], float]:
    """Return a training step, which returns its loss; `half` for a forward pass in bfloat16."""
    adam = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    precision = torch.autocast("cpu", torch.bfloat16, enabled=half)

    def step() -> float:
        adam.zero_grad()
        with precision:
            logits = model(pairs)
            target = pairs.target.flatten()
            if logits.dim() == 2:
                target = target[target != IGNORED]
            loss = F.cross_entropy(logits.flatten(0, -2).float(), target)
        loss.backward()
        adam.step()
        return float(loss.detach())

    return step


def spent(step: Callable[[], float], steps: int = 3) -> dict[str, float]:
    """Return the shares of a step's time by what is computed; the profiler has the clock's time."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as found:
        began = time.perf_counter()
        for _ in range(steps):
            step()
        whole = 1e6 * (time.perf_counter() - began)
    shares = dict.fromkeys(("recurrence", "products", "other operations"), 0.0)
    for event in found.key_averages():
        name = event.key.split("::")[-1]
        kind = "other operations"
        if "elman" in event.key or "Recurrence" in event.key or "Sequence" in event.key:
            kind = "recurrence"
        elif name in PRODUCTS:
            kind = "products"
        shares[kind] += event.self_cpu_time_total / whole
    return {**shares, "Python": max(0.0, 1 - sum(shares.values()))}


def asked(texts: Sequence[str] = (), **more: int) -> argparse.Namespace:
    """Return the sizes that the command line gives, and texts and numbers of a program's own."""
    parser = argparse.ArgumentParser()
    sizes = {"batch": 64, "steps": 20, "symbols": 8000, "embedding": 256, "hidden": 512}
    for name, value in (sizes | more).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    for name in texts:
        parser.add_argument(f"--{name}")
    parser.add_argument("--mixed", action="store_true", help="pairs of mixed lengths")
    parser.add_argument("--cells", nargs="+", default=["gru", "lstm"], choices=["gru", "lstm"])
    return parser.parse_args()


def main() -> None:
    """Check that the models agree, time them in turns, and print both tables."""
    size = asked(rounds=9)
    torch.set_num_threads(1)
    print("| cell | model | median ms (quartiles) | times ours |\n|---|---|---|---|")
    shares = {}
    for cell in size.cells:
        torch.manual_seed(0)
        pairs, model = Pairs.drawn(size), ours(cell, size)
        forms = ("scores in the loop", "scores after the loop", "no loop")
        models = {f"torch.nn, {form}": Loop(cell, model, form) for form in forms}
        models = {"ours": Ours(model), **models}
        steps = {name: training(one, pairs) for name, one in models.items()}
        for name in ("ours", "torch.nn, scores after the loop"):
            again = copy.deepcopy(models[name])
            steps[f"{name}, bfloat16"] = training(again, pairs, half=True)
        first = {name: step() for name, step in steps.items()}  # also builds the kernels
        apart = {name: abs(loss - first["ours"]) for name, loss in first.items()}
        if any(gap > (2e-2 if "bfloat16" in name else 1e-4) for name, gap in apart.items()):
            raise SystemExit(f"The models are not the same: their losses are {first}.")
        took: dict[str, list[float]] = {name: [] for name in steps}
        for _ in range(size.rounds):
            for name, step in steps.items():
                began = time.process_time()
                step()
                took[name].append(1e3 * (time.process_time() - began))
        medians = {name: statistics.median(times) for name, times in took.items()}
        for name, median in medians.items():
            low, _, high = statistics.quantiles(took[name], n=4)
            ratio = median / medians["ours"]
            print(f"| {cell} | {name} | {median:.0f} ({low:.0f} to {high:.0f}) | {ratio:.2f} |")
        shares[cell] = spent(steps["ours"])
    print("\n| cell | recurrence | products | other operations | Python |\n|---|---|---|---|---|")
    for cell, parts in shares.items():
        print(
            f"| {cell} | " + " | ".join(f"{100 * share:.1f} %" for share in parts.values()) + " |"
        )


if __name__ == "__main__":
    main()
