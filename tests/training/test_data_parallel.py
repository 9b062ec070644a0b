"""Two processes on halves of every batch do what one does on whole ones."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import training_worker
from safetensors.torch import load_file
from training_worker import Objective, Rows

from elman.errors import InputError
from elman.training import Settings, checkpoint, fit, seed

# So that runs are trained once; two more processes are slow to start.
pytestmark = [pytest.mark.xdist_group("data_parallel"), pytest.mark.fuzz]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parallel")
    script = Path(training_worker.__file__)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    done = subprocess.run(
        [*command, "--nproc-per-node", "2", script, "data-parallel", folder],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(script.parents[2]), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)], ids=str
)
def test_the_same_parameters_as_one_process(folder, dtype, tolerance):
    seed(3)
    alone = Objective(dropout=0.0, noise=False, dtype=dtype)
    fitted = fit(alone, Rows(dtype), Settings(epochs=2, lr=0.01, accumulate=2))
    name = str(dtype).removeprefix("torch.")
    together = load_file(folder / f"{name}.safetensors")
    for key, value in alone.model.state_dict().items():
        torch.testing.assert_close(together[key], value, rtol=tolerance, atol=tolerance)
    lines = (folder / name / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == len(fitted.history)
    valid = json.loads(lines[-1])["valid"]
    assert valid["mse"] == pytest.approx(fitted.history[-1]["valid"]["mse"], rel=tolerance)


def test_stopped_and_resumed_on_every_rank(folder):
    report = json.loads((folder / "report.json").read_text())
    assert report["steps"] == 40
    assert "Stopped at step 17 and saved" in report["told"]
    assert report["equal"]


def test_every_rank_s_own_state_is_saved(folder):
    tree = checkpoint.unpack(*checkpoint.load(folder / "stopped" / "checkpoints" / "last"))
    one, other = tree["state"]["own"]
    assert one["sampler"] == other["sampler"] == {"epoch": 2, "position": 10}
    assert one["carried"][0].shape == (1, 3, 8)
    assert not torch.equal(one["carried"][0], other["carried"][0])
    assert not torch.equal(one["generators"]["torch"], other["generators"]["torch"])


def test_another_number_of_processes_is_refused(folder):
    with pytest.raises(InputError, match=r"2 process.* --nproc-per-node 2"):
        fit(Objective(), Rows(), Settings(max_steps=40), run=folder / "stopped", resume=True)
