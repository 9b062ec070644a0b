"""C becomes a library once, and nothing is ever loaded that somebody else could have written."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import importlib.util
import multiprocessing
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from elman.errors import ElmanError, InputError
from elman.kernels import build

REAL = next((p for name in ("gcc", "clang", "cc") if (p := shutil.which(name))), "")
PATH = os.environ.get("PATH", "")
SOURCE = "int answer(int x)\n{\n    return x + 42;\n}\n"

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="kernels are compiled on Linux and macOS alone"),
    pytest.mark.skipif(not REAL, reason="no C compiler on this machine"),
]


@pytest.fixture(autouse=True)
def own_place(tmp_path, monkeypatch):
    """A process that has built and found nothing yet, with a cache of its own."""
    monkeypatch.setenv("ELMAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(build, "_loaded", {})
    monkeypatch.setattr(build, "PREBUILT", tmp_path / "prebuilt")
    build._find.cache_clear()


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Make programs on a PATH that has nothing else; each notes the arguments it is given."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(build.importlib.util, "find_spec", lambda name: None)

    def make(name: str, compiling: str = f'exec {REAL} "$@"', version: str | None = None) -> Path:
        program = folder / name
        program.write_text(
            f"#!/bin/sh\nPATH='{PATH}'\n"
            f"if [ \"$1\" = --version ]; then echo '{version or name} 1.0'; exit; fi\n"
            f'echo "$@" >> {folder}/{name}.log\n{compiling}\n'
        )
        program.chmod(0o755)
        return program

    return make


def compilations(program: Path) -> int:
    log = program.with_name(program.name + ".log")
    return len(log.read_text().splitlines()) if log.exists() else 0


def answer(library: ctypes.CDLL) -> int:
    return int(library.answer(-2))


def entry(tmp_path: Path) -> Path:
    (library,) = (tmp_path / "cache").glob("*.so")
    return library


def new_process() -> None:
    """What a fresh process knows: nothing."""
    build._loaded.clear()


def test_source_becomes_numbers():
    assert answer(build.load(SOURCE)) == 40
    root = build.load("#include <math.h>\ndouble root(double x) { return cbrt(exp(x)); }\n").root
    root.restype, root.argtypes = ctypes.c_double, [ctypes.c_double]
    assert root(3.0) == pytest.approx(2.718281828459045, rel=1e-15)


def test_flags_keep_nan_and_reach_the_source():
    library = build.load("int test(float x) { return (x != x) + NUMBER; }", ("-DNUMBER=6",))
    library.test.argtypes = [ctypes.c_float]
    assert library.test(float("nan")) == 7
    assert library.test(1.0) == 6


# The compiler.


def test_compilers_are_asked_in_order(fake, monkeypatch):
    assert build.find_compiler() is None
    for name in ("cc", "clang", "gcc"):
        program = fake(name)
        build._find.cache_clear()
        assert build.find_compiler() == build.Compiler((str(program),), f"{name} 1.0")
    other = fake("other")
    monkeypatch.setenv("CC", "other -O1 '-DA=b c'")
    assert build.find_compiler().command == (str(other), "-O1", "-DA=b c")


def test_one_that_does_not_answer_is_passed_over(fake):
    fake("gcc").write_text("#!/bin/sh\necho broken >&2; exit 1\n")
    clang = fake("clang")
    assert build.find_compiler().command == (str(clang),)


def test_ziglang_is_the_last_resort(fake, monkeypatch):
    monkeypatch.setattr(build.importlib.util, "find_spec", lambda name: name == "ziglang" or None)
    python = fake("python", version="clang from zig")
    python.write_text(python.read_text().replace('"$1"', '"$5"'))
    monkeypatch.setattr(build.sys, "executable", str(python))
    compiler = build.find_compiler()
    assert compiler.command == (str(python), "-P", "-m", "ziglang", "cc")
    assert compiler.version == "clang from zig 1.0"
    gcc = fake("gcc")
    build._find.cache_clear()
    assert build.find_compiler().command == (str(gcc),)


@pytest.mark.slow
def test_ziglang_builds_where_there_is_no_home(monkeypatch):
    if importlib.util.find_spec("ziglang") is None:
        pytest.skip("the ziglang package is not installed")
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("HOME", "/proc/nothing")
    assert "ziglang" in build.find_compiler().command
    assert answer(build.load(SOURCE, ("-Wall", "-Wextra", "-Werror"))) == 40


@pytest.mark.parametrize("cc", ["nowhere-to-be-found", "broken", "gcc 'unclosed"])
def test_a_broken_cc_is_an_error_that_names_it(fake, monkeypatch, cc):
    fake("gcc")
    fake("broken").write_text("#!/bin/sh\necho out of order; exit 3\n")
    monkeypatch.setenv("CC", cc)
    with pytest.raises(InputError, match=r"CC is .*does not work.*unset it") as caught:
        build.load(SOURCE)
    assert cc.split()[0] in str(caught.value)
    assert not isinstance(caught.value, build.NoCompiler)
    if cc == "broken":
        assert "out of order" in str(caught.value)
    assert "CC is" in build.describe()


def test_no_compiler_says_how_to_have_one(fake, tmp_path):
    with pytest.raises(
        build.NoCompiler, match=r"Install gcc or clang.*elman\[compiler\]"
    ) as caught:
        build.load(SOURCE)
    assert isinstance(caught.value, InputError)
    assert "\n" not in str(caught.value)
    assert "compiler: none found" in build.describe()


def test_a_refused_source_brings_the_compilers_words(tmp_path):
    source = "#warning nothing is wrong yet\nint f(void) { return nothing; }\n"
    with pytest.raises(build.BuildError, match=r"kernel\.c:2:.*error: .*'nothing'") as caught:
        build.load(source)
    assert isinstance(caught.value, ElmanError)
    assert not isinstance(caught.value, InputError)
    said = str(caught.value)
    assert len(said.splitlines()) <= 8
    assert "nothing is wrong yet" not in said
    kept = Path(said.rpartition("The source is in ")[2])
    assert kept.read_text() == source
    assert not list((tmp_path / "cache").glob("*.so"))


def test_a_warning_is_no_failure_unless_asked_for():
    source = "int f(int unused) { return 1; }"
    assert build.load(source).f(2) == 1
    with pytest.raises(build.BuildError, match="unused"):
        build.load(source, ("-Wall", "-Wextra", "-Werror"))


def test_a_library_that_does_not_link_says_what_is_missing():
    with pytest.raises(build.BuildError, match="nosuchlibrary"):
        build.load(SOURCE, ("-lnosuchlibrary",))


def test_a_compiler_that_hangs_is_stopped_with_its_children(fake, monkeypatch, tmp_path):
    # The child holds the pipe, as cc1 under gcc does: stopping the driver alone would not do.
    fake("gcc", f"(sleep 1; touch {tmp_path}/survived) & wait")
    monkeypatch.setattr(build, "TIMEOUT", 0.3)
    with pytest.raises(build.BuildError, match=r"stopped after 0\.3 s"):
        build.load(SOURCE)
    time.sleep(1)
    assert not (tmp_path / "survived").exists()


def test_the_compiler_runs_without_input_in_plain_english(fake, tmp_path, monkeypatch):
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    program = fake(
        "gcc", f'cat > {tmp_path}/stdin; echo "$LC_ALL" > {tmp_path}/locale; exec {REAL} "$@"'
    )
    (tmp_path / "typed").write_text("meant for somebody else")
    stdin = os.dup(0)
    typed = os.open(tmp_path / "typed", os.O_RDONLY)
    try:
        os.dup2(typed, 0)
        build.load(SOURCE)
    finally:
        os.dup2(stdin, 0)
        os.close(stdin)
        os.close(typed)
    assert (tmp_path / "stdin").read_text() == ""
    assert (tmp_path / "locale").read_text() == "C\n"
    given = program.with_name("gcc.log").read_text().split()
    assert set(build.FLAGS) < set(given)
    assert given[-2:] == ["kernel.c", "-lm"]  # a linker takes what is missing so far
    assert not {"-ffast-math", "-fopenmp"} & set(given)


# The cache.


def test_a_library_is_compiled_once(fake, tmp_path):
    gcc = fake("gcc")
    first = build.load(SOURCE)
    assert build.load(SOURCE) is first
    new_process()
    assert answer(build.load(SOURCE)) == 40
    assert build.build(SOURCE) == entry(tmp_path)
    assert compilations(gcc) == 1


def test_the_second_call_asks_nobody(monkeypatch):
    first = build.load(SOURCE)
    monkeypatch.setattr(build, "_load", None)
    assert build.load(SOURCE) is first


def test_whatever_could_change_the_library_builds_another(fake, monkeypatch):
    gcc = fake("gcc")
    built = {build.build(SOURCE), build.build(SOURCE + " "), build.build(SOURCE, ("-DA", "-DB"))}
    built |= {build.build(SOURCE, ("-DA-DB",)), build.build(SOURCE, ("-DB", "-DA"))}
    assert len(built) == compilations(gcc) == 5
    fake("gcc", version="gcc, upgraded")
    build._find.cache_clear()
    assert build.build(SOURCE) not in built
    clang = fake("clang", version="gcc")
    monkeypatch.setenv("CC", "clang")
    assert build.build(SOURCE) not in built
    assert compilations(clang) == 1
    monkeypatch.setattr(build.platform, "machine", lambda: "another")
    assert build.build(SOURCE) not in built
    assert compilations(clang) == 2


def test_a_library_for_the_very_processor_stays_on_it(monkeypatch):
    plain, native = build.prebuilt_name(SOURCE), build.prebuilt_name(SOURCE, ("-march=native",))
    monkeypatch.setattr(build, "_features", lambda: "an older one")
    assert build.prebuilt_name(SOURCE) == plain
    assert build.prebuilt_name(SOURCE, ("-march=native",)) != native


@pytest.mark.parametrize("part", [".so", ".sha256"])
@pytest.mark.parametrize("harm", ["flipped", "cut", "emptied", "removed"])
def test_a_harmed_entry_is_built_again(fake, tmp_path, part, harm):
    gcc = fake("gcc")
    build.build(SOURCE)
    file = entry(tmp_path).with_suffix(part)
    content = file.read_bytes()
    if harm == "removed":
        file.unlink()
    else:
        middle = len(content) // 2
        flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        file.write_bytes({"flipped": flipped, "cut": content[:middle], "emptied": b""}[harm])
    assert answer(build.load(SOURCE)) == 40
    assert compilations(gcc) == 2
    new_process()
    assert answer(build.load(SOURCE)) == 40
    assert compilations(gcc) == 2


def test_an_entry_that_agrees_but_does_not_load_is_built_again(fake, tmp_path):
    gcc = fake("gcc")
    build.build(SOURCE)
    path = entry(tmp_path)
    path.write_bytes(b"no library")
    path.with_suffix(".sha256").write_text(hashlib.sha256(b"no library").hexdigest())
    assert answer(build.load(SOURCE)) == 40
    assert compilations(gcc) == 2


def test_building_again_in_vain_says_so(fake):
    gcc = fake("gcc", "echo nonsense > kernel.so")
    with pytest.raises(build.BuildError, match="built again and still cannot be loaded"):
        build.load(SOURCE)
    assert compilations(gcc) == 2


def test_a_compiler_that_makes_nothing_is_no_success(fake, tmp_path):
    fake("gcc", ":")
    with pytest.raises(build.BuildError, match="exit status 0 and no library"):
        build.load(SOURCE)
    assert not list((tmp_path / "cache").glob("*.so"))


def test_a_compiler_killed_half_way_leaves_nothing_to_load(fake, tmp_path):
    fake("gcc", "echo half > kernel.so; kill -9 $$")
    with pytest.raises(build.BuildError, match="killed by signal 9"):
        build.load(SOURCE)
    kept = {file.suffix for file in (tmp_path / "cache").iterdir()}
    assert kept == {".c", ".lock"}


@pytest.mark.parametrize("full_at", [1, 2], ids=["the library", "its sum"])
def test_a_full_disk_leaves_nothing_to_load(tmp_path, monkeypatch, full_at):
    synced = []

    def full(handle: int) -> None:
        synced.append(handle)
        if len(synced) == full_at:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(build.os, "fsync", full)
    with pytest.raises(build.BuildError, match=r"No space left.*ELMAN_CACHE"):
        build.load(SOURCE)
    assert not list((tmp_path / "cache").glob(".build-*"))
    assert not list((tmp_path / "cache").glob("*.sha256"))
    assert answer(build.load(SOURCE)) == 40


def test_a_builder_killed_half_way_leaves_nothing_to_load(fake, tmp_path):
    gcc = fake(
        "gcc",
        f"echo half > kernel.so; echo $$ > {tmp_path}/pid.new; "
        f"mv {tmp_path}/pid.new {tmp_path}/pid; exec sleep 30",
    )
    child = os.fork()
    if child == 0:
        try:
            build.load(SOURCE)
        finally:
            os._exit(1)
    deadline = time.monotonic() + 20
    while not (tmp_path / "pid").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    cache = tmp_path / "cache"
    assert not list(cache.glob("*.so"))
    (left,) = cache.glob(".build-*")

    fake("gcc")
    assert answer(build.load(SOURCE)) == 40
    assert left.exists()  # it could have been at work still
    os.utime(left, (0, 0))
    build.build(SOURCE + " ")
    assert not left.exists()
    assert compilations(gcc) == 3


def race(queue, barrier) -> None:
    barrier.wait()
    try:
        queue.put(answer(build.load(SOURCE)))
    except ElmanError as error:
        queue.put(str(error))


@pytest.mark.parametrize("locks", [True, False])
def test_eight_processes_at_once_all_get_one_that_works(fake, monkeypatch, tmp_path, locks):
    gcc = fake("gcc")
    if not locks:

        def refuse(handle: int, how: int) -> None:
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(fcntl, "flock", refuse)
    fork = multiprocessing.get_context("fork")
    queue, barrier = fork.Queue(), fork.Barrier(8)
    processes = [fork.Process(target=race, args=(queue, barrier)) for _ in range(8)]
    for process in processes:
        process.start()
    got = [queue.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert got == [40] * 8
    assert build._sound(entry(tmp_path))
    if locks:
        assert compilations(gcc) == 1


def test_a_lock_never_let_go_only_costs_its_wait(tmp_path, monkeypatch):
    path = build.build(SOURCE)
    path.unlink()
    monkeypatch.setattr(build, "TIMEOUT", 1.0)
    with path.with_suffix(".lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert answer(build.load(SOURCE)) == 40


# The folder.


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """No ELMAN_CACHE; the home and the folder for temporary files are ours to spoil."""
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    home.mkdir()
    temporary.mkdir(mode=0o700)
    monkeypatch.delenv("ELMAN_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    build._private.cache_clear()
    yield home, temporary
    build._private.cache_clear()


def test_the_folder_is_the_users_own(elsewhere, tmp_path, monkeypatch):
    home, _ = elsewhere
    monkeypatch.setattr(build.sys, "platform", "linux")
    assert build.cache_folder() == home / ".cache" / "elman" / "kernels"
    assert stat.S_IMODE((home / ".cache").stat().st_mode) == 0o700
    monkeypatch.setattr(build.sys, "platform", "darwin")
    assert build.cache_folder() == home / "Library" / "Caches" / "elman" / "kernels"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/ones/are/ignored")
    assert build.cache_folder() == home / "Library" / "Caches" / "elman" / "kernels"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert build.cache_folder() == tmp_path / "xdg" / "elman" / "kernels"
    monkeypatch.setenv("ELMAN_CACHE", "~/mine")
    assert build.cache_folder() == home / "mine"


@pytest.mark.parametrize("home", ["a file", "/proc/nothing"])
def test_an_unusable_home_is_passed_over(elsewhere, monkeypatch, home):
    folder, temporary = elsewhere
    if home == "a file":
        (folder / "file").write_text("")
        home = str(folder / "file")
    monkeypatch.setenv("HOME", home)
    assert answer(build.load(SOURCE)) == 40
    fallback = temporary / f"elman-kernels-{os.geteuid()}"
    assert build.cache_folder() == fallback
    assert stat.S_IMODE(fallback.stat().st_mode) == 0o700
    assert len(list(fallback.glob("*.so"))) == 1
    assert f"passed over: {home}" in build.describe()


def test_a_folder_behind_a_link_is_refused(elsewhere, tmp_path, monkeypatch):
    _, temporary = elsewhere
    monkeypatch.setenv("HOME", "/proc/nothing")
    (tmp_path / "target").mkdir(mode=0o700)
    (temporary / f"elman-kernels-{os.geteuid()}").symlink_to(tmp_path / "target")
    folder = build.cache_folder()
    assert folder.parent == temporary
    assert folder.name != f"elman-kernels-{os.geteuid()}"
    assert "is a symbolic link" in build.describe()


def test_a_link_higher_up_is_followed(elsewhere, tmp_path):
    home, _ = elsewhere
    (tmp_path / "scratch").mkdir(mode=0o700)
    cache = home / ("Library" if sys.platform == "darwin" else ".cache")
    cache.symlink_to(tmp_path / "scratch")
    assert build.cache_folder().is_relative_to(tmp_path / "scratch")


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777, 0o1777])
def test_a_folder_others_can_write_to_is_refused(elsewhere, tmp_path, monkeypatch, mode):
    home, _ = elsewhere
    told = tmp_path / "told"
    told.mkdir()
    monkeypatch.setenv("ELMAN_CACHE", str(told))
    assert build.cache_folder() == told
    told.chmod(mode)
    assert build.cache_folder().is_relative_to(home)
    assert f"{told}: others can write to it" in build.describe()


def test_a_parent_others_can_write_to_is_refused_unless_sticky(elsewhere, tmp_path, monkeypatch):
    home, _ = elsewhere
    parent = tmp_path / "parent"
    told = parent / "between" / "told"
    told.mkdir(parents=True)
    monkeypatch.setenv("ELMAN_CACHE", str(told))
    for mode in (0o775, 0o757):
        parent.chmod(mode)
        assert build.cache_folder().is_relative_to(home)
        assert f"others can write to {parent}" in build.describe()
    parent.chmod(0o1777)
    assert build.cache_folder() == told


def test_a_folder_of_somebody_else_is_refused(elsewhere, tmp_path, monkeypatch):
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    home, _ = elsewhere
    parent = tmp_path / "parent"
    told = parent / "told"
    told.mkdir(parents=True)
    monkeypatch.setenv("ELMAN_CACHE", str(told))
    os.chown(told, 12345, -1)
    assert build.cache_folder().is_relative_to(home)
    assert f"{told}: belongs to another user" in build.describe()
    os.chown(told, 0, -1)
    os.chown(parent, 12345, -1)
    assert build.cache_folder().is_relative_to(home)
    assert f"{parent} belongs to another user" in build.describe()
    # In a container that does not map root, this is how root's folders look.
    monkeypatch.setattr(build, "_root", lambda: 12345)
    assert build.cache_folder() == told


def test_a_file_of_somebody_else_is_replaced(fake, tmp_path):
    gcc = fake("gcc")
    build.build(SOURCE)
    path = entry(tmp_path)
    path.chmod(0o722)
    assert answer(build.load(SOURCE)) == 40
    assert compilations(gcc) == 2
    assert not path.stat().st_mode & 0o022

    honest = tmp_path / "honest"
    shutil.move(path, honest)
    path.symlink_to(honest)
    build.build(SOURCE)
    assert compilations(gcc) == 3
    assert not path.is_symlink()
    if os.geteuid() == 0:
        os.chown(path.with_suffix(".sha256"), 12345, -1)
        build.build(SOURCE)
        assert compilations(gcc) == 4


def test_entries_are_ours_alone_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        path = build.build(SOURCE)
        assert build._sound(path)
        assert all(not file.stat().st_mode & 0o077 for file in path.parent.iterdir())
    finally:
        os.umask(before)


def test_a_file_system_that_runs_nothing_is_passed_over(elsewhere, monkeypatch, tmp_path):
    if not hasattr(os, "ST_NOEXEC"):
        pytest.skip("this system does not tell")
    home, temporary = elsewhere
    ask = os.statvfs

    class Noexec:
        f_flag = os.ST_NOEXEC

    monkeypatch.setattr(
        build.os, "statvfs", lambda f: Noexec if Path(f).is_relative_to(home) else ask(f)
    )
    assert build.cache_folder().parent == temporary
    assert "noexec" in build.describe()


def test_no_folder_at_all_gives_each_reason(elsewhere, monkeypatch, tmp_path):
    monkeypatch.setenv("ELMAN_CACHE", "/proc/nothing")
    monkeypatch.setenv("HOME", "/proc/nothing")
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/proc/nothing"])
    with pytest.raises(build.BuildError, match=r"No such file.*Set ELMAN_CACHE"):
        build.load(SOURCE)
    assert "No folder is fit" in build.describe()


def test_the_last_folder_goes_with_the_process_and_not_with_its_forks(tmp_path):
    code = (
        "import os; from elman.kernels import build\n"
        "folder = build.cache_folder(); print(folder, flush=True)\n"
        f"assert build.load({SOURCE!r}).answer(1) == 43\n"
        "if os.fork() == 0: raise SystemExit\n"
        "os.wait(); assert folder.is_dir()\n"
    )
    (tmp_path / f"elman-kernels-{os.geteuid()}").write_text("in the way")
    environment = os.environ | {"HOME": "/proc/nothing", "TMPDIR": str(tmp_path)}
    for name in ("ELMAN_CACHE", "XDG_CACHE_HOME"):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.strip())
    assert folder.parent == tmp_path
    assert not folder.exists()


# What a wheel carries.


def test_a_packaged_library_needs_no_compiler(fake, tmp_path, monkeypatch):
    gcc = fake("gcc")
    path = build.build_into(build.PREBUILT, SOURCE, ("-DA",))
    assert path == build.PREBUILT / build.prebuilt_name(SOURCE, ("-DA",))
    assert stat.S_IMODE(path.stat().st_mode) == 0o755
    shutil.rmtree(tmp_path / "cache")
    gcc.unlink()
    build._find.cache_clear()
    assert build.find_compiler() is None
    assert build.build(SOURCE, ("-DA",)) == path
    assert answer(build.load(SOURCE, ("-DA",))) == 40
    assert not (tmp_path / "cache").exists()
    assert "packaged: 1 in " in build.describe()
    with pytest.raises(build.NoCompiler):
        build.build(SOURCE, ("-DB",))


def test_a_packaged_library_others_can_write_is_left_alone(fake, tmp_path):
    gcc = fake("gcc")
    path = build.build_into(build.PREBUILT, SOURCE)
    path.chmod(0o775)
    assert build.build(SOURCE).parent == tmp_path / "cache"
    if os.geteuid() == 0:
        path.chmod(0o755)
        os.chown(path, 12345, -1)
        assert build.build(SOURCE).parent == tmp_path / "cache"
    assert compilations(gcc) == 1


def test_a_packaged_library_is_trusted_as_far_as_the_package_around_it(tmp_path, monkeypatch):
    """pip leaves every file of a package to its group where the umask does."""
    path = build.build_into(build.PREBUILT, SOURCE)
    module = tmp_path / "build.py"
    module.write_text("")
    monkeypatch.setattr(build, "__file__", str(module))
    for library, own, trusted in (
        (0o775, 0o664, True),
        (0o777, 0o664, False),
        (0o775, 0o644, False),
    ):
        path.chmod(library)
        module.chmod(own)
        assert (build.build(SOURCE) == path) == trusted


def test_a_packaged_library_that_does_not_load_is_built_instead_and_only_once(fake, tmp_path):
    gcc = fake("gcc")
    build.build_into(build.PREBUILT, SOURCE).write_bytes(b"of another machine")
    shutil.rmtree(tmp_path / "cache")
    for _ in range(2):
        new_process()
        assert answer(build.load(SOURCE)) == 40
    assert compilations(gcc) == 2  # for the package and for the cache


def test_packaging_into_an_unusable_folder_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(build.BuildError, match=r"could not be kept here.*Choose another folder"):
        build.build_into(tmp_path / "file" / "prebuilt", SOURCE)


def test_what_is_there_is_told(fake, tmp_path):
    gcc = fake("gcc")
    build.build(SOURCE)
    assert build.describe().splitlines() == [
        f"compiler: gcc 1.0 ({gcc})",
        f"cache: {tmp_path}/cache (kernels: 1, {entry(tmp_path).stat().st_size / 1e6:.1f} MB)",
    ]
