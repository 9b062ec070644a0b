import errno
import json
import os
import random
import struct

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from elman.errors import InputError, RunFailed
from elman.training import checkpoint, seeds

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.tuples(
        st.sampled_from(list(checkpoint._DTYPES)), st.lists(st.integers(0, 3), max_size=3)
    ).map(lambda spec: (torch.rand(spec[1]) * 5).to(spec[0]))
)
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=4) | st.integers(0, 9), inner, max_size=3)
    ),
    max_leaves=8,
)


def same(a, b):
    if isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            same(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert type(a) is type(b)
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            same(x, y)
    else:
        assert type(a) is type(b)
        assert a == b


@settings(max_examples=60, deadline=None)
@given(TREES)
def test_any_nest_comes_back(tmp_path_factory, tree):
    path = tmp_path_factory.mktemp("c") / "last"
    checkpoint.save(path, *checkpoint.pack(tree))
    same(checkpoint.unpack(*checkpoint.load(path)), tree)


@pytest.mark.parametrize("name", ["adam", "sgd", "rmsprop", "nadam", "radam", "adamax", "adagrad"])
def test_any_optimiser_comes_back(tmp_path, name):
    from elman.training import optimisers

    weight = torch.nn.Parameter(torch.randn(3, 2))
    first = optimisers.make(name, [weight], lr=0.1)
    for _ in range(3):
        weight.grad = torch.randn_like(weight)
        first.step()
    checkpoint.save(tmp_path / "last", *checkpoint.pack(first.state_dict()))
    second = optimisers.make(name, [torch.nn.Parameter(weight.detach().clone())], lr=0.1)
    second.load_state_dict(checkpoint.unpack(*checkpoint.load(tmp_path / "last")))
    same(second.state_dict(), first.state_dict())


def test_any_reader_of_safetensors_reads_it(tmp_path):
    tensors = {"a": torch.randn(3, 2), "b": torch.arange(3), "c": torch.tensor(True)}
    tensors["t"] = tensors["a"].t()
    checkpoint.save(tmp_path / "last", tensors, {})
    same(dict(sorted(load_file(tmp_path / "last").items())), tensors)


def test_tied_weights_are_kept_once_and_stay_tied():
    weight = torch.randn(4)
    tensors, skeleton = checkpoint.pack({"a": weight, "b": weight})
    assert len(tensors) == 1
    tree = checkpoint.unpack(tensors, skeleton)
    assert tree["a"] is tree["b"]


def test_what_cannot_be_saved_is_named():
    with pytest.raises(TypeError, match="carried/0 is a set"):
        checkpoint.pack({"carried": [{1}]})


def test_a_copy_is_out_of_reach():
    tree = {"a": [torch.zeros(2)], "b": (torch.zeros(1), 3)}
    copied = checkpoint.copy(tree)
    tree["a"][0].add_(1)
    tree["b"][0].add_(1)
    same(copied, {"a": [torch.zeros(2)], "b": (torch.zeros(1), 3)})


def test_missing_foreign_and_truncated_files(tmp_path):
    path = tmp_path / "last"
    with pytest.raises(InputError, match="no such checkpoint"):
        checkpoint.load(path)
    checkpoint.save(path, {"a": torch.randn(100)}, {"x": 1})
    whole = path.read_bytes()
    for size in (0, 4, 20, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError, match="not a checkpoint of Elman, or it is truncated") as e:
            checkpoint.load(path)
        assert str(path) in str(e.value)
    path.write_bytes(b"PK\x03\x04" + bytes(500))
    with pytest.raises(InputError, match="not a checkpoint"):
        checkpoint.load(path)
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(InputError, match="not a checkpoint"):
        checkpoint.load(path)


def test_a_file_from_a_newer_version(tmp_path, monkeypatch):
    path = tmp_path / "last"
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "VERSION", checkpoint.VERSION + 1)
        checkpoint.save(path, {}, {})
    with pytest.raises(InputError, match=r"newer version .* pip install -U elman"):
        checkpoint.load(path)


class Full:
    """A file on a disk that is full after so many bytes."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def write(self, data):
        self.room -= len(data)
        if self.room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.file.write(data)


@pytest.mark.parametrize("room", [0, 50, 3000])
def test_a_full_disk_leaves_the_checkpoint_before_it(tmp_path, monkeypatch, room):
    path = tmp_path / "checkpoints" / "last"
    checkpoint.save(path, {"a": torch.zeros(2000)}, {"n": 1})
    write = checkpoint._write
    monkeypatch.setattr(checkpoint, "_write", lambda file, *rest: write(Full(file, room), *rest))
    with pytest.raises(RunFailed) as error:
        checkpoint.save(path, {"a": torch.ones(2000)}, {"n": 2})
    assert str(path) in str(error.value)
    assert "No space left on device" in str(error.value)
    assert "before it is intact" in str(error.value)
    assert os.listdir(path.parent) == ["last"]
    tensors, meta = checkpoint.load(path)
    assert meta == {"n": 1}
    assert not tensors["a"].any()


def test_a_real_full_device():
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    with pytest.raises(OSError, match="space") as error, open("/dev/full", "wb") as file:
        checkpoint._write(file, {"a": torch.zeros(100_000)}, {})
    assert error.value.errno == errno.ENOSPC


@pytest.mark.parametrize("moment", ["write", "fsync", "rename", "after"])
def test_killed_while_writing(tmp_path, moment):
    """Whenever the writer dies, there is one whole checkpoint, the old or the new one."""
    path = tmp_path / "last"
    checkpoint.save(path, {"a": torch.zeros(2000)}, {"n": 1})
    child = os.fork()
    if child == 0:
        if moment == "write":
            write = checkpoint._write
            checkpoint._write = lambda file, *rest: write(_Dies(file), *rest)
        elif moment == "fsync":
            os.fsync = lambda number: os._exit(9)
        elif moment == "rename":
            type(path).replace = lambda *_: os._exit(9)
        else:
            os.open = lambda *_: os._exit(9)
        checkpoint.save(path, {"a": torch.ones(2000)}, {"n": 2})
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    tensors, meta = checkpoint.load(path)
    assert meta == {"n": 2 if moment == "after" else 1}
    assert torch.equal(tensors["a"], torch.full((2000,), float(meta["n"] - 1)))
    # What was left behind is written over.
    checkpoint.save(path, {"a": torch.ones(3)}, {"n": 3})
    assert os.listdir(tmp_path) == ["last"]


class _Dies:
    def __init__(self, file):
        self.file, self.written = file, 0

    def write(self, data):
        self.written += 1
        if self.written == 3:
            self.file.flush()
            os._exit(9)
        return self.file.write(data)


def test_meta_is_in_the_header(tmp_path):
    checkpoint.save(tmp_path / "last", {}, {"step": 3})
    raw = (tmp_path / "last").read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + size])
    assert json.loads(header["__metadata__"]["elman"]) == {
        "version": checkpoint.VERSION,
        "meta": {"step": 3},
    }


def drawn():
    return random.random(), random.gauss(0, 1), np.random.randn(), torch.randn(1).item()  # noqa: NPY002


def test_seed_seeds_every_generator():
    seeds.seed(5)
    first = drawn()
    seeds.seed(5)
    assert drawn() == first
    seeds.seed(6)
    assert all(a != b for a, b in zip(drawn(), first, strict=True))


def test_generators_come_back_through_a_file(tmp_path):
    seeds.seed(5)
    drawn()  # leaves a spare Gaussian in Python's and numpy's
    checkpoint.save(tmp_path / "last", *checkpoint.pack(seeds.capture()))
    expected = [drawn() for _ in range(3)]
    seeds.seed(1)
    seeds.restore(checkpoint.unpack(*checkpoint.load(tmp_path / "last")))
    assert [drawn() for _ in range(3)] == expected


def test_looking_leaves_no_trace():
    seeds.seed(5)
    expected = drawn()
    seeds.seed(5)
    with seeds.kept():
        drawn()
    assert drawn() == expected
