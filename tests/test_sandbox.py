"""What a submission writes: little, for itself alone, and gone afterwards."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from minivjepa.homework import running
from minivjepa.homework.cases import Case, Task
from minivjepa.homework.sandbox import Limits, as_root_on_linux

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not as_root_on_linux(), reason="folders of its own need Linux and root"),
]

TASK = Task("f", "call", (), (Case({}, {}, {}),))
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
    found = running.run_submission("", [("f", code)], [TASK], hide, 0, Limits())["f"]
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
    from minivjepa.homework import running
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
