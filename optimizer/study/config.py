"""Settings of what `optimize` does. Free of torch: --help is quick."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

from typing_extensions import override

from data.intervals import INTERVAL_ITEMS_MIN
from data.settings import Flag, Problem, Range, Settings
from optimizer.policies.config import DqnConfig, LearnerConfig, MappoConfig, Matd3Config
from optimizer.policies.registry import LEARNERS, USUAL
from optimizer.world.config import BOUND_UES_MAX, EpisodeConfig, Inputs, SystemConfig, device_problems

FIGURES = (2, 3, 4, 5, 6, 7)
"""Of the paper."""
BETAS = tuple(round(0.1 * step, 1) for step in range(11))
VARIED = ("bandwidth", "server", "k-text", "k-image")


def name_list(text: str) -> tuple[str, ...]:
    """Flag type: names with commas between."""
    return tuple(part for part in text.split(",") if part)


def too_few(name: str, number: int) -> Iterator[Problem]:
    """What is wrong with so few items of an interval."""
    if 1 <= number < INTERVAL_ITEMS_MIN:
        yield Problem(
            name,
            f"{number} given, at least {INTERVAL_ITEMS_MIN} is allowed: an interval over fewer would feign "
            "certainty",
        )


def too_many_for_bound(ues: int, advice: str = "") -> Iterator[Problem]:
    """What is wrong with a bound for so many UEs."""
    if ues > BOUND_UES_MAX:
        yield Problem(
            "episode.mix", f"{ues} UEs given, the certified bound is for at most {BOUND_UES_MAX}{advice}"
        )


@dataclass(frozen=True, kw_only=True)
class WorldSettings(Settings):
    """What every subcommand reads: files, Table I, UEs."""

    inputs: Inputs = field(default_factory=Inputs)
    """Maps, FLOPs files, k, devices."""
    system: SystemConfig = field(default_factory=SystemConfig)
    """Table I."""
    episode: EpisodeConfig = field(default_factory=EpisodeConfig)
    """UEs, horizon, reward, preference."""
    device: str = "cpu"
    """Where worlds are played and learners trained: cpu, cuda, cuda:1."""
    seed: Annotated[int, Range(0, 2**63 - 1)] = 0
    """All randomness is drawn from it."""

    @override
    def problems(self) -> Iterator[Problem]:
        yield from device_problems(self.inputs, self.system, self.episode)
        if self.device.partition(":")[0] not in ("cpu", "cuda"):
            yield Problem("device", f"{self.device} given, cpu, cuda, or one of several, cuda:1, is allowed")


@dataclass(frozen=True, kw_only=True)
class TrainConfig(WorldSettings):
    """Everything a run of `optimize train` depends on."""

    mappo: MappoConfig = field(default_factory=MappoConfig)
    """Training; `episodes` holds for every learner."""
    ippo: MappoConfig = field(default_factory=lambda: MappoConfig(critic="own"))
    """Training of independent PPO, MAPPO's with each UE's own critic."""
    matd3: Matd3Config = field(default_factory=Matd3Config)
    """Training of multi-agent TD3."""
    ddqn: DqnConfig = field(default_factory=lambda: DqnConfig(double=True))
    """Training of double DQN."""
    dqn: DqnConfig = field(default_factory=lambda: DqnConfig(double=False))
    """Training of DQN."""
    learners: Annotated[tuple[str, ...], Flag(metavar="LIST", type=name_list)] = USUAL
    """What is trained, of mappo, ippo, matd3, ddqn, dqn, each with a policy file a seed; '': none."""
    seeds: Annotated[int, Range(1), Flag(metavar="N")] = 5
    """Trainings of each learner, each tested on its own episodes."""
    test_episodes: Annotated[int, Range(1), Flag(metavar="N")] = 100
    """Episodes every policy is tested on with each seed. Table I."""
    bound: Annotated[
        bool, Flag("--no-bound", help="leave the certified bound out: it takes about as long as a training")
    ] = True
    """Whether the certified bound is computed."""
    output: Annotated[Path, Flag(metavar="DIR")] = Path("runs/optimize")
    """Folder for the results."""

    @override
    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        yield from too_few("test_episodes", self.test_episodes)
        if not set(self.learners) <= set(LEARNERS) or len(set(self.learners)) < len(self.learners):
            yield Problem(
                "learners",
                f"{','.join(self.learners)} given, each of {', '.join(LEARNERS)} is allowed once",
            )
        if self.ippo.critic != "own":
            yield Problem("ippo.critic", f"{self.ippo.critic} given, own is allowed: mappo has the other")
        for name in ("ippo", "matd3", "ddqn", "dqn"):
            episodes = getattr(self, name).episodes
            if episodes not in (LearnerConfig().episodes, self.mappo.episodes):
                yield Problem(
                    f"{name}.episodes",
                    f"{episodes} given, mappo.episodes {self.mappo.episodes} holds for every learner",
                )
        for name, config in (("ddqn", self.ddqn), ("dqn", self.dqn)):
            if config.double != (name == "ddqn"):
                yield Problem(f"{name}.double", f"{config.double} given, {not config.double} is allowed")

    def learner(self, name: str) -> LearnerConfig:
        """What a learner trains with."""
        part = getattr(self, name, None)
        config = part if isinstance(part, LearnerConfig) else LEARNERS[name].config
        return replace(config, episodes=self.mappo.episodes)


@dataclass(frozen=True, kw_only=True)
class FiguresConfig(Settings):
    """Which figures, from what runs."""

    train: TrainConfig
    """Every run's config but for what its figure varies; `output` is where figures and the runs' folders
    go."""
    figures: Annotated[tuple[int, ...], Range(2, 7, rising=True), Flag(metavar="LIST")] = FIGURES
    """Which figures of the paper, as in 2,3,7."""
    sweep_seeds: Annotated[int, Range(1), Flag(metavar="N")] = 1
    """Trainings at each point of Figs. 5-7."""

    @override
    def problems(self) -> Iterator[Problem]:
        if self.train.inputs.joint_k and {5, 6} & set(self.figures):
            yield Problem(
                "train.inputs.joint_k",
                f"given with figures {','.join(map(str, self.figures))}: UEs that choose k are given none, "
                "Figs. 5 and 6 vary it; 2,3,4,7 are allowed",
            )


@dataclass(frozen=True, kw_only=True)
class ParetoConfig(Settings):
    """A front."""

    train: TrainConfig
    """Of the one policy, mappo's; its preference is drawn anew each episode, whatever it says."""
    betas: Annotated[tuple[float, ...], Range(0, 1, rising=True), Flag(metavar="LIST")] = BETAS
    """Preferences the policy is tested at, as in 0:1:0.1."""


@dataclass(frozen=True, kw_only=True)
class PlanConfig(WorldSettings):
    """What is asked."""

    qoe: Annotated[float, Range(above=0), Flag(metavar="Q")]
    """Sum QoE per step that is wanted, mean over places, fading and queues."""
    vary: Annotated[tuple[str, ...] | None, Range(choices=VARIED), Flag(metavar="LIST", type=name_list)] = (
        None
    )
    """What is tried at several values, one at a time, of bandwidth, server, k-text, k-image (all of them that
    the UEs have)."""
    states: Annotated[int, Range(1), Flag(metavar="N")] = 64
    """Steps of random places, fading and queue lengths the mean is over."""

    @override
    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        if self.vary == ():
            yield Problem("vary", f"none given, one or more of {', '.join(VARIED)} is allowed")
        if self.inputs.joint_k and {"k-text", "k-image"} & set(self.vary or ()):
            yield Problem(
                "inputs.joint_k",
                f"given with vary {','.join(self.vary or ())}: UEs that choose k are given none, "
                "bandwidth,server are allowed",
            )
        yield from too_few("states", self.states)
        yield from too_many_for_bound(self.episode.ues)


@dataclass(frozen=True, kw_only=True)
class ReportConfig(Settings):
    """A page of a run."""

    folder: Annotated[Path, Flag("folder", metavar="RUN_FOLDER")]
    """Folder that `optimize train` wrote."""
    output: Annotated[Path | None, Flag(metavar="FILE")] = None
    """The page (report.html in RUN_FOLDER)."""


@dataclass(frozen=True, kw_only=True)
class ExportConfig(Settings):
    """An actor to be exported."""

    policy: Annotated[Path, Flag(metavar="FILE")]
    """Policy file of MAPPO, such as mappo-0.safetensors in a folder of `optimize train`."""
    output: Annotated[Path, Flag(metavar="FILE")] = Path("actor.onnx")
    """The ONNX model."""
