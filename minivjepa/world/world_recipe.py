"""A world model's options, and the models they build.

Read in lesson 11.
"""

from dataclasses import dataclass, field, replace

import torch

from minivjepa import randomness
from minivjepa.data.digits import CLIPS
from minivjepa.encoder import Encoder
from minivjepa.objective import SIGReg
from minivjepa.rotary import check_scheme
from minivjepa.training.arms import with_arm
from minivjepa.training.config import SEEDS, Config, changed_fields, check_numbers
from minivjepa.training.recipe import build_model, cosine
from minivjepa.transformer import head_width, init_linear
from minivjepa.tubelets import Grid
from minivjepa.world.action_predictor import RawPixels
from minivjepa.world.base_world import ACTIONS, World
from minivjepa.world.frozen_model import FrozenWorldModel
from minivjepa.world.le_world_model import LatentPredictor, LeWorldModel, Projector
from minivjepa.world.rooms import Rooms
from minivjepa.world.worlds import WORLDS

PRETRAINED = ("vjepa", "pixel-target")  # models whose encoder is trained on clips without actions, then frozen
MODELS = ("lewm", *PRETRAINED, "untrained", "raw")
EXAMPLES = 1024  # frames that the main directions of a frozen encoder come from
OF_LEWM = ("patch", "dim", "depth", "heads", "hidden", "batchnorm", "weight", "directions")  # other models ignore these
OF_OTHERS = ("pooled", "pretraining")  # and LeWorldModel ignores these
# all that an encoder that doesn't learn takes from `pretraining`
OF_UNTRAINED = {"grid", "dim", "depth", "heads", "positions", "init"}
PRETRAINING = Config(masks=("tube",), steps=800, log_every=200)  # V-JEPA on the rooms' clips


@dataclass(frozen=True)
class WorldConfig:
    """One world model.  Frozen: derive another with dataclasses.replace.  Raises ValueError for options that can't train."""

    model: str = "lewm"
    """lewm (LeWorldModel), vjepa (a frozen V-JEPA encoder and an action-conditioned predictor), or a variant of vjepa: pixel-target (the
    encoder predicts pixels), untrained (it doesn't learn) or raw (pixels without an encoder)."""
    world: str = "rooms"  # The world, by name.
    rooms: Rooms = field(default_factory=Rooms)  # How the world `rooms` is built.
    size: int = 32  # Height and width of a picture, in pixels.
    patch: int = 8  # Side of a patch of LeWorldModel, in pixels.
    frames: int = 4  # Frames of a training clip.
    latent: int = 32  # Width Z of a frame's latent.
    pooled: bool = False  # Average the tokens of a frame to one vector, before its main directions are taken.

    dim: int = 64  # Width D of LeWorldModel's encoder.
    depth: int = 2  # Blocks of LeWorldModel's encoder.
    heads: int = 2  # Attention heads of LeWorldModel's encoder; they must divide the width.
    hidden: int = 256  # Hidden width of LeWorldModel's projector.
    batchnorm: bool = True  # Whether LeWorldModel's projector has BatchNorm.
    weight: float = 0.1  # Lambda, the weight of LeWorldModel's SIGReg (with the factor n); 0 = no SIGReg.
    directions: int = 256  # Random directions per step, for SIGReg.
    pretraining: Config = field(default_factory=lambda: PRETRAINING)
    """The V-JEPA run whose encoder vjepa freezes; untrained uses only its sizes, and raw only its grid.  Its seed is --seed."""

    predictor_dim: int = 64  # Width P of the predictor.
    predictor_depth: int = 2  # Blocks of the predictor.
    predictor_heads: int = 2  # Attention heads of the predictor.

    steps: int = 800  # Optimizer steps.
    batch: int = 96  # Clips per step.
    lr: float = 1e-3  # Peak learning rate of AdamW.
    warmup: int = 50  # Steps of linear warm-up of the learning rate.
    final_lr: float = 0.05  # Learning rate at the end of the cosine, as a share of the peak.
    weight_decay: float = 0.01  # Weight decay; none on biases and other 1-D parameters.
    seed: int = 0  # Seed of weights, clips and directions.
    log_every: int = 100  # Steps between lines of metrics.jsonl; steps 1, 2, 5, 10, 20 and 50 have one too.
    checkpoint_every: int = 100  # Steps between checkpoints.

    def __post_init__(self) -> None:
        """Refuse what couldn't train, before anything is made."""
        if self.model not in MODELS:
            raise ValueError(f"unknown model {self.model!r}; choose from {', '.join(MODELS)}")
        if self.world not in WORLDS:
            raise ValueError(f"unknown world {self.world!r}; choose from {', '.join(WORLDS)}")
        if self.world != "rooms" and self.rooms != Rooms():
            raise ValueError(f"--rooms.* is about the world rooms, and --world is {self.world}; leave it out")
        sizes = ("latent", "dim", "depth", "heads", "hidden", "directions", "predictor_dim", "predictor_depth")
        positive = (*sizes, "predictor_heads", "steps", "lr", "log_every", "checkpoint_every")
        check_numbers(self, positive, "a number above 0", lambda value: value > 0)
        check_numbers(self, ("weight", "weight_decay", "warmup"), "0 or more", lambda value: value >= 0)
        check_numbers(self, ("frames", "batch"), "2 or more", lambda value: value >= 2)
        check_numbers(self, ("final_lr",), "a number from 0 to 1", lambda value: 0 <= value <= 1)
        check_numbers(self, ("predictor_dim",), "an even number", lambda value: value % 2 == 0)
        check_numbers(self, ("seed",), SEEDS, lambda value: 0 <= value < 2**32)
        head_width(self.dim, self.heads, "encoder ")
        head = head_width(self.predictor_dim, self.predictor_heads, "predictor ")
        seed, grid = self.pretraining.seed, self.pretraining.grid
        if seed != PRETRAINING.seed:
            raise ValueError(f"pretraining.seed is {seed}, but --seed is used; leave --pretraining.seed out")
        if self.pretraining.clips != CLIPS:
            raise ValueError("pretraining.clips.* says how digits look, and there are none in the rooms; leave it out")
        Grid(self.frames, self.size, self.size, 1, self.patch)  # refuses a patch that doesn't divide the picture
        if self.model == "lewm":
            return  # what follows is about the frozen encoder
        if (grid.height, grid.width) != (self.size, self.size):
            trained = f"{grid.height} x {grid.width}"
            raise ValueError(f"V-JEPA sees {trained} pixels, --size is {self.size}; give the same --size and grid")
        if grid.channels != 3:
            raise ValueError(f"pretraining.grid.channels is {grid.channels}, expected 3: worlds are in color")
        check_scheme("rotary", head)
        if self.pooled and self.model == "raw":
            raise ValueError("raw pixels are one vector already; leave --pooled out")
        tokens = 1 if self.pooled else grid.tokens // grid.shape[0]
        most = min(EXAMPLES, self.size**2 * 3 if self.model == "raw" else tokens * self.pretraining.dim)
        check_numbers(self, ("latent",), f"at most {most}, a frame's main directions", lambda value: value <= most)

    @property
    def scene(self) -> World:
        """The world that `world` and `rooms` name."""
        return self.rooms if self.world == "rooms" else WORLDS[self.world]

    @property
    def clips(self) -> Grid:
        """The grid of training clips, with one frame per tubelet."""
        return Grid(self.frames, self.size, self.size, 1, self.patch)


PRESETS: dict[str, WorldConfig] = {
    "lewm": WorldConfig(),
    "vjepa": WorldConfig(model="vjepa", predictor_dim=96, batch=64, steps=1200, lr=3e-3),
}
PRESETS |= {model: replace(PRESETS["vjepa"], model=model) for model in MODELS[2:]}
# LeWorldModel's published sizes, where this code has them (docs/fidelity.md says what's missing): for a GPU
PRESETS["lewm-official"] = WorldConfig(
    size=224, patch=14, latent=192, dim=192, depth=12, heads=3, hidden=2048, weight=0.09, directions=1024,
    predictor_dim=192, predictor_depth=6, predictor_heads=16, batch=128, lr=5e-5, weight_decay=1e-3,
)  # fmt: skip


def unused(config: WorldConfig, base: WorldConfig) -> list[str]:
    """The options that differ from those of `base` and that this model ignores."""
    ignored = OF_OTHERS if config.model == "lewm" else OF_LEWM
    given = [name for name in ignored if getattr(config, name) != getattr(base, name)]
    if config.model in ("untrained", "raw"):
        used = OF_UNTRAINED if config.model == "untrained" else {"grid"}
        given += [
            f"pretraining.{name}" for name in changed_fields(base.pretraining, config.pretraining) if name not in used
        ]
    return given


def pretraining(config: WorldConfig) -> Config:
    """The run that the encoder of a frozen world model comes from."""
    if config.model != "pixel-target":
        return replace(config.pretraining, seed=config.seed)
    return replace(with_arm(config.pretraining, "pixels"), seed=config.seed)


def build_lewm(config: WorldConfig) -> LeWorldModel:
    """A LeWorldModel on the CPU; its weights depend only on the config."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        encoder = Encoder(replace(config.clips, frames=1), config.dim, config.depth, config.heads)
        projector = Projector(config.dim, config.hidden, config.latent, config.batchnorm)
        init_linear(encoder, "xavier")
        init_linear(projector, "xavier")
        predictor = LatentPredictor(
            config.latent, config.predictor_dim, config.predictor_depth, config.predictor_heads, ACTIONS, config.frames - 1
        )  # fmt: skip
    return LeWorldModel(encoder, projector, predictor, SIGReg(config.weight, config.directions))


def build_frozen(config: WorldConfig, encoder: Encoder | None = None) -> FrozenWorldModel:
    """A frozen encoder (None: an untrained one), cut to clips of one tubelet, and a new predictor, on the CPU."""
    run = pretraining(config)
    key = randomness.keys("examples", config.seed, 0, torch.arange(EXAMPLES))
    world = config.scene
    frames = world.render(world.draw(randomness.uniform(key, world.numbers)), config.size, config.size)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        if config.model == "raw":
            short: Encoder | RawPixels = RawPixels(config.size)
        else:
            short = Encoder(replace(run.grid, frames=run.grid.tubelet), run.dim, run.depth, run.heads, run.positions)
            short.load_state_dict((encoder or build_model(run).encoder).state_dict())
        return FrozenWorldModel(
            short, frames, config.latent, config.predictor_dim, config.predictor_depth, config.predictor_heads, ACTIONS, config.pooled
        )  # fmt: skip


def learning_rate(config: WorldConfig, step: int) -> float:
    """At the 0-based step: linear warm-up, then cosine."""
    if step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    share = (step - config.warmup) / max(1, config.steps - config.warmup)
    return cosine(config.lr, config.lr * config.final_lr, share)
