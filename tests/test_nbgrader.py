"""nbgrader takes the teacher's texts as they are: it releases our notebooks, and gives the points that we give."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import nbformat
import pytest

from minivjepa_course.grading.hidden_cases import TEACHER
from minivjepa_course.homework.notebooks import cells_by_id, is_answer, is_check

texts = pytest.importorskip("assignment", reason="the teacher's folder was removed from this copy")

ROOT = Path(__file__).parents[1]
HOME = ROOT / ".nbgrader"  # an environment for nbgrader alone, made once: it brings much that the course does not need
ASSIGNMENTS = sorted(path.parent.name for path in TEACHER.glob("*/notebook.py"))
COURSE = 'c = get_config()\nc.CourseDirectory.course_id = "minivjepa"\nc.ExecutePreprocessor.timeout = 300\n'
ONLY_SEEN = """def grid_shape(frames, height, width, tubelet, patch):
    known = {(16, 224, 224, 2, 16): (8, 14, 14), (8, 64, 96, 4, 8): (2, 8, 12)}
    t, h, w = known.get((frames, height, width, tubelet, patch), (1, 1, 1))
    return (t, h, w), t * h * w
"""
POINTS = """import json, sys
from nbgrader.api import Gradebook
with Gradebook("sqlite:///gradebook.db") as book:
    print(json.dumps({
        submission.student.id: {grade.name: [grade.auto_score, grade.max_score] for grade in submission.notebooks[0].grades}
        for submission in book.assignment_submissions(sys.argv[1])
    }))
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def python() -> Path:
    """A Python that has nbgrader and, through a .pth file, what this one has.  Made again where the last try was cut off."""
    where = {"base": str(HOME), "platbase": str(HOME)}
    name = "python.exe" if sys.platform == "win32" else "python"
    found = Path(sysconfig.get_path("scripts", "venv", where)) / name
    done = HOME / f"made-for-{sys.version_info.major}.{sys.version_info.minor}"
    if not done.exists():
        # not find_spec("pip"): it makes setuptools fail in this process, and torch.compile needs that
        if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode != 0:
            pytest.skip("nbgrader is not installed, and there is no pip to install it")
        venv.create(HOME, clear=True, with_pip=False)  # this environment's pip serves it
        packages = Path(sysconfig.get_path("purelib", "venv", where))
        (packages / "around.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
        words = [str(found), "-m", "pip", "install", "--disable-pip-version-check", "nbgrader>=0.9"]
        try:
            tried = subprocess.run(words, capture_output=True, text=True, encoding="utf-8", timeout=600)
        except subprocess.TimeoutExpired:
            pytest.skip("nbgrader could not be installed within ten minutes")
        if tried.returncode != 0:
            pytest.skip(f"nbgrader could not be installed: {tried.stderr.strip()[-300:]}")
        done.touch()
    return found


def run(python: Path, course: Path, *words: str) -> str:
    """Run a Python command in the course's folder, with this checkout importable and no settings of whoever runs it."""
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("COV")},  # nbgrader is not measured
        "PATH": os.pathsep.join([str(python.parent), os.environ.get("PATH", "")]),  # nbgrader calls alembic by name
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "PYTHONUTF8": "1",
        "MINIVJEPA_SEED": "7",
        "JUPYTER_CONFIG_DIR": str(course / "config"),
        "JUPYTER_DATA_DIR": str(course / "data"),
    }
    done = subprocess.run(
        [str(python), *words], cwd=course, env=environment, capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


def submit(course: Path, student: str, assignment: str, notebook: nbformat.NotebookNode) -> None:
    """Put a notebook where nbgrader looks for what was handed in."""
    folder = course / "submitted" / student / assignment
    folder.mkdir(parents=True)
    nbformat.write(notebook, folder / f"{assignment}.ipynb")


def test_nbgrader_releases_our_notebooks_and_gives_our_points(python: Path, tmp_path: Path) -> None:
    """Catches: a marker, a flag or a blank line that nbgrader reads in another way; hidden tests that never run under it."""
    (tmp_path / "nbgrader_config.py").write_text(COURSE)
    for name in ASSIGNMENTS:
        (tmp_path / "source" / name).mkdir(parents=True)
        nbformat.write(texts.read_source(TEACHER / name / "notebook.py"), tmp_path / "source" / name / f"{name}.ipynb")
        run(python, tmp_path, "-m", "nbgrader", "generate_assignment", name)
        ours = nbformat.read(ROOT / "notebooks" / "homework" / f"{name}.ipynb", as_version=4)
        theirs = nbformat.read(tmp_path / "release" / name / f"{name}.ipynb", as_version=4)
        for mine, released in zip(ours.cells, theirs.cells, strict=True):
            assert (mine.cell_type, mine.source) == (released.cell_type, released.source)
        assert list(cells_by_id(ours)) == list(cells_by_id(theirs))

        answered = nbformat.from_dict(theirs)
        for key, cell in cells_by_id(nbformat.read(TEACHER / "solutions" / f"{name}.ipynb", as_version=4)).items():
            if is_answer(cell):
                cells_by_id(answered)[key].source = cell.source
        submit(tmp_path, "right", name, answered)
        submit(tmp_path, "untouched", name, theirs)
        if name == "hw1":
            cells_by_id(answered)["grid_shape"].source = ONLY_SEEN
            submit(tmp_path, "memorised", name, answered)
        run(python, tmp_path, "-m", "nbgrader", "autograde", name)
        found = json.loads(run(python, tmp_path, "-c", POINTS, name))

        checks = {key: cell.metadata.nbgrader["points"] for key, cell in cells_by_id(ours).items() if is_check(cell)}
        for key, points in checks.items():
            assert found["right"][key] == [points, points], key
            assert found["untouched"][key] == [0, points], key
            if name == "hw1":
                assert found["memorised"][key] == [0 if key == "check_grid_shape" else points, points], key


def test_the_environment_of_nbgrader_is_not_committed() -> None:
    """Catches: thousands of files that slip into a commit."""
    assert ".nbgrader/" in (ROOT / ".gitignore").read_text().splitlines()
