"""results/gpu.sh and results/speed.py: they end in time, say what failed, and lose nothing that was measured."""

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pages as results
import pytest
import speed
import speed_tables as tables
import speed_tricks as tricks
import torch

from minivjepa import __version__
from minivjepa.training import files

GPU = Path("results/gpu.sh")
# answers for python: nothing is missing, and every program is slow, hears Ctrl-C, and says so
SLOW = """#!/bin/sh
case "$*" in -c*) exit 0 ;; esac
trap 'echo heard; exit 130' INT
sleep 1; sleep 1; sleep 1; sleep 1; sleep 1; sleep 1; sleep 1; sleep 1; sleep 1
echo ended
"""
bash_only = pytest.mark.skipif(sys.platform == "win32" or not shutil.which("timeout"), reason="a script of bash")


def run_script(folder: Path, **given: str) -> subprocess.CompletedProcess[str]:
    """results/gpu.sh as on a machine without a GPU."""
    asked = {"DEVICE": "cpu", "SIZE": "tiny", "WORK": str(folder / "work"), "PYTHON": sys.executable, **given}
    environment = {**os.environ, **asked}
    return subprocess.run(["bash", str(GPU)], cwd=results.ROOT, env=environment, capture_output=True, text=True)


@bash_only
@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        ({"MINUTES": "0"}, 3, "0 minutes are over; the same command goes on with tests"),
        ({"SIZE": "huge"}, 2, "SIZE is huge"),
        ({"PYTHON": "no/such/python"}, 2, "no/such/python cannot measure this: "),
    ],
)
def test_the_script_for_gpus_says_when_its_time_is_over(
    given: dict[str, str], code: int, said: str, tmp_path: Path
) -> None:
    """Catches: a script that does not parse, goes on past its minutes, or takes a size it does not know for the full one."""
    done = run_script(tmp_path, **given)
    assert (done.returncode, said in done.stdout + done.stderr) == (code, True)


@bash_only
@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_without_a_gpu_the_script_measures_nothing(tmp_path: Path) -> None:
    """Catches: tests that are all skipped and count as done, or that overwrite what a GPU left."""
    done = run_script(tmp_path, DEVICE="cuda")
    assert (done.returncode, "torch finds no GPU" in done.stderr) == (2, True)
    assert not (tmp_path / "work").exists()


@pytest.mark.slow
@bash_only
@pytest.mark.parametrize("reached", ["tests", "arms", "speed"])
def test_the_script_for_gpus_stops_what_runs_when_its_minutes_are_over(reached: str, tmp_path: Path) -> None:
    """Catches: a signal that ends at a shell between, so that a program runs on and is killed with its work."""
    python, work = tmp_path / "python", tmp_path / "work"
    python.write_text(SLOW)
    python.chmod(0o755)
    work.mkdir()
    for earlier in {"tests": "", "arms": "tests", "speed": "tests arms long-10"}[reached].split():
        (work / f"{earlier}.done").touch()
    # bash counts on from SECONDS: two seconds of the minute are left
    done = run_script(tmp_path, PYTHON=str(python), MINUTES="1", SECONDS="58")
    assert (done.returncode, "heard" in done.stdout, "ended" in done.stdout) == (3, True, False), done.stderr
    assert f"1 minutes are over; the same command goes on with {reached}" in done.stdout
    assert not (work / f"{reached}.done").exists()


# --- results/speed.py ---


def run_speed(monkeypatch: pytest.MonkeyPatch, file: Path, *words: str) -> int:
    """The script's exit code."""
    monkeypatch.setattr(sys, "argv", ["speed.py", "--file", str(file), *words])
    return speed.main()


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Rows of two geometries and two peers that take no time; what was started so far."""
    started: list[list[str]] = []

    def bench(words: list[str]) -> dict[str, Any]:
        started.append(words)
        return {"geometry": words[2], "dtype": "float32", "date": f"day {len(started)}"}

    def output(words: list[str]) -> str:
        started.append(words)
        return "warning\n2.5\n"

    monkeypatch.setattr(speed, "bench", bench)
    monkeypatch.setattr(speed, "output", output)
    monkeypatch.setattr(speed, "ROWS", {"cpu": ["mini", "tiny --steps 2", "mini --compile"]})
    return started


def test_rows_of_one_geometry_replace_their_own_and_no_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fast: list[list[str]]
) -> None:
    """Catches: --geometry that deletes all other rows; the day of one row as that of all."""
    file = tmp_path / "speed.json"
    assert run_speed(monkeypatch, file, "--only", "rows,peers") == 0
    assert run_speed(monkeypatch, file, "--only", "rows", "--geometry", "tiny") == 0
    found = json.loads(file.read_text())
    assert [(row["geometry"], row["date"]) for row in found["rows"]] == [
        ("mini", "day 1"), ("tiny", "day 6"), ("mini", "day 3")
    ]  # fmt: skip
    assert [row["step_s"] for row in found["peers"]] == [2.5, 2.5]
    assert set(found["measured"]) == {"rows", "peers"}
    assert run_speed(monkeypatch, file, "--only", "rows,peers", "--resume") == 0
    assert len(fast) == 6  # nothing was measured again


@pytest.mark.slow
def test_a_row_that_fails_says_why_and_stops_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches: one row without memory that takes all others with it, or that fails in silence."""
    file = tmp_path / "speed.json"
    monkeypatch.setattr(speed, "ROWS", {"cpu": ["tiny --batch 0", "tiny --steps 1"]})
    assert run_speed(monkeypatch, file, "--only", "rows") == 1
    assert "batch is 0, expected a number above 0" in capsys.readouterr().err
    assert [row["command"] for row in json.loads(file.read_text())["rows"]] == [
        "minivjepa bench --geometry tiny --steps 1 --device cpu"
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--geometry", "huge"), "no row has the geometry 'huge'; choose from mini, paper, tiny"),
        (("--only", "rows,peeks"), "unknown part 'peeks'; choose from rows, peers"),
        pytest.param(
            ("--device", "cuda"),
            "torch finds no CUDA GPU here",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU"),
        ),
    ],
)
def test_what_cannot_be_measured_is_refused_at_once(
    words: tuple[str, ...],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Catches: a misspelled geometry that measures nothing, a traceback without a GPU."""
    with pytest.raises(SystemExit, match="2"):
        run_speed(monkeypatch, tmp_path / "speed.json", *words)
    assert said in capsys.readouterr().err
    assert not (tmp_path / "speed.json").exists()


def test_each_trick_is_timed_against_the_obvious_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: both steps timed with the obvious version in place, or both without it."""

    class Owner:
        value = "ours"

    monkeypatch.setattr(tricks, "seconds", lambda step, device: step())
    spent = {"ours": 1.0, "obvious": 3.0}
    times = tricks.in_turn(
        lambda: spent[Owner.value], lambda: spent[Owner.value], Owner, "value", "obvious", torch.device("cpu")
    )
    assert (times, Owner.value) == ([1.0, 3.0], "ours")


# --- the page ---


@pytest.mark.parametrize("kept", [("rows",), ("tricks",), ()])
def test_the_page_takes_files_that_are_not_complete(kept: tuple[str, ...]) -> None:
    """Catches: `make results` that fails because measuring was stopped."""
    raw = results.load()
    part = {"device": "cuda"} | {name: raw["speed-cpu"][name] for name in kept}
    page = tables.speed_parts({**raw, "speed-cuda": part})
    assert ("GPU: not yet measured" in page["steps"]) is ("rows" not in kept)
    assert "--only data" in tables.speed_parts({**raw, "speed-cpu": part})["data"]


def test_the_page_dates_steps_by_their_own_rows() -> None:
    """Catches: a page that says when some other part was measured."""
    raw = results.load()
    for row in raw["speed-cpu"]["rows"]:
        row["date"] = "2026-01-31"
    assert "cpu: 2026-01-31, python" in tables.speed_parts(raw)["steps"]


def test_a_gpu_that_was_not_measured_is_said_to_be_open() -> None:
    """Catches: an empty place where people expect a number."""
    raw = results.load()
    assert ("GPU: not yet measured" in tables.speed_parts(raw)["steps"]) is ("speed-cuda" not in raw)
    assert ("Not yet measured" in results.gpu_part(raw)) is ("gpu-arms" not in raw)
    assert results.gpu_part({"gpu-arms": raw["matrix"]}).startswith("|")


def test_versions_are_known_where_the_package_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: a bare tree on another machine that trains for minutes and then can't write its numbers."""

    def version(name: str) -> str:
        if name == "minivjepa":
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(files, "version", version)
    assert files.versions()["minivjepa"] == __version__
