"""`minivjepa ablate` as people run it: real processes, a real report, kills and all."""

import dataclasses
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch

from minivjepa.data.protocol import BUDGETS
from minivjepa.evaluation.controls import CONTROLS
from minivjepa.evaluation.metrics import METRICS
from minivjepa.experiments import report
from minivjepa.experiments.jobs import Job, run_jobs
from minivjepa.experiments.plan import Ablation, flags, plan_jobs, train_command
from minivjepa.experiments.report import leak_sentence, spread, verdict
from minivjepa.figures.arm_curves import collapse_curves, look, spectra
from minivjepa.training.arms import VARIANTS
from minivjepa.training.config import PRESETS, to_dict
from minivjepa.training.runs import Run
from minivjepa.vjepa import ARMS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="uses POSIX process groups and signals"),
]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
# where processes are ended while they start: coverage, ended twice, prints a traceback of its own
UNCOUNTED = {name: value for name, value in ENVIRONMENT.items() if not name.startswith("COV")}
COMMAND = [sys.executable, "-m", "minivjepa", "ablate", "--preset", "tiny", "--device", "cpu", "--jobs", "2"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A small ablation that was killed once with SIGKILL, then resumed, and what it printed."""
    out = tmp_path_factory.mktemp("ablation") / "out"
    command = [*COMMAND, "--arms", "vjepa,neither", "--seeds", "0,3", "--out", str(out)]
    process = subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.DEVNULL, start_new_session=True)
    while not list(out.glob("runs/*/result.json")) and process.poll() is None:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = {p: p.stat().st_mtime_ns for p in out.glob("runs/*/result.json")}
    assert done
    ended = subprocess.run([*command, "--resume"], env=ENVIRONMENT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert all(p.stat().st_mtime_ns == then for p, then in done.items())  # finished runs are not repeated
    return out, ended.stdout


@pytest.fixture
def results(finished: tuple[Path, str]) -> dict[str, Any]:
    return json.loads((finished[0] / "results.json").read_text())


def test_kept_results_count_as_runs_that_are_done(finished: tuple[Path, str], tmp_path: Path) -> None:
    """Catches: another machine that trains again what results/ holds, or that mixes it with runs of another config."""
    from matrix import restore

    restore(tmp_path / "out", finished[0] / "results.json")
    made, laid = (
        {file.parent.name: json.loads(file.read_text()) | {"seed": 0} for file in out.glob("runs/*/result.json")}
        for out in (finished[0], tmp_path / "out")
    )
    assert laid == made
    command = [*COMMAND, "--arms", "vjepa,neither", "--seeds", "0,3", "--out", str(tmp_path / "out"), "--resume"]
    other = subprocess.run([*command, "--lr", "0.1"], env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert (other.returncode, "lr: 0.0025 saved, 0.1 given" in other.stderr) == (2, True), other.stderr[-500:]
    subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True, timeout=120)
    again, first = (json.loads((out / "results.json").read_text()) for out in (tmp_path / "out", finished[0]))
    assert again["arms"] == first["arms"]


def test_results_have_the_layout_that_scripts_rely_on(results: dict[str, Any]) -> None:
    """Catches: a renamed key, a missing seed, a NaN."""
    assert results["preset"] == "tiny"
    assert results["complete"] is True
    assert results["chance"] == {"direction": 0.125, "identity": 0.1}
    assert {"command", "versions", "device", "probe", "date"} <= set(results)
    assert set(results["controls"]) == {"raw_pixels", "first_frame", "shuffled_frames", "supervised"}
    assert [row["seed"] for row in results["untrained"]] == [0, 3]
    assert [row["seed"] for row in results["raw_pixels"]] == [0, 3]
    assert results["raw_pixels"][0]["linear_identity"] == results["controls"]["raw_pixels"]["linear_identity"]
    assert set(results["arms"]) == {"vjepa", "neither"}
    for arm, runs in results["arms"].items():
        assert [run["seed"] for run in runs] == [0, 3]
        for run in runs:
            assert run["seconds"] > 0
            assert [row["step"] for row in run["history"]] == [0, 1, 2, 5, *range(10, 61, 10)]
            assert set(METRICS) <= set(run["final"])
            assert (run["final"]["target"] is None) == (arm == "neither")
            assert 0 <= run["final"]["linear_direction"] <= 1
    assert set(METRICS) <= set(results["untrained"][0])


def test_seeds_and_arms_differ(results: dict[str, Any]) -> None:
    """Catches: every run trained with the same config."""
    losses = {run["final"]["loss"] for runs in results["arms"].values() for run in runs}
    assert len(losses) == 4


class Page(HTMLParser):
    """Collects what a browser would fetch and what people without pictures would read."""

    def __init__(self, text: str):
        super().__init__()
        self.sources: list[str] = []
        self.alts: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.sources += [str(values[name]) for name in ("src", "href") if name in values]
        if tag == "img":
            self.alts.append(str(values.get("alt", "")))

    def handle_data(self, data: str) -> None:
        self.words += data


def test_the_report_opens_without_a_network_and_shows_every_row(
    finished: tuple[Path, str], results: dict[str, Any]
) -> None:
    """Catches: a picture or script fetched from elsewhere; a control that is left out of the table."""
    page = Page((finished[0] / "report.html").read_text())
    assert page.sources
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert all(len(alt) > 60 for alt in page.alts)
    for name in ("untrained", "raw pixels", "first frame", "shuffled frames", "supervised", "chance", "vjepa target"):
        assert name in page.words
    for arm in results["arms"]:
        assert verdict(arm, results) in page.words


def test_the_picture_is_a_png(finished: tuple[Path, str]) -> None:
    """Catches: an empty file."""
    assert (finished[0] / "collapse.png").read_bytes().startswith(b"\x89PNG")


def test_the_command_ends_with_its_verdicts(finished: tuple[Path, str], results: dict[str, Any]) -> None:
    """Catches: a printed sentence that differs from the report's."""
    assert all(verdict(arm, results) in finished[1] for arm in results["arms"])


def faked(results: dict[str, Any], std: float, direction: float, target_std: float | None = None) -> dict[str, Any]:
    """The same results with other numbers for vjepa and .2 for untrained encoders."""
    new = json.loads(json.dumps(results))
    for run in new["arms"]["vjepa"]:
        run["final"].update(feature_std=std, linear_direction=direction)
        run["final"]["target"]["feature_std"] = std if target_std is None else target_std
    for row in new["untrained"]:
        row["linear_direction"] = 0.2
    return new


def test_verdicts_follow_the_numbers(results: dict[str, Any]) -> None:
    """Catches: a sentence that praises vjepa whatever it scored."""
    assert "learned:" in verdict("vjepa", faked(results, 0.5, 0.7))
    assert "collapsed:" in verdict("vjepa", faked(results, 0.001, 0.12))
    assert "learned nothing about motion" in verdict("vjepa", faked(results, 0.5, 0.21))
    assert "lost what an untrained encoder knows" in verdict("vjepa", faked(results, 0.5, 0.12))
    assert "its target encoder that collapsed" in verdict("vjepa", faked(results, 0.5, 0.2, 0.004))
    assert "target encoder" not in verdict("vjepa", faked(results, 0.5, 0.2))


def test_a_verdict_does_not_average_the_dead_with_the_living(results: dict[str, Any]) -> None:
    """Catches: "learned" with the mean std of a collapsed run and of one that learned."""
    mixed = faked(results, 0.5, 0.7)
    mixed["arms"]["vjepa"][0]["final"]["feature_std"] = 0.001
    said = verdict("vjepa", mixed)
    assert "vjepa collapsed on 1 of 2 seeds: " in said
    assert "(std 0.0010 to 0.5000)" in said
    assert "learned" not in said
    mixed = faked(results, 0.5, 0.7)
    mixed["arms"]["vjepa"][1]["final"]["target"]["feature_std"] = 0.001
    assert "learned: " in verdict("vjepa", mixed)
    assert "Its target encoder collapsed on 1 of 2 seeds" in verdict("vjepa", mixed)


def test_no_two_arms_of_a_picture_look_alike() -> None:
    """Catches: a variant with the color and the line style of an arm of collapse prevention."""
    names = [*ARMS, *VARIANTS][:20]
    assert len({look(name, number) for number, name in enumerate(names)}) == len(names)
    assert len({look(name, number) for number, name in enumerate(["vjepa", "pixels", "frozen"])}) == 3


def test_a_leak_would_be_said_loudly(results: dict[str, Any]) -> None:
    """Catches: a leak sentence that cannot fail."""
    fine = json.loads(json.dumps(results))
    for name in ("first_frame", "shuffled_frames"):
        fine["controls"][name].update(linear_direction=0.13, attentive_direction=0.12, pixels_direction=0.12)
    assert "motion is what they read" in leak_sentence(fine)
    for name, probe in itertools.product(("first_frame", "shuffled_frames"), ("linear", "attentive", "pixels")):
        if (name, probe) == ("shuffled_frames", "attentive"):
            continue  # which may read the axis of motion
        leaky = json.loads(json.dumps(fine))
        leaky["controls"][name][f"{probe}_direction"] = 0.3
        assert "LEAK" in leak_sentence(leaky)


def test_figures_say_in_words_what_they_show(results: dict[str, Any]) -> None:
    """Catches: alt text that is fixed while the numbers change."""
    assert "none" in collapse_curves(faked(results, 0.5, 0.7)).alt
    assert "vjepa" in collapse_curves(faked(results, 0.001, 0.7)).alt.split("on every seed: ")[1].split(".")[0]
    assert "0.70" in collapse_curves(faked(results, 0.5, 0.7)).alt
    assert "untrained" in spectra(results).alt


def test_numbers_are_shown_with_their_range() -> None:
    """Catches: a mean that hides a bad seed."""
    assert spread([0.25]) == "0.250"
    assert spread([0.25, 0.75]) == "0.500<small>0.250 to 0.750"
    assert spread([None]) == ""
    assert spread([40.0]) == "40.0"


def test_tables_show_chance_where_there_is_one_and_no_pixel_spread(results: dict[str, Any]) -> None:
    """Catches: a std of raw pixels beside those of features; a chance level under the wrong column."""
    rows = {row.name: row for row in report.table_rows(results)}
    [chance] = rows["chance"].runs
    assert [chance[name] for name in ("linear_direction", "knn_identity", "feature_std")] == [0.125, 0.1, None]
    assert all("feature_std" not in run for run in rows["raw pixels"].runs)
    assert spread([run["feature_std"] for run in rows["vjepa"].runs]).count("to") == 1


def test_every_arm_has_a_note() -> None:
    """Catches: a variant that the report takes for somebody's own arm."""
    assert report.note("squared-error") == "variant: another loss"
    assert report.note("no-ema-fast-predictor") == "variant: another prevention, predictor_lr"
    assert report.note("mine") == "an arm of your own"
    assert {arm for arm in ARMS if report.note(arm) == "an arm of your own"} == set()


def test_your_own_arm_is_one_value(tmp_path: Path) -> None:
    """Catches: arm names repeated in commands or reports. The script is the one CONTRIBUTING shows."""
    text = Path(__file__).parents[1].joinpath("CONTRIBUTING.md").read_text()
    script = tmp_path / "mine.py"
    script.write_text(text.split("```python\n")[1].split("```")[0])
    out = tmp_path / "out"
    options = ["--preset", "tiny", "--arms", "mine,vjepa", "--out", str(out), "--jobs", "2", "--device", "cpu"]
    ended = subprocess.run(
        [sys.executable, str(script), "ablate", *options], env=ENVIRONMENT, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    results = json.loads((out / "results.json").read_text())
    assert set(results["arms"]) == {"vjepa", "mine"}
    assert results["arms"]["mine"][0]["final"]["loss"] != results["arms"]["vjepa"][0]["final"]["loss"]
    assert "mine" in (out / "report.html").read_text()
    misspelt = [sys.executable, str(script), "ablate", "--arms", "mien", "--out", str(tmp_path / "other")]
    assert "mine" in subprocess.run(misspelt, env=ENVIRONMENT, capture_output=True, text=True).stderr


def test_ctrl_c_exits_130_and_leaves_a_resumable_ablation(tmp_path: Path) -> None:
    """Catches: children that go on training, or a traceback for every process."""
    out = tmp_path / "out"
    command = [*COMMAND, "--arms", "vjepa", "--steps", "3000", "--out", str(out)]
    process = subprocess.Popen(command, env=UNCOUNTED, stderr=subprocess.PIPE, text=True, start_new_session=True)
    metrics = out / "runs" / "vjepa-0" / "metrics.jsonl"
    while not (metrics.exists() and metrics.read_text().count("\n") > 2):
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the children too
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert "--resume to go on" in said
    state = torch.load(out / "runs" / "vjepa-0" / "checkpoint.pt", weights_only=True)
    assert 0 < state["step"] < 3000
    assert not (out / "results.json").exists()


INTERRUPTED = """
import os, signal
from multiprocessing.context import SpawnProcess
from minivjepa.commands.cli import main

start = SpawnProcess.start

def start_under_ctrl_c(self):
    os.killpg(0, signal.SIGINT)  # as a terminal does: to every process of the command
    start(self)
    os.killpg(0, signal.SIGINT)  # and to the one that has just been started

if __name__ == "__main__":
    SpawnProcess.start = start_under_ctrl_c
    main()
"""


def test_ctrl_c_while_a_job_starts_is_not_lost(tmp_path: Path) -> None:
    """Catches: SIGINT ignored around process.start(), so that Ctrl-C does nothing; a traceback from the new process."""
    script, out = tmp_path / "interrupted.py", tmp_path / "out"
    script.write_text(INTERRUPTED)
    command = [sys.executable, str(script), *COMMAND[3:], "--arms", "neither", "--steps", "3000", "--out", str(out)]
    ended = subprocess.run(command, env=UNCOUNTED, capture_output=True, text=True, start_new_session=True, timeout=120)
    assert ended.returncode == 130
    assert "Traceback" not in ended.stderr
    assert "--resume to go on" in ended.stderr
    Run(out, Ablation).check_same(Ablation("tiny", dataclasses.replace(PRESETS["tiny"], steps=3000)), "digits")


def test_resuming_under_another_preset_is_refused(tmp_path: Path) -> None:
    """Catches: probes of two budgets in one table, where options make the configs of two presets equal."""
    out = tmp_path / "out"
    run = Run(out, Ablation)
    run.create(Ablation("tiny", PRESETS["tiny"]), "digits")
    run.check_same(Ablation("tiny", PRESETS["tiny"]), "digits")
    with pytest.raises(ValueError, match=r"another config \(preset: tiny saved, cpu given\)"):
        run.check_same(Ablation("cpu", PRESETS["tiny"]), "digits")


def test_a_failed_run_is_named_and_the_others_are_kept(tmp_path: Path) -> None:
    """Catches: one bad arm that takes all results with it, or that is left out in silence."""
    out = tmp_path / "out"
    command = [*COMMAND, "--arms", "vjepa,neither", "--lr", "1e30", "--out", str(out)]
    ended = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    assert ended.returncode == 2
    last = ended.stderr.strip().splitlines()[-1]
    assert "vjepa seed 0 failed: the loss is nan at step" in last
    assert "--resume tries only what failed again" in last
    assert "Traceback" not in ended.stderr
    assert (out / "runs" / "untrained-0" / "result.json").exists()
    assert not (out / "results.json").exists()


def test_a_plan_prints_commands_that_make_the_same_ablation(tmp_path: Path) -> None:
    """Catches: printed commands whose runs the collecting command does not accept."""
    out = tmp_path / "out"
    options = [
        "--arms",
        "neither,no-stopgrad",
        "--momentum",  # which `neither` ignores, and `train` then refuses
        "0.9",
        "--steps",
        "20",
        "--masks",
        "tube:0.5",
        "future",
        "--share-mask-token",
        "--out",
        str(out),
    ]
    planned = subprocess.run(
        [*COMMAND, *options, "--plan"], env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    lines = planned.stdout.strip().splitlines()
    assert len(lines) == 3
    assert not (out / "runs").exists()
    for line in lines:
        subprocess.run([sys.executable, "-m", *line.split()], env=ENVIRONMENT, check=True, capture_output=True)
    results = json.loads((out / "results.json").read_text())
    assert results["arms"]["neither"][0]["history"][-1]["step"] == 20
    assert results["arms"]["no-stopgrad"][0]["history"][0]["momentum"] == pytest.approx(0.9, abs=0.01)


def test_jobs_are_planned_with_the_telling_arms_first_and_all_controls(tmp_path: Path) -> None:
    """Catches: an order in which the first minute shows nothing."""
    jobs = plan_jobs(["frozen", "neither", "vjepa"], [0, 1], PRESETS["tiny"], tmp_path)
    assert [job.title for job in jobs[:3]] == ["neither seed 0", "vjepa seed 0", "frozen seed 0"]
    controls = [(job.name, job.config.seed) for job in jobs if job.kind == "control"]
    assert sorted(controls) == sorted([*((name, 0) for name in CONTROLS), ("raw_pixels", 1)])
    assert [job.config.seed for job in jobs if job.kind == "untrained"] == [0, 1]
    assert len({job.folder for job in jobs}) == len(jobs)


def test_a_variant_is_trained_alone_by_the_command_that_is_printed(tmp_path: Path) -> None:
    """Catches: a printed command that trains the variant's arm without what the variant changes."""
    [job] = [job for job in plan_jobs(["mask-random"], [1], PRESETS["tiny"], tmp_path) if job.kind == "arm"]
    assert job.config.masks == ("random",)
    assert "--masks" not in train_command(job, "tiny", PRESETS["tiny"], "cpu")  # --arm brings them
    words = train_command(job, "tiny", dataclasses.replace(PRESETS["tiny"], dim=48), "cpu")
    assert words[words.index("--dim") + 1] == "24"
    shared = dataclasses.replace(PRESETS["tiny"], share_mask_token=True)
    assert "--no-share-mask-token" in train_command(job, "tiny", shared, "cpu")


def test_flags_name_every_option() -> None:
    """Catches: a nested option that a plan forgets."""
    found = flags(to_dict(PRESETS["tiny"]))
    assert found["--grid.patch"] == 8
    assert found["--final-lr"] == 0.05
    job = plan_jobs(["vjepa"], [4], PRESETS["tiny"], Path("x"))[0]
    assert train_command(job, "tiny", PRESETS["tiny"], "cpu") == (
        [
            "train",
            "--preset",
            "tiny",
            "--arm",
            "vjepa",
            "--seed",
            "4",
            "--data",
            "digits",
            "--device",
            "cpu",
            "--out",
            "x/runs/vjepa-4",
        ]
    )


@pytest.mark.parametrize(
    ("arms", "seeds", "message"),
    [
        (["vjpa"], [0], "unknown arm 'vjpa'; choose from vjepa, frozen"),
        ([], [0], "at least one arm"),
        (["vjepa"], [0, 0], "given twice"),
        (["generation-2", "frozen"], [0], "frozen would be taught by itself; leave it out of --arms"),
    ],
)
def test_bad_arms_and_seeds_are_refused(arms: list[str], seeds: list[int], message: str, tmp_path: Path) -> None:
    """Catches: a matrix that silently lacks an arm, or that trains for long before an arm waits for itself."""
    config = dataclasses.replace(PRESETS["tiny"], teacher="frozen" if "frozen" in arms else "")
    with pytest.raises(ValueError, match=message):
        plan_jobs(arms, seeds, config, tmp_path)


def test_pages_link_to_the_repository_once_it_has_an_address() -> None:
    """Catches: a dead link on every page, before or after publication."""
    assert "href" not in report.where_to_read_more("")
    assert 'href="https://example.org/repo"' in report.where_to_read_more("https://example.org/repo")


def test_a_changed_arm_is_not_mixed_with_its_old_result(finished: tuple[Path, str]) -> None:
    """Catches: an old number under a new definition after --resume."""
    config = dataclasses.replace(PRESETS["tiny"], prevention=ARMS["sigreg"])
    folder = finished[0] / "runs" / "vjepa-0"
    with pytest.raises(ValueError, match="holds a run of another config"):
        run_jobs([Job("arm", "vjepa", config, folder)], 1, BUDGETS["tiny"], torch.device("cpu"))
