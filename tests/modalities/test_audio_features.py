"""Log-mel frames: against the equations in float64, energy, streams; and their augmentation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.errors import InputError
from elman.modalities.audio_features import (
    LogMel,
    hertz,
    mel,
    mel_filters,
    mfcc,
    spec_augment,
)
from elman.modalities.base import Padded
from elman.modalities.steps import slid


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=seeded(seed)) * 0.1


def tone(frequency: float, rate: int, seconds: float = 0.5) -> torch.Tensor:
    return torch.sin(2 * torch.pi * frequency * torch.arange(round(seconds * rate)) / rate)


def plain(x: np.ndarray, rate: int, size: int, mels: int, low: float, high: float) -> np.ndarray:
    """The definition, a loop a frame, a Fourier sum a bin and a triangle a band."""
    width, hop = round(0.025 * rate), round(0.010 * rate)
    w = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(width) / width)
    edges = 2595 * np.log10(1 + np.array([low, high]) / 700)
    corners = 700 * (10 ** (np.linspace(*edges, mels + 2) / 2595) - 1)
    rows = []
    for begin in range(0, len(x) - width + 1, hop):
        frame = x[begin : begin + width] * w
        power = np.zeros(size // 2 + 1)
        for k in range(size // 2 + 1):
            value = np.sum(frame * np.exp(-2j * np.pi * k * np.arange(width) / size))
            power[k] = abs(value) ** 2 / (size * np.sum(w**2)) * (1 if k in (0, size // 2) else 2)
        bands = np.zeros(mels)
        for band in range(mels):
            left, centre, right = corners[band : band + 3]
            for k in range(size // 2 + 1):
                f = k * rate / size
                share = min((f - left) / (centre - left), (right - f) / (right - centre))
                bands[band] += max(share, 0) * power[k]
        rows.append(np.log(np.maximum(bands, 1e-10)))
    return np.array(rows)


@pytest.mark.parametrize(("rate", "mels", "size"), [(8000, 40, 256), (16000, 80, 512)])
def test_frames_are_the_definition(rate: int, mels: int, size: int) -> None:
    features = LogMel(rate, mels=mels)
    assert features.size == size
    x = noise(1000) + tone(1234, rate)[:1000]
    expected = plain(x.double().numpy(), rate, size, mels, 20, rate / 2)
    np.testing.assert_allclose(features(x).numpy(), expected, rtol=0, atol=2e-5)


def test_the_mel_scale_and_back() -> None:
    # Table of the HTK book: 1000 Hz is 1000 mel (to its rounding).
    f = torch.tensor([0.0, 440.0, 1000.0, 4000.0], dtype=torch.float64)
    np.testing.assert_allclose(mel(f), [0, 549.64, 999.99, 2146.06], atol=0.01)
    np.testing.assert_allclose(hertz(mel(f)), f, atol=1e-9)


def test_filters_of_neighbours_share_a_bin() -> None:
    filters = mel_filters(16000, 2048, 40, 100.0, 7000.0)
    bins = torch.arange(1025) * 16000 / 2048
    centres = hertz(torch.linspace(*mel(torch.tensor([100.0, 7000.0])).tolist(), 42))[1:-1]
    inside = (bins > centres[0]) & (bins < centres[-1])
    torch.testing.assert_close(filters.sum(1)[inside], torch.ones(int(inside.sum())).double())
    assert filters[(bins <= 100) | (bins >= 7000)].abs().max() < 1e-12


@pytest.mark.parametrize("frequency", [150.0, 440.0, 1000.0, 2500.0, 3500.0])
def test_a_pure_tone_lands_in_its_band(frequency: float) -> None:
    features = LogMel(8000)
    centres = hertz(torch.linspace(*mel(torch.tensor([20.0, 4000.0])).tolist(), 42))[1:-1]
    loudest = features(tone(frequency, 8000)).mean(0).argmax()
    nearest = (mel(centres) - mel(torch.tensor(frequency))).abs().argmin()
    assert abs(int(loudest - nearest)) <= 1


def test_bands_sum_to_the_mean_square() -> None:
    """Parseval: between the outer centres bands share a bin, so a tone's bands sum to its power."""
    features = LogMel(8000)
    x = 0.3 * tone(1000, 8000)
    w = features.window
    frames = x.unfold(0, 200, 80)
    expected = (frames * w).square().sum(1) / w.square().sum()
    torch.testing.assert_close(features(x).exp().sum(1), expected, rtol=1e-4, atol=0)
    torch.testing.assert_close(expected, torch.full_like(expected, 0.045), rtol=0.01, atol=0)


def test_twice_as_loud_is_log_4_more_whatever_the_transform_holds() -> None:
    x = noise(2000)
    features = LogMel(8000)
    torch.testing.assert_close(features(2 * x) - features(x), torch.full((23, 40), np.log(4.0)))
    # A finer transform has more bins in a band and as much power in it.
    finer = LogMel(8000, mels=120)
    assert finer.size > features.size
    sums = [found(tone(1000, 8000)).exp().sum(1) for found in (features, finer)]
    torch.testing.assert_close(*sums, rtol=1e-3, atol=0)


def test_no_band_is_without_a_bin() -> None:
    for mels in (40, 64, 80, 128):
        assert (
            mel_filters(16000, LogMel(16000, mels=mels).size, mels, 20, 8000).amax(0) > 0.1
        ).all()


def test_silence_and_loudness_are_finite() -> None:
    features = LogMel(8000)
    assert features(torch.zeros(800)).unique().tolist() == [pytest.approx(np.log(1e-10))]
    assert features(torch.full((800,), 1e4)).isfinite().all()
    assert features(torch.full((800,), -1e-30)).isfinite().all()


@pytest.mark.parametrize(
    ("samples", "frames"), [(0, 0), (1, 0), (199, 0), (200, 1), (279, 1), (280, 2), (8000, 98)]
)
def test_frames_are_counted(samples: int, frames: int) -> None:
    features = LogMel(8000)
    assert features(torch.zeros(samples)).shape == (frames, 40)
    assert features(torch.zeros(3, samples)).shape == (3, frames, 40)
    assert int(features.frames(torch.tensor(samples))) == frames


@given(
    lengths=st.lists(st.integers(0, 700), min_size=1, max_size=4), seed=st.integers(0, 2**31 - 1)
)
@settings(max_examples=30, deadline=None)
def test_a_batch_is_its_rows(lengths: list[int], seed: int) -> None:
    features = LogMel(8000)
    x = torch.full((len(lengths), 700), torch.nan)
    for row, length in enumerate(lengths):
        x[row, :length] = noise(length, seed=seed + row)
    found = features(x, lengths)
    kept = features.frames(torch.tensor(lengths)).tolist()
    for row, (length, frames) in enumerate(zip(lengths, kept, strict=True)):
        torch.testing.assert_close(found[row, :frames], features(x[row, :length]))
        assert found[row, frames:].abs().sum() == 0


@given(
    cuts=st.lists(st.sampled_from([0, 1, 2, 79, 80, 81, 199, 200, 201, 1000]), max_size=12),
    seed=st.integers(0, 2**31 - 1),
)
@settings(max_examples=50, deadline=None)
def test_a_stream_gives_the_frames_of_the_whole(cuts: list[int], seed: int) -> None:
    features = LogMel(8000)
    x = noise(2, sum(cuts), seed=seed)
    state, found = features.start(2), []
    for piece in x.split(cuts, 1):
        frames, state = features.step(piece, state)
        found.append(frames)
        assert state.shape[1] < features.width
    whole = features(x)
    got = torch.cat([*found, whole[:, :0]], 1)
    assert got.shape == whole.shape
    torch.testing.assert_close(got, whole, rtol=1e-5, atol=2e-5)


def test_a_stream_of_single_samples_and_one_of_a_large_piece() -> None:
    features = LogMel(8000)
    x = noise(1, 10_000)
    state, found = features.start(), []
    for sample in x[:, :1000].split(1, 1):
        frames, state = features.step(sample, state)
        found.append(frames)
    rest, state = features.step(x[:, 1000:], state)
    torch.testing.assert_close(torch.cat([*found, rest], 1), features(x), rtol=1e-5, atol=2e-5)
    # The state is a copy: it does not hold on to the piece it was cut from.
    assert state.untyped_storage().nbytes() == 4 * state.numel() < 4 * 200


def test_features_go_through_gradients() -> None:
    features = LogMel(8000)
    x = noise(500).requires_grad_()
    features(x).sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert x.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"hop": 0.03}, "200 samples every 240"),
        ({"hop": 0.0}, "200 samples every 0"),
        ({"window": 0.0001}, "is 1 samples"),
        ({"f_min": 500.0, "f_max": 400.0}, "from 500.0 to 400.0 Hz"),
        ({"f_max": 5000.0}, r"at 8000 samples a second\. Choose 0 <= f_min < f_max <= 4000"),
        ({"mels": 0}, "mels=0"),
        ({"floor": 0.0}, r"floor=0\.0"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, float], expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        LogMel(8000, **options)  # type: ignore[arg-type]


def test_cepstra_are_the_cosine_transform() -> None:
    fft = pytest.importorskip("scipy.fft")
    x = noise(5, 40).double()
    expected = fft.dct(x.numpy(), type=2, norm="ortho")
    np.testing.assert_allclose(mfcc(x, 13).numpy(), expected[:, :13], atol=1e-12)
    # All of them are a rotation: they keep the energy.
    np.testing.assert_allclose(mfcc(x, 40).square().sum(1), x.square().sum(1))


@given(lengths=st.lists(st.integers(0, 60), min_size=1, max_size=5), seed=st.integers(0, 2**31 - 1))
@settings(max_examples=60, deadline=None)
def test_masks_are_stripes_within_bounds(lengths: list[int], seed: int) -> None:
    x = torch.ones(len(lengths), 60, 40)
    only_time = spec_augment(
        x, lengths, seeded(seed), time_masks=1, time_width=9, time_share=0.25, mel_masks=0
    )
    for row, length in zip(only_time, lengths, strict=True):
        gone = (row == 0).all(1)
        assert torch.equal(gone, (row == 0).any(1))
        assert int(gone.sum()) <= min(9, length // 4)
        assert not gone[length:].any()
        assert int(gone.int().diff().abs().sum()) <= 2  # one stripe, without a gap
    only_mels = spec_augment(x, lengths, seeded(seed), time_masks=0, mel_masks=1, mel_width=7)
    for row in only_mels:
        gone = (row == 0).all(0)
        assert torch.equal(gone, (row == 0).any(0))
        assert int(gone.sum()) <= 7
        assert int(gone.int().diff().abs().sum()) <= 2


def test_masks_are_uniform_and_reach_both_ends() -> None:
    x = torch.ones(4000, 6, 5)
    masked = spec_augment(x, [6] * 4000, seeded(), time_masks=0, mel_masks=1, mel_width=2)
    gone = (masked[:, 0] == 0).float()
    widths = gone.sum(1).long().bincount(minlength=3)
    assert len(widths) == 3
    # Widths 0, 1 and 2 are as likely; each count has a deviation of 30.
    assert (widths - 4000 / 3).abs().max() < 150
    # A band is hidden by a mask of 1 in 1/5, by one of 2 in 1/4 of cases at the ends, else 1/2.
    expected = torch.tensor([1 / 5 + 1 / 4, *[1 / 5 + 1 / 2] * 3, 1 / 5 + 1 / 4]) / 3
    torch.testing.assert_close(gone.mean(0), expected, rtol=0, atol=0.035)


def test_rows_have_masks_of_their_own_and_a_seed_repeats_them() -> None:
    x = torch.ones(2, 50, 40)
    first, again = (spec_augment(x, [50, 50], seeded(3)) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first[0], first[1])
    assert x.min() == 1


@given(
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=5),
    most=st.floats(0, 4),
    seed=st.integers(0, 2**31 - 1),
)
@settings(max_examples=60, deadline=None)
def test_a_shift_moves_a_row_and_repeats_its_ends(
    lengths: list[int], most: float, seed: int
) -> None:
    x = torch.arange(1.0, 10.0).repeat(len(lengths), 1).unsqueeze(-1).repeat(1, 1, 2)
    moved = slid(Padded(x, torch.tensor(lengths)), most, seeded(seed)).inputs
    for row, before, length in zip(moved, x, lengths, strict=True):
        assert torch.equal(row[length:], before[length:])
        numbers = np.arange(1, length + 1)
        possible = [np.clip(numbers - by, 1, length) for by in range(-9, 10)]
        assert any(np.array_equal(row[:length, 0].numpy(), one) for one in possible)
    assert torch.equal(moved[..., 0], moved[..., 1])


def test_all_shifts_are_drawn() -> None:
    x = torch.arange(9.0).repeat(500, 1).unsqueeze(-1)
    middle = slid(Padded(x, torch.tensor([9] * 500)), 1.0, seeded()).inputs[:, 4, 0]
    assert set(middle.unique().tolist()) >= {2, 3, 4, 5, 6}
