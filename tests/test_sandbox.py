"""What a submission writes and starts: little, for itself alone, and gone afterwards.  What it sees: Python, and itself."""

import contextlib
import itertools
import os
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from minivjepa_course.grading import child_process as children
from minivjepa_course.grading import processes
from minivjepa_course.grading import run_submission as running
from minivjepa_course.grading.mounts import COURSE, answer_folders
from minivjepa_course.grading.processes import user_ids
from minivjepa_course.grading.sandbox import FILES, FOLDER_BYTES, as_root_on_linux
from minivjepa_course.homework.cases import Case, ExerciseCases
from minivjepa_course.homework.program import Step

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not as_root_on_linux(), reason="folders of its own need Linux and root"),
]

EXERCISE = ExerciseCases("f", "call", (), (Case({}, {}, {}),))
NAME = "left-by-a-submission"
SCRATCH = ("/tmp", "/var/tmp", "/dev/shm")
OPEN = ("/run/lock", "/var/lock", "/var/crash", "/var/spool/samba", "/dev/mqueue")  # to everybody, on many machines
LEAVE = f"""
import os, tempfile
from multiprocessing import shared_memory
from pathlib import Path

def f():
    written = []
    for place in (*{SCRATCH + OPEN}, ".", tempfile.gettempdir()):
        try:
            (Path(place) / "{NAME}").write_text("the answers")
            written.append(place)
        except OSError:
            pass
    with tempfile.NamedTemporaryFile(delete=False, prefix="{NAME}") as file:
        file.write(b"the answers")
    shared_memory.SharedMemory("{NAME}-shared", create=True, size=1000)
    return written + [str(Path.cwd())]
"""
LOOK = f"""
from pathlib import Path

def f():
    found = [str(path) for place in (*{SCRATCH + OPEN}, ".", "..") for path in Path(place).glob("{NAME}*")]
    return ["found", *found, *map(str, Path("..").glob("minivjepa-*/*"))]
"""


def answer(code: str, hide: tuple[str, ...] = ()) -> list[str]:
    """What the function f of a submission returns; it has to return texts."""
    found = running.run_submission("", [Step(1, "f", code)], [EXERCISE], hide, user_ids()).results["f"]
    assert not isinstance(found, running.Failed), found
    return [str(found[0][key]) for key in found[0] if key.startswith("result")]


def test_what_a_submission_leaves_is_gone_and_no_other_sees_it() -> None:
    """Catches: answers passed on through a folder that everybody may write; a disk that fills up with leftovers."""
    before = {place: set(Path(place).iterdir()) for place in SCRATCH}
    *written, work = answer(LEAVE)
    assert written == [*(place for place in SCRATCH if Path(place).is_dir()), ".", "/tmp"]
    assert answer(LOOK) == ["found"]
    assert not Path(work).exists()
    for place in (*SCRATCH, *OPEN):
        left = set(Path(place).iterdir()) - before.get(place, set()) if Path(place).is_dir() else set()
        assert not [path for path in left if path.name.startswith(NAME)], place
    # the grader leaves nothing either: no folder of its own, empty or not, where children run
    assert set(Path("/dev/shm").iterdir()) == before["/dev/shm"]


FILL = """
import os
place = "PLACE"

def f():
    counts = []
    for size, most in ((2**20, 100), (0, 3000)):
        for number in range(most):
            try:
                with open(f"{place}/{size}-{number}", "wb") as file:
                    file.write(bytes(size))
            except OSError:
                break
        counts.append(str(number))
        for name in os.listdir(place):
            if name.startswith(f"{size}-"):
                os.unlink(f"{place}/{name}")
    return [*counts, "files"]
"""


@pytest.mark.parametrize("place", [".", *SCRATCH])
def test_what_a_submission_writes_is_bounded_in_total(place: str) -> None:
    """Catches: a thousand files of 1 MiB each, or a million empty ones."""
    if not Path(place).is_dir():
        pytest.skip(f"{place} is not on this machine")
    large, empty, _ = answer(FILL.replace("PLACE", place))
    assert 10 <= int(large) <= FOLDER_BYTES / 2**20
    assert 500 <= int(empty) <= FILES


def test_a_folder_that_is_hidden_stays_hidden_inside_one_that_python_needs(tmp_path: Path) -> None:
    """Catches: answers that come back to light with the checkout, where it lies below a folder that is covered; a umask that shuts others out."""
    checkout = tmp_path / "course" / "checkout"
    (checkout / "teacher").mkdir(parents=True)
    (checkout / "teacher" / "answers").touch()
    (checkout / "seen").touch()
    code = f"""
    import sys
    from minivjepa_course.grading import child_process as children
    from minivjepa_course.grading import processes
    from minivjepa_course.grading import run_submission as running
    sys.path.insert(0, {str(Path(__file__).parents[1])!r})
    from tests.test_sandbox import answer
    hide = ({str(checkout / "teacher")!r}, {str(tmp_path / "handed in")!r})
    print(answer({SEEN.replace("FOLDER", str(checkout))!r}, hide))
    """
    paths = f"{checkout}:{Path(__file__).parents[1]}"
    words = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(words, capture_output=True, text=True, env={"PYTHONPATH": paths}, umask=0o077)
    assert done.stdout.strip() == "['seen', 'teacher', 'end']", done.stderr


SEEN = """
from pathlib import Path

def f():
    return [*sorted(path.name for path in Path("FOLDER").rglob("*")), "end"]
"""


AROUND = """
import os
from pathlib import Path

def f():
    try:
        os.kill(-1, 9)  # whatever it may end
    except ProcessLookupError:
        pass
    seen = sorted(path.read_text().replace(chr(0), " ").split("-m ")[-1].strip() for path in Path("/proc").glob("[0-9]*/cmdline"))
    return [Path("/proc/self/oom_score_adj").read_text().strip(), *seen, *sorted(path.name for path in Path("COURSE").parent.iterdir())]
"""


def test_a_submission_sees_itself_and_of_the_checkout_only_the_packages() -> None:
    """Catches: the seed, in the arguments of the command that grades; answers in git's history, and in whatever else lies beside the packages."""
    checkout = COURSE.parent
    goes, *seen = answer(AROUND.replace("COURSE", str(COURSE)), tuple(map(str, answer_folders(checkout))))
    assert goes == "1000"  # the first to end where memory runs out
    assert seen[:2] == ["minivjepa_course.grading.child_main"] * 2  # itself, and what ends with it
    assert set(seen[2:]) - {Path(sys.prefix).name} == {"minivjepa", "minivjepa_course"}


# it has a session of its own, each of its processes lives for a moment, and the time of a file tells that there are any
RUNS_AWAY = """
import os, time
if os.fork() == 0:
    os.setsid()
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            if os.fork():
                os._exit(0)
        except OSError:
            pass
        time.sleep(REST)
        if os.path.exists("FILE"):
            os.utime("FILE")
"""


def test_what_runs_away_is_ended_with_its_submission(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: processes that stay, burn time, and end those of the next student, where nobody comes after them."""
    monkeypatch.setattr(children, "end_all", lambda user, session: None)
    user = next(user_ids())
    code = RUNS_AWAY.replace("REST", "0.01") + "\ndef f():\n    time.sleep(0.2)\n    return ['started']"
    results = running.run_submission("", [Step(1, "f", code)], [EXERCISE], (), iter([user] * 2)).results
    assert not isinstance(results["f"], running.Failed), results["f"]
    time.sleep(0.5)
    left = [found for _ in range(50) for found in processes.belonging(user, -1)]
    processes.end_all(user, -1)
    assert left == []


def test_what_runs_away_is_ended_where_there_are_no_process_namespaces() -> None:
    """Catches: a container that forbids them, in which a process that is quick enough cannot be caught."""
    user = next(user_ids())
    with tempfile.NamedTemporaryFile() as file:
        os.chown(file.name, user, user)
        Path(file.name).chmod(0o666)
        code = RUNS_AWAY.replace("REST", "0").replace("FILE", file.name)
        words = [sys.executable, "-I", "-S", "-c", f"import os\nos.setgid({user})\nos.setuid({user})\n{code}"]
        subprocess.run(words, check=True)
        assert changes(Path(file.name))
        processes.end_all(user, -1)
        assert not changes(Path(file.name))


def changes(file: Path) -> bool:
    """Whether somebody touches a file."""
    before = file.stat().st_mtime_ns
    time.sleep(0.5)
    return file.stat().st_mtime_ns != before


# --- user ids ---

FIRST = 2_100_050_000  # outside the range that children get


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> range:
    """Five pairs of ids for children, each given again at once."""
    ids = range(FIRST, FIRST + 10, 2)
    monkeypatch.setattr(processes, "RANGES", (range(2**40, 2**40 + 2, 2), ids))  # the first does not exist
    monkeypatch.setattr(processes, "RECENT", 0)
    return ids


@contextlib.contextmanager
def sleeper(code: str) -> Iterator[subprocess.Popen]:
    """A process of somebody else, which runs this code and sleeps."""
    words = [sys.executable, "-I", "-S", "-c", f"import os, time\n{code}\nprint(flush=True)\ntime.sleep(300)"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


def given(count: int = 20) -> set[int]:
    return set(itertools.islice(user_ids(), count))


def test_each_child_has_a_user_of_its_own() -> None:
    """Catches: a process of one student that may end those of another; an id that is also some child's sweeper."""
    found = list(itertools.islice(user_ids(), 200))
    assert len({*found, *(user + 1 for user in found)}) == 400
    assert all(2_000_200_000 < user < 2**31 - 1 for user in found)


@pytest.mark.parametrize(
    ("code", "kept"),
    [
        (f"os.setuid({FIRST})", FIRST),
        (f"os.setuid({FIRST + 1})", FIRST),  # the sweeper's
        (f"os.setresuid({FIRST + 2}, -1, -1)", FIRST + 2),
        (f"os.setresuid(-1, {FIRST + 5}, -1)", FIRST + 4),
        (f"os.setresuid(-1, -1, {FIRST + 6})", FIRST + 6),
        (f"os.setgid({FIRST + 8})", FIRST + 8),
    ],
)
def test_an_id_that_a_process_has_is_not_taken(code: str, kept: int, few: range) -> None:
    """Catches: grading that kills a service of this machine, because its user id is one that children get."""
    assert given() == set(few)
    with sleeper(code):
        assert given() == set(few) - {kept}
    assert given() == set(few)


def test_a_process_that_ends_meanwhile_stops_no_search_for_an_id(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: a grading that fails because some process of the machine ended while ids were looked up."""
    look = os.stat

    def ended(path: object, *args: object, **named: object) -> os.stat_result:
        if str(path).startswith("/proc/") and str(path).endswith("/status"):
            raise ProcessLookupError(3, "No such process", str(path))
        return look(path, *args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", ended)
    monkeypatch.setattr(Path, "read_text", lambda file, **_: ended(file))
    assert processes.process_ids() == set()


def test_ids_of_accounts_groups_and_containers_are_not_taken(
    few: range, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Catches: grading under the id of an account that has no process yet."""
    import grp  # neither is on Windows
    import pwd

    accounts, groups = {few[0]}, {few[1] + 1}
    look_up, look_up_group = pwd.getpwuid, grp.getgrgid
    monkeypatch.setattr(pwd, "getpwuid", lambda number: look_up(0 if number in accounts else number))
    monkeypatch.setattr(grp, "getgrgid", lambda number: look_up_group(0 if number in groups else number))
    (tmp_path / "subuid").write_text(f"# of containers\nanna:1:5\nben:{few[2] - 1}:3\n", encoding="utf-8")
    monkeypatch.setattr(processes, "SUBORDINATE", (tmp_path / "none", tmp_path / "subuid"))
    assert given() == {few[3], few[4]}
    users = user_ids()
    next(users)
    accounts |= set(few)  # an account that is made while grading runs
    with pytest.raises(ValueError, match="too few free user ids: submissions need"):
        next(users)


def test_a_container_without_large_ids_uses_small_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: grading that cannot start where a container has the usual 65,536 ids only."""
    texts = {"/proc/self/uid_map": "0 0 4294967295\n", "/proc/self/gid_map": "0 100000 1000\n1000 200000 64536\n"}
    read = Path.read_text
    monkeypatch.setattr(Path, "read_text", lambda path, **how: texts.get(str(path)) or read(path, **how))
    assert all(user in processes.RANGES[1] for user in given(5))


def test_processes_of_others_survive_a_submission(few: range) -> None:
    """Catches: a sweep that kills what is not the submission's."""
    with contextlib.ExitStack() as stack:
        others = [stack.enter_context(sleeper(f"os.setuid({number})")) for number in (few[0], few[1] + 1, few[4])]
        for _ in range(3):
            assert answer("def f():\n    return ['fine', 'end']") == ["fine", "end"]
        assert [process.poll() for process in others] == [None] * 3


def test_a_child_asks_again_before_it_takes_its_id(few: range) -> None:
    """Catches: a process killed that took the id while the child was loading torch."""
    with sleeper(f"os.setuid({few[0]})") as other:
        with pytest.raises(ValueError, match=f"did not start: user id {few[0]} is in use by now"):
            running.run_submission("", [Step(1, "f", "")], [EXERCISE], (), iter([few[0]]))
        assert other.poll() is None


@pytest.mark.parametrize("theirs", ["is_assigned", "process_ids"])
def test_an_id_that_became_somebody_elses_is_not_swept(
    theirs: str, few: range, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: processes killed of an account that was made while a submission ran."""
    now = {"is_assigned": lambda user: True, "process_ids": lambda: {few[0] + 1}}
    with sleeper(f"os.setuid({few[0]})") as other, sleeper(f"os.setuid({few[0]})") as own:
        monkeypatch.setattr(processes, theirs, now[theirs])
        processes.end_all(few[0], own.pid)
        assert other.poll() is None
        monkeypatch.undo()
        processes.end_all(few[0], own.pid)
        assert other.wait(5) == -9


def test_a_process_is_seen_whatever_it_calls_itself() -> None:
    """Catches: memory that is not counted and processes that stay, because their name is not UTF-8."""
    rename = "import ctypes\nctypes.CDLL(None).prctl(15, b'\\xff) \\xfe', 0, 0, 0)"
    with sleeper(rename) as process:
        assert [found.number for found in processes.belonging(None, process.pid)] == [process.pid]
        assert process.pid in [found.number for found in processes.belonging(0, -1)]
