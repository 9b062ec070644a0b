"""`audio`: recordings as log-mel frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Generator, Tensor

from elman.data import Scaler
from elman.data.formats.sound import commonest_rate, resampled, sound
from elman.data.kinds import Sound
from elman.errors import InputError
from elman.modalities.audio_features import LogMel, spec_augment
from elman.modalities.audio_likeness import mel_statistics, nearest_by_cepstra
from elman.modalities.base import Array, Distance, Features, Padded, Place, Shown
from elman.modalities.levels import Far, Levels
from elman.modalities.steps import StepsCodec, StepsSettings
from elman.needs import Need

if TYPE_CHECKING:
    from elman.data import Table


class AudioSettings(StepsSettings):
    """Settings of recordings."""

    needs: ClassVar[Mapping[str, Need]] = {
        "time_width": Need("time_masks", bool, "time_masks"),
        "mel_width": Need("mel_masks", bool, "mel_masks"),
    }

    anew: ClassVar[frozenset[str]] = frozenset(
        {"time_masks", "time_width", "mel_masks", "mel_width"}
    )

    window: float = Field(0.025, gt=0, description="seconds of a frame")
    hop: float = Field(0.010, gt=0, description="seconds from one frame to the next")
    mels: int = Field(40, ge=1, description="bands of a frame")
    f_min: float = Field(20.0, ge=0, description="lower end of the lowest band, in Hz")
    f_max: float | None = Field(
        None, gt=0, description="upper end of the highest band, in Hz (half the rate)"
    )
    shift: float = Field(
        2.0, ge=0, description="deviation, in frames, by which training slides a recording in time"
    )
    time_masks: int = Field(2, ge=0, description="stripes of time hidden in training (SpecAugment)")
    time_width: int = Field(8, ge=1, description="frames of such a stripe at most")
    mel_masks: int = Field(2, ge=0, description="stripes of bands hidden in training (SpecAugment)")
    mel_width: int = Field(6, ge=1, description="bands of such a stripe at most")


class AudioCodec(StepsCodec):
    """Recordings as log-mel frames `(T, mels)`, each band scaled by the training part.

    Args:
        rate: samples a second, to which every recording is resampled.
        scaler: of the bands.
        settings: a task's, joined with `AudioSettings`.
        levels: of the samples of training, where they are kept.
    """

    modality = "audio"
    timed: ClassVar[bool] = True
    unit = "frames"

    def __init__(
        self, rate: int, scaler: Scaler | None, settings: Any, levels: Levels | None = None
    ) -> None:
        self.rate = rate
        self.mel = LogMel(
            rate,
            window=settings.window,
            hop=settings.hop,
            mels=settings.mels,
            f_min=settings.f_min,
            f_max=settings.f_max,
        )
        bands = np.zeros(settings.mels)
        super().__init__(scaler or Scaler(bands, bands + 1, "none"), settings, levels)

    @property
    def distances(self) -> tuple[Distance, ...]:  # type: ignore[override]
        """Dynamic time warping on cepstra, as isolated words were once recognised."""
        return (Distance("1-nearest neighbour, DTW on MFCCs", self._nearest),)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"rate": self.rate, **super().to_json()}

    def far(self, cells: Sequence[Any]) -> list[Far]:
        """Return the channel of samples where those of new recordings are far from training's."""
        return super().far([cell.samples[:, None] for cell in cells])

    def frames(self, cell: Any) -> NDArray[np.float32]:
        """Return log-mel frames `(T, mels)` as they are, cut to the longest allowed."""
        samples = torch.from_numpy(resampled(cell, self.rate).samples)
        with torch.no_grad():
            found: NDArray[np.float32] = self.mel(samples).numpy()
        return found[: self.settings.max_length]

    def encode(self, cell: Any) -> Array:
        """Return scaled frames `(T, mels)` in float32."""
        return self.scaler.transform(self.frames(cell)).astype(np.float32, copy=False)

    def decode(self, array: Array) -> Any:
        """Return None: frames do not hold all of a recording."""
        return None

    def refuse(self, cell: Any) -> str | None:
        """Return what is wrong where a recording is shorter than a frame."""
        samples = len(cell) * self.rate / cell.rate
        if samples >= self.mel.width:
            return None
        return (
            f"This recording has {len(cell) / cell.rate:.3f} s, less than one frame of "
            f"{self.settings.window} s."
        )

    def augment(self, batch: Padded, generator: Generator | None = None) -> Padded:
        """Return the recordings slid in time, with stripes of time and of bands hidden."""
        s, moved = self.settings, super().augment(batch, generator)
        if not (s.time_masks or s.mel_masks):
            return moved
        masked = spec_augment(
            moved.inputs,
            moved.lengths,
            torch.default_generator if generator is None else generator,
            time_masks=s.time_masks,
            time_width=s.time_width,
            mel_masks=s.mel_masks,
            mel_width=s.mel_width,
        )
        return Padded(masked, moved.lengths)

    def _features(self, scaler: Scaler, raw: Array | None) -> Features:
        found = super()._features(scaler, raw)
        return replace(found, title="{} on mean and deviation of log-mels")

    def _summaries(self, cells: Sequence[Any]) -> Array:
        """Return mean and standard deviation of each band over time."""
        return mel_statistics([self.frames(cell) for cell in cells])

    def step(self, value: Any) -> Tensor:
        """Return the frames of a piece of samples that stands alone, `(1, n, mels)`."""
        return self.take(value, self.begin())[0]

    def begin(self) -> tuple[Tensor, ...]:
        """Return the samples that wait for the rest of their frame: none."""
        return (self.mel.start(),)

    def take(self, value: Any, waiting: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the frames that a piece completes, and the samples that wait for more.

        Args:
            value: samples `(n,)` at the codec's rate, of any number, 0 too; full scale is from
                -1 to 1.
            waiting: what the piece before left.

        Raises:
            InputError: not one row of finite numbers.
        """
        try:
            whole = getattr(value, "dtype", None) is not None and value.dtype.kind in "iu"
            samples = sound(value, self.rate).samples if whole else np.asarray(value, np.float32)
        except (TypeError, ValueError):
            raise InputError("A piece of a recording is an array of samples.") from None
        if samples.ndim != 1 or not np.isfinite(samples).all():
            raise InputError(
                f"A piece of a recording is one row of finite samples at {self.rate} Hz; this has "
                f"the shape {samples.shape}."
            )
        found, left = self.mel.step(torch.from_numpy(samples)[None], waiting[0])
        scaled = self.scaler.transform(found.numpy()).astype(np.float32)
        return torch.from_numpy(scaled), (left,)

    def cut(self, cell: Any) -> list[Any]:
        """Return the samples in pieces of unequal size."""
        samples = resampled(cell, self.rate).samples
        sizes = [0, 1, self.mel.width // 3, self.mel.hop, 7 * self.mel.hop + 5]
        pieces, place, number = [], 0, 0
        while place < len(samples):
            size = sizes[number % len(sizes)]
            pieces.append(samples[place : place + size])
            place, number = place + size, number + 1
        return pieces

    def raw(self, data: Any, *, rate: int | None = None) -> list[Any] | None:
        """Return recordings from samples: one array `(n,)` or `(n, channels)`, or a list of them.

        Raises:
            InputError: the rate is missing, or samples are not finite numbers.
        """
        if isinstance(data, np.ndarray):
            data = [data]
        if not (isinstance(data, list) and data and all(hasattr(x, "shape") for x in data)):
            return None
        if rate is None:
            raise InputError(
                "samples without their rate cannot be read.", fix="Give rate=, samples a second."
            )
        return [sound(samples, rate) for samples in data]

    def show(self, array: Array) -> Shown:
        """Return the loudness of each frame, and the spectrogram with low bands below."""
        frames = self.scaler.inverse(np.asarray(array, np.float64))
        return Shown(frames.mean(1).tolist(), picture=frames.T[::-1])

    def _nearest(self, train: Sequence[Array], others: Sequence[Array]) -> NDArray[np.int64] | None:
        """Return the places of the nearest recordings; None where it would take over a minute."""
        return nearest_by_cepstra(self._plain(train), self._plain(others))

    def _plain(self, arrays: Sequence[Array]) -> list[NDArray[Any]]:
        """Return frames as they were before they were scaled."""
        return [self.scaler.inverse(np.asarray(array, np.float64)) for array in arrays]


class Audio:
    """Recordings; see the module and `elman.modalities.base.Modality`."""

    name: ClassVar[str] = "audio"
    summary: ClassVar[str] = "recordings: WAV, FLAC, OGG and MP3 of any rate"
    extra: ClassVar[str | None] = "audio"
    modules: ClassVar[tuple[str, ...]] = ("soundfile", "soxr")
    kinds: ClassVar[tuple[str, ...]] = ("sound",)
    forms: ClassVar[tuple[str, ...]] = ("cell",)
    stepped: ClassVar[bool] = True
    Settings = AudioSettings
    suited: ClassVar[dict[str, Any]] = {"hidden_size": 96, "lr": 4e-3, "ema_decay": 0.98}

    @classmethod
    def cells(
        cls, table: Table, place: Place, rows: list[list[int]] | None, strict: bool
    ) -> list[Sound]:
        """Return the recordings.

        Raises:
            InputError: a cell is empty or no recording, with file and row.
        """
        column = place.inputs[0]
        found = []
        for row, cell in enumerate(table.column(column, "sound")):
            if strict and (cell is None or not len(cell)):
                raise table.refuse("The recording is empty.", row, column, "Take the row out.")
            found.append(cell)
        return found

    @classmethod
    def decide(cls, settings: Any, cells: Sequence[Any]) -> dict[str, Any]:
        """Return nothing: no setting of a recording is left to the data."""
        return {}

    @classmethod
    def fit(cls, cells: Sequence[Any], settings: Any) -> AudioCodec:
        """Return a codec with the commonest rate and the scale of each band in training cells."""
        bare = AudioCodec(commonest_rate(cells), None, settings)
        frames = np.concatenate([bare.frames(cell) for cell in cells])
        if not len(frames):
            raise InputError(
                f"All recordings are shorter than a frame of {settings.window} s.",
                fix="Give longer recordings, or set window lower.",
            )
        levels = Levels.of([cell.samples[:, None] for cell in cells])
        return AudioCodec(bare.rate, Scaler.fit(frames), settings, levels)

    @classmethod
    def codec(cls, about: dict[str, Any], settings: Any) -> AudioCodec:
        """Return the codec that `to_json` described."""
        levels = Levels.from_json(about.get("levels"))
        return AudioCodec(int(about["rate"]), Scaler.from_json(about["scaler"]), settings, levels)

    @classmethod
    def example(cls, n: int, generator: np.random.Generator) -> list[Any]:
        """Return `n` tones of 0.10 to 0.16 s at 8 kHz, some higher and some lower."""
        made = []
        for number in range(n):
            time = np.arange(int(generator.integers(800, 1300))) / 8000
            tone = 0.3 * np.sin(2 * np.pi * (400 + 500 * (number % 2)) * time)
            made.append(sound(tone + 0.01 * generator.normal(size=len(time)), 8000))
        return made
