"""A linear-chain conditional random field: a sequence of tags is scored as a whole.

Lafferty, McCallum & Pereira 2001; on top of a bidirectional LSTM, Huang, Xu & Yu 2015 and Lample
et al. 2016. Sums run over the steps of a batch in float64 whatever the precision of the scores,
so that long sequences and scores of ±1e4 lose nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from elman.errors import InputError
from elman.nn.masking import Lengths, valid_steps

# exp(600) and exp(-600) can be written in float64, and so can their sums and products with
# numbers near 1.
_REACH = 600.0


class Decoded(NamedTuple):
    """The best tags of each row, as lists of its length, and their scores `(B,)`."""

    paths: list[list[int]]
    scores: Tensor


class CRF(nn.Module):
    """Scores for going from one tag to the next, beside the scores of the tags themselves.

    The score of tags y for emissions e of T steps is

        starts[y_1] + ends[y_T] + sum over t of e_t[y_t] + sum over t > 1 of
        transitions[y_{t-1}, y_t]

    and the probability of y is the softmax of the scores of all legal sequences. Illegal ones
    have probability 0 and are never decoded, whatever the emissions. A row of length 0 has one
    sequence, the empty one, with score 0.

    Args:
        num_tags: K.
        transitions: `(K, K)`, true where the tag of the column may follow the tag of the row;
            `elman.data.tagging.legal` lists them for a scheme. None allows all.
        starts: `(K,)`, true where a sequence may begin with the tag. None allows all.
        ends: `(K,)`, true where a sequence may end with it. None allows all.
        device: where the parameters are made.
        dtype: their precision.

    All methods take emissions `(B, T, K)` and, keyword-only, `lengths` `(B,)`; without lengths
    every row has T steps. What stands beyond a length is not read.

    >>> crf = CRF(3, starts=[True, True, False])
    >>> emissions = torch.tensor([[[0.0, 1.0, 9.0], [0.0, 0.0, 2.0], [5.0, 0.0, 0.0]]])
    >>> crf.decode(emissions, lengths=[2])
    Decoded(paths=[[1, 2]], scores=tensor([3.]))
    >>> crf.marginals(emissions, lengths=[2]).sum(-1)
    tensor([[1., 1., 0.]])
    """

    transitions: nn.Parameter
    starts: nn.Parameter
    ends: nn.Parameter
    legal_transitions: Tensor
    legal_starts: Tensor
    legal_ends: Tensor

    def __init__(
        self,
        num_tags: int,
        *,
        transitions: ArrayLike | Tensor | None = None,
        starts: ArrayLike | Tensor | None = None,
        ends: ArrayLike | Tensor | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if num_tags < 1:
            raise InputError(f"A CRF has 1 tag or more, not {num_tags}.")
        self.num_tags = num_tags
        for name, shape, given in (
            ("transitions", (num_tags, num_tags), transitions),
            ("starts", (num_tags,), starts),
            ("ends", (num_tags,), ends),
        ):
            legal = torch.ones(shape, dtype=torch.bool) if given is None else torch.as_tensor(given)
            if legal.dtype != torch.bool or legal.shape != shape:
                raise InputError(
                    f"{name} is boolean {shape}, not {legal.dtype} {tuple(legal.shape)}."
                )
            # Known from the tags: they are no part of what was learnt.
            self.register_buffer(f"legal_{name}", legal.to(device), persistent=False)
            scores = torch.zeros(shape, device=device, dtype=dtype)
            setattr(self, name, nn.Parameter(scores))

    def extra_repr(self) -> str:
        """The number of tags, and of illegal transitions."""
        return f"{self.num_tags}, illegal={int((~self.legal_transitions).sum())}"

    def log_likelihood(
        self, emissions: Tensor, tags: Tensor, *, lengths: Lengths | None = None
    ) -> Tensor:
        """Return the log probability of tags `(B, T)`, summed over the batch.

        Raises:
            InputError: the tags of a row are illegal; the message has row and step.
        """
        emissions, real = self._read(emissions, lengths)
        if tags.shape != real.shape:
            raise InputError(
                f"tags is (B, T) = {tuple(real.shape)}, not {tuple(tags.shape)}.",
            )
        # Beyond a length any tag may stand, -100 for one.
        tags = tags.masked_fill(~real, 0)
        self._refuse_illegal(tags, real)
        return (self._score(emissions, tags, real) - self._log_partition(emissions, real)).sum()

    def forward(self, emissions: Tensor, tags: Tensor, *, lengths: Lengths | None = None) -> Tensor:
        """Return the loss: minus `log_likelihood`, a mean over the rows of the batch.

        It is as precise as the emissions, and float32 at least.
        """
        loss = -self.log_likelihood(emissions, tags, lengths=lengths) / max(len(emissions), 1)
        return loss.to(torch.promote_types(emissions.dtype, torch.float32))

    def log_partition(self, emissions: Tensor, *, lengths: Lengths | None = None) -> Tensor:
        """Return log Z `(B,)`: the log of the sum of exp(score) over all legal sequences."""
        return self._log_partition(*self._read(emissions, lengths))

    def log_probability(
        self, emissions: Tensor, allowed: Tensor, *, lengths: Lengths | None = None
    ) -> Tensor:
        """Return the log probability `(B,)` that every step has one of the tags allowed there.

        With `elman.data.tagging.allowed_tags` this is the probability of an entity; for several
        entities in a sentence, repeat its emissions.

        Args:
            emissions: `(B, T, K)`.
            allowed: `(B, T, K)`, boolean: a partial labelling. A step with a single true tag is
                fixed, one with all true is free.
            lengths: `(B,)`.

        Returns:
            `-inf` where no legal sequence is as allowed.
        """
        emissions, real = self._read(emissions, lengths)
        if allowed.shape != emissions.shape or allowed.dtype != torch.bool:
            raise InputError(
                f"allowed is boolean {tuple(emissions.shape)}, not {allowed.dtype} "
                f"{tuple(allowed.shape)}."
            )
        kept = emissions.masked_fill(~allowed & real.unsqueeze(-1), -torch.inf)
        found = self._log_partition(kept, real) - self._log_partition(emissions, real)
        # Rounding of two equal sums.
        return found.clamp(max=0)

    @torch.no_grad()
    def marginals(self, emissions: Tensor, *, lengths: Lengths | None = None) -> Tensor:
        """Return the probability of every tag at every step, `(B, T, K)`, by forward–backward.

        Each step sums to 1; steps beyond a length are 0. There is no gradient.
        """
        precision = emissions.dtype
        emissions, real = self._read(emissions, lengths)
        if emissions.shape[1] == 0:
            return emissions.to(precision)
        transitions, starts, ends = self._scores(emissions)
        moves = _Moves.of(transitions)
        forward = _forward(emissions, real, moves, starts)
        both = forward + _backward(emissions, real, moves, ends)
        return _softmax(both).masked_fill(~real.unsqueeze(-1), 0).to(precision)

    @torch.no_grad()
    def decode(self, emissions: Tensor, *, lengths: Lengths | None = None) -> Decoded:
        """Find the best legal sequence of each row (Viterbi 1967); of equals, the first tags.

        Raises:
            InputError: no sequence of a row's length is legal.
        """
        precision = emissions.dtype
        emissions, real = self._read(emissions, lengths)
        rows, steps, _ = emissions.shape
        if steps == 0:
            return Decoded([[] for _ in range(rows)], emissions.sum((1, 2)).to(precision))
        transitions, starts, ends = self._scores(emissions)
        best = starts + emissions[:, 0]
        # By the tag that is reached, so that what is compared lies side by side.
        transitions = transitions.T.contiguous()
        came_from = []
        for step in range(1, steps):
            reached, source = (best.unsqueeze(1) + transitions).max(-1)
            best = torch.where(real[:, step, None], reached + emissions[:, step], best)
            came_from.append(source)
        scores, tag = (best + ends).max(-1)
        lengths_ = real.sum(1)
        if bool(((scores == -torch.inf) & (lengths_ > 0)).any()):
            row = int(((scores == -torch.inf) & (lengths_ > 0)).nonzero()[0])
            raise InputError(f"Row {row}: no sequence of {int(lengths_[row])} tags is legal.")
        backwards = [tag]
        for step in range(steps - 1, 0, -1):
            source = came_from[step - 1].gather(1, tag.unsqueeze(1)).squeeze(1)
            tag = torch.where(real[:, step], source, tag)
            backwards.append(tag)
        paths = torch.stack(backwards[::-1], 1).tolist()
        sizes = lengths_.tolist()
        found = [path[:size] for path, size in zip(paths, sizes, strict=True)]
        return Decoded(found, scores.masked_fill(lengths_ == 0, 0).to(precision))

    def filter(self, emissions: Tensor, before: Tensor | None) -> Tensor:
        """Return the log probability of each tag at a step, given the steps up to it, `(B, K)`.

        The forward half of forward–backward, normalised at each step: what a stream can know
        before the rest of the sentence has come.

        Args:
            emissions: of one step, `(B, K)`.
            before: the result for the step before, None at the first step.
        """
        transitions, starts, _ = self._scores(emissions)
        if before is None:
            reached = starts.expand_as(emissions)
        else:
            reached = _logsumexp((before.unsqueeze(-1) + transitions).transpose(1, 2))
        return (reached + emissions).log_softmax(-1)

    def _read(self, emissions: Tensor, lengths: Lengths | None) -> tuple[Tensor, Tensor]:
        """Emissions in float64, 0 beyond the lengths, and where steps are real, `(B, T)`."""
        if emissions.dim() != 3 or emissions.shape[-1] != self.num_tags:
            raise InputError(
                f"Emissions are (B, T, {self.num_tags}), not {tuple(emissions.shape)}."
            )
        rows, steps, _ = emissions.shape
        # Apple's GPUs have no float64.
        precise = torch.float32 if emissions.device.type == "mps" else torch.float64
        emissions = emissions.to(precise)
        if lengths is None:
            return emissions, emissions.new_ones(rows, steps, dtype=torch.bool)
        real = valid_steps(lengths, steps, emissions.device)
        if real.shape != (rows, steps):
            raise InputError(f"{len(real)} lengths were given for {rows} rows.")
        return emissions.masked_fill(~real.unsqueeze(-1), 0), real

    def _scores(self, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Transitions, starts and ends as they count: -inf where illegal."""
        found = []
        for name in ("transitions", "starts", "ends"):
            scores: Tensor = getattr(self, name)
            legal: Tensor = getattr(self, f"legal_{name}")
            found.append(scores.to(like).masked_fill(~legal, -torch.inf))
        return found[0], found[1], found[2]

    def _log_partition(self, emissions: Tensor, real: Tensor) -> Tensor:
        if emissions.shape[1] == 0:
            return emissions.sum((1, 2))
        found: Tensor = _LogPartition.apply(  # type: ignore[no-untyped-call]
            emissions, real, *self._scores(emissions)
        )
        return found.masked_fill(~real[:, 0], 0)

    def _score(self, emissions: Tensor, tags: Tensor, real: Tensor) -> Tensor:
        """The score of given tags, `(B,)`; they are legal."""
        if emissions.shape[1] == 0:
            return emissions.sum((1, 2))
        last = tags.gather(1, (real.sum(1, keepdim=True) - 1).clamp(min=0)).squeeze(1)
        emitted = emissions.gather(2, tags.unsqueeze(-1)).squeeze(-1).masked_fill(~real, 0)
        moved = self.transitions.to(emissions)[tags[:, :-1], tags[:, 1:]]
        ends = self.starts.to(emissions)[tags[:, 0]] + self.ends.to(emissions)[last]
        inner = emitted.sum(1) + moved.masked_fill(~real[:, 1:], 0).sum(1)
        return inner + ends.masked_fill(~real[:, 0], 0)

    def _refuse_illegal(self, tags: Tensor, real: Tensor) -> None:
        if tags.numel() == 0:
            return
        known = (tags >= 0) & (tags < self.num_tags)
        if not bool(known.all()):
            row, step = (~known).nonzero()[0].tolist()
            raise InputError(f"Row {row}, step {step}: there is no tag {int(tags[row, step])}.")
        legal = torch.cat(
            (self.legal_starts[tags[:, :1]], self.legal_transitions[tags[:, :-1], tags[:, 1:]]), 1
        )
        last = real & ~torch.cat((real[:, 1:], torch.zeros_like(real[:, :1])), 1)
        legal = (legal & (self.legal_ends[tags] | ~last)) | ~real
        if not bool(legal.all()):
            row, step = (~legal).nonzero()[0].tolist()
            raise InputError(
                f"Row {row}, step {step}: tag {int(tags[row, step])} is illegal there."
            )


class _LogPartition(torch.autograd.Function):
    """Log Z of rows of one step or more; its gradient is what forward–backward counts.

    Nothing is recorded step by step: the sums backwards give the probabilities of tags and of
    pairs of tags, and these are the derivatives by emissions and transitions.
    """

    @staticmethod
    def forward(
        ctx: Any, emissions: Tensor, real: Tensor, transitions: Tensor, starts: Tensor, ends: Tensor
    ) -> Tensor:
        forward = _forward(emissions, real, _Moves.of(transitions), starts)
        total = _logsumexp(forward[:, -1] + ends)
        ctx.save_for_backward(emissions, real, transitions, ends, forward, total)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        emissions, real, transitions, ends, forward, total = ctx.saved_tensors
        moves = _Moves.of(transitions)
        backward = _backward(emissions, real, moves, ends)
        # A row without a legal sequence depends on nothing.
        nothing = total == -torch.inf
        grad = grad.masked_fill(nothing, 0)
        total = total.masked_fill(nothing, 0)
        weighted = grad[:, None, None] * _softmax(forward + backward)
        weighted = weighted.masked_fill(~real.unsqueeze(-1), 0)
        last = real & ~torch.cat((real[:, 1:], torch.zeros_like(real[:, :1])), 1)
        # Pairs: the step before, and this step with what comes after it.
        before, after = forward[:, :-1], (emissions + backward)[:, 1:]
        before_top, after_top = _top(before), _top(after)
        before, after = before - before_top, after - after_top
        # Beyond a length the two do not belong together, and exp of their sum could overflow.
        counted = (real[:, 1:] & ~nothing[:, None]).unsqueeze(-1)
        rest = (before_top + after_top - total[:, None, None]).masked_fill(~counted, -torch.inf)
        if moves.can_multiply(_lowest(before) + _lowest(after)):
            scale = grad[:, None, None] * (rest + moves.top).exp()
            pairs = moves.weights * (
                (before.exp() * scale).flatten(0, 1).T @ after.exp().flatten(0, 1)
            )
        else:
            pairs = torch.zeros_like(transitions)
            for step in range(before.shape[1]):
                logs = before[:, step, :, None] + transitions + after[:, step, None, :]
                shares = (logs + rest[:, step, None]).exp() * grad[:, None, None]
                pairs += shares.sum(0)
        return (
            weighted,
            None,
            pairs,
            weighted[:, 0].sum(0),
            (weighted * last.unsqueeze(-1)).sum((0, 1)),
        )


class _Moves(NamedTuple):
    """Transitions, ready for sums of exponentials."""

    logs: Tensor
    weights: Tensor
    top: Tensor
    lowest: float

    @classmethod
    def of(cls, transitions: Tensor) -> _Moves:
        top = transitions.amax()
        top = top.masked_fill(top == -torch.inf, 0)
        below = transitions - top
        return cls(transitions, below.exp(), top, float(_lowest(below)))

    @property
    def T(self) -> _Moves:
        return self._replace(logs=self.logs.T, weights=self.weights.T)

    def can_multiply(self, lowest: Tensor) -> bool:
        """Tell whether exp holds each product of a weight and exp of a number from `lowest` up."""
        return self.logs.dtype == torch.float64 and float(lowest) + self.lowest > -_REACH

    def sum_paths(self, scores: Tensor) -> Tensor:
        """Log of the sum over i of exp(scores[b, i] + logs[i, j]): `(B, K)` -> `(B, K)`.

        A product of matrices where exp can hold all the numbers, which is some ten times faster;
        else term by term.
        """
        top = _top(scores)
        below = scores - top
        if self.can_multiply(_lowest(below)):
            return (below.exp() @ self.weights).log_().add_(top + self.top)
        return _logsumexp((scores.unsqueeze(-1) + self.logs).transpose(1, 2))


def _forward(emissions: Tensor, real: Tensor, moves: _Moves, starts: Tensor) -> Tensor:
    """For each step and tag, log of the summed exp(score) of all beginnings, `(B, T, K)`."""
    summed = starts + emissions[:, 0]
    every = [summed]
    for step in range(1, emissions.shape[1]):
        reached = moves.sum_paths(summed) + emissions[:, step]
        summed = torch.where(real[:, step, None], reached, summed)
        every.append(summed)
    return torch.stack(every, 1)


def _backward(emissions: Tensor, real: Tensor, moves: _Moves, ends: Tensor) -> Tensor:
    """For each step and tag, log of the summed exp(score) of all that may follow, `(B, T, K)`."""
    after = ends.expand_as(emissions[:, 0])
    every = [after]
    turned = moves.T
    for step in range(emissions.shape[1] - 1, 0, -1):
        before = turned.sum_paths(emissions[:, step] + after)
        after = torch.where(real[:, step, None], before, after)
        every.append(after)
    return torch.stack(every[::-1], 1)


def _logsumexp(x: Tensor) -> Tensor:
    """Logsumexp over the last axis; where all are -inf, -inf with gradient 0 and not NaN."""
    nothing = (x == -torch.inf).all(-1)
    return x.masked_fill(nothing.unsqueeze(-1), 0).logsumexp(-1).masked_fill(nothing, -torch.inf)


def _softmax(x: Tensor) -> Tensor:
    """Softmax over the last axis; where all are -inf, zeros."""
    nothing = (x == -torch.inf).all(-1, keepdim=True)
    return x.masked_fill(nothing, 0).softmax(-1).masked_fill(nothing, 0)


def _top(x: Tensor) -> Tensor:
    """The largest over the last axis, kept; 0 where all are -inf."""
    top = x.amax(-1, keepdim=True)
    return top.masked_fill(top == -torch.inf, 0)


def _lowest(x: Tensor) -> Tensor:
    """The lowest finite number, of numbers up to 0."""
    return x.masked_fill(x == -torch.inf, 0).amin() if x.numel() else x.new_zeros(())
