"""The verbs of the `elman` command and how they end.

Exit codes: 0 success, 1 a run that failed, 2 a usage or input error explained
in a line or two, 130 interrupted. Results go to standard output, everything
else to standard error.
"""

from __future__ import annotations

import atexit
import errno
import gc
import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer

from elman.cli import early, show
from elman.cli.arguments import (
    AsJson,
    Budget,
    Config,
    Data,
    From,
    Label,
    Options,
    Quiet,
    RunPath,
    Set,
    TaskName,
    Test,
    Valid,
    With,
    existing,
    one_or_many,
    options_given,
    runs_given,
    settings_given,
)
from elman.cli.bench import bench
from elman.cli.keyboard import complete
from elman.cli.talk import chat
from elman.errors import ElmanError, InputError

app = typer.Typer(
    help="Recurrent neural networks: from a file to a trained, scored and reusable model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_INTERRUPTED = 130


@app.command()
def train(
    task: TaskName,
    data: Data,
    valid: Valid = None,
    test: Test = None,
    set_: Set = None,
    config: Config = None,
    budget: Budget = None,
    from_: From = None,
    reference: Annotated[
        str | None,
        typer.Option(
            "--reference",
            metavar="transformer",
            help="train a Transformer of as many parameters beside it, for comparison",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="RUN", help="the run directory to make")
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Train a model on DATA, score it beside baselines, keep everything in RUN."""
    with early.interrupted(["train"]):
        settings = settings_given(task, set_, config, budget)
        if reference is not None:
            settings["reference"] = reference
        from elman.runs import pipeline

    finished = pipeline.train(
        task,
        one_or_many(data),
        out,
        valid=one_or_many(valid),
        test=one_or_many(test),
        start_from=from_,
        progress=not quiet,
        **settings,
    )
    _finish(finished, as_json)


@app.command()
def look(
    task: TaskName,
    data: Data,
    valid: Valid = None,
    test: Test = None,
    set_: Set = None,
    config: Config = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="F.html", help="the page (default: look-DATA.html here)"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read DATA as `train` would, say what was understood, draw it; train nothing."""
    settings = settings_given(task, set_, config, None)
    from elman.runs.folder import write_whole
    from elman.runs.look import look as looked

    page = out or Path(f"look-{data[0].name.split('.')[0] or 'data'}.html")
    if not page.parent.is_dir():
        raise InputError("there is no such folder.", file=page.parent)
    found, drawn = looked(
        task, one_or_many(data), valid=one_or_many(valid), test=one_or_many(test), **settings
    )
    write_whole(page, drawn.encode())
    if as_json:
        show.as_json(found.to_json() | {"page": str(page)})
    else:
        sys.stdout.write(f"{found}\n")
        show.say(f"page: {page}")


@app.command("list")
def list_(
    place: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="a folder of runs")] = Path(
        "runs"
    ),
    as_json: AsJson = False,
) -> None:
    """List the runs of a folder: task, data, score beside the best baseline, verdict."""
    from elman.runs import folder

    runs = folder.runs_in(place)  # a wrong folder is refused before anything slow is imported
    from elman.runs import compare as compared

    rows = compared.listed(runs)
    show.as_json(rows) if as_json else show.runs(rows)


@app.command()
def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN RUN...", help="runs of one task", callback=runs_given),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="F.html", help="write a page with curves and settings"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare runs: settings that differ, scores, and paired intervals on the same test rows."""
    from elman.runs import compare as compared
    from elman.runs.folder import write_whole

    found = compared.compare(runs)
    if out is not None:
        write_whole(out, compared.page(found).encode())
    if as_json:
        show.as_json(found)
    else:
        show.comparison(found, compared.words(found))
    if out is not None:
        show.say(f"page: {out}")


@app.command()
def resume(run: RunPath, as_json: AsJson = False, quiet: Quiet = False) -> None:
    """Continue a run that was stopped."""
    from elman.runs import pipeline

    _finish(pipeline.resume(run, progress=not quiet), as_json)


@app.command()
def evaluate(
    run: RunPath,
    data: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[DATA...]", help="the test part when not given", callback=existing),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score a run on DATA, beside its baselines."""
    from elman.runs import pipeline

    results = pipeline.evaluate(run, one_or_many(data))
    show.as_json(results) if as_json else show.results(results)


@app.command()
def predict(
    run: RunPath,
    data: Data,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="F", help="a .csv, .jsonl or .parquet file to write"),
    ] = None,
    with_: With = "model",
    then: Annotated[
        list[Path] | None,
        typer.Option(
            "--then",
            metavar="RUN2",
            help="a run that reads the answers of the one before it; may be repeated",
            callback=runs_given,
        ),
    ] = None,
    abstain: Annotated[
        float | None,
        typer.Option(
            "--abstain", metavar="P", help="leave answers empty whose probability is below P"
        ),
    ] = None,
    why: Annotated[
        bool,
        typer.Option("--why", help="of a classifier: the share of each word or step in the answer"),
    ] = False,
    n_best: Annotated[
        int | None,
        typer.Option(
            "--n-best",
            metavar="N",
            min=1,
            help="of a translator: N answers to each source, with scores and alignments",
        ),
    ] = None,
    set_: Options = None,
    every: Annotated[
        bool,
        typer.Option("--all", help="all columns: what was read, each class, each quantile"),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Predict on new DATA; CSV on standard output unless --out or --json says otherwise.

    A row has its id (or number), the answer, and how sure it is: a probability, or an interval.
    """
    options = options_given(set_, n_best)
    from elman.runs import pipeline

    writer = show.table_writer(out)
    model = pipeline.load(run, with_)
    how: dict[str, Any] = {"proba": every, "abstain": abstain, "why": why} | options
    if then:
        from elman.runs import chain

        models = [model, *map(pipeline.load, then)]
        frame = chain.predict(models, one_or_many(data), **how)
    else:
        frame = model.predict(one_or_many(data), **how)
    if out is not None:
        writer(frame)
        show.say(f"{len(frame)} predictions in {out}")
    elif as_json:
        sys.stdout.write(show.json_lines(frame))
    elif why and sys.stdout.isatty():
        show.reasons(frame)
    else:
        sys.stdout.write(show.as_csv(frame))


@app.command()
def generate(
    run: RunPath,
    prompt: Annotated[str, typer.Option("--prompt", "-p", help="the beginning of the text")] = "",
    label: Label = None,
    length: Annotated[
        int, typer.Option("--length", "-n", min=1, help="characters or words to add")
    ] = 500,
    samples: Annotated[int, typer.Option("--samples", min=1, help="how many texts")] = 1,
    temperature: Annotated[
        float,
        typer.Option("--temperature", "-t", min=0.0, help="0: always the likeliest; 1: as learnt"),
    ] = 0.8,
    top_k: Annotated[
        int | None, typer.Option("--top-k", min=1, help="draw from the k likeliest")
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(
            "--top-p",
            min=0.0,
            max=1.0,
            help="draw from the likeliest whose probabilities sum to this",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="the same seed gives the same text")] = 0,
    complete: Annotated[
        int | None,
        typer.Option("--complete", metavar="N", min=1, help="show the N likeliest continuations"),
    ] = None,
    with_: With = "model",
    as_json: AsJson = False,
) -> None:
    """Write new text with a run of task `generate`."""
    from elman.runs import pipeline

    model = pipeline.load(run, with_)
    if complete is not None:
        show.completion(model.complete(prompt, n=complete, label=label), as_json)
        return
    texts = model.generate(
        prompt,
        label=label,
        length=length,
        samples=samples,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        seed=seed,
    )
    if as_json:
        show.as_json({"prompt": prompt, "samples": texts})
    else:
        sys.stdout.write("\n\n".join(texts) + "\n")


@app.command()
def doctor(
    run: RunPath,
    data: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[DATA...]", help="the run's own when not given", callback=existing),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="F.html", help="the page (default: doctor.html in RUN)"),
    ] = None,
    follow: Annotated[
        list[str] | None,
        typer.Option(
            "--follow",
            metavar="PATTERN",
            help="find units that follow quotes, brackets, 'line position', season:N, or a "
            "regular expression; may be repeated",
        ),
    ] = None,
    try_: Annotated[
        bool, typer.Option("--try", help="train again for a short time with each remedy")
    ] = False,
    budget: Annotated[
        str, typer.Option("--budget", metavar="60s", help="time for each training of --try")
    ] = "60s",
    seed: Annotated[
        int, typer.Option("--seed", help="seed of everything that is drawn at random")
    ] = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Examine a run: how far it remembers, where gradients vanish or explode, and remedies."""
    from elman.inspect import runs

    found = runs.of_run(run, one_or_many(data), follow=follow or (), seed=seed)
    if try_:
        tell = None if quiet else show.say
        found.trials = runs.try_remedies(run, found.findings, budget=budget, progress=tell)
    page = found.save(out or run / "doctor.html")
    if as_json:
        show.as_json(found.to_dict() | {"page": str(page)})
    else:
        sys.stdout.write(f"{found}\n")
        show.say(f"page: {page}")


@app.command()
def report(run: RunPath, as_json: AsJson = False) -> None:
    """Print the scores of a run and make its report.html again."""
    from elman.runs import folder
    from elman.runs import report as reports
    from elman.runs.folder import Run

    opened = Run(run)
    opened.config()
    results = opened.read_json(folder.RESULTS)
    reports.render(opened)
    if as_json:
        show.as_json(results | {"report": str(opened.report)})
    else:
        show.results(results)
        show.say(f"report: {opened.report}")


@app.command()
def config(
    task: TaskName,
    data: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[DATA...]",
            help="for settings whose default depends on the data",
            callback=existing,
        ),
    ] = None,
    valid: Valid = None,
    test: Test = None,
    set_: Set = None,
    config_file: Config = None,
    budget: Budget = None,
    as_json: AsJson = False,
) -> None:
    """Print the effective configuration: every setting, its default and meaning."""
    given = settings_given(task, set_, config_file, budget)
    from elman.runs import folder
    from elman.tasks import TASKS
    from elman.tasks.settings import settings_of

    kind = TASKS[task]
    settings = settings_of(kind, given)
    if data:
        read = kind.from_data(
            one_or_many(data), settings, valid=one_or_many(valid), test=one_or_many(test)
        )
        settings = read.settings
        sys.stderr.write(f"{read.understood()}\n")
        read.build()  # refuses a cell or an option that is not there
    if as_json:
        show.as_json(settings.model_dump(mode="json"))
    else:
        sys.stdout.write(folder.config_yaml(task, settings))


@app.command()
def cells(
    name: Annotated[str | None, typer.Argument(metavar="[CELL]", help="one cell in full")] = None,
    as_json: AsJson = False,
) -> None:
    """List the recurrent cells: equation, source, backends and class of speed.

    The classes of speed, fastest first, for a cell's default options:

    pointwise: no matrix multiplies the state.

    one product: a step multiplies once by its weights.

    several products: one product needs the result of another within the step.

    loop: no kernel can be compiled; the reference loop runs.
    """
    show.cells(name, as_json)


@app.command()
def tasks(as_json: AsJson = False) -> None:
    """List the tasks and the modalities that each can read, and which extra is missing."""
    show.tasks(as_json)


@app.command()
def check(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[FOLDER]", help="where --build puts the kernels")
    ] = None,
    build: Annotated[
        bool,
        typer.Option("--build", help="build the kernels of all cells, for a wheel to carry"),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what is installed and which backends run here, or build kernels ahead of time."""
    if build:
        show.build_kernels(folder, as_json)
    elif folder is not None:
        raise InputError("A folder is only used for built kernels.", fix="Add --build.")
    else:
        show.check(as_json)


app.command()(bench)
app.command()(chat)
app.command()(complete)


def _version(asked: bool) -> None:
    if asked:
        import elman

        sys.stdout.write(f"elman {elman.__version__}\n")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="print the version"),
    ] = False,
) -> None:
    pass


def main(arguments: list[str] | None = None) -> None:
    """Run the command and exit; every error is one clear message."""
    # Or Python looks through all that was imported once more: a fifth of a short command.
    atexit.register(gc.freeze)
    try:
        early.check_verb(sys.argv[1:] if arguments is None else arguments)
        with show.warnings_as_words():
            app(args=arguments, prog_name="elman")
    except SystemExit as ending:
        sys.exit(ending.code)
    except ElmanError as error:
        tell = show.say if error.exit_code == _INTERRUPTED else show.error
        tell(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        show.error("interrupted.")
        sys.exit(_INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        verbs = sys.argv[1:] if arguments is None else arguments
        show.error(_operating_system(error, verbs[0] if verbs else ""))
        sys.exit(1)
    except Exception as error:
        if os.environ.get("ELMAN_DEBUG"):
            traceback.print_exc()
        show.error(
            f"internal error, which is a bug in Elman: {type(error).__name__}: {error}. "
            "Set ELMAN_DEBUG=1 for the traceback and report it, please."
        )
        sys.exit(1)


def _operating_system(error: OSError, verb: str) -> str:
    place = f"{error.filename}: " if error.filename else ""
    if error.errno == errno.ENOSPC:
        resumed = verb in ("train", "resume")
        again = "go on with `elman resume RUN`" if resumed else f"give `elman {verb}` again"
        return f"{place}the disk is full. Make room, then {again}."
    return f"{place}{error.strerror or error}."


def _finish(finished: Any, as_json: bool) -> None:
    if not finished.results:  # a helper process of a data-parallel run
        return
    if as_json:
        show.as_json(finished.results | {"run": str(finished.path)})
    else:
        show.results(finished.results)
        show.sample(finished.model)
        show.say(f"run: {finished.path}")
        show.say(f"report: {finished.path / 'report.html'}")
