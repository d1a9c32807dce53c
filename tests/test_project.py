"""The project keeps its own promises: files, dependencies, layout, and numbers in prose."""

import ast
import contextlib
import functools
import graphlib
import io
import json
import re
import sys
import tomllib
from collections import Counter
from pathlib import Path
from statistics import mean

import pages as results
import pytest
import torch
import yaml
from signals import SIGNALS, first_separation

from minivjepa.data.digits import DigitClips
from minivjepa.evaluation.collapsed_runs import alarm, collapsed
from minivjepa.evaluation.statistics import paired, two_groups
from minivjepa.experiments.report import by_seed
from minivjepa.training import minimal
from minivjepa.training.config import Config
from minivjepa.training.runs import Run
from minivjepa.training.trainer import Trainer
from minivjepa.vjepa import ARMS
from tests.test_cli import call

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "minivjepa"
README = (ROOT / "README.md").read_text(encoding="utf-8")
READING_PATH = (
    ["randomness", "tubelets", "masking", "rotary", "transformer", "encoder", "predictor", "ema", "objective", "vjepa", "collapse"]
)  # fmt: skip
ROOMS = ["data", "training", "evaluation", "world", "released", "figures", "experiments", "speed", "commands"]
ORDER = [*READING_PATH, *ROOMS]
COURSE = ROOT / "minivjepa_course"
COURSE_ORDER = ["pictures", "lesson", "predictions", "widgets", "toys", "tiny", "homework", "grading", "commands"]
SEVEN = {"torch", "jupyterlab", "matplotlib", "ipywidgets", "einops", "numpy", "nbval"}


def sources() -> list[Path]:
    """Every Python file of both packages."""
    return sorted([*PACKAGE.rglob("*.py"), *COURSE.rglob("*.py")])


def name(requirement: str) -> str:
    return re.split(r"[<>=!\[ ]", requirement)[0]


def test_what_people_look_for_is_at_the_top() -> None:
    """Catches: a file of the project's outline that was lost."""
    for path in [
        "notebooks",
        "minivjepa",
        "tests",
        "environment.yml",
        "README.md",
        "CONTRIBUTING.md",
        "LICENSE",
        "CITATION.cff",
        "DATA.md",
        "CHANGELOG.md",
        "Makefile",
        "pyproject.toml",
        "constraints.txt",
        ".ci/run",
        ".github/workflows/test.yml",
        ".github/ISSUE_TEMPLATE/bug.yml",
    ]:
        assert (ROOT / path).exists(), path
    assert "minivjepa doctor" in (ROOT / ".github/ISSUE_TEMPLATE/bug.yml").read_text()
    assert all(f"make {target}" in (ROOT / ".ci/run").read_text() for target in ("test", "browser"))


def test_the_core_needs_little_and_extras_bring_the_rest() -> None:
    """Catches: a heavy dependency that slips into the core."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {name(r) for r in project["dependencies"]} == {
        "torch",
        "numpy",
        "einops",
        "scikit-learn",
        "scipy",
        "tqdm",
        "tyro",
    }
    extras = project["optional-dependencies"]
    assert {name(r) for r in extras["notebooks"]} == {"jupyterlab", "ipywidgets", "matplotlib", "nbval", "pytest"}
    assert {"figures", "notebooks", "video", "world", "pusht", "test", "site", "browser", "parity"} == set(extras)


def test_environment_yml_holds_the_seven_packages_and_conda_brings_only_python() -> None:
    """Catches: an environment that cannot run the course, or one that mixes conda's torch with pip's."""
    rattler = pytest.importorskip("rattler", reason="py-rattler has no build for this Python")
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    conda = [line for line in environment["dependencies"] if isinstance(line, str)]
    [pip] = [line["pip"] for line in environment["dependencies"] if isinstance(line, dict)]
    assert {rattler.MatchSpec(line, strict=True).name.normalized for line in conda} == {"python", "pip"}
    assert {name(line) for line in pip if not line.startswith("--")} == SEVEN
    assert "--constraint constraints.txt" in pip
    assert any(line.startswith("--editable .") for line in pip)


def test_binder_brings_torch_without_a_gpu_and_then_the_course() -> None:
    """Catches: a specification that conda cannot read, an extra that was renamed, a script that cannot be run."""
    rattler = pytest.importorskip("rattler", reason="py-rattler has no build for this Python")
    lines = yaml.safe_load((ROOT / ".binder" / "environment.yml").read_text())["dependencies"]
    names = {rattler.MatchSpec(line, strict=True).name.normalized for line in lines}
    assert names == {"python", "pip", "pytorch-cpu"}
    script = ROOT / ".binder" / "postBuild"
    [extras] = re.findall(r'-e "\.\[([\w,]+)\]"', script.read_text())
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(extras.split(",")) <= set(known)
    assert sys.platform == "win32" or script.stat().st_mode & 0o100


def test_constraints_pin_torch_without_a_local_version() -> None:
    """Catches: a pin that only one machine can install."""
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z-]+==[0-9.]+", line) for line in lines)
    assert any(line.startswith("torch==") for line in lines)


def test_the_workflow_covers_three_systems() -> None:
    """Catches: YAML that does not parse, a system that was dropped."""
    jobs = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())["jobs"]
    assert {s.split("-")[0] for s in jobs["units"]["strategy"]["matrix"]["os"]} == {"ubuntu", "macos", "windows"}
    assert {"run": "bash .ci/run"} in jobs["everything"]["steps"]  # browser tests among it


def imports(package: Path) -> dict[str, set[str]]:
    """Every module of a package, by its dotted name -> the modules of the package that it imports, at the top or anywhere in it."""
    files = {".".join(path.relative_to(package.parent).with_suffix("").parts): path for path in package.rglob("*.py")}
    files = {module.removesuffix(".__init__"): path for module, path in files.items()}
    found: dict[str, set[str]] = {}
    for module, path in files.items():
        folder = module.split(".") if path.stem == "__init__" else module.split(".")[:-1]
        names: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                above = folder[: len(folder) - node.level + 1] if node.level else []
                source = ".".join([*above, *([node.module] if node.module else [])])
                whole = {alias.name: f"{source}.{alias.name}" for alias in node.names}  # a module, or a name inside one
                names |= {name if name in files else source for name in whole.values()}
        found[module] = names & set(files) - {module}
    return found


def circle(package: Path) -> list[str]:
    """Modules of which each imports the one before it, the first and last being the same; empty if there is no circle."""
    try:
        graphlib.TopologicalSorter(imports(package)).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_no_module_imports_itself_through_others() -> None:
    """Catches: a circle of any length between files, in nested folders, inside functions or under TYPE_CHECKING."""
    assert circle(PACKAGE) == []
    assert circle(COURSE) == []


def test_a_circle_of_three_files_is_found(tmp_path: Path) -> None:
    """Catches: a search for circles that compares folders only, or sees only what stands at the top of a file."""
    texts = {
        "__init__.py": "",
        "a/__init__.py": "",
        "a/one.py": "def late():\n    from ..b.two import name\n    return name\n",
        "b/__init__.py": "",
        "b/two.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from thing.b.deep import three\nname = 1\n",
        "b/deep/__init__.py": "",
        "b/deep/three.py": "import thing.a.one\n",
    }
    package = tmp_path / "thing"
    for name, text in texts.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    assert set(circle(package)) == {"thing.a.one", "thing.b.two", "thing.b.deep.three"}
    (package / "b/two.py").write_text("name = 1\n")
    assert circle(package) == []


def test_a_folder_imports_only_from_those_above_it() -> None:
    """Catches: a core module that reaches for the commands, a folder that the order has forgotten."""
    for module, used in imports(PACKAGE).items():
        for other in used - {"minivjepa"}:
            own, theirs = (name.split(".")[1] for name in (module, other))
            assert own == "__main__" or ORDER.index(theirs) <= ORDER.index(own), f"{module} imports {other}"
    for module, used in imports(COURSE).items():
        for other in used - {"minivjepa_course"}:
            own, theirs = (name.split(".")[1] for name in (module, other))
            assert COURSE_ORDER.index(theirs) <= COURSE_ORDER.index(own), f"{module} imports {other}"


def test_the_method_knows_nothing_of_the_course() -> None:
    """Catches: a method that cannot be read, or installed, without lessons and homework."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.split(".")[0] == "minivjepa_course" for name in names), path


def test_the_package_shows_the_method_and_folders() -> None:
    """Catches: a twelfth file beside the eleven, a folder without a place in the order, a folder without modules."""
    files = {path.stem for path in PACKAGE.glob("*.py")}
    folders = {path.relative_to(PACKAGE).parts[0] for path in PACKAGE.glob("*/**/*.py")}
    assert files == {*READING_PATH, "__init__", "__main__"}
    assert folders == set(ROOMS)


def test_no_two_modules_have_one_name() -> None:
    """Catches: two files called `report.py`, or a file with the name of a folder."""
    names = Counter(path.stem for path in sources() if not path.stem.startswith("__"))
    names.update(path.name for folder in (PACKAGE, COURSE) for path in folder.rglob("*") if any(path.glob("*.py")))
    twice = {"toys", "commands"}  # a module and its pages; each package has commands
    assert [name for name, times in names.items() if times > 1 and name not in twice] == []


def test_the_core_can_be_read_in_an_evening() -> None:
    """Catches: modules and functions that grow past a screen, and a package that grows."""
    lengths = {path: len(path.read_text().splitlines()) for path in sources()}
    assert sum(lengths[PACKAGE / f"{module}.py"] for module in READING_PATH) <= 1150
    assert max(lengths.values()) <= 250, max(lengths, key=lambda p: lengths[p])
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno <= 60, f"{path.name}: {node.name}"


def test_the_whole_package_is_small() -> None:
    """Catches: packages that grow past what one person can know."""
    for package, most in ((PACKAGE, 9300), (COURSE, 5000)):
        assert sum(len(path.read_text().splitlines()) for path in package.rglob("*.py")) <= most, package


def test_one_screen_trains_the_trainers_weights(tmp_path: Path) -> None:
    """Catches: a short loop that is not the real one, outgrows a screen, or leans on the trainer."""
    assert len((PACKAGE / "training" / "minimal.py").read_text().splitlines()) <= 60
    used = {module.split(".")[1] for module in imports(PACKAGE)["minivjepa.training.minimal"]}
    assert used <= {*READING_PATH, "data"}
    config, run = Config(steps=60, seed=3), Run(tmp_path / "run")
    run.create(config, "digits")
    trained = Trainer(config, DigitClips(config.grid, seed=3), run, torch.device("cpu")).fit(lambda step, row: None)
    expected, found = trained.state_dict(), minimal.train(steps=60, seed=3).state_dict()
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[key], found[key]) for key in expected)


def test_nothing_swallows_options_or_errors() -> None:
    """Catches: **kwargs in a signature, a bare except, a star import, a global statement.

    `refuse` stands in for blocked functions of any signature.
    """
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            where = f"{path.name}:{getattr(node, 'lineno', 0)}"
            assert not (isinstance(node, ast.FunctionDef) and node.args.kwarg and node.name != "refuse"), where
            assert not (isinstance(node, ast.ExceptHandler) and node.type is None), where
            assert not (isinstance(node, ast.ImportFrom) and node.names[0].name == "*"), where
            assert not isinstance(node, ast.Global), where


def test_every_module_says_what_it_is() -> None:
    """Catches: a file without its opening lines."""
    for path in sources():
        text = ast.get_docstring(ast.parse(path.read_text()))
        assert text, path
        assert len(text) > 40, path


def test_the_readme_maps_every_module() -> None:
    """Catches: a module that the map forgot."""
    for module in (*ORDER, *COURSE_ORDER):
        assert f"`{module}.py`" in README or f"`{module}/" in README, module


def test_every_row_on_fidelity_names_a_test_that_exists() -> None:
    """Catches: a detail that is claimed and no longer proved."""
    lines = (ROOT / "docs" / "fidelity.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith("| ") and not line.startswith("| detail |")]
    assert len(rows) > 30
    for row in rows:
        file, function = re.findall(r"`(test_\w+\.py)::(\w+)`", row)[0]
        assert f"def {function}(" in (ROOT / "tests" / file).read_text(), row


def test_every_row_on_where_to_change_what_names_files_and_a_test_that_exist() -> None:
    """Catches: a file that moved, a test that was renamed, a row that sends people to the wrong place."""
    rows = [line for line in (ROOT / "CONTRIBUTING.md").read_text().splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 11
    for row in rows:
        _, _, edit, test, _ = row.split("|")
        places = re.findall(r"`((?:minivjepa|minivjepa_course|notebooks|teacher|results|docs|page)/[\w/.]*)`", edit)
        assert places, row
        for place in places:
            removed = place.startswith("teacher/") and not (ROOT / "teacher").exists()  # as in students' copies
            assert removed or (ROOT / place).exists(), place
        [(file, function)] = re.findall(r"`(test_\w+\.py)::(\w+)`", test)
        assert f"def {function}(" in (ROOT / "tests" / file).read_text(), row


def test_links_inside_the_repository_resolve() -> None:
    """Catches: a page that was renamed."""
    for page in [
        *ROOT.glob("*.md"),
        *ROOT.glob("notebooks/*.md"),
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("results/*.md"),
        *ROOT.glob("teacher/*.md"),
    ]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            removed = target.startswith("teacher/") and not (ROOT / "teacher").exists()  # as in students' copies
            if not target.startswith("http") and not removed:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_make_targets_in_the_pages_exist() -> None:
    """Catches: a command that was renamed in the Makefile only."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    for page in ("README.md", "CONTRIBUTING.md"):
        for line in (ROOT / page).read_text().splitlines():
            if line.startswith("    make "):
                assert line.split()[1] in targets, line
    assert {"ablation", "lab", "test", "check"} <= targets


def test_commands_in_the_pages_parse() -> None:
    """Catches: an option in the pages that no command knows."""
    commands = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    for line in (README + commands).splitlines():
        if line.startswith("    minivjepa "):
            words = line.split("#")[0].split()
            command = words[1:3] if words[1] == "world" else words[1:2]
            known = help_of(*command)
            assert all(word in known for word in words if word.startswith("--")), line


@functools.cache
def help_of(*command: str) -> str:
    """What a command says of itself."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert call(*command, "--help") == 0
    return said.getvalue()


@pytest.fixture(scope="module")
def raw() -> dict[str, results.Results]:
    return results.load()


def finals(run: results.Results, arm: str, metric: str, target: bool = False) -> dict[int, float]:
    """Seed -> a final metric of an arm's online or target encoder."""
    return {r["seed"]: (r["final"]["target"] if target else r["final"])[metric] for r in run["arms"][arm]}


def test_what_the_readme_says_of_the_arms_is_so(raw: dict[str, results.Results]) -> None:
    """Catches: a sentence that outlives its numbers."""
    matrix = raw["matrix"]
    untrained = {row["seed"]: row["linear_direction"] for row in matrix["untrained"]}
    vjepa, no_ema = finals(matrix, "vjepa", "linear_direction"), finals(matrix, "no-ema", "linear_direction")
    assert set(vjepa) == set(untrained) == set(range(10, 15))
    assert min(vjepa[s] - untrained[s] for s in vjepa) >= 0.20
    behind = [s for s in vjepa if vjepa[s] - no_ema[s] >= 0.30]
    level = [s for s in vjepa if no_ema[s] >= vjepa[s] - 0.05]
    assert (len(behind), len(level)) == (4, 1)
    chance = matrix["chance"]
    for target, arm in ((False, "neither"), (True, "no-stopgrad")):
        assert max(finals(matrix, arm, "feature_std", target).values()) < 0.01
        probes = [(f"{probe}_{task}", task) for probe in ("linear", "attentive") for task in ("direction", "identity")]
        for metric, task in [*probes, ("knn_identity", "identity")]:
            for seed, score in finals(matrix, arm, metric, target).items():
                assert abs(score - chance[task]) <= (0.03 if arm == "neither" else 0.05), (arm, metric, seed)
    online = finals(matrix, "no-stopgrad", "linear_direction")
    assert all(online[s] <= untrained[s] + 0.05 for s in online)
    for arm in ("no-ema", "vicreg", "sigreg", "vjepa", "frozen"):
        assert min(finals(matrix, arm, "feature_std").values()) >= 0.1
    assert max(finals(matrix, "sigreg", "effective_rank").values()) < 5
    for arm in ("vicreg", "sigreg"):
        assert mean(finals(matrix, arm, "linear_direction").values()) < mean(vjepa.values()) - 0.3
        first = {row["seed"]: row["attentive_direction"] for row in matrix["untrained"]}
        assert paired(finals(matrix, arm, "attentive_direction"), first).answer == "below"
    for metric in ("linear_identity", "attentive_identity"):
        assert max(paired(finals(matrix, "no-ema", metric), finals(matrix, "vjepa", metric)).each.values()) < 0
    for control in ("first_frame", "shuffled_frames"):
        assert abs(matrix["controls"][control]["linear_direction"] - chance["direction"]) <= 0.05
    losses = {arm: [run["final"]["loss"] for run in runs] for arm, runs in matrix["arms"].items()}
    assert max(losses["neither"]) < min(min(v) for arm, v in losses.items() if arm != "neither")
    assert abs(mean(finals(matrix, "frozen", "linear_direction").values()) - mean(vjepa.values())) <= 0.05
    for task in ("direction", "identity"):
        guesses = [row[f"attentive_{task}"] for row in matrix["untrained"]]
        assert 0.05 < max(guesses) - min(guesses) < 0.1
        assert min(guesses) > 0.5
    pixels = matrix["raw_pixels"]
    assert min(row["attentive_direction"] for row in pixels) > 0.9
    best = max(mean(finals(matrix, arm, "attentive_identity").values()) for arm in matrix["arms"])
    assert mean(row["attentive_identity"] for row in pixels) > best - 0.02
    grid = matrix["config"]["grid"]
    assert grid["channels"] * grid["tubelet"] * grid["patch"] ** 2 == 6 * matrix["config"]["dim"]


def answer(run: results.Results, arm: str, other: str, metric: str, others: results.Results | None = None) -> str:
    """How an arm compares with another seed by seed."""
    return paired(by_seed(run, arm, metric), by_seed(others or run, other, metric)).answer


def test_what_is_said_of_two_arms_is_so(raw: dict[str, results.Results]) -> None:
    """Catches: a lead that the seeds do not bear out, or one that is kept quiet."""
    matrix = raw["matrix"]
    others = [arm for arm in ARMS if arm not in ("vjepa", "frozen")]
    assert {answer(matrix, "vjepa", arm, "linear_identity") for arm in (*others, "untrained")} == {"above"}
    assert [arm for arm in others if answer(matrix, "vjepa", arm, "linear_direction") != "above"] == ["no-ema"]
    assert two_groups([*by_seed(matrix, "no-ema", "linear_direction").values()], 0.4)
    both, linear = (
        ("attentive_direction", "attentive_identity"),
        ("linear_direction", "linear_identity", "knn_identity"),
    )
    assert {answer(matrix, "frozen", "vjepa", metric) for metric in both} == {"above"}
    assert {answer(matrix, "frozen", "vjepa", metric) for metric in linear} == {"undecided"}
    vjepa, no_ema = by_seed(matrix, "vjepa", "linear_identity"), by_seed(matrix, "no-ema", "linear_identity")
    assert all(vjepa[seed] > no_ema[seed] for seed in vjepa)


def test_what_is_said_of_the_long_recipe_is_so(raw: dict[str, results.Results]) -> None:
    """Catches: a goal that was not met, a lead that the seeds do not bear out, a run over its five minutes."""
    long = raw["long"]
    own = {metric: list(finals(long, "vjepa", metric).values()) for metric in results.GOALS}
    assert set(finals(long, "vjepa", "loss")) == set(range(10, 15))
    assert all(mean(own[metric]) >= goal for metric, goal in results.GOALS.items())
    for metric in results.GOALS:
        assert answer(long, "vjepa", "untrained", metric) == answer(long, "vjepa", "raw_pixels", metric) == "above"
    for metric in ("linear_direction", "linear_identity", "attentive_identity"):
        assert answer(long, "vjepa", "frozen", metric) == "undecided"
    assert answer(long, "vjepa", "frozen", "attentive_direction") == "equal"
    assert answer(long, "vjepa", "frozen", "knn_identity") == "above"
    for run in long["arms"]["vjepa"]:
        assert min(run["final"]["feature_std"], run["final"]["target"]["feature_std"]) >= 0.1
        assert run["final"]["margin"] > 0
    assert max(run["seconds"] for runs in long["arms"].values() for run in runs) <= 300
    ceiling = long["controls"]["supervised"]
    assert all(ceiling[metric] > mean(own[metric]) for metric in results.GOALS)
    far = [
        ceiling[f"{probe}_identity"] - mean(finals(long, "vjepa", f"{probe}_identity").values())
        for probe in ("linear", "attentive")
    ]
    assert min(far) > 0.1
    assert all(run["seconds"] <= 150 for run in raw["matrix"]["arms"]["vjepa"])


def test_what_is_said_of_variants_and_masks_is_so(raw: dict[str, results.Results]) -> None:
    """Catches: a sentence on one changed thing that its seeds do not bear out."""
    matrix, variants = raw["matrix"], raw["variants"]

    def side(arm: str, metric: str, other: str = "vjepa") -> str:
        return answer(variants, arm, other, metric, matrix)

    assert all(set(finals(variants, arm, "loss")) == set(range(10, 14)) for arm in variants["arms"])
    plain = ("momentum-.9", "momentum-.99", "momentum-.996", "momentum-.999", "raw-targets", "squared-error")
    for arm in plain:
        assert "below" not in (side(arm, "linear_direction"), side(arm, "attentive_identity"))
    assert [a for a in plain if side(a, "linear_direction") == "above"] == ["momentum-.996", "momentum-.999"]
    for arm in ("no-ema-fast-predictor", "official-init", "mask-random", "mask-tube", "mask-blocks", "mask-official"):
        assert side(arm, "linear_direction") == "below"
        assert side(arm, "linear_direction", "untrained") == "undecided"
    assert side("official-init", "linear_identity", "untrained") == "above"
    assert side("no-ema-fast-predictor", "attentive_direction", "no-ema") == "below"
    decay = list(finals(variants, "no-ema-more-decay", "linear_direction").values())
    assert min(decay) < 0.25 < 0.6 < max(decay)
    linear = side("linear-predictor", "linear_direction"), side("linear-predictor", "attentive_identity")
    assert linear == ("above", "below")
    masks = [arm for arm in variants["arms"] if arm.startswith("mask-")]
    assert "below" not in {side(arm, f"{probe}_identity") for arm in masks for probe in ("linear", "attentive")}
    assert [arm for arm in masks if side(arm, "linear_identity") == "above"] == ["mask-blocks", "mask-official"]


def test_what_is_said_of_the_warnings_is_so(raw: dict[str, results.Results]) -> None:
    """Catches: advice on early warnings that the histories do not bear out."""
    runs = [run for arm in raw["matrix"]["arms"].values() for run in arm]
    dead = [run["history"] for run in runs if collapsed(run)]
    alive = [run["history"] for run in runs if not collapsed(run)]
    found = {name: first_separation(dead, alive, signal) for name, signal in SIGNALS.items()}
    assert found["loss"].step is not None
    assert found["loss"].below
    blind = {name for name, signal in found.items() if signal.step is None}
    assert {"effective rank, online", "effective rank, target"} <= blind
    assert {name for name in found if name.endswith(", online")} <= blind
    smaller = found["feature std, the smaller of the two encoders"].step
    assert smaller is not None
    assert smaller <= min(f.step for f in found.values() if f.step is not None)
    for run in runs:
        assert (alarm(run["history"]) is not None) == collapsed(run)


def test_what_is_said_of_weight_decay_is_so() -> None:
    """Catches: a story about SimSiam that the runs do not tell."""
    runs = json.loads((ROOT / "results" / "decay.json").read_text())["runs"]
    no_ema = {
        w: [r["linear_direction"] for r in runs if (r["arm"], r["weight_decay"]) == ("no-ema", w)] for w in (0.04, 0.2)
    }
    assert max(no_ema[0.04]) < 0.3
    assert max(no_ema[0.2]) > 0.5
    assert min(no_ema[0.2]) < 0.3
    neither = {
        w: [r["attentive_direction"] for r in runs if (r["arm"], r["weight_decay"]) == ("neither", w)]
        for w in (0.04, 0.4)
    }
    assert len(neither[0.04]) == len(neither[0.4]) == 5
    assert min(neither[0.04]) > 0.125 + 0.04
    assert max(neither[0.4]) < 0.125 + 0.02
