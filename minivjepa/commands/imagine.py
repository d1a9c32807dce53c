"""`minivjepa imagine`: what trained models predict of hidden tubelets, or of the future, painted as pixels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
import tyro
from torch import Tensor
from tqdm import tqdm

from minivjepa.commands.options import check_new_file, parse
from minivjepa.data import ROOMS, open_data, pixel_scale
from minivjepa.data.protocol import DATA_SEED
from minivjepa.data.video import Color
from minivjepa.evaluation import decoder
from minivjepa.figures import require_matplotlib
from minivjepa.training.devices import pick_device
from minivjepa.training.files import write_bytes
from minivjepa.training.loop import MONITOR_STEP
from minivjepa.training.recipe import build_model, sample_masks, target_width
from minivjepa.training.runs import trained
from minivjepa.world.painted import painted_rollouts, step_errors
from minivjepa.world.world_clips import WorldClips
from minivjepa.world.world_trainer import load_world, open_clips

Scale = tuple[Color, Color]  # mean and std of pixels
HELD_OUT = 256  # clips that errors are measured on
HORIZON = 10  # steps that a world model imagines, as many as a plan has


@dataclass(frozen=True)
class ImagineOptions:
    """Paint what trained models imagine, beside the truth, as a film with errors; the errors of controls are printed.

    Of `minivjepa train`: the hidden tubelets.  Controls: the mean clip, the first run's untrained model, and predictions from
    another clip's context.  Of `minivjepa world train`: ten steps, from the first frame and the actions.  Controls: the mean
    frame, the first frame, and another clip's actions.  For each run a small decoder learns, within a minute, to paint from its frozen features.
    """

    runs: tyro.conf.Positional[tuple[Path, ...]]  # Folders of runs, all with the same clips or all in the same world.
    picture: Path = Path("imagined.gif")  # The film to write, a new .gif.
    clips: int = 3  # Clips in the film.
    device: str = "auto"  # auto (cuda if there is one, else cpu), cpu or cuda.


def imagine(argv: list[str]) -> int:
    """The imagine command."""
    options = parse(ImagineOptions, argv, "imagine")
    require_matplotlib()
    check_new_file(options.picture, (".gif",), "--picture")
    if not options.runs or not 1 <= options.clips <= HELD_OUT:
        given = f"given {len(options.runs)} runs and --clips {options.clips}"
        raise ValueError(f"{given}; expected 1 run or more, and 1 to {HELD_OUT} clips")
    if len({folder.name for folder in options.runs}) < len(options.runs):
        raise ValueError("two of the runs have folders of one name; the film tells runs by it, so rename one")
    kinds = {is_world(folder): folder for folder in options.runs}
    if len(kinds) > 1:
        raise ValueError(f"{kinds[True]} is a world model, {kinds[False]} is not; give runs of one kind")
    paint = paint_worlds if True in kinds else paint_hidden
    write_bytes(options.picture, paint(options, pick_device(options.device)))
    print(f"{options.picture}: mean squared errors on {HELD_OUT} clips are above")
    return 0


def is_world(folder: Path) -> bool:
    """Whether a folder holds a run of `minivjepa world train`: only its config describes rooms."""
    file = folder / "config.json"
    return file.exists() and '"rooms": {' in file.read_text(encoding="utf-8")


def paint_hidden(options: ImagineOptions, device: torch.device) -> bytes:
    """The film of what runs of V-JEPA predict of hidden tubelets; prints errors."""
    found = [trained(folder) for folder in options.runs]
    _, config, data, _ = found[0]
    for folder, (_, other, its, _) in zip(options.runs, found):
        if (other.grid, other.clips, other.masks, its) != (config.grid, config.clips, config.masks, data):
            raise ValueError(f"{folder} has other clips or masks than {options.runs[0]}; give runs that agree")
    models = {folder.name: (model, own) for folder, (model, own, _, _) in zip(options.runs, found)}
    if "untrained" in models:
        raise ValueError("a folder is called untrained, as the film calls its control; rename it")
    models["untrained"] = build_model(config), config
    held_out = open_data(data, config.grid, DATA_SEED, device, config.clips, "test")
    clip, _ = held_out.batch(MONITOR_STEP, torch.arange(HELD_OUT, device=device))
    context, hidden = sample_masks(config, MONITOR_STEP, torch.arange(HELD_OUT))[0]
    mask = context.to(device), hidden.to(device)
    seen = decoder.with_hidden(clip, mask[1], float(clip.mean()), config.grid)
    columns = {"clip": clip, "what the\nencoder sees": seen}
    errors = {}
    with tqdm(total=len(models) * decoder.STEPS, desc="painting", unit="step") as bar:
        for name, (model, own) in models.items():
            source = open_data(data, own.grid, own.seed, device, own.clips)
            features, width = partial(decoder.targets_without_gradient, model.to(device).eval()), target_width(own)
            painter = decoder.train_decoder(features, own.grid, width, source, own.seed, device, bar.update)
            paintings = decoder.painted(model, painter, clip, mask)
            errors[name] = decoder.painting_errors(paintings, clip, mask[1], own.grid)
            shown = {name: "imagined"}
            if len(errors) == 1:  # the controls that need a model, of the first
                shown |= {f"{name}, from\nanother clip": "other_context", "the mean clip": "mean_clip"}
            for title, kind in shown.items():
                whole = decoder.with_hidden(clip, mask[1], paintings[kind], own.grid)
                columns[f"{title}\nerror {errors[name][kind]:.3f}"] = whole
    heads = [title.replace("_", " ") for title in errors["untrained"]]
    tell(heads, {name: [*found.values()] for name, found in errors.items()})
    if data != "digits":
        print("films have no held-out part: these clips are from the films that the runs were trained on")
    return film(columns, options.clips, pixel_scale(data, config.clips))


def paint_worlds(options: ImagineOptions, device: torch.device) -> bytes:
    """The film of what world models imagine from the first frame and the actions; prints the errors after each step."""
    found = [load_world(folder) for folder in options.runs]
    config, _ = found[0]
    for folder, (other, _) in zip(options.runs, found):
        if (other.scene, other.size) != (config.scene, config.size):
            raise ValueError(f"{folder} has another world or pictures than {options.runs[0]}; give runs of one world")
    held_out = WorldClips(replace(config.clips, frames=HORIZON + 1), DATA_SEED, str(device), config.scene.unseen)
    clip, journey = held_out.batch(MONITOR_STEP, torch.arange(HELD_OUT, device=device))
    controls = {"mean frame": clip.mean(dim=(0, 2), keepdim=True), "first frame": clip[:, :, :1]}
    painted: dict[str, Tensor] = {}
    with tqdm(total=len(found) * decoder.STEPS, desc="painting", unit="step") as bar:
        for folder, (own, model) in zip(options.runs, found):
            grid, source = replace(own.clips, patch=own.size), open_clips(own, device)
            embed = model.to(device).embed
            painter = decoder.train_decoder(embed, grid, own.latent, source, own.seed, device, bar.update)
            rollouts = painted_rollouts(model, painter, clip, journey.actions)
            painted |= {f"{folder.name}\n{name}": future for name, future in rollouts.items()}
    errors = {name: step_errors(future, clip) for name, future in (controls | painted).items()}
    steps = [f"step {step}" for step in range(1, HORIZON + 1)]
    tell(steps, errors)
    notes = [["start", *steps], *(["given", *(f"error {error:.3f}" for error in errors[name])] for name in painted)]
    columns = {name: torch.cat([clip[:, :, :1], future], dim=2) for name, future in painted.items()}
    return film({"what happened": clip, **columns}, options.clips, ROOMS, [*zip(*notes)])


def tell(heads: Sequence[str], rows: dict[str, list[float]]) -> None:
    """Print a table of errors."""
    width = max(map(len, heads)) + 2
    print(" " * 32 + "".join(f"{head:>{width}}" for head in heads))
    for name, errors in rows.items():
        print(f"{', '.join(name.splitlines()):32}" + "".join(f"{error:{width}.3f}" for error in errors))


def film(columns: dict[str, Tensor], clips: int, scale: Scale, notes: Sequence[Sequence[str]] = ()) -> bytes:
    """The first clips by title as the bytes of a GIF."""
    from minivjepa.figures.feature_colors import gif, imagination_film
    from minivjepa.figures.film_strips import displayed

    return gif(imagination_film({title: displayed(clip[:clips], scale) for title, clip in columns.items()}, notes))
