"""The offloading environment by name, for libraries of reinforcement learning; needs the extra `rl`.

    import gymnasium
    from optimizer import offloading_v0

    gymnasium.make("deepsc/CentralOffloading-v0", render_mode="rgb_array")  # one controller for all UEs
    offloading_v0.parallel_env(render_mode="rgb_array")                     # PettingZoo: every UE an agent

Importing this module registers the name. The number goes up when observations, actions or rewards change in
a way that makes results differ.
"""

from __future__ import annotations

import gymnasium

from optimizer.world.config import EpisodeConfig, Inputs, SystemConfig
from optimizer.world.gym import CentralOffloading, ParallelOffloading
from optimizer.world.inputs import load
from optimizer.world.tasks import Tasks

CENTRAL = "deepsc/CentralOffloading-v0"
"""Name of the view with one controller, for `gymnasium.make`."""


def parallel_env(
    *,
    system: SystemConfig | None = None,
    episode: EpisodeConfig | None = None,
    inputs: Inputs | None = None,
    render_mode: str | None = None,
) -> ParallelOffloading:
    """PettingZoo's ParallelEnv: every UE an agent that sees what it knows and earns the sum reward.

    Args:
        system: constants of Table I; None: as printed.
        episode: UEs, horizon, reward and preference; None: section V-A's.
        inputs: maps, FLOPs files and devices; None: those of the codecs that ship.
        render_mode: "rgb_array" for `render` to draw the last step.

    Raises:
        ToolkitError: naming the file that is missing, damaged or does not fit.
    """
    return ParallelOffloading(*_world(system, episode, inputs), render_mode)


def central_env(
    *,
    system: SystemConfig | None = None,
    episode: EpisodeConfig | None = None,
    inputs: Inputs | None = None,
    render_mode: str | None = None,
) -> CentralOffloading:
    """Gymnasium's Env: one controller that sees and decides for all UEs. `gymnasium.make(CENTRAL)` calls it.

    Arguments and errors are those of `parallel_env`.
    """
    return CentralOffloading(*_world(system, episode, inputs), render_mode)


def _world(
    system: SystemConfig | None, episode: EpisodeConfig | None, inputs: Inputs | None
) -> tuple[SystemConfig, EpisodeConfig, Tasks]:
    system, episode = system or SystemConfig(), episode or EpisodeConfig()
    loaded = load(inputs or Inputs(), system=system, episode=episode)
    return loaded.system, episode, loaded.tasks


if CENTRAL not in gymnasium.registry:
    gymnasium.register(id=CENTRAL, entry_point="optimizer.offloading_v0:central_env")
