"""`minivjepa probe`: what the frozen encoders of a run have learned."""

from dataclasses import dataclass
from pathlib import Path

import tyro
from tqdm import tqdm

from minivjepa.commands.options import check_json, parse
from minivjepa.data.protocol import FULL
from minivjepa.evaluation.judge import check_memory, judge, judge_online
from minivjepa.evaluation.metrics import METRICS
from minivjepa.training.devices import pick_device
from minivjepa.training.files import write_json
from minivjepa.training.recipe import build_model
from minivjepa.training.runs import trained


@dataclass(frozen=True)
class ProbeOptions:
    """Ask a trained run's frozen encoders what they know: collapse metrics and probes on held-out moving handwriting.

    Always with the full probe budget, and always on handwriting, normalised as handwriting, even if the run was trained on video.
    """

    run: tyro.conf.Positional[Path]  # Folder that `minivjepa train` left.
    device: str = "auto"  # auto (cuda if there is one, else cpu), cpu or cuda.
    json: Path | None = None  # Also write the numbers to this file.


def probe(argv: list[str]) -> int:
    """The probe command."""
    options = parse(ProbeOptions, argv, "probe")
    device = pick_device(options.device)
    model, config, _, step = trained(options.run)
    model.to(device)
    check_memory(config, FULL, pixels=False)
    check_json(options.json)
    with tqdm(total=2 if model.target_encoder is None else 3, desc="probing", unit="part") as bar:
        untrained = judge_online(build_model(config).to(device), config, FULL, device)
        bar.update()
        final = judge(model, config, FULL, device, bar.update)
    shown = {"untrained": untrained, "online": final} | ({"target": final["target"]} if final["target"] else {})
    chance = ", ".join(f"{label} {share:.3f}" for label, share in config.clips.chance.items())
    print(f"step {step} of {config.steps}; chance: {chance}")
    print(" " * 22 + "".join(f"{name:>11}" for name in shown))
    for name in METRICS:
        print(f"{name:22}" + "".join(f"{metrics[name]:11.4f}" for metrics in shown.values()))
    if options.json is not None:
        write_json(options.json, {"step": step, "chance": config.clips.chance, "untrained": untrained, "final": final})
    return 0
