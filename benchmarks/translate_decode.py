"""Sentences a second that an encoder-decoder writes, beside plain PyTorch of the same model.

    OMP_NUM_THREADS=1 python benchmarks/translate_decode.py [--rounds 5] [--cells gru lstm]

Sizes of Multi30k, as in `translate_step.py`: 64 sources of 20 tokens, 8000 symbols, embeddings of
256, states of 512, attention; 20 symbols are written for each, none of them an end, so that all do
the same work. All have the same weights, and the likeliest symbols that they write are compared
first. They take turns in one process with one thread; medians of processor time.

The loops in torch.nn are as most write them: the likeliest symbol, all sources side by side or one
after another; and beam search of one source after another, its hypotheses side by side.

    python benchmarks/translate_decode.py --run RUN --sources FILE [--rounds 5] [--many 200]

With a trained run its own beam search is measured instead, on real sources that end at different
steps: with all of them kept to the last step, and with those that are done leaving the batch.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from translate_step import BOS, Loop, asked, ours

import elman
from elman.nn.decoding import beam_search, greedy
from elman.nn.seq2seq import EncoderDecoder
from elman.tasks.translate.translator import Translator


def by_ours(model: EncoderDecoder, source: Tensor, steps: int, beam: int) -> Tensor:
    """Return `(B, T)` symbols that our search finds."""
    tokens, state = model.start(source)
    if beam == 1:
        return greedy(model.decoder.step, tokens, state, max_length=steps).tokens
    _, _, memory, _ = state
    inner = state[0], state[1], state[3]

    def step(tokens: Tensor, inner: tuple) -> tuple:  # type: ignore[type-arg]
        written, inner = model.decoder.advance(tokens, inner, memory)
        return model.decoder.head(written.features), inner

    found = beam_search(step, tokens, inner, beam=beam, max_length=steps)
    return torch.tensor([row[0].tokens for row in found])


def by_loop(model: Loop, source: Tensor, steps: int, beam: int) -> Tensor:
    """Return `(B, T)` symbols that a plain loop finds, with a beam for one source alone."""
    memory, ended = model.encoder(model.source(source))
    parts = ended if isinstance(ended, tuple) else (ended,)
    last = torch.cat([part[way] for way in (0, 1) for part in parts], -1)
    state = torch.tanh(model.bridge(last)).chunk(len(parts), -1)
    keys = model.keys(memory)
    tokens = torch.full((len(source),), BOS)
    if beam == 1:
        found = []
        for _ in range(steps):
            logits, state = _scores(model, tokens, state, keys, memory)
            tokens = logits.argmax(-1)
            found.append(tokens)
        return torch.stack(found, 1)
    scores, history = torch.zeros(1), torch.empty(1, 0, dtype=torch.int64)
    for _ in range(steps):
        some = keys.expand(len(tokens), -1, -1), memory.expand(len(tokens), -1, -1)
        logits, state = _scores(model, tokens, state, *some)
        totals = (scores.unsqueeze(-1) + logits.log_softmax(-1)).flatten()
        scores, chosen = totals.topk(beam)
        parents, tokens = chosen // logits.shape[-1], chosen % logits.shape[-1]
        history = torch.cat([history[parents], tokens.unsqueeze(-1)], -1)
        state = tuple(part[parents] for part in state)
    return history[:1]


def _scores(
    model: Loop, tokens: Tensor, state: tuple[Tensor, ...], keys: Tensor, memory: Tensor
) -> tuple[Tensor, tuple[Tensor, ...]]:
    after = model.recurrent(model.target(tokens), state if len(state) > 1 else state[0])
    state = after if isinstance(after, tuple) else (after,)
    read = model._read(state[0].unsqueeze(1), keys, memory)
    return model.head(read.squeeze(1)), state


def of_run(run: str, sources: str, rounds: int, many: int) -> None:
    """Time a run's beam search with and without sources that are done, and print a table."""
    model: Any = elman.load(run)
    with open(sources, encoding="utf-8") as file:
        texts = [line.strip() for line in file][:many]

    def written(narrow: bool) -> list[tuple[str, float]]:
        if narrow:
            answers = model.task.answers(model.module, texts)
        else:
            with mock.patch.object(Translator, "narrowed", return_value=None):
                answers = model.task.answers(model.module, texts)
        return [(row[0].text, row[0].score) for row in answers]

    kept, left = written(False), written(True)
    same = sum(a == b for (a, _), (b, _) in zip(kept, left, strict=True))
    apart = max(abs(a - b) / abs(a) for (_, a), (_, b) in zip(kept, left, strict=True))
    sys.stdout.write(f"{same} of {len(texts)} answers are the same; scores differ by {apart:.1e}\n")
    took: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(rounds):
        for narrow, times in took.items():
            began = time.process_time()
            written(narrow)
            times.append(time.process_time() - began)
    ratios = [a / b for a, b in zip(took[False], took[True], strict=True)]
    sys.stdout.write("| sources that are done | sentences a second |\n|---|---|\n")
    for name, narrow in (("stay", False), ("leave", True)):
        sys.stdout.write(f"| {name} | {len(texts) / statistics.median(took[narrow]):.1f} |\n")
    sys.stdout.write(
        f"{statistics.median(ratios):.2f} times ({min(ratios):.2f} to {max(ratios):.2f})\n"
    )


@torch.inference_mode()
def main() -> None:
    """Check that all write the same, time them in turns, and print a table."""
    size = asked(("run", "sources"), rounds=5, beam=5, many=200)
    torch.set_num_threads(1)
    if size.run is not None:
        of_run(size.run, size.sources, size.rounds, size.many)
        return
    sys.stdout.write(
        "| cell | search | program | sources a second | times |\n|---|---|---|---|---|\n"
    )
    for cell in size.cells:
        torch.manual_seed(0)
        source = torch.randint(1, size.symbols, (size.batch, size.steps))
        model = ours(cell, size).eval()
        loop = Loop(cell, model, "scores in the loop").eval()

        def alone(beam: int, loop: Loop = loop, source: Tensor = source) -> Tensor:
            return torch.cat([by_loop(loop, row, size.steps, beam) for row in source.split(1)])

        for beam in (1, size.beam):
            ways: dict[str, Callable[[], Tensor]] = {
                "ours": lambda beam=beam, model=model, source=source: by_ours(
                    model, source, size.steps, beam
                ),
                "torch.nn, one after another": lambda beam=beam, alone=alone: alone(beam),
            }
            if beam == 1:
                ways["torch.nn, side by side"] = lambda loop=loop, source=source: by_loop(
                    loop, source, size.steps, 1
                )
            written = {name: way() for name, way in ways.items()}
            same = {
                name: float((one == written["ours"]).all(1).float().mean())
                for name, one in written.items()
            }
            # Scores that are nearly equal may change places by rounding.
            if min(same.values()) < 0.95:
                raise SystemExit(f"They do not write the same: {same} of the sources agree.")
            took: dict[str, list[float]] = {name: [] for name in ways}
            for _ in range(size.rounds):
                for name, way in ways.items():
                    began = time.process_time()
                    way()
                    took[name].append(time.process_time() - began)
            medians = {name: statistics.median(times) for name, times in took.items()}
            for name, median in medians.items():
                sys.stdout.write(
                    f"| {cell} | {'likeliest' if beam == 1 else f'beam {beam}'} | {name} "
                    f"| {size.batch / median:.0f} | {median / medians['ours']:.2f} |\n"
                )


if __name__ == "__main__":
    main()
