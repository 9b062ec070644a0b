"""Log-mel spectrograms of sound, whole or piece by piece, and their augmentation.

A frame is a window of samples, and the next frame begins `hop` samples later. The first frame
begins at the first sample, the last one is the last that fits: nothing is padded and no frame
looks ahead of its own samples. A stream therefore gives exactly the frames of the whole.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor, nn

from elman.errors import InputError
from elman.nn.masking import Lengths, blank, valid_steps

# A bin at the very foot of a triangle weighs next to nothing: its band would be empty but for
# rounding.
_LEAST_WEIGHT = 0.1


def mel(hertz: Tensor) -> Tensor:
    """Return frequencies on the mel scale: 2595 log10(1 + f / 700).

    O'Shaughnessy 1987, "Speech communication: human and machine", p. 150; the scale of HTK.

    >>> mel(torch.tensor([0.0, 700.0, 1000.0])).round().tolist()
    [0.0, 781.0, 1000.0]
    """
    return 2595.0 * torch.log10(1.0 + hertz / 700.0)


def hertz(mels: Tensor) -> Tensor:
    """Return the frequencies of points on the mel scale, the inverse of `mel`.

    >>> hertz(mel(torch.tensor([440.0]))).round().tolist()
    [440.0]
    """
    return 700.0 * (10.0 ** (mels / 2595.0) - 1.0)


def mel_filters(rate: int, size: int, mels: int, f_min: float, f_max: float) -> Tensor:
    """Return triangular filters `(size // 2 + 1, mels)` in float64, from Fourier bins to bands.

    The corners of the triangles are spaced evenly on the mel scale from `f_min` to `f_max`, and
    each triangle rises from the centre of the band before to 1 at its own and falls to 0 at the
    next one (Davis & Mermelstein 1980). Between the first and the last centre the filters of a
    bin sum to 1.

    Args:
        rate: samples a second.
        size: points of the Fourier transform.
        mels: number of bands.
        f_min, f_max: where the first triangle begins and the last one ends, in Hz.
    """
    ends = mel(torch.tensor([f_min, f_max], dtype=torch.float64)).tolist()
    corners = hertz(torch.linspace(ends[0], ends[1], mels + 2, dtype=torch.float64))
    bins = torch.arange(size // 2 + 1, dtype=torch.float64) * rate / size
    rising = (bins[:, None] - corners[:-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[2:] - bins[:, None]) / (corners[2:] - corners[1:-1])
    return torch.minimum(rising, falling).clamp(min=0)


class LogMel(nn.Module):
    """Samples to the logarithm of the power in mel bands, frame by frame.

    A frame x is weighted with a Hann window w; of its Fourier transform X of N points the power
    P[k] = 2 |X[k]|² / (N Σw²) (half of that at k = 0 and k = N/2) sums over k to the frame's
    weighted mean square, Σ(xw)² / Σw². Bands sum P through `mel_filters`; the result is
    ln(max(band, floor)).

    N is the least power of two that holds the window and leaves no band empty: every band has a
    bin that weighs a tenth or more.

    Args:
        rate: samples a second.
        window: seconds of a frame.
        hop: seconds from one frame to the next, at most `window`.
        mels: number of bands.
        f_min: lower end of the lowest band, in Hz.
        f_max: upper end of the highest band, in Hz; None is half the rate.
        floor: least power of a band. The default, 1e-10, is 100 dB below full scale, the noise
            of 16-bit samples.

    Raises:
        InputError: a frame has fewer than two samples, the hop is longer than the window, or
            the frequencies are not 0 <= f_min < f_max <= rate / 2.

    >>> features = LogMel(8000, mels=40)
    >>> sounds = torch.randn(2, 8000)
    >>> features(sounds).shape, features.frames(torch.tensor([8000, 199]))
    (torch.Size([2, 98, 40]), tensor([98,  0]))
    """

    window: Tensor
    filters: Tensor

    def __init__(
        self,
        rate: int,
        *,
        window: float = 0.025,
        hop: float = 0.010,
        mels: int = 40,
        f_min: float = 20.0,
        f_max: float | None = None,
        floor: float = 1e-10,
    ) -> None:
        super().__init__()
        self.rate, self.mels, self.floor = rate, mels, floor
        self.width, self.hop = round(window * rate), round(hop * rate)
        f_max = rate / 2 if f_max is None else f_max
        if not (self.width >= 2 and 1 <= self.hop <= self.width):
            raise InputError(
                f"A window of {window} s every {hop} s is {self.width} samples every {self.hop} "
                f"at {rate} Hz.",
                fix="Take a window of two samples or more, and a hop no longer than it.",
            )
        if not 0 <= f_min < f_max <= rate / 2:
            raise InputError(
                f"Bands from {f_min} to {f_max} Hz are not to be had at {rate} samples a second.",
                fix=f"Choose 0 <= f_min < f_max <= {rate / 2}.",
            )
        if mels < 1 or floor <= 0:
            raise InputError(f"mels={mels} and floor={floor} must be above 0.")
        self.size = 1 << (self.width - 1).bit_length()
        filters = mel_filters(rate, self.size, mels, f_min, f_max)
        while (filters.amax(0) < _LEAST_WEIGHT).any():
            self.size *= 2
            filters = mel_filters(rate, self.size, mels, f_min, f_max)
        weights = torch.hann_window(self.width, dtype=torch.float64)
        sides = torch.full((self.size // 2 + 1, 1), 2.0, dtype=torch.float64)
        sides[0] = sides[-1] = 1.0
        scale = sides / (self.size * weights.square().sum())
        self.register_buffer("window", weights.float(), persistent=False)
        self.register_buffer("filters", (filters * scale).float(), persistent=False)

    def frames(self, samples: Tensor) -> Tensor:
        """Return how many frames so many samples have, element by element."""
        return ((samples - self.width).div(self.hop, rounding_mode="floor") + 1).clamp(min=0)

    def forward(self, samples: Tensor, lengths: Lengths | None = None) -> Tensor:
        """Return the frames `(..., T, mels)` of samples `(..., n)`.

        Args:
            samples: float `(n,)`, or `(B, n)` where there are lengths.
            lengths: samples of each row, `(B,)`; frames that reach beyond them are 0, and
                `frames(lengths)` counts the others.
        """
        if samples.shape[-1] < self.width:
            return samples.new_zeros(*samples.shape[:-1], 0, self.mels)
        cut = samples.unfold(-1, self.width, self.hop) * self.window
        power = torch.fft.rfft(cut, self.size).abs().square()
        found: Tensor = (power @ self.filters).clamp(min=self.floor).log()
        if lengths is None:
            return found
        kept = self.frames(torch.as_tensor(lengths, device=samples.device))
        return blank(found, valid_steps(kept, found.shape[-2]))

    def start(self, batch: int = 1) -> Tensor:
        """Return the state before the first sample, `(batch, 0)`: samples not used up yet."""
        return self.window.new_zeros(batch, 0)

    def step(self, piece: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return the frames that a piece of a stream completes, and the new state.

        Args:
            piece: the next samples, `(B, n)`, n of any size, 0 too.
            state: from `start` or the step before; it never holds as many samples as a window.

        Returns:
            `(B, T, mels)`, T being 0 where no frame is complete, and the state.

        >>> features, sounds = LogMel(8000), torch.randn(1, 1000)
        >>> frames, state = [], features.start()
        >>> for piece in sounds.split(333, 1):
        ...     found, state = features.step(piece, state)
        ...     frames.append(found)
        >>> torch.allclose(torch.cat(frames, 1), features(sounds), atol=1e-4)
        True
        """
        joined = torch.cat([state, piece], -1)
        found = self(joined)
        # A copy, so that the state does not keep the whole piece in memory.
        return found, joined[..., found.shape[-2] * self.hop :].clone()


def mfcc(log_mels: Tensor, count: int = 13) -> Tensor:
    """Return cepstral coefficients `(..., T, count)` of log-mel frames `(..., T, mels)`.

    The orthonormal DCT-II over the bands, from coefficient 0 on (Davis & Mermelstein 1980).

    >>> mfcc(torch.tensor([[1.0, 1.0], [1.0, -1.0]]), 2).round(decimals=3)
    tensor([[1.4140, 0.0000],
            [0.0000, 1.4140]])
    """
    mels = log_mels.shape[-1]
    places = (torch.arange(mels, dtype=torch.float64) + 0.5)[:, None]
    waves = torch.cos(math.pi / mels * places * torch.arange(count)) * math.sqrt(2 / mels)
    waves[:, 0] /= math.sqrt(2)
    return log_mels @ waves.to(log_mels)


def spec_augment(
    frames: Tensor,
    lengths: Lengths,
    generator: Generator,
    *,
    time_masks: int = 2,
    time_width: int = 10,
    time_share: float = 0.2,
    mel_masks: int = 2,
    mel_width: int = 8,
) -> Tensor:
    """Return the frames with random stripes of time and of frequency set to 0.

    SpecAugment (Park et al. 2019) without its time warping. 0 stands for the mean, so the
    frames have to be normalised before. The width of a mask is uniform from 0 to the greatest
    one, and its place uniform among those where all of it fits.

    Args:
        frames: normalised, `(B, T, mels)`.
        lengths: frames of each row, `(B,)`; masks of time lie within them.
        generator: what draws the masks; each row has its own.
        time_masks, mel_masks: how many of each kind.
        time_width: frames of a mask of time at most.
        time_share: part of a row that one mask of time takes at most (p of the paper).
        mel_width: bands of a mask of frequency at most.

    >>> x, random = torch.ones(1, 50, 40), torch.Generator().manual_seed(0)
    >>> masked = spec_augment(x, [50], random)
    >>> masked.shape, 0 < masked.mean().item() < 1
    (torch.Size([1, 50, 40]), True)
    """
    rows, steps, mels = frames.shape
    ends = torch.as_tensor(lengths, dtype=torch.float64)
    widest = (ends * time_share).floor().clamp(max=time_width)
    hidden = _stripes(ends, widest, time_masks, steps, generator)[:, :, None]
    bands = torch.full((rows,), float(mels), dtype=torch.float64)
    hidden = hidden | _stripes(
        bands, bands.clamp(max=mel_width), mel_masks, mels, generator
    ).unsqueeze(1)
    return frames.masked_fill(hidden.to(frames.device), 0)


def _stripes(ends: Tensor, widest: Tensor, count: int, steps: int, generator: Generator) -> Tensor:
    """True `(B, steps)` inside any of `count` stripes, each at most `widest` and before `ends`."""
    draws = torch.rand(2, len(ends), count, generator=generator, dtype=torch.float64)
    widths = (draws[0] * (widest[:, None] + 1)).floor()
    begins = (draws[1] * (ends[:, None] - widths + 1)).floor()
    places = torch.arange(steps)
    inside = (places >= begins[..., None]) & (places < (begins + widths)[..., None])
    return inside.any(1)
