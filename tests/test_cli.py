"""Every command, from outside: what it leaves, what it says, and how it ends."""

import json
import ntpath
import os
import re
import subprocess
import sys
import time
from pathlib import Path, PureWindowsPath
from types import SimpleNamespace

import pytest
import torch

from minivjepa import figures
from minivjepa.commands import doctor
from minivjepa.commands.cli import COMMANDS, main
from minivjepa.data.video import VideoClips
from minivjepa.training.devices import pick_device
from minivjepa.training.runs import Run
from tests.test_video import bad_paths, counting, write_video

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
TINY = ["--preset", "tiny", "--device", "cpu", "--steps", "4", "--log-every", "2", "--monitor-clips", "16"]


def call(*words: str) -> int:
    """Run a command in this process; its exit code."""
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    return int(ended.value.code or 0)


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What a command says that must exit with 2, in at most 12 lines, with nothing on stdout."""
    capsys.readouterr()
    assert call(*words) == 2
    said = capsys.readouterr()
    assert 0 < len(said.err.strip().splitlines()) <= 12, said.err
    assert "Traceback" not in said.err
    return " ".join(said.err.split())


def test_train_then_probe(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: a run that its own probe command cannot read."""
    from minivjepa.commands import probe as command
    from minivjepa.data.protocol import BUDGETS

    out = tmp_path / "run"
    assert call("train", *TINY, "--arm", "no-stopgrad", "--out", str(out)) == 0
    assert sorted(p.name for p in out.iterdir()) == [".lock", "checkpoint.pt", "config.json", "metrics.jsonl"]
    assert f"next: minivjepa probe {out}" in capsys.readouterr().out
    assert json.loads((out / "config.json").read_text())["prevention"]["stop_gradient"] is False
    monkeypatch.setattr(command, "FULL", BUDGETS["tiny"])
    assert call("probe", str(out), "--json", str(tmp_path / "p.json"), "--device", "cpu") == 0
    said = capsys.readouterr().out
    for word in ("untrained", "online", "target", "linear_direction", "chance: direction 0.125", "step 4 of 4"):
        assert word in said
    assert json.loads((tmp_path / "p.json").read_text())["final"]["target"]["feature_std"] > 0


def test_train_resumes_and_refuses_to_mix_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Catches: --resume with nothing there, a second run in the same folder, another config under --resume."""
    out = tmp_path / "run"
    assert "nothing to resume" in refused(capsys, "train", *TINY, "--out", str(out), "--resume")
    assert not out.exists()
    assert call("train", *TINY, "--out", str(out)) == 0
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    assert "is not empty" in refused(capsys, "train", *TINY, "--out", str(out))
    assert "lr: 0.0025 saved, 0.1 given" in refused(capsys, "train", *TINY, "--lr", ".1", "--out", str(out), "--resume")
    assert "data: digits saved" in refused(
        capsys,
        "train",
        *TINY,
        "--out",
        str(out),
        "--resume",
        "--data",
        str(write_video(tmp_path / "v.mkv", counting(9))),
    )
    assert call("train", *TINY, "--out", str(out), "--resume") == 0
    assert before == {p.name: p.read_bytes() for p in out.iterdir()}


def test_train_on_a_real_video_file(tmp_path: Path) -> None:
    """Catches: a loop that needs the digits' labels."""
    video = write_video(tmp_path / "clip.mp4", counting(30))
    assert call("train", *TINY, "--data", str(video), "--out", str(tmp_path / "run")) == 0
    assert Run(tmp_path / "run").history()[-1]["loss"] > 0


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_run_goes_on_only_with_the_films_of_its_start(
    workers: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: other clips under the old name; a folder that is taken for another because of a slash, or moved."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clips" / "more").mkdir(parents=True)
    write_video(tmp_path / "clips" / "more" / "b.mkv", counting(9))
    write_video(tmp_path / "clips" / "a.mkv", counting(8))
    train = ["train", *TINY, "--workers", workers, "--out", "run"]
    assert call(*train, "--data", "clips") == 0
    saved = json.loads((tmp_path / "run" / "config.json").read_text())["films"]
    assert {name: line.split(", ")[1] for name, line in saved.items()} == {
        "a.mkv": "8 frames",
        "more/b.mkv": "9 frames",
    }
    for same in ("clips/", "./clips", str(tmp_path / "clips")):
        assert call(*train, "--data", same, "--resume") == 0
    (tmp_path / "clips" / "a.mkv").rename(tmp_path / "clips" / "0new.mkv")
    write_video(tmp_path / "clips" / "more" / "b.mkv", counting(10))
    size = (tmp_path / "clips" / "more" / "b.mkv").stat().st_size
    said = refused(capsys, *train, "--data", "clips", "--resume")
    assert f"(0new.mkv: absent saved, {saved['a.mkv']} given; a.mkv: {saved['a.mkv']} saved, absent given; " in said
    assert f"more/b.mkv: {saved['more/b.mkv']} saved, {size} bytes, 10 frames given)" in said
    assert "a.mkv: " in refused(capsys, "train", *TINY, "--out", "run", "--resume")


BAD = {
    "a tubelet that does not divide the clip": (
        ["train", "--grid.height", "20"],
        "does not divide; choose a multiple of 8",
    ),
    "no context left": (["train", "--masks", "tube:0.99"], "leaves no context"),
    "no target left": (["train", "--masks", "random:0"], "leaves no target"),
    "heads that do not divide the width": (["train", "--heads", "5"], "width 64 is not divisible by 5 heads"),
    "an unknown arm": (["train", "--arm", "vjpa"], "unknown arm 'vjpa'; choose from vjepa"),
    "an unknown arm of an ablation": (["ablate", "--arms", "vjpa"], "unknown arm 'vjpa'; choose from vjepa"),
    "an unknown preset": (["train", "--preset", "huge"], "unknown preset 'huge'; choose from tiny, cpu"),
    "an unknown option": (["train", "--stepss", "3"], "--steps INT"),
    "many unknown options": (
        ["train", "--a", "1", "--arms", "2", "--seeds", "3", "--bb", "1", "--mask", "3"],
        "Unrecognized",
    ),
    "a word for a number": (["train", "--steps", "many"], "Error parsing --steps"),
    "an option without its value": (["train", "--preset"], "--preset: expected one argument"),
    "a device that is not there": (["train", "--device", "cuda"], "torch finds no CUDA GPU here; use --device cpu"),
    "an unknown device": (["train", "--device", "tpu"], "unknown device 'tpu'; choose from auto, cpu, cuda, mps"),
    "seeds that are no numbers": (["ablate", "--seeds", "a,b"], "such as --seeds 0,1,2"),
    "no jobs": (["ablate", "--jobs", "0"], "--jobs is 0, expected 1 or more"),
    "a switch that the arms decide": (["ablate", "--prevention.momentum", "1"], "use --arms and --seeds"),
    "an ablation to resume that is not there": (["ablate", "--resume"], "nothing to resume"),
    "grey clips": (["train", "--grid.channels", "1"], "--grid.channels is 1, expected 3"),
    "a patch of nothing": (["train", "--grid.patch", "0"], "its tubelet 0; expected 1 or more"),
    "a seed beyond 32 bits": (["train", "--seed", "99999999999999999999"], "seed is 99999999999999999999, expected"),
    "no directions": (
        ["train", "--arm", "sigreg", "--prevention.regulariser.directions", "0"],
        "directions is 0, expected",
    ),
    "a batch of one for vicreg": (["train", "--arm", "vicreg", "--batch", "1"], "batch is 1, expected 2 or more"),
    "an endless mask ratio": (
        ["train", "--masks", "tube:inf"],
        "mask ratio is inf, expected a number from 0 to 1",
    ),
    "a mask ratio that is no number": (["train", "--masks", "tube:nan"], "mask ratio is nan"),
    "a switch without effect": (["train", "--arm", "vicreg", "--prevention.stop-gradient"], "so it would do nothing"),
    "clips that do not fit in memory": (["ablate", "--preset", "vitl"], "GiB; expected at most 16 GiB"),
    "a teacher that is missing": (["train", "--arm", "generation-2"], "is missing; first train --arm frozen"),
    "a momentum that an arm fixes": (["train", "--arm", "frozen", "--momentum", ".5"], "momentum is 0.5, but this arm"),
    "a momentum without an EMA": (["train", "--arm", "no-ema", "--final-momentum", ".5"], "final_momentum is 0.5, but"),
    "a momentum that no arm uses": (
        ["ablate", "--arms", "frozen,neither", "--momentum", ".5"],
        "momentum is 0.5, but this",
    ),
    "one mask token for one mask": (["train", "--share-mask-token"], "share_mask_token changes nothing for one mask"),
    "clips without contrast": (["train", "--clips.std", "0"], "clips.std is 0.0, expected 0.01 to 10"),
    "a digit of no size": (["ablate", "--clips.digit", "-5"], "clips.digit is -5.0, expected 1 to 32"),
    "noise that is NaN": (["train", "--clips.noise", "nan"], "clips.noise is nan, expected 0 to 10"),
    "a digit faster than the fastest": (["train", "--clips.slowest", "5"], "clips.slowest is 5.0, expected at most"),
    "a seed of the clips that judge": (["train", "--seed", "20000001"], "are seeds of the clips that judge every run"),
    "films in a folder called rooms": (["train", "--data", "rooms"], "for a folder of that name give ./rooms"),
    "more steps than a number can hold": (["train", "--steps", "1" + "0" * 400], "expected a number above 0"),
    "a negative learning rate": (["train", "--lr", "-1"], "lr is -1.0, expected a number above 0"),
}


@pytest.mark.skipif(torch.cuda.is_available(), reason="one case needs a machine without CUDA")
@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_plainly_and_leaves_nothing(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches: a traceback, exit code 1, advice that is missing, or a folder left behind."""
    words, message = BAD[case]
    assert message in refused(capsys, *words, "--out", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["train", "ablate"])
def test_an_output_that_cannot_be_made_is_refused(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches: a traceback for a folder inside a file."""
    (tmp_path / "file").touch()
    options = ["--preset", "tiny", "--device", "cpu", "--out", str(tmp_path / "file" / "run")]
    assert "choose a path that can be read and written" in refused(capsys, command, *options)


def test_unusable_videos_leave_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Catches: a run folder made before the video was opened."""
    for path in bad_paths(tmp_path).values():
        assert path.name in refused(capsys, "train", *TINY, "--data", str(path), "--out", str(tmp_path / "out"))
        assert not (tmp_path / "out").exists()


def test_commands_themselves(capsys: pytest.CaptureFixture[str]) -> None:
    """Catches: a misspelt command that does nothing."""
    assert "unknown command 'trian'; choose from lab, train, ablate" in refused(capsys, "trian")
    assert call() == 2
    assert call("--help") == 0
    assert "doctor" in capsys.readouterr().out
    assert call("--version") == 0


@pytest.mark.parametrize("command", ["train", "ablate", "probe", "doctor"])
def test_help_explains_every_option_with_its_default(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Catches: an option without a word of help."""
    assert call(command, "--help") == 0
    said = capsys.readouterr().out
    text = "\n".join(line.strip("│| ") for line in said.splitlines())  # boxes are drawn in ASCII on some terminals
    for lines in re.split(r"\n(?=--[a-z])", text.split("show this help message and exit")[1])[1:]:
        option = " ".join(lines.split())
        assert "(default: " in option or "(required)" in option, option
        assert len(option.split("(default")[0].split()) > 3, option


def test_a_refused_compilation_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Catches: a run folder that is made before the options are known to be good."""
    out = tmp_path / "run"
    said = refused(capsys, "train", *TINY, "--masks", "official-short", "--compile", "--out", str(out))
    assert "--compile needs masks of constant size" in said
    assert not out.exists()


def test_presets_change_the_defaults_that_help_shows(capsys: pytest.CaptureFixture[str]) -> None:
    """Catches: help that shows another preset's numbers."""
    assert call("train", "--help", "--preset", "vitl") == 0
    assert "(default: 90000)" in capsys.readouterr().out


def test_probe_refuses_what_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Catches: a traceback for a mistyped folder, or for a run that was killed before its first checkpoint."""
    assert "holds no run (no config.json)" in refused(capsys, "probe", str(tmp_path))
    out = tmp_path / "run"
    assert call("train", *TINY, "--out", str(out)) == 0
    for path in (tmp_path / "no" / "p.json", tmp_path):
        assert "is not a file in an existing folder" in refused(capsys, "probe", str(out), "--json", str(path))
    torch.save({"model": {}}, out / "checkpoint.pt")
    assert "it lacks config, loss_count" in refused(capsys, "probe", str(out), "--device", "cpu")
    (out / "checkpoint.pt").unlink()
    assert "has no checkpoint.pt yet" in refused(capsys, "probe", str(out))


def test_ablate_without_matplotlib_says_so_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: minutes of training before the picture fails."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "pip install 'minivjepa[figures]'" in refused(capsys, "ablate", "--out", str(tmp_path / "out"))
    with pytest.raises(ValueError, match="matplotlib"):
        figures.require_matplotlib()


def test_ablate_refuses_to_resume_another_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Catches: runs of two configs in one table."""
    out = tmp_path / "out"
    options = ["ablate", "--preset", "tiny", "--device", "cpu", "--out", str(out)]
    assert call(*options, "--plan") == 0
    assert "steps: 60 saved, 61 given" in refused(capsys, *options, "--steps", "61", "--resume")
    assert "is not empty" in refused(capsys, *options)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C cannot be sent to one process on Windows")
def test_ctrl_c_exits_130_and_leaves_a_run_that_goes_on(tmp_path: Path) -> None:
    """Catches: a step torn apart, a traceback, or lost work."""
    out = tmp_path / "run"
    command = [sys.executable, "-m", "minivjepa", "train", *TINY[:4], "--steps", "3000", "--monitor-clips", "16"]
    process = subprocess.Popen([*command, "--out", str(out)], env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    while not ((out / "metrics.jsonl").exists() and (out / "metrics.jsonl").read_text().count("\n") > 2):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(2)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert "run the same command with --resume to go on" in said
    step = torch.load(out / "checkpoint.pt", weights_only=True)["step"]
    assert Run(out).history()[-1]["step"] <= step < 3000


NOWHERE = ["a'b c/nowhere"]
EVERY = {  # command -> its words, its exit code, and a part of what it says
    "lab": (["--folder", "ODD.ipynb", "--no-browser"], 2, ".ipynb is a file; give a folder, or a new name"),
    "train": ([*TINY, "--out", "new run"], 0, "next: minivjepa probe 'new run'"),
    "ablate": (["--plan", *TINY, "--arms", "vjepa", "--out", "new one"], 0, "--device cpu --out 'new one/runs/vjepa-0'"),
    "probe": (NOWHERE, 2, "a'b c/nowhere holds no run (no config.json)"),
    "embed": (["FILM", "--weights", "run", "--out", "f.npz", "--picture", "ODD.png", "--device", "cpu"], 0, "f.npz: features [2, 2, 2, 24]"),
    "imagine": ([*NOWHERE, "--picture", "a b.gif"], 2, "a'b c/nowhere holds no run (no config.json)"),
    "world train": (["--steps", "1", "--warmup", "0", "--batch", "8", "--device", "cpu", "--out", "w w"], 0, "next: minivjepa world plan 'w w' --out runs/plan"),
    "world plan": ([*NOWHERE, "--out", "p p"], 2, "a'b c/nowhere holds no run (no config.json)"),
    "world watch": (["straight", "--world", "maze", "--robots", "1", "--out", "w w.gif"], 0, "w w.gif: straight reached"),
    "bench": (["--account", "--compile"], 2, "give one of them"),
    "check": (["ODD.ipynb"], 2, ".ipynb is not a notebook that Jupyter can open"),
    "grade": ([*NOWHERE, "--out", "g g.csv"], 2, "a'b c/nowhere is not a folder"),
    "doctor": ([], 0, "Your setup is ready."),
}  # fmt: skip


@pytest.fixture(scope="module")
def odd_place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory whose name has a blank, an accent, and, where the system takes it, a byte that is no text."""
    place = tmp_path_factory.mktemp("x") / ("où été" + ("\udcff" if sys.platform == "linux" else ""))
    (place / "films").mkdir(parents=True)
    write_video(place.parent / "a.mkv", counting(9)).rename(place / "films" / f"{place.name}.mkv")
    (place / f"{place.name}.ipynb").write_text("no notebook")
    assert call("train", *TINY, "--out", str(place / "run")) == 0
    return place


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="locales and names of files are others on Windows")
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_works_in_an_odd_place(name: str, odd_place: Path) -> None:
    """Catches: training lost to the name of a folder; a hint that a shell reads as two words; asserts that -O removes; a need for HOME."""
    words, code, said = EVERY[name]
    words = [
        str(odd_place / "films" / f"{odd_place.name}.mkv") if word == "FILM" else word.replace("ODD", odd_place.name)
        for word in words
    ]
    environment = {key: value for key, value in ENVIRONMENT.items() if key not in ("HOME", "LANG")}
    environment |= {
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }
    command = [sys.executable, "-O", "-m", "minivjepa", *name.split(), *words]
    done = subprocess.run(command, cwd=odd_place, env=environment, capture_output=True)
    shown = (done.stdout + done.stderr).decode()
    assert (done.returncode, said in shown, "Traceback" in shown) == (code, True, False), shown


@pytest.mark.slow
@pytest.mark.parametrize("words", [["doctor"], ["train", "--help"], ["check", "notebooks/homework/hw1.ipynb"]])
def test_output_goes_into_a_file_on_windows(words: list[str]) -> None:
    """Catches: UnicodeEncodeError where standard output is a file and its encoding a code page, as there."""
    root = Path(__file__).parents[1]
    environment = {**ENVIRONMENT, "PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0", "PYTHONPATH": str(root)}
    environment = {key: value for key, value in environment.items() if not key.startswith(("PYTEST_", "COV_"))}
    done = subprocess.run([sys.executable, "-m", "minivjepa", *words], cwd=root, env=environment, capture_output=True)
    assert done.returncode == (1 if words[0] == "check" else 0)  # nothing is written yet
    assert done.stdout.decode("cp1252")
    assert b"Traceback" not in done.stderr


class WindowsFile(PureWindowsPath):
    """A film on a disk of Windows, or the folder that holds it."""

    def is_dir(self) -> bool:
        return not self.suffix

    def stat(self) -> SimpleNamespace:
        return SimpleNamespace(st_size=7)


def test_films_have_the_same_names_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: a run that another system can't go on with, since its films are called day 1\\a.mp4 there."""
    from minivjepa.commands import train as command

    monkeypatch.setattr(command, "os", SimpleNamespace(path=ntpath))
    monkeypatch.setattr(command, "Path", WindowsFile)
    source = object.__new__(VideoClips)
    source.files = [SimpleNamespace(path=WindowsFile(r"D:\clips\day 1\a.mp4"), times=[0, 1])]  # type: ignore[list-item]
    for folder, name in ((r"D:\clips", "day 1/a.mp4"), (r"d:\clips\day 1\a.mp4", "a.mp4")):
        assert command.films(source, WindowsFile(folder)) == {name: "7 bytes, 2 frames"}  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="a shell's pipes")
@pytest.mark.parametrize(
    ("line", "codes", "left"),
    [
        ("--help | true", [141, 0], False),
        ("train --help | true", [141, 0], False),
        ("train TINY 2>&1 | true", [141, 0], True),
        ("train TINY 2>&-", [0], True),
        ("train TINY >&- 2>&- <&-", [0], True),
        ("train --preset nothing 2>&-", [2], False),
    ],
)
def test_pipes_that_close_early_are_taken_as_by_other_programs(
    line: str, codes: list[int], left: bool, tmp_path: Path
) -> None:
    """Catches: a traceback after `| head`; training that does nothing, without a word, because stderr is closed."""
    words = line.replace("TINY", " ".join([*TINY, "--out", "run"]))
    script = f'{sys.executable} -m minivjepa {words}; echo "${{PIPESTATUS[@]}}" > codes'
    environment = {**ENVIRONMENT, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (tmp_path / "codes").read_text().split() == [str(code) for code in codes]
    assert done.stderr == ""
    assert (tmp_path / "run").exists() == left
    assert (tmp_path / "run" / "checkpoint.pt").exists() == (left and codes == [0])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_under_the_output_is_said() -> None:
    """Catches: a traceback, or exit code 0, where nothing that was printed arrived."""
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "minivjepa", "--help"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    assert done.returncode == 2
    assert done.stderr == "minivjepa: the output cannot be written: No space left on device\n"


HOLD = "import sys, pathlib, minivjepa.training.files as f\nwith f.locked(pathlib.Path(sys.argv[1])): print(flush=True), input()"


def test_a_folder_in_which_another_process_works_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Catches: a command that forgets the lock, so that two processes write one checkpoint; a second that fills the folder."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], env=ENVIRONMENT, **pipes) as other:
        assert other.stdout is not None
        other.stdout.readline()
        for words in (["train", *TINY], ["ablate", *TINY], ["world", "train"], ["world", "plan"]):
            said = refused(capsys, *words, "--out", str(tmp_path), "--device", "cpu")
            assert said == f"minivjepa: another process is at work in {tmp_path}; wait until it has ended"
        assert [path.name for path in tmp_path.iterdir()] == [".lock"]
        other.kill()
    assert call("train", *TINY, "--out", str(tmp_path)) == 0


def test_doctor_passes_here_and_reports_every_failure(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: a doctor that stops at the first failure or exits 0 with one; more than a screen."""
    assert call("doctor") == 0
    said = capsys.readouterr().out
    assert said.count("[OK]") >= 7
    assert len(said.splitlines()) <= 24
    monkeypatch.setattr(doctor, "OLDEST_PYTHON", (9, 0))
    monkeypatch.setattr(doctor, "EXTRAS", {"figures": ("no_such_module",)})
    assert call("doctor") == 1
    said = capsys.readouterr().out
    assert "[FAIL] Python" in said
    assert "[OK]   trained the tiny preset" in said
    assert "pip install 'minivjepa[figures]' adds it" in said


def test_mps_is_refused_where_it_is_missing_or_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: a device whose integers differ, which would change every clip and mask."""
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ValueError, match="finds no Apple GPU"):
        pick_device("mps")
    assert pick_device("cpu").type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device("auto").type == "cuda"


def test_training_warns_of_collapse_once_and_not_without_cause(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches: an arm that dies in silence; a warning for every healthy run."""
    for arm, lines in {"neither": 1, "vjepa": 0}.items():
        steps = ["--steps", "200", "--lr", "4e-3", "--monitor-clips", "64"]
        assert (
            call("train", "--preset", "tiny", "--device", "cpu", "--arm", arm, *steps, "--out", str(tmp_path / arm))
            == 0
        )
        said = capsys.readouterr()
        assert (said.out + said.err).count("early warning at step") == lines, arm
