"""A softmax over a large vocabulary is estimated from the symbols of a batch and a few others."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Spread of how often symbols are drawn: counts to this power (Mikolov et al. 2013).
_POWER = 0.75


class SampledSoftmax(nn.Module):
    """The cost of the next symbol, from scores of some symbols in place of all.

    Scores are computed of the symbols that come next anywhere in a batch and of others drawn at
    random. A symbol w is then among them with probability p(w), and the sum over the vocabulary
    is estimated by importance (Bengio & Senécal 2008):

    log Σ_w exp(s_w) ≈ log (exp(s_y) + Σ_{w ≠ y} exp(s_w) / p(w))

    The estimate of the sum is right in the mean; its logarithm, which is the cost, is a little
    too small. Training on it makes scores that are those of a full softmax, so everything else
    uses the model as if it had been trained with one.

    Args:
        counts: `(V,)`, how often each symbol occurs in the training text.
        drawn: symbols drawn beside those of the batch.

    >>> softmax = SampledSoftmax(torch.ones(1000), drawn=50)
    >>> output, weight, bias = torch.randn(6, 8), torch.randn(1000, 8), torch.zeros(1000)
    >>> softmax(output, weight, bias, torch.tensor([3, 3, 7, 9, 11, 3])).shape
    torch.Size([6])
    """

    often: Tensor
    share: Tensor

    def __init__(self, counts: Tensor, drawn: int) -> None:
        super().__init__()
        self.drawn = drawn
        chance = counts.double().clamp(min=1)
        spread = chance**_POWER
        self.register_buffer("often", spread / spread.sum(), persistent=False)
        self.register_buffer("share", chance / chance.sum(), persistent=False)

    def forward(self, output: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
        """Return an estimate of the cost of each target in nats, `(N,)`.

        Args:
            output: `(N, E)`, what scores are made of.
            weight: `(V, E)`, and `bias`, `(V,)`: of the scores.
            targets: `(N,)`, the symbols that come next.
        """
        drawn = torch.multinomial(self.often, self.drawn, replacement=True)
        scored, places = torch.unique(torch.cat((targets, drawn)), return_inverse=True)
        places = places[: len(targets)]
        expected = self.drawn * self.often[scored] + len(targets) * self.share[scored]
        rarity = torch.log(-torch.expm1(-expected)).to(bias.dtype)
        scores = F.linear(output, weight[scored], bias[scored] - rarity).float()
        # The symbol that does come next is always among those scored.
        rows = torch.arange(len(targets), device=targets.device)
        scores = scores.index_put((rows, places), rarity[places].float(), accumulate=True)
        return F.cross_entropy(scores, places, reduction="none")
