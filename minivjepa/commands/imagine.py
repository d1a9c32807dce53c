"""`minivjepa imagine`: what trained models predict of the hidden part of a clip, painted as pixels."""

from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from torch import Tensor
from tqdm import tqdm

from minivjepa.commands.options import check_new_file, parse
from minivjepa.course.figures import require_matplotlib
from minivjepa.data import open_data, pixel_scale
from minivjepa.data.protocol import DATA_SEED
from minivjepa.evaluation import decoder
from minivjepa.training.config import Config
from minivjepa.training.devices import pick_device
from minivjepa.training.files import write_bytes
from minivjepa.training.monitor import MONITOR_STEP
from minivjepa.training.recipe import build_model, sample_masks
from minivjepa.training.runs import trained
from minivjepa.tubelets import patchify, unpatchify

HELD_OUT = 256  # clips that errors are measured on


@dataclass(frozen=True)
class ImagineOptions:
    """Paint what trained models predict of hidden tubelets, beside the truth and controls, as a film with errors.

    For each run a small decoder learns, within a minute, to paint tubelets from the run's frozen targets.  The controls are the mean
    clip, the first run's untrained model, and its predictions from the context of another clip.
    """

    runs: tyro.conf.Positional[tuple[Path, ...]]  # Folders that `minivjepa train` left, all with the same clips.
    picture: Path = Path("imagined.gif")  # The film to write, a new .gif.
    clips: int = 3  # Clips in the film.
    device: str = "auto"  # auto (cuda if there is one, else cpu), cpu or cuda.


def imagine(argv: list[str]) -> int:
    """The imagine command."""
    options = parse(ImagineOptions, argv, "imagine")
    require_matplotlib()
    check_new_file(options.picture, (".gif",), "--picture")
    if not options.runs or not 1 <= options.clips <= HELD_OUT:
        raise ValueError(
            f"given {len(options.runs)} runs and --clips {options.clips}; expected 1 run or more, and 1 to {HELD_OUT} clips"
        )
    device, found = pick_device(options.device), [trained(folder) for folder in options.runs]
    _, config, data, _ = found[0]
    for folder, (_, other, its, _) in zip(options.runs, found):
        if (other.grid, other.clips, other.masks, its) != (config.grid, config.clips, config.masks, data):
            raise ValueError(
                f"{folder} was trained on other clips or masks than {options.runs[0]}; give runs that agree"
            )
    models = {folder.name: (model, own) for folder, (model, own, _, _) in zip(options.runs, found)}
    models["untrained"] = build_model(config), config
    clip, _ = open_data(data, config.grid, DATA_SEED, device, config.clips, "test").batch(
        MONITOR_STEP, torch.arange(HELD_OUT, device=device)
    )
    context, hidden = sample_masks(config, MONITOR_STEP, torch.arange(HELD_OUT))[0]
    mask = context.to(device), hidden.to(device)
    columns = {"clip": clip, "what the encoder sees": covered(clip, mask[1], config)}
    lines = []
    with tqdm(total=len(models) * decoder.STEPS, desc="painting", unit="step") as bar:
        for name, (model, own) in models.items():
            source = open_data(data, own.grid, own.seed, device, own.clips)
            painter = decoder.train_decoder(model.to(device).eval(), own, source, device, bar.update)
            errors = decoder.imagination_errors(model, painter, clip, mask)
            columns[f"{name}\nerror {errors['imagined']:.3f}"] = decoder.imagine(model, painter, clip, mask)
            lines.append(f"{name:20}" + "".join(f"{value:18.3f}" for value in errors.values()))
    print(" " * 20 + "".join(f"{title.replace('_', ' '):>18}" for title in errors))
    print("\n".join(lines))
    write_bytes(
        options.picture, film({title: shown[: options.clips] for title, shown in columns.items()}, data, config)
    )
    print(f"{options.picture}: mean squared errors on the hidden tubelets of {HELD_OUT} held-out clips are above")
    return 0


def covered(clip: Tensor, hidden: Tensor, config: Config) -> Tensor:
    """clip [B, C, T, H, W] with the hidden tubelets [B, M] painted in their mean color."""
    tubelets = patchify(clip, config.grid)
    where = hidden[..., None].expand(-1, -1, config.grid.values)
    return unpatchify(tubelets.scatter(1, where, float(clip.mean())), config.grid)


def film(columns: dict[str, Tensor], data: str, config: Config) -> bytes:
    """Clips by title as the bytes of a GIF."""
    from minivjepa.course.figures.feature_colors import gif
    from minivjepa.course.figures.imagination import imagination_film

    mean, std = (torch.tensor(values)[:, None, None, None] for values in pixel_scale(data, config.clips))
    shown = {
        title: (clips.cpu() * std + mean).clamp(0, 1).permute(0, 2, 3, 4, 1).numpy() for title, clips in columns.items()
    }
    return gif(imagination_film(shown))
