"""What a submission writes and starts: little, for itself alone, and gone afterwards.  What it sees: Python, and itself."""

import os
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import pytest

from minivjepa.grading import child_process as children
from minivjepa.grading import processes
from minivjepa.grading import run_submission as running
from minivjepa.grading.mounts import PACKAGE, answer_folders
from minivjepa.grading.sandbox import Limits, as_root_on_linux
from minivjepa.grading.user_ids import user_ids
from minivjepa.homework.cases import Case, ExerciseCases

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
    found = running.run_submission("", [("f", code)], [EXERCISE], hide, user_ids(), Limits()).results["f"]
    assert not isinstance(found, str), found
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
    assert 10 <= int(large) <= Limits().folder_bytes / 2**20
    assert 500 <= int(empty) <= Limits().files


def test_a_folder_that_is_hidden_stays_hidden_inside_one_that_python_needs(tmp_path: Path) -> None:
    """Catches: answers that come back to light with the checkout, where it lies below a folder that is covered; a umask that shuts others out."""
    checkout = tmp_path / "course" / "checkout"
    (checkout / "teacher").mkdir(parents=True)
    (checkout / "teacher" / "answers").touch()
    (checkout / "seen").touch()
    code = f"""
    import sys
    from minivjepa.grading import child_process as children
    from minivjepa.grading import processes
    from minivjepa.grading import run_submission as running
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
    return [Path("/proc/self/oom_score_adj").read_text().strip(), *seen, *sorted(path.name for path in Path("PACKAGE").parent.iterdir())]
"""


def test_a_submission_sees_itself_and_of_the_checkout_the_package_alone() -> None:
    """Catches: the seed, in the arguments of the command that grades; answers in git's history, and in whatever else lies beside the package."""
    checkout = PACKAGE.parent
    goes, *seen = answer(AROUND.replace("PACKAGE", str(PACKAGE)), tuple(map(str, answer_folders(checkout))))
    assert goes == "1000"  # the first to end where memory runs out
    assert seen[:2] == ["minivjepa.grading.child_main"] * 2  # itself, and what ends with it
    assert set(seen[2:]) - {Path(sys.prefix).name} == {"minivjepa"}


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
    ran = running.run_submission("", [("f", code)], [EXERCISE], (), iter([user] * 2), Limits())
    assert not isinstance(ran.results["f"], str), ran.results["f"]
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


def test_each_child_has_a_user_of_its_own() -> None:
    """Catches: a process of one student that may end those of another; one that ends a stranger's, being the sweeper of another place."""
    numbers = user_ids()
    found = [next(numbers) for _ in range(1000)]
    assert len({*found, *(number + 1 for number in found)}) == 2000
    assert all(number >= 60_000 and number + 1 < 65_534 for number in found)
