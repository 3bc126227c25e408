"""Settings of the learners' training. Free of torch: --help is quick."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from typing_extensions import override

from data.settings import Flag, Problem, Range, Settings

CRITICS = ("all", "own")
SECTION_IV: Mapping[str, Any] = {"learn_clock": True, "learn_power": True, "critic": "own", "heads": "zero"}
"""What of `MappoConfig` makes it section IV's, beside `EpisodeConfig.observation`."""
HEADS_START = ("zero", "lookups", "bids")


@dataclass(frozen=True, kw_only=True)
class LearnerConfig(Settings):
    """What the training of every learner has; a learner of one's own may derive its config from it."""

    episodes: Annotated[int, Range(1), Flag(metavar="N")] = 1000
    """Training episodes, of `copies` each, with one MAPPO update after it; Table I has 1000."""
    copies: Annotated[int, Range(1)] = 128
    """Independent copies of each training episode, played at once; the updates learn from all of them."""
    learning_rate: Annotated[float, Range(above=0, most=1)] = 1e-3
    """Adam's."""
    discount: Annotated[float, Range(above=0, most=1)] = 0.95
    """gamma of eq. (15). Table I."""
    hidden: Annotated[int, Range(1)] = 64
    """Width of the hidden layers."""


@dataclass(frozen=True, kw_only=True)
class MappoConfig(LearnerConfig):
    """Training of MAPPO: Table I, and usual practice where it is silent."""

    learning_rate: Annotated[float, Range(above=0, most=1)] = 3e-3
    """Adam's, falling to 0 over the training. Table I prints 2e-7, with which the weights do not move."""
    batch_steps: Annotated[int, Range(1)] = 512
    """Environment steps in one minibatch. Table I's "batch step" is 256, of one copy."""
    epochs: Annotated[int, Range(1)] = 4
    """Passes over an episode's experience per update."""
    gae_lambda: Annotated[float, Range(above=0, most=1)] = 0.98
    """lambda of eq. (23). Table I."""
    clip: Annotated[float, Range(above=0)] = 0.3
    """delta of eq. (25). Table I."""
    critic_weight: Annotated[float, Range(0)] = 0.5
    """c^CR of eq. (27). Table I."""
    entropy_weight: Annotated[float, Range(0)] = 0.005
    """c^E of eq. (27). Table I."""
    gradient_norm_max: Annotated[float, Range(above=0)] = 0.5
    """Gradients longer than this are shortened to it."""
    critic: Annotated[str, Range(choices=CRITICS)] = "all"
    """What V reads: the observations of all UEs, or as (23) and (26) print it each UE's own."""
    heads: Annotated[str, Range(choices=HEADS_START)] = "lookups"
    """Where the actor's heads start. zero: in the middle of their ranges; lookups: at the best power with
    half of the band, the best local clock, for b-hat the largest share of the band that the UE can use, and
    rho of 1/2 for the UE that the station names, else of 1 / (I + 1); bids: at the same, but b-hat at 20
    ln(gain) of offloading alone."""
    withdraw_under: Annotated[float, Range(0)] = 0.0
    """A UE that looks its power up withdraws where the band it is granted earns it at most this times what it
    earns locally. 0: where every power fails."""
    learn_clock: bool = False
    """f is an action, as in section IV; else the closed form is taken, which no action beats."""
    learn_power: bool = False
    """p is an action, as in section IV. It touches no other UE, so that once (12) has granted a UE its band
    the best p is a look-up in its own map; else that is taken."""

    @override
    def problems(self) -> Iterator[Problem]:
        if self.learn_power and self.withdraw_under > 0:
            yield Problem(
                "withdraw_under",
                f"{self.withdraw_under} given with learn_power, 0 is allowed: only who looks its power up "
                "withdraws",
            )


@dataclass(frozen=True, kw_only=True)
class ReplayConfig(LearnerConfig):
    """Training on experiences that are remembered."""

    batch: Annotated[int, Range(1)]
    """Experiences of one UE in one update."""
    updates: Annotated[int, Range(1)] = 4
    """Updates after every step."""
    memory: Annotated[int, Range(1)] = 100_000
    """Experiences of one UE that are remembered."""

    @override
    def problems(self) -> Iterator[Problem]:
        if self.memory < self.batch:
            yield Problem("memory", f"{self.memory} given, at least batch {self.batch} is allowed")


@dataclass(frozen=True, kw_only=True)
class Matd3Config(ReplayConfig):
    """Training of MATD3."""

    batch: Annotated[int, Range(1)] = 1024
    """Experiences of one UE in one update; those of all UEs of a step come together."""


@dataclass(frozen=True, kw_only=True)
class DqnConfig(ReplayConfig):
    """Training of DQN and DDQN. The paper gives none of it but gamma."""

    double: bool
    """Double DQN: the online network chooses the next action, the target network values it."""
    learning_rate: Annotated[float, Range(above=0, most=1)] = 5e-4
    """Adam's."""
    batch: Annotated[int, Range(1)] = 512
    explore_share: Annotated[float, Range(above=0)] = 0.5
    """Share of the training over which the share of random actions falls from 1 to `explore_min`."""
    explore_min: Annotated[float, Range(above=0, most=1)] = 0.05
    """Share of random actions that remains."""
    target_updates: Annotated[int, Range(1)] = 200
    """Updates between two copies of the online network to the target network."""
    levels: Annotated[int, Range(2)] = 5
    """Powers, equal in dBm, and clocks."""
    requests: Annotated[int, Range(1)] = 3
    """Bandwidth requests b-hat, ln 3 apart."""
