"""Recordings: samples as written, labels where they stand, manifests, and what is refused."""

from __future__ import annotations

import contextlib
import gzip
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.data import duplicates, files, read
from elman.data.formats import FORMATS
from elman.data.formats import sound as recordings
from elman.data.kinds import Sound
from elman.data.table import Origin, Table, build
from elman.errors import InputError, MissingExtra
from elman.tasks.answers import Labels
from elman.tasks.reading.labelled import learnable
from elman.tasks.reading.later import table_like
from elman.tasks.reading.layout import Layout

soundfile = pytest.importorskip("soundfile", reason="the extra audio is not installed")


def put(path: Path, samples: object, rate: int = 8000, **options: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.asarray(samples), rate, **options)
    return path


def tone(frequency: float, rate: int, seconds: float = 0.5) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)


def peak(samples: np.ndarray, rate: int) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * rate / len(samples))


WHOLE = np.array([0, 1, -1, 12345, -32768, 32767], np.int16)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "A.WAV"])
def test_formats_without_loss_give_the_samples_as_written(tmp_path: Path, name: str) -> None:
    (one,) = recordings.read([put(tmp_path / name, WHOLE)]).column("sound", "sound")
    assert one.samples.dtype == np.float32
    np.testing.assert_array_equal(one.samples * 32768, WHOLE)
    assert one.rate == 8000


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"])
def test_every_way_to_write_a_sample(tmp_path: Path, subtype: str) -> None:
    wave = tone(440, 8000)
    path = put(tmp_path / "a.wav", wave, subtype=subtype)
    step = {"PCM_U8": 1 / 128, "ULAW": 1 / 32}.get(subtype, 1e-6)
    np.testing.assert_allclose(recordings.decode(path)[0].samples, wave, rtol=0, atol=step)


@pytest.mark.parametrize("name", ["a.ogg", "a.mp3"])
def test_formats_with_loss_give_the_same_tone(tmp_path: Path, name: str) -> None:
    path = put(tmp_path / name, tone(1000, 22050), 22050)
    one = recordings.decode(path)[0]
    assert one.rate == 22050
    assert abs(peak(one.samples, one.rate) - 1000) < 5
    assert abs(np.abs(one.samples[2000:-2000]).max() - 0.5) < 0.05


def test_channels_are_averaged_and_it_is_said(tmp_path: Path) -> None:
    both = np.stack([np.full(10, 0.5), np.full(10, -0.25)], 1)
    stereo = put(tmp_path / "b.wav", both, subtype="FLOAT")
    table = recordings.read([stereo, put(tmp_path / "c.wav", np.zeros(5))])
    assert table.frame["sound"][0].samples.tolist() == [0.125] * 10
    assert table.meta["notes"] == ["1 of 2 recordings had several channels, which were averaged."]


def test_rates_stay_are_told_and_brought_to_the_commonest(tmp_path: Path) -> None:
    paths = [
        put(tmp_path / f"{rate}_{take}.wav", tone(440, rate), rate)
        for rate, take in [(8000, 0), (44100, 0), (8000, 1)]
    ]
    table = recordings.read(paths)
    assert table.meta["rates"] == {8000: 2, 44100: 1}
    assert "8000 Hz (2), 44100 Hz (1)" in table.meta["notes"][-1]
    sounds = list(table.frame["sound"])
    rate = recordings.commonest_rate(sounds)
    assert rate == 8000
    assert recordings.resampled(sounds[0], rate) is sounds[0]
    fewer = recordings.resampled(sounds[1], rate)
    assert (fewer.rate, fewer.samples.dtype, len(fewer)) == (8000, np.float32, 4000)
    # Away from the ends a resampled tone is the tone at the new rate.
    np.testing.assert_allclose(fewer.samples[500:-500], tone(440, 8000)[500:-500], atol=1e-3)


def test_of_rates_as_common_the_higher_one_is_taken() -> None:
    assert recordings.commonest_rate([Sound(np.zeros(1), rate) for rate in (8, 16, 16, 8)]) == 16


@pytest.mark.parametrize(
    ("names", "source", "labels"),
    [
        (["yes/a_1.wav", "yes/b_1.wav", "no/c_1.wav"], "folder", ["yes", "yes", "no"]),
        (["train/yes/a.wav", "test/no/b.wav"], "folder", ["yes", "no"]),
        (["train/1_a_0.wav", "train/1_b_0.wav", "test/1_a_1.wav"], "name", ["1", "1", "1"]),
        (["0_x_1.wav", "0_x_2.wav", "1_x_1.wav", "1_y_1.wav"], "name", ["0", "0", "1", "1"]),
        (["a_1.wav", "b_2.wav", "c_3.wav"], None, None),
        (["a_1.wav", "a_2.wav", "b.wav"], None, None),
        (["a.wav"], None, None),
    ],
)
def test_labels_are_found(
    tmp_path: Path, names: list[str], source: str | None, labels: list[str] | None
) -> None:
    table = recordings.read([put(tmp_path / name, np.zeros(3)) for name in names])
    assert table.meta["labels"] == source
    assert labels == (table.labels("label") if source else None)
    assert table.kinds == {"sound": "sound"} | ({"label": "category"} if source else {})
    assert [table.where(row) for row in range(len(names))] == [(tmp_path / n, 1) for n in names]
    if source is not None:
        assert repr(labels[0]) in table.meta["notes"][0]


def test_a_name_of_several_parts_is_pointed_out(tmp_path: Path) -> None:
    two = [put(tmp_path / f"7_ann_{take}.wav", np.zeros(3)) for take in range(2)]
    assert "write a manifest" in recordings.read(two).meta["notes"][0]


def test_labels_can_be_asked_for(tmp_path: Path) -> None:
    one = put(tmp_path / "yes/no_1.wav", np.zeros(3))
    assert recordings.read([one], labels="folder").labels("label") == ["yes"]
    assert recordings.read([one], labels="name").labels("label") == ["no"]
    with pytest.raises(InputError, match=r"plain\.wav: The name has no label before a '_'"):
        recordings.read([put(tmp_path / "plain.wav", np.zeros(3))], labels="name")
    with pytest.raises(InputError, match=r"labels='nam' is not known\. Did you mean 'name'"):
        recordings.read([one], labels="nam")  # type: ignore[arg-type]


def manifest(tmp_path: Path, text: str, name: str = "list.csv") -> Path:
    put(tmp_path / "clips/a.wav", np.full(3, 0.25), subtype="FLOAT")
    put(tmp_path / "clips/b.FLAC", np.full(4, 0.5))
    path = tmp_path / name
    path.write_text(text)
    return path


CSV = "speaker,file,seconds\nann,clips/a.wav,1.5\nbob,clips/b.FLAC,2\nann, clips/a.wav,1\n"


def rows(path: Path) -> Table:
    """The table as its format gives it, before paths become recordings."""
    return FORMATS["csv" if path.suffix == ".csv" else "json"].load()([path])


def test_reading_a_manifest_reads_its_recordings(tmp_path: Path) -> None:
    assert read(manifest(tmp_path, CSV)).kinds["file"] == "sound"


def test_a_manifest_of_csv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Path] = []
    real = recordings.decode
    monkeypatch.setattr(recordings, "decode", lambda path: calls.append(path) or real(path))
    raw = rows(manifest(tmp_path, CSV))
    assert recordings.path_column(raw) == "file"
    table = recordings.from_manifest(raw)
    assert list(table.kinds.items())[1] == ("file", "sound")
    assert table.numbers("seconds").tolist() == [1.5, 2, 1]
    assert [len(one) for one in table.frame["file"]] == [3, 4, 3]
    assert len(calls) == 2  # a recording that two rows name is decoded once
    assert table.where(1) == (tmp_path / "list.csv", 3)
    assert table.meta["rates"] == {8000: 3}
    assert [len(one) for one in recordings.from_manifest(raw.take([1])).frame["file"]] == [4]


def test_a_manifest_of_json_lines_may_name_whole_paths(tmp_path: Path) -> None:
    text = f'{{"path": "{tmp_path}/clips/a.wav", "text": "yes"}}\n{{"path": "clips/b.FLAC"}}\n'
    table = recordings.from_manifest(rows(manifest(tmp_path, text, "list.jsonl")))
    assert [len(one) for one in table.frame["path"]] == [3, 4]
    assert table.frame["text"][0] == "yes"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("clips/b.FLAC", "clips/b.flacc", r"list.csv: No column holds the paths"),
        ("clips/b.FLAC", "clips/c.flac", r"list.csv, row 3, column 'file': There is no file '.*c"),
        ("ann,clips/a.wav,1.5", "ann,,1.5", r"list.csv: No column holds the paths"),
    ],
)
def test_a_wrong_manifest(tmp_path: Path, old: str, new: str, expected: str) -> None:
    raw = rows(manifest(tmp_path, CSV.replace(old, new)))
    with pytest.raises(InputError, match=expected):
        recordings.from_manifest(raw)


def test_an_empty_path_is_named_by_row(tmp_path: Path) -> None:
    raw = rows(manifest(tmp_path, CSV.replace("clips/b.FLAC", "")))
    with pytest.raises(InputError, match="row 3, column 'file': The path is empty"):
        recordings.from_manifest(raw, "file")


def test_two_columns_of_paths_are_no_choice(tmp_path: Path) -> None:
    raw = rows(manifest(tmp_path, "clean,noisy\nclips/a.wav,clips/b.FLAC\n"))
    with pytest.raises(InputError, match="Several columns name recordings: clean, noisy"):
        recordings.from_manifest(raw)
    table = recordings.from_manifest(raw, "noisy")
    assert table.kinds["noisy"] == "sound"
    assert table.kinds["clean"] != "sound"


def broken(tmp_path: Path, what: str) -> Path:
    good = put(tmp_path / "good.wav", tone(440, 8000))
    path = tmp_path / "bad.wav"
    if what == "nan":
        return put(path, [0.0, 0.1, np.nan], subtype="FLOAT")
    if what == "infinite":
        return put(path, [np.inf, 0.1], subtype="FLOAT")
    if what == "no samples":
        return put(path, np.zeros(0))
    contents = {
        "empty": b"",
        "text": "label,path\né\n".encode(),
        "ascii": b"label,path\na,b\n",
        "cut": good.read_bytes()[:500],
        "header": good.read_bytes()[:20],
        "noise": bytes(range(256)) * 8,
        "zip": b"PK\x03\x04" + bytes(99),
        "gzip": gzip.compress(good.read_bytes()),
    }
    path.write_bytes(contents[what])
    return path


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("empty", "The file is empty"),
        ("text", "The file holds text"),
        ("ascii", "The file holds text"),
        ("no samples", "The recording has no samples"),
        ("nan", "Sample 3 is no finite number"),
        ("infinite", "Sample 1 is no finite number"),
        ("cut", "The file is cut off: 7544 bytes"),
        ("header", "The file is cut off"),
        ("noise", "The file is not a recording that can be read, or it is damaged"),
        ("zip", "This is a zip archive"),
        ("gzip", "This is gzip"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, what: str, expected: str) -> None:
    path = broken(tmp_path, what)
    with pytest.raises(InputError, match=expected) as caught:
        recordings.read([tmp_path / "good.wav", path])
    assert caught.value.file == path
    assert str(caught.value).count("bad.wav") == 1


@pytest.mark.parametrize("name", ["a.flac", "a.ogg", "a.mp3"])
def test_a_damaged_recording_is_refused_or_read_never_a_traceback(
    tmp_path: Path, name: str
) -> None:
    whole = put(tmp_path / name, tone(440, 8000, 4)).read_bytes()
    for size in (10, 60, len(whole) // 2):
        (tmp_path / name).write_bytes(whole[:size])
        # What a decoder makes of half a recording is its own matter; it is finite or refused.
        with contextlib.suppress(InputError):
            assert np.isfinite(recordings.decode(tmp_path / name)[0].samples).all()


def test_a_flac_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path / "a.flac", tone(440, 8000, 4))
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(InputError, match=r"a\.flac: The file is"):
        recordings.decode(path)


def test_a_wav_of_unknown_size_is_read(tmp_path: Path) -> None:
    path = put(tmp_path / "a.wav", WHOLE)
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = b"\xff" * 4
    path.write_bytes(bytes(data))
    assert len(recordings.decode(path)[0]) == len(WHOLE)


def test_a_huge_file_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path / "a.wav", np.zeros((3600, 2)), 1)
    monkeypatch.setattr(recordings, "MOST_VALUES", 7199)
    with pytest.raises(InputError, match=r"a\.wav: The recording is too long: 1\.0 hours, 2 chan"):
        recordings.read([path])


def test_a_missing_library_is_said_before_work_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path / "a.wav", WHOLE)
    monkeypatch.setitem(sys.modules, "soxr", None)
    monkeypatch.setattr(recordings, "decode", lambda path: pytest.fail("work began"))
    with pytest.raises(MissingExtra, match=r"elman\[audio\]"):
        recordings.read([path])


@pytest.mark.parametrize(
    ("samples", "rate", "expected"),
    [
        ([], 8000, "no samples"),
        ([1.0], 0, "rate=0 is no rate"),
        (["a"], 8000, "an array of numbers"),
        (np.zeros((1, 2, 3)), 8000, r"not float64 \(1, 2, 3\)"),
        ([0.0, np.nan], 8000, "Sample 2 is no finite number"),
    ],
)
def test_a_recording_made_by_hand_is_checked(samples: object, rate: int, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        recordings.sound(samples, rate)  # type: ignore[arg-type]


@given(st.lists(st.integers(-(2**15), 2**15 - 1), min_size=1), st.sampled_from(["i2", "i4", "f8"]))
def test_whole_numbers_keep_their_share_of_full_scale(numbers: list[int], dtype: str) -> None:
    wide = {"i2": 1, "i4": 2**16, "f8": 2.0**-15}[dtype]
    one = recordings.sound((np.array(numbers, np.float64) * wide).astype(dtype), 8000)
    np.testing.assert_array_equal(one.samples * 32768, numbers)


def test_unsigned_numbers_are_centred() -> None:
    assert recordings.sound(np.array([0, 128, 192], np.uint8), 8).samples.tolist() == [-1, 0, 0.5]


def test_a_frame_of_recordings_is_of_their_kind() -> None:
    one = recordings.sound([0.5, 0.25], 2)
    table = build(pd.DataFrame({"a": [one, None], "b": ["x", "y"]}), [Origin(None, 2)])
    assert table.kinds["a"] == "sound"
    assert repr(one) == "Sound(1.000 s at 2 Hz)"
    with pytest.raises(InputError, match="column 'b': 'x' is not a recording"):
        table.column("b", "sound")


def test_a_recording_in_two_parts_is_found(tmp_path: Path) -> None:
    first, second = put(tmp_path / "a.wav", WHOLE), put(tmp_path / "b.flac", WHOLE)
    other = put(tmp_path / "c.wav", WHOLE[::-1])
    train, test = recordings.read([first]), recordings.read([second, other])
    assert duplicates({"train": train, "test": test}, ["sound"]).counts == {("train", "test"): 1}


def test_spoken_digits(data_dir: Path) -> None:
    paths = files.listing(data_dir / "fsdd" / "recordings")
    table = recordings.read(paths)
    assert len(table) == 800
    assert table.frame["label"].value_counts().to_dict() == {str(digit): 80 for digit in range(10)}
    seconds = np.array([len(one) / one.rate for one in table.frame["sound"]])
    assert (round(seconds.min(), 3), round(seconds.max(), 3)) == (0.144, 2.283)


def test_a_manifest_may_leave_out_the_endings(tmp_path: Path) -> None:
    for n in range(4):
        put(tmp_path / f"clips/0{n}.wav", np.full(3 + n, 0.25))
    path = tmp_path / "labels.csv"
    path.write_text("clip,label\n02,a\n00,b\n03,a\n")
    table = read(path)
    assert table.kinds["clip"] == "sound"
    assert [len(one.samples) for one in table.frame["clip"]] == [5, 3, 6]
    assert any("'02' is clips/02.wav" in note for note in table.notes())
    path.write_text("clip,label\n02,a\n00,b\n03,a\n09,a\n")
    with pytest.raises(
        InputError, match=r"row 5, column 'clip': There is no file of the name '09'"
    ):
        read(path)
    put(tmp_path / "other/03.wav", np.zeros(3))
    path.write_text("clip,label\n02,a\n00,b\n03,a\n")
    with pytest.raises(InputError, match=r"row 4.*several files: clips/03.wav, other/03.wav"):
        read(path)
    # Words that are no names of files stay what they are.
    path.write_text("clip,label\nso,a\nno,b\n03,a\nyes,b\n")
    assert read(path).kinds["clip"] == "text"


def test_a_folder_of_recordings_with_a_list_of_them(tmp_path: Path) -> None:
    for n in range(8):
        put(tmp_path / f"r{n}.wav", np.full(4000, n / 10))
    path = tmp_path / "labels.csv"
    for names in ([f"r{n}" for n in range(8)], [f"r{n}.wav" for n in range(8)]):
        rows = [f"{name},{'ab'[n % 2]}\n" for n, name in enumerate(names)]
        path.write_text("name,label\n" + "".join(rows))
        assert learnable(tmp_path).kinds == {"name": "sound", "label": "category"}
    layout = Layout("audio", "cell", ("name",), ("label",))
    table, there = table_like(tmp_path, layout, Labels)
    assert (len(table), there.inputs) == (8, ("name",))
    # Recordings alone have no list.
    table, there = table_like([tmp_path / "r1.wav", tmp_path / "r2.wav"], layout, None)
    assert (len(table), there.inputs) == (2, ("sound",))
    path.write_text("name,label\nx,a\ny,b\n")
    with pytest.raises(InputError, match=r"labels.csv: It lies beside recordings, and no column"):
        learnable(tmp_path)


def test_an_empty_cell_is_no_name_of_a_file(tmp_path: Path) -> None:
    for name in "123":
        (tmp_path / f"{name}.wav").touch()
    (tmp_path / "list.csv").write_text("a,n\nx,Ticker\nx,\nx,5\nx,7\n")
    assert read(tmp_path / "list.csv").kinds["n"] == "text"
