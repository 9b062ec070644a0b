"""Bad input ends in one clear message, the right exit code, and nothing lost."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from elman.cli.app import _operating_system


def refused(done: subprocess.CompletedProcess[str], *expected: str, code: int = 2) -> None:
    """The command failed with `code` and one message that has each of `expected`."""
    message = done.stderr
    assert done.returncode == code, f"exit {done.returncode}: {message}\n{done.stdout}"
    assert "Traceback" not in message + done.stdout
    assert "internal error" not in message
    for part in expected:
        assert part in message, f"{part!r} not in: {message}"
    errors = [line for line in message.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, message


def write(folder: Path, name: str, content: str | bytes) -> Path:
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


REVIEWS = "text,label\n" + "".join(
    f"film number {i} was {'good' if i % 2 else 'bad'},{'yes' if i % 2 else 'no'}\n"
    for i in range(40)
)
SALES = "date,sales\n" + "".join(f"2020-{1 + i // 28:02}-{1 + i % 28:02},{i}\n" for i in range(200))


def test_missing_file_names_the_nearest(elman, tmp_path):
    write(tmp_path, "reviews.csv", REVIEWS)
    missing = tmp_path / "review.csv"
    refused(elman("train", "classify", missing), str(missing), "reviews.csv")


def test_empty_file(elman, tmp_path):
    for task in ("generate", "classify", "forecast"):
        file = write(tmp_path, f"{task}.csv" if task != "generate" else "empty.txt", "")
        refused(elman("train", task, file), str(file), "empty")


def test_header_without_rows(elman, tmp_path):
    file = write(tmp_path, "head.csv", "text,label\n")
    refused(elman("train", "classify", file), str(file))


def test_no_such_column_names_the_nearest(elman, tmp_path):
    file = write(tmp_path, "reviews.csv", REVIEWS)
    refused(elman("train", "classify", file, "-s", "target=lable"), "lable", "'label'")


def test_text_in_a_numeric_column_names_row_and_column(elman, tmp_path):
    lines = SALES.splitlines()
    lines[57] = lines[57].split(",")[0] + ",n/k"
    file = write(tmp_path, "sales.csv", "\n".join(lines) + "\n")
    done = elman("train", "forecast", file, "-s", "horizon=7", "-s", "target=sales")
    refused(done, str(file), "row 58", "'sales'", "n/k")


def test_nan_in_a_numeric_column_names_row_and_column(elman, tmp_path):
    lines = SALES.splitlines()
    lines[57] = lines[57].split(",")[0] + ","
    file = write(tmp_path, "sales.csv", "\n".join(lines) + "\n")
    done = elman("train", "forecast", file, "-s", "horizon=7")
    refused(done, str(file), "row 58", "'sales'")


def test_a_class_seen_only_in_test(elman, tmp_path):
    train = write(tmp_path, "train.csv", REVIEWS)
    test = write(tmp_path, "test.csv", "text,label\nfine,yes\nodd,maybe\n")
    refused(elman("train", "classify", train, "--test", test), str(test), "maybe")


def test_one_class_only(elman, tmp_path):
    file = write(tmp_path, "one.csv", REVIEWS.replace(",no", ",yes"))
    refused(elman("train", "classify", file), str(file), "yes", "class")


def test_ragged_rows(elman, tmp_path):
    lines = REVIEWS.splitlines()
    lines[12] += ",more,cells"
    file = write(tmp_path, "ragged.csv", "\n".join(lines) + "\n")
    refused(elman("train", "classify", file), str(file), "row 13")


def test_ragged_series(elman, tmp_path):
    body = "@problemName x\n@classLabel true a b\n@data\n1,2,3:1,2,3:a\n1,2,3:1,2:b\n1,2:1,2:a\n"
    file = write(tmp_path, "ragged.ts", body)
    refused(elman("train", "classify", file), str(file), "row 5")


def test_wrong_encoding_told(elman, tmp_path):
    file = write(tmp_path, "latin.csv", REVIEWS.replace("film", "café").encode("latin-1"))
    refused(elman("train", "classify", file, "-s", "encoding=utf-8"), str(file), "utf-8")


def test_no_such_encoding(elman, tmp_path):
    file = write(tmp_path, "reviews.csv", REVIEWS)
    refused(elman("train", "classify", file, "-s", "encoding=utf-9"), "utf-9")


def test_too_short_a_series_for_the_horizon(elman, tmp_path):
    file = write(tmp_path, "sales.csv", "\n".join(SALES.splitlines()[:20]) + "\n")
    refused(elman("train", "forecast", file, "-s", "horizon=48"), str(file), "48")


def test_too_short_a_text(elman, tmp_path):
    file = write(tmp_path, "short.txt", "ab")
    refused(elman("train", "generate", file), str(file))


def test_unknown_setting_names_the_nearest(elman, tmp_path):
    file = write(tmp_path, "reviews.csv", REVIEWS)
    refused(elman("train", "classify", file, "-s", "hiden_size=3"), "'hidden_size'")


def test_setting_out_of_range(elman, tmp_path):
    file = write(tmp_path, "reviews.csv", REVIEWS)
    refused(elman("train", "classify", file, "-s", "hidden_size=-3"), "hidden_size", "-3")
    refused(elman("train", "classify", file, "-s", "hidden_size"), "KEY=VALUE")
    refused(elman("train", "classify", file, "--budget", "soon"), "budget", "soon")


def test_unknown_task_cell_and_option_name_the_nearest(elman, tmp_path):
    file = write(tmp_path, "reviews.csv", REVIEWS)
    refused(elman("train", "clasify", file), "'classify'")
    refused(elman("train", "classify", file, "-s", "cell=ltsm"), "'lstm'")
    refused(elman("cells", "gruu"), "'gru'")
    done = elman("train", "classify", file, "--budgt", "1m")
    assert done.returncode == 2
    assert "--budget" in done.stderr


def test_unreadable_config(elman, tmp_path):
    file = write(tmp_path, "reviews.csv", REVIEWS)
    config = write(tmp_path, "config.yaml", "hidden_size: [1")
    refused(elman("train", "classify", file, "--config", config), str(config), "YAML")
    refused(elman("train", "classify", file, "--config", tmp_path / "none.yaml"), "none.yaml")


def test_output_folder_that_cannot_be_made(elman, tmp_path):
    file = write(tmp_path, "reviews.csv", REVIEWS)
    out = file / "run"  # below a file: not even root can make it
    refused(elman("train", "classify", file, "--out", out), str(out), "--out")


def test_output_folder_in_use_is_not_written_over(elman, classify_run, labelled_file):
    before = (classify_run / "results.json").read_bytes()
    done = elman("train", "classify", labelled_file, "--out", classify_run)
    refused(done, str(classify_run), "elman resume")
    assert (classify_run / "results.json").read_bytes() == before


def test_refused_data_leaves_no_run_behind(elman, tmp_path):
    out = tmp_path / "run"
    refused(elman("train", "classify", tmp_path / "none.csv", "--out", out))
    assert not out.exists()


def test_a_model_that_cannot_be_built_leaves_no_run_behind(elman, text_file, tmp_path):
    out = tmp_path / "run"
    refused(elman("train", "generate", text_file, "--out", out, "-s", "residual=true",
                  "-s", "num_layers=1"), "num_layers")  # fmt: skip
    assert not out.exists()


def test_not_a_run(elman, tmp_path):
    refused(elman("report", tmp_path), str(tmp_path), "not a run")
    refused(elman("predict", tmp_path / "none", tmp_path), "no such run")


def damaged(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "copy"))


def test_truncated_weights(elman, classify_run, labelled_file, tmp_path):
    run = damaged(classify_run, tmp_path)
    weights = run / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:200])
    refused(elman("predict", run, labelled_file), str(weights))


def test_foreign_weights(elman, classify_run, generate_run, labelled_file, tmp_path):
    run = damaged(classify_run, tmp_path)
    shutil.copy(generate_run / "model.safetensors", run / "model.safetensors")
    refused(elman("predict", run, labelled_file), "model.safetensors", "do not fit")


def test_truncated_checkpoint(elman, classify_run, tmp_path):
    run = damaged(classify_run, tmp_path)
    (run / "results.json").unlink()
    last = run / "checkpoints" / "last"
    last.write_bytes(last.read_bytes()[:100])
    refused(elman("resume", run), str(last))


def test_foreign_checkpoint(elman, classify_run, generate_run, tmp_path):
    run = damaged(classify_run, tmp_path)
    (run / "results.json").unlink()
    shutil.copy(generate_run / "checkpoints" / "last", run / "checkpoints" / "last")
    refused(elman("resume", run), "last")


def test_run_of_a_newer_version(elman, classify_run, labelled_file, tmp_path):
    run = damaged(classify_run, tmp_path)
    config = yaml.safe_load((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(yaml.safe_dump(config | {"format": 99, "elman": "9.0"}))
    refused(elman("predict", run, labelled_file), "newer", "9.0", "upgrade")


def test_changed_data_is_noticed_on_resume(elman, tmp_path):
    file = write(tmp_path, "reviews.csv", REVIEWS)
    out = tmp_path / "run"
    done = elman("train", "classify", file, "--out", out, "-q", "-s", "epochs=1")
    assert done.returncode == 0, done.stderr
    (out / "results.json").unlink()
    file.write_text(REVIEWS.replace("film", "book"))
    refused(elman("resume", out), str(file), "changed")


def test_a_run_that_cannot_generate(elman, classify_run):
    refused(elman("generate", classify_run), "does not generate")


def test_predictions_to_an_unknown_ending(elman, classify_run, labelled_file, tmp_path):
    refused(elman("predict", classify_run, labelled_file, "--out", tmp_path / "p.xls"), ".csv")


def test_empty_text_and_unknown_words_are_legal(elman, classify_run, tmp_path):
    file = write(tmp_path, "odd.csv", 'text\n""\nzzz qqq\n')
    done = elman("predict", classify_run, file)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3


def test_full_disk(elman, text_file, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small tmpfs is not allowed here")
    try:
        done = elman(
            "train", "generate", text_file, "--out", disk / "run", "-q",
            "-s", "max_steps=4", "-s", "hidden_size=256",
        )  # fmt: skip
        refused(done, str(disk), "space", code=1)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_ctrl_c_saves_and_says_how_to_go_on(elman, text_file, tmp_path):
    out = tmp_path / "run"
    process = subprocess.Popen(
        [
            sys.executable, "-m", "elman", "train", "generate", str(text_file), "--out", str(out),
            "-s", "max_steps=60", "-s", "hidden_size=16", "-s", "validate_every=4",
            "-s", "resamples=20",
        ],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "NO_COLOR": "1"},
    )  # fmt: skip
    deadline = time.monotonic() + 120
    metrics = out / "metrics.jsonl"
    while not (metrics.exists() and metrics.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    assert f"elman resume {out}" in stderr
    assert "Traceback" not in stderr
    done = elman("resume", out, "-q", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["training"]["steps"] == 60


def test_ctrl_c_before_training_leaves_nothing(text_file, tmp_path):
    for wait in ("import torch", "reading"):
        out = tmp_path / "run"
        # A hook on imports, or on reading, presses Ctrl-C at a moment that is always the same.
        hook = tmp_path / "press.py"
        hook.write_text(PRESS.format(wait=wait))
        done = subprocess.run(
            [sys.executable, hook, "train", "generate", text_file, "--out", out],
            capture_output=True, text=True, timeout=120,
            env=os.environ | {"OMP_NUM_THREADS": "1", "NO_COLOR": "1"},
        )  # fmt: skip
        assert done.returncode == 130, done.stderr
        said = done.stderr.strip().splitlines()[-1]
        assert said.lower() == "interrupted before training began; nothing was kept."
        assert "Traceback" not in done.stderr
        assert not out.exists()


PRESS = """
import os, signal, sys

def press():
    os.kill(os.getpid(), signal.SIGINT)

if "{wait}" == "import torch":
    class Pressing:
        def find_spec(self, name, path=None, target=None):
            if name == "torch.nn":
                press()
    sys.meta_path.insert(0, Pressing())
else:
    import elman.tasks.generate.sharing as reading
    reading.find = lambda *a, **k: press()
from elman.cli import main
main(sys.argv[1:])
"""


COLD = """
import json, os, sys
from elman.cli import main

out, err = os.dup(1), os.dup(2)
for number, arguments in enumerate(json.loads(sys.argv[1])):
    for descriptor in (1, 2):
        os.dup2(os.open(f"{number}.{descriptor}", os.O_WRONLY | os.O_CREAT), descriptor)
    try:
        main(arguments)
    except SystemExit as ending:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(out, 1), os.dup2(err, 2)
        slow = {name.split(".")[0] for name in sys.modules} & {"torch", "numpy", "pandas"}
        print(json.dumps([ending.code or 0, *sorted(slow)]))
"""
USAGE = [
    (["--help"], 0),
    (["train", "--help"], 0),
    (["trian", "classify", "x"], 2),
    (["train"], 2),
    (["train", "clasify", "x"], 2),
    (["config", "clasify"], 2),
    (["train", "classify", "no-such-file"], 2),
    (["train", "classify", __file__, "--valid", "no-such-file"], 2),
    (["train", "classify", __file__, "--budgt", "1m"], 2),
    (["train", "classify", __file__, "--set", "hiden_size=8"], 2),
    (["config", "tag", "--set", "no_such_setting=1"], 2),
    (["serve", "x"], 2),
    (["list", "no-such-folder"], 2),
    (["evaluate", "no-such-run"], 2),
    (["predict", ".", "no-such-file"], 2),
    (["bench", "--only", "leyers"], 2),
    (["check", "folder"], 2),
]


def test_help_and_usage_errors_import_nothing_slow(tmp_path):
    """All in one process: what the first imports, a later one has too."""
    order = json.dumps([arguments for arguments, _ in USAGE])
    done = subprocess.run(
        [sys.executable, "-c", COLD, order], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(USAGE)
    for number, ((arguments, code), (ended, *slow)) in enumerate(zip(USAGE, found, strict=True)):
        said = (tmp_path / f"{number}.2").read_text()
        assert ended == code, (arguments, said)
        assert not slow, f"{arguments} imported {slow}"
        assert bool(said) == (code == 2), arguments


def test_a_full_disk_is_resumed_where_there_is_a_run():
    error = OSError(errno.ENOSPC, "No space left on device")
    assert "elman resume RUN" in _operating_system(error, "train")
    assert "then give `elman predict` again" in _operating_system(error, "predict")
