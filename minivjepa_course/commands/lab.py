"""`minivjepa lab`: put the lessons into a folder of your own, and open JupyterLab on the first."""

import hashlib
import importlib.util
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import minivjepa_course
from minivjepa.commands.options import parse
from minivjepa.training.files import read_json, write_json

COURSE = Path(minivjepa_course.__file__).parent
RESULTS = [COURSE.parent / name for name in ("results", "minivjepa_results")]  # of a clone, of an installed package
LAID = ".minivjepa.json"  # name of each notebook in the folder -> digest of what was put there
FIRST = "00_start_here.ipynb"


@dataclass(frozen=True)
class LabOptions:
    """Put lessons, homework and recorded results into a folder, and open JupyterLab there.

    A notebook in which you have worked is never overwritten: a newer edition is put beside it.  What follows -- goes to
    JupyterLab, such as: minivjepa lab -- --port 9000
    """

    folder: Path = Path("my-course")  # Where to put them; it may exist.
    browser: bool = True  # Open a browser; --no-browser prints the address.


def lab(argv: list[str]) -> int:
    """The command."""
    own, extra = (argv[: argv.index("--")], argv[argv.index("--") + 1 :]) if "--" in argv else (argv, [])
    options = parse(LabOptions, own, "lab")
    if importlib.util.find_spec("jupyterlab") is None:
        raise ValueError("JupyterLab is missing; run: pip install 'minivjepa[notebooks]'")
    if options.folder.exists() and not options.folder.is_dir():
        raise ValueError(f"--folder {options.folder} is a file; give a folder, or a new name")
    for line in lay_out(options.folder):
        print(line)
    words = [sys.executable, "-m", "jupyterlab", str(options.folder / "notebooks" / FIRST)]
    return subprocess.run([*words, *([] if options.browser else ["--no-browser"]), *extra]).returncode


def lay_out(folder: Path) -> list[str]:
    """Put everything into the folder; a line for each newer edition that was put beside one with work in it."""
    notebooks = {f"notebooks/{path.name}": path for path in sorted(COURSE.glob("lessons/*.ipynb"))}
    homeworks = sorted(COURSE.glob("homework/*.ipynb"))
    notebooks |= {f"notebooks/homework/{path.name}": path for path in homeworks}
    laid = read_json(folder / LAID) if (folder / LAID).exists() else {}
    said = []
    for name, source in notebooks.items():
        content, place = source.read_bytes(), folder / name
        if laid.get(name) == digest(content) and place.exists():
            continue  # this edition is there, with or without work in it
        if place.exists() and digest(place.read_bytes()) not in (laid.get(name), digest(content)):
            stems = (f"{place.stem} (new{number})" for number in ("", *(f" {n}" for n in range(2, 1000))))
            place = next(new for new in map(place.with_stem, stems) if not new.exists())  # it may have work in it, too
            said.append(f"{name} has changes of yours and stays; the newer edition is {place.name}, beside it")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        laid[name] = digest(content)
    results = next(place for place in RESULTS if place.is_dir())
    shutil.copytree(
        results, folder / "results", ignore=shutil.ignore_patterns("*.py", "__pycache__"), dirs_exist_ok=True
    )
    write_json(folder / LAID, laid)
    return said


def digest(content: bytes) -> str:
    """A short name for a file's content."""
    return hashlib.sha256(content).hexdigest()[:16]
