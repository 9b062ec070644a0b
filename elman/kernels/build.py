"""From generated C to a loaded library: the compiler, the cache on disk and whom to trust.

A library runs with all rights of whoever loads it, so none is loaded that another user could
have written: the cache is a folder of our own under parents of our own or root's, each file in
it is checked against a sum kept beside it, and a folder that fails is passed over for the next.
Libraries that a wheel carries in `prebuilt/` need no compiler and are asked first.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import hashlib
import importlib.util
import json
import os
import platform
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from elman.errors import ElmanError, InputError

FLAGS = (
    "-O3",
    "-fPIC",
    "-shared",
    "-std=gnu11",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=fast",
)
"""Given to every build. Not -ffast-math: NaN and infinity keep their meaning. Not -fopenmp: a
kernel gets torch's pool through a function pointer, whichever runtime that pool comes from."""

PREBUILT = Path(__file__).parent / "prebuilt"
"""The libraries a wheel carries; absent from a source tree."""

TIMEOUT = 120.0
"""Seconds a compiler may take; a kernel takes about one."""

_ELSEWHERE = "Kernels are compiled on Linux and macOS alone."
_PARTIAL = ".build-"
_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_loaded: dict[tuple[str, tuple[str, ...]], ctypes.CDLL] = {}


class NoCompiler(InputError):
    """No C compiler on this machine, and no packaged library that would spare it."""


class BuildError(ElmanError, RuntimeError):
    """A kernel could not be compiled, kept or loaded; the message holds the compiler's words."""


@dataclass(frozen=True)
class Compiler:
    """A C compiler that answers.

    Attributes:
        command: the words that start it, the first an absolute path.
        version: the first line of what `--version` prints.
    """

    command: tuple[str, ...]
    version: str


def find_compiler() -> Compiler | None:
    """The compiler kernels are built with: CC, then gcc, clang or cc, then the ziglang package.

    Looked for once a process for each value of CC and PATH.

    Raises:
        InputError: CC is set and does not work.
        BuildError: only ziglang is left, and there is no folder for what it keeps.
    """
    return _find(os.environ.get("CC", "").strip(), os.environ.get("PATH"))


def build(source: str, flags: tuple[str, ...] = ()) -> Path:
    """The shared library of a C source: the packaged one, the cached one, or built now.

    Args:
        source: C11 with GNU extensions.
        flags: for the compiler, after `FLAGS`.

    Raises:
        NoCompiler: it has to be built and nothing can build it.
        InputError: CC is set and does not work.
        BuildError: the compiler refuses the source, or no folder can keep the library.
    """
    return _packaged(source, flags) or _cached(source, flags)


def load(source: str, flags: tuple[str, ...] = ()) -> ctypes.CDLL:
    """The library of `build`, loaded; from the second call in a process on, a dict lookup.

    If the system refuses the packaged library the cached one is taken, and if it refuses that
    one it is built once more.

    Raises:
        NoCompiler, InputError, BuildError: as `build`; BuildError also where the library that
            was built once more is refused again.
    """
    library = _loaded.get((source, flags))
    if library is None:
        library = _loaded[source, flags] = _load(source, flags)
    return library


def _load(source: str, flags: tuple[str, ...]) -> ctypes.CDLL:
    for place in (_packaged, _cached, functools.partial(_cached, afresh=True)):
        path = place(source, flags)
        if path is not None:
            try:
                return ctypes.CDLL(str(path))
            except OSError as error:
                refused = error
    raise BuildError(f"{path}: was built again and still cannot be loaded: {refused}") from refused


def prebuilt_name(source: str, flags: tuple[str, ...] = ()) -> str:
    """The name of a packaged library: of source, flags and machine, whichever the compiler.

    >>> prebuilt_name("int one;") == prebuilt_name("int one;", ("-mavx2",))
    False
    """
    return _digest(source, *FLAGS, *flags, _machine(flags)) + ".so"


def build_into(folder: Path, source: str, flags: tuple[str, ...] = ()) -> Path:
    """Build a library under its packaged name in `folder`, for a wheel to carry.

    Raises:
        NoCompiler, InputError, BuildError: as `build`.
    """
    path = Path(folder) / prebuilt_name(source, flags)
    library = _cached(source, flags).read_bytes()
    with _keeping(path.parent, "Choose another folder."):
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, library, 0o755)
    return path


def cache_folder() -> Path:
    """The folder built libraries are kept in: the first that is ours alone, made if missing.

    `$ELMAN_CACHE`; `$XDG_CACHE_HOME/elman/kernels` or the user's own cache folder; one under the
    folder for temporary files; at last one that goes when the process ends.

    Raises:
        BuildError: none of them will do; the message says why for each.
    """
    return _choose_folder()[0]


def describe() -> str:
    """Return what can be built here and where it is kept, for `elman check`; never an error."""
    if os.name != "posix":
        return _ELSEWHERE
    try:
        compiler = find_compiler()
        found = f"{compiler.version} ({shlex.join(compiler.command)})" if compiler else "none found"
    except ElmanError as error:
        found = str(error)
    lines = [f"compiler: {found}"]
    try:
        folder, passed = _choose_folder()
        sizes = [entry.stat().st_size for entry in folder.glob("*.so")]
        lines.append(f"cache: {folder} (kernels: {len(sizes)}, {sum(sizes) / 1e6:.1f} MB)")
        lines += [f"  passed over: {reason}" for reason in passed]
    except BuildError as error:
        lines.append(f"cache: {error}")
    packaged = len(list(PREBUILT.glob("*.so")))
    if packaged:
        lines.append(f"packaged: {packaged} in {PREBUILT}")
    return "\n".join(lines)


# The compiler.


@functools.cache
def _find(cc: str, path: str | None) -> Compiler | None:
    if cc:
        return _asked_for(cc, path)
    for name in ("gcc", "clang", "cc"):
        answer = _probe((name,), path)
        if isinstance(answer, Compiler):
            return answer
    if sys.executable and importlib.util.find_spec("ziglang"):
        # -P: a folder of that name where the process happens to stand is not the package.
        answer = _probe((sys.executable, "-P", "-m", "ziglang", "cc"), path, _zig(cache_folder()))
        if isinstance(answer, Compiler):
            return answer
    return None


def _asked_for(cc: str, path: str | None) -> Compiler:
    try:
        answer = _probe(tuple(shlex.split(cc)), path)
    except ValueError as error:
        answer = str(error)
    if isinstance(answer, str):
        raise InputError(
            f"The environment's CC is {cc!r}, which does not work: {answer}.",
            fix="Set CC to a C compiler, or unset it.",
        )
    return answer


def _zig(folder: Path) -> dict[str, str]:
    # Zig keeps a cache of its own and never ends where it cannot make the one in the home.
    return {"ZIG_GLOBAL_CACHE_DIR": os.environ.get("ZIG_GLOBAL_CACHE_DIR") or str(folder / "zig")}


def _probe(
    command: tuple[str, ...], path: str | None, extra: dict[str, str] | None = None
) -> Compiler | str:
    """The compiler of that command, or why it is none."""
    program = shutil.which(command[0], path=path)
    if program is None:
        return f"there is no program {command[0]!r}"
    command = (os.path.abspath(program), *command[1:])
    status, said = _run((*command, "--version"), extra)
    first = said.strip().partition("\n")[0]
    return Compiler(command, first) if status == 0 and first else first or f"exit status {status}"


def _run(
    command: tuple[str, ...], extra: dict[str, str] | None = None, work: Path | None = None
) -> tuple[int, str]:
    """Exit status and output of a compiler, run in `work`; a shell's status where there is none."""
    try:
        process = subprocess.Popen(
            command,
            cwd=work,
            env=os.environ | {"LC_ALL": "C"} | (extra or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        return 127, f"{command[0]}: {error.strerror}"
    with process:
        try:
            said, _ = process.communicate(timeout=TIMEOUT)
        except BaseException as error:
            # A driver starts the real compiler as its child, which outlives it and holds the pipe:
            # the whole group has to go.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                return 124, f"error: stopped after {TIMEOUT:g} s without an answer"
            raise
    return process.returncode, said


def _compile(compiler: Compiler, source: str, flags: tuple[str, ...], kept: Path) -> bytes:
    """The library's bytes; a source that fails is left at `kept`."""
    with _work(kept.parent) as work:
        (work / "kernel.c").write_text(source, encoding="utf-8")
        options = (*FLAGS, *flags, "-o", "kernel.so", "kernel.c", "-lm")
        extra = _zig(kept.parent) | {"TMPDIR": str(work)}  # removed with the rest
        status, said = _run((*compiler.command, *options), extra, work)
        library = work / "kernel.so"
        if status == 0 and library.is_file():
            return library.read_bytes()
        (work / "kernel.c").replace(kept)
    words = _first_errors(said) or (
        f"killed by signal {-status}" if status < 0 else f"exit status {status} and no library"
    )
    raise BuildError(
        f"{shlex.join(compiler.command)} could not compile a kernel:\n{words}\n"
        f"The source is in {kept}"
    )


def _first_errors(said: str) -> str:
    lines = [line for line in said.splitlines() if line.strip()]
    # collect2 only repeats that the linker failed.
    errors = [line for line in lines if "error" in line and not line.startswith("collect2")]
    return "\n".join((errors or lines)[:5])


# The cache: an entry is `name.so` and `name.sha256`, and counts only when the two agree.


def _cached(source: str, flags: tuple[str, ...], afresh: bool = False) -> Path:
    if os.name != "posix":
        raise NoCompiler(_ELSEWHERE)
    compiler = find_compiler()
    if compiler is None:
        raise NoCompiler(
            "No C compiler was found to build a kernel with.",
            fix="Install gcc or clang, or: pip install 'elman[compiler]'",
        )
    options = (*compiler.command, *FLAGS, *flags)
    name = _digest(source, compiler.version, *options, _machine(options))
    path = cache_folder() / f"{name}.so"
    if not afresh and _sound(path):
        return path
    with _keeping(path.parent), _alone(path.with_suffix(".lock")):
        if not afresh and _sound(path):
            return path
        _sweep(path.parent)
        library = _compile(compiler, source, flags, path.with_suffix(".c"))
        _write(path, library, 0o700)
        _write(path.with_suffix(".sha256"), _sum(library), 0o600)
    return path


def _packaged(source: str, flags: tuple[str, ...]) -> Path | None:
    path = PREBUILT / prebuilt_name(source, flags)
    if not path.is_file():
        return None
    # Whoever owns this module already runs code here, an administrator who is not root, say; and
    # whoever may write to it: pip leaves that to a group where the umask does.
    own = Path(__file__).stat()
    owners = {os.geteuid(), _root(), own.st_uid}
    return path if _read(path, owners, _OTHERS & ~own.st_mode) is not None else None


def _digest(*parts: str) -> str:
    # JSON, so that no two lists of parts run together into one text.
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _machine(options: tuple[str, ...]) -> str:
    """Return the machine that a library runs on, with its features if built for it alone.

    A home shared by machines of several ages must not give one the instructions of another.
    """
    name = f"{sys.platform} {platform.machine()}"
    return name + _features() if any(o.endswith("=native") for o in options) else name


@functools.cache
def _features() -> str:
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith(("flags", "Features", "isa")):
                return line.partition(":")[2].rstrip()
    return platform.processor()


def _sound(path: Path) -> bool:
    """Return whether an entry is whole and was written by us."""
    library = _read(path, {os.geteuid()})
    return library is not None and _read(path.with_suffix(".sha256"), {os.geteuid()}) == _sum(
        library
    )


def _sum(library: bytes) -> bytes:
    return hashlib.sha256(library).hexdigest().encode()


def _read(path: Path, owners: set[int], closed: int = _OTHERS) -> bytes | None:
    """A file's bytes, if one of `owners` has it and nobody of `closed` may write to it."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
            info = os.fstat(file.fileno())
            ours = stat.S_ISREG(info.st_mode) and info.st_uid in owners
            return file.read() if ours and not info.st_mode & closed else None
    except OSError:
        return None


def _write(path: Path, content: bytes, mode: int) -> None:
    """Put `content` at `path`, whole or not at all."""
    with _work(path.parent) as work:
        partial = work / path.name
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        partial.replace(path)


@contextlib.contextmanager
def _work(folder: Path) -> Iterator[Path]:
    """A folder for half-made files, on the same disk as `folder`; gone afterwards."""
    # Over NFS what another process still holds open cannot be removed: no reason to fail.
    with tempfile.TemporaryDirectory(
        prefix=_PARTIAL, dir=folder, ignore_cleanup_errors=True
    ) as work:
        yield Path(work)


def _sweep(folder: Path) -> None:
    """Remove what killed builders left; after an hour, none can still be at work."""
    for left in folder.glob(f"{_PARTIAL}*"):
        with contextlib.suppress(OSError):
            if left.lstat().st_mtime < time.time() - 3600:
                shutil.rmtree(left)


@contextlib.contextmanager
def _keeping(folder: Path, fix: str = "Set ELMAN_CACHE to a folder with room.") -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BuildError(f"{folder}: a kernel could not be kept here: {error}. {fix}") from error


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Keep others from building the same kernel, so that eight processes compile once.

    It only spares work: without it (a file system that has no locks, a holder that hangs) the
    worst that two builders leave is a pair that disagrees, which the next one builds again.
    """
    import fcntl  # not on Windows, where this module is imported and refuses

    handle = os.open(lock, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.02)
            except OSError:
                break
        yield
    finally:
        os.close(handle)


# The folder.


def _choose_folder() -> tuple[Path, list[str]]:
    """The first folder that will do, and why those before it will not."""
    passed: list[str] = []
    try:
        for folder in _folders():
            # The folder itself may be no link; one above it is followed, once, here.
            place = Path(os.path.realpath(folder.parent), folder.name)
            reason = _refused(place)
            if reason is None:
                return place, passed
            passed.append(f"{place}: {reason}")
    except OSError as error:  # the machine has no folder for temporary files
        passed.append(str(error))
    raise BuildError(
        f"No folder is fit to keep kernels in ({'; '.join(passed)}). "
        "Set ELMAN_CACHE to one that nobody else can write to."
    )


def _folders() -> Iterator[Path]:
    given = os.environ.get("ELMAN_CACHE")
    if given:
        yield Path(os.path.abspath(os.path.expanduser(given)))
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):  # the XDG specification has a relative one ignored
        base = os.path.expanduser("~/Library/Caches" if sys.platform == "darwin" else "~/.cache")
    if os.path.isabs(base):
        yield Path(base, "elman", "kernels")
    yield Path(tempfile.gettempdir(), f"elman-kernels-{os.geteuid()}")
    yield _private(os.getpid())


@functools.cache
def _private(process: int) -> Path:
    """A folder of this process alone, which goes with it."""
    folder = Path(tempfile.mkdtemp(prefix="elman-kernels-"))

    def remove() -> None:
        if os.getpid() == process:  # a fork inherits this and must not
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder


def _refused(folder: Path) -> str | None:
    """Why `folder`, made if missing, cannot keep libraries we would load; None when it can."""
    try:
        for part in (*reversed(folder.parents), folder):
            if not part.is_dir():
                part.mkdir(mode=0o700, exist_ok=True)
        info = folder.lstat()
        if not stat.S_ISDIR(info.st_mode):
            return "is a symbolic link"
        if info.st_uid != os.geteuid():
            return "belongs to another user"
        if info.st_mode & _OTHERS:
            return "others can write to it"
        for parent in folder.parents:
            # Whoever can rename a parent can put another in its place. The sticky bit leaves
            # that to the owner of each entry.
            info = parent.lstat()
            if info.st_uid not in (os.geteuid(), _root()):
                return f"{parent} belongs to another user"
            if info.st_mode & _OTHERS and not info.st_mode & stat.S_ISVTX:
                return f"others can write to {parent}"
        if not os.access(folder, os.W_OK | os.X_OK):
            return "cannot be written to"
        if os.statvfs(folder).f_flag & getattr(os, "ST_NOEXEC", 0):
            return "lies on a file system that runs no programs (noexec)"
    except OSError as error:
        return error.strerror or str(error)
    return None


def _root() -> int:
    """The user that root's files are shown as: 0, or nobody in a container without root."""
    try:
        return os.stat("/proc").st_uid
    except OSError:
        return 0
