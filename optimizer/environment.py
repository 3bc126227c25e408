"""Many episodes of section IV's decision process at once, on tensors of shape (episodes, ues)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from optimizer.config import MODALITIES, EpisodeConfig, SystemConfig
from optimizer.pathloss import draw_gain, draw_positions
from optimizer.physics import (
    Actions,
    Outcome,
    battery_beta,
    best_local_clock,
    execute,
    local_qoe,
    local_reference,
    offloading_effort,
    offloading_qoe,
    standard_cost,
)
from optimizer.tasks import Tasks

LOOKUPS = ((1, 1.0), (2, 0.75), (2, 0.5), (2, 0.25), (4, 0.25))
"""How many share the server, and shares of the band, at which a UE looks up what offloading would earn
it."""
FADING_COLUMNS = (6, *range(9, 9 + len(LOOKUPS)))
"""Columns of the observation that |h|^2 decides: the channel, and what offloading would earn."""
OBSERVATION_SIZE = 8 + len(MODALITIES) + 1 + len(LOOKUPS)
"""Location 2, battery, queue, preference, last latency, channel, time; modality one-hot; what local execution
and offloading as in LOOKUPS would earn."""


@dataclass(frozen=True, kw_only=True)
class View:
    """What can be seen before a step. A policy says which of it it reads."""

    system: SystemConfig
    episode: EpisodeConfig
    tasks: Tasks
    position_m: Tensor
    """x and y, the station at the origin, (episodes, ues, 2)."""
    queue: Tensor
    """d, tasks left, (episodes, ues)."""
    channel_gain: Tensor
    """g |h|^2 with instantaneous CSI, g with statistical, (episodes, ues)."""
    battery_j: Tensor
    """Energy left, (episodes, ues)."""
    battery_max_j: Tensor
    """B_max, (ues,)."""
    beta: Tensor
    """Preference this step, (episodes, ues)."""
    last_latency_s: Tensor
    """t of the step before, (episodes, ues)."""
    step: int
    """Steps played."""

    @cached_property
    def clock_hz(self) -> Tensor:
        """Best local clock, (episodes, ues)."""
        return best_local_clock(self.system, self.tasks, self.queue, self.beta)

    @cached_property
    def local_qoe(self) -> Tensor:
        """What each UE earns locally at its best clock, (episodes, ues)."""
        return local_qoe(
            self.system, self.tasks, queue=self.queue.clamp_min(1), battery_j=self.battery_j,
            beta=self.beta, clock_hz=self.clock_hz,
        )  # fmt: skip

    def offloading_qoe(
        self, offloading: int, share: float, power_w: float, code: Tensor | None = None
    ) -> Tensor:
        """What each UE earns if it is one of `offloading` and has this share of the band, (episodes, ues)."""
        return offloading_qoe(
            self.system, self.tasks, queue=self.queue.clamp_min(1), channel_gain=self.channel_gain,
            battery_j=self.battery_j, beta=self.beta,
            power_w=torch.full_like(self.queue, power_w), clock_hz=self.clock_hz,
            bandwidth_hz=torch.full_like(self.queue, self.system.bandwidth_hz * share),
            offloading=torch.full_like(self.queue, offloading), code=code,
        )  # fmt: skip

    @cached_property
    def observation(self) -> Tensor:
        """o_i, what UE i knows, float32, (episodes, ues, OBSERVATION_SIZE). All of it is the UE's own: it
        holds its map and its FLOPs, so that it can look up what its channel would let it earn."""
        system, tasks = self.system, self.tasks
        # the channel as the SNR at p_max on a quarter of the band: of order 1 at any noise level
        snr = self.channel_gain * system.power_max_w / (system.bandwidth_hz / 4 * system.noise_w_hz)
        lookups = [self.local_qoe]
        for sharing, share in LOOKUPS:
            by_code = [
                self.offloading_qoe(
                    sharing, share, system.power_max_w, torch.full_like(self.queue, code, dtype=torch.long)
                )
                for code in range(tasks.codes)
            ]
            lookups.append(by_code[0] if tasks.codes == 1 else torch.stack(by_code).amax(dim=0))
        one_hot = torch.nn.functional.one_hot(tasks.modality, len(MODALITIES)).to(self.queue.dtype)
        columns = torch.stack(
            (
                self.battery_j / self.battery_max_j,
                self.queue / self.episode.queue_tasks,
                self.beta,
                (self.last_latency_s / system.latency_max_s).clamp_max(2.0),
                torch.log10(snr.clamp_min(1e-9)) / 2.0,
                torch.full_like(self.queue, self.step / self.episode.steps),
                *(torch.log1p(earned) for earned in lookups),
            ),
            dim=-1,
        )
        parts = (self.position_m / system.radius_max_m, columns, one_hot.expand(*self.queue.shape, -1))
        return torch.cat(parts, dim=-1).float()


class OffloadingEnvironment:
    """I UEs around one edge server, in `episodes` independent copies.

    Places, LOS, shadowing and the battery's start are drawn once an episode, |h|^2 each step. Every draw is
    of a fixed shape, so the same seed gives every policy the same world whatever it does. With statistical
    CSI |h|^2 is not drawn: the map is already the mean over it.

    Args:
        system: constants of Table I.
        episode: horizon, reward and preference.
        tasks: what each UE has to do.
        episodes: number of copies.
        generator: source of all draws; its device is where everything is computed.
    """

    def __init__(
        self,
        *,
        system: SystemConfig,
        episode: EpisodeConfig,
        tasks: Tasks,
        episodes: int,
        generator: torch.Generator,
    ) -> None:
        self.system, self.episode, self.episodes = system, episode, episodes
        self.device = generator.device
        self.tasks = tasks.to(self.device)
        self._generator = generator
        one = torch.ones(tasks.ues, dtype=torch.float64, device=self.device)
        energy_0_j, _ = local_reference(system, self.tasks, one)
        whole_queue = (
            episode.queue_tasks * (episode.queue_tasks + 1) / 2
        )  # the step at d tasks costs d E_0 of one
        self.battery_max_j = episode.battery_queues * whole_queue * energy_0_j
        """B_max of eq. (28), (ues,)."""
        self.reset()

    @property
    def finished(self) -> Tensor:
        """Episodes that are over, bool, (episodes,)."""
        return (self._queue == 0).all(dim=-1) | (self._step >= self.episode.steps)

    def reset(self) -> View:
        """Start new episodes: full queues, new batteries, places and preferences."""
        shape = (self.episodes, self.tasks.ues)
        options: dict[str, Any] = {"dtype": torch.float64, "device": self.device}
        self._position_m = draw_positions(self.system, shape, self._generator)
        self._gain = draw_gain(self.system, self._position_m, self._generator)
        self._queue = torch.full(shape, float(self.episode.queue_tasks), **options)
        level, drawn = torch.rand((2, *shape), generator=self._generator, **options)
        low = self.episode.battery_start_min
        self._battery_j = (low + (1.0 - low) * level) * self.battery_max_j
        self._drawn_beta = drawn[:, :1].expand(shape)
        self._last_latency_s = torch.zeros(shape, **options)
        self._step = 0
        best = best_step_qoe(self.system, self.tasks, beta=self._beta(), queue_tasks=self.episode.queue_tasks)
        self.failure_penalty = self.episode.failure_scale * best
        """xi_F E_0 of eq. (14), reward lost per task left at T, (episodes, ues)."""
        self.reward_scale = best.mean(dim=-1)
        """What a step can earn, for learners to divide rewards by: of order 1 at any beta. (episodes,)."""
        self._fade()
        return self.view()

    def _fade(self) -> None:
        self._channel_gain = self._gain
        if self.episode.csi == "instantaneous":
            uniform = torch.rand(
                self._gain.shape, generator=self._generator, dtype=torch.float64, device=self.device
            )
            self._channel_gain = self._gain * -torch.log1p(-uniform)  # |h|^2 of h ~ CN(0, 1) is Exp(1)

    def _beta(self) -> Tensor:
        if self.episode.preference == "dynamic":
            return battery_beta(self._battery_j, self.battery_max_j)
        if self.episode.preference == "drawn":
            return self._drawn_beta
        return torch.full_like(self._queue, self.episode.beta)

    def view(self) -> View:
        """What can be seen now."""
        return View(
            system=self.system,
            episode=self.episode,
            tasks=self.tasks,
            position_m=self._position_m,
            queue=self._queue,
            channel_gain=self._channel_gain,
            battery_j=self._battery_j,
            battery_max_j=self.battery_max_j,
            beta=self._beta(),
            last_latency_s=self._last_latency_s,
            step=self._step,
        )

    def step(self, actions: Actions) -> tuple[Outcome, Tensor]:
        """Run one step; episodes that are finished stay as they are.

        Args:
            actions: what the UEs do, (episodes, ues).

        Returns:
            What came of it, and the sum reward r_t of eqs. (13), (14), (episodes,).

        Raises:
            ValueError: if a power or clock lies outside its range, (11d), (11e).
        """
        self._check(actions)
        queue, battery_j, over = self._queue, self._battery_j, self.finished
        outcome = execute(
            self.system,
            self.tasks,
            actions,
            queue=queue,
            channel_gain=self._channel_gain,
            battery_j=battery_j,
            beta=self._beta(),
        )
        success = outcome.success
        self._step += 1
        self._queue = queue - success.to(queue.dtype)
        idle_j = self.episode.idle_drain * self.battery_max_j / self.episode.steps
        # an execution that runs into t_max is broken off there and has drained only that much
        ran = (self.system.latency_max_s / outcome.latency_s.clamp_min(1e-12)).clamp_max(1.0)
        self._battery_j = (battery_j - outcome.energy_j * ran - idle_j).clamp_min(0.0)
        self._last_latency_s = outcome.latency_s
        reward = self._reward(outcome, success, queue, battery_j).sum(dim=-1) + self._final_reward()
        self._fade()
        return outcome, torch.where(over, 0.0, reward)

    def _reward(self, outcome: Outcome, success: Tensor, queue: Tensor, battery_j: Tensor) -> Tensor:
        """Eq. (13), (episodes, ues). Where several constraints fail, the first in its order punishes.

        (11h) is not in eq. (13); the share of the energy that is missing stands in for it.
        """
        late = self.system.latency_max_s - outcome.latency_s
        inaccurate = outcome.accuracy - self.system.accuracy_min
        missing = (battery_j - outcome.energy_j) / outcome.energy_j.clamp_min(1e-12)
        punished = torch.where(
            ~outcome.in_time, late, torch.where(~outcome.accurate, inaccurate, missing)
        ).clamp_min(-self.episode.penalty_max)
        return torch.where(success, outcome.qoe, torch.where(queue > 0, punished, 0.0))

    def _final_reward(self) -> Tensor:
        """r_T of eq. (14), (episodes,): 0 in a step that does not end the episode."""
        bonus = self.episode.success_bonus * self.reward_scale * (self.episode.steps - self._step)
        done = torch.where((self._queue == 0).all(dim=-1), bonus, 0.0)
        if self._step < self.episode.steps:
            return done
        return done - (self._queue * self.failure_penalty).sum(dim=-1)

    def _check(self, actions: Actions) -> None:
        limits = (
            ("power_w", self.system.power_min_w, self.system.power_max_w),
            ("clock_hz", self.system.local_clock_min_hz, self.system.local_clock_max_hz),
        )
        for name, low, high in limits:
            least, most = (float(end) for end in getattr(actions, name).aminmax())
            if not low - 1e-6 * high <= least <= most <= high * (1.0 + 1e-6):
                raise ValueError(f"actions.{name} must lie in {low:g} to {high:g}")
        if not math.isfinite(float(actions.bandwidth_request.sum())):
            raise ValueError("actions.bandwidth_request must be finite")


def best_step_qoe(system: SystemConfig, tasks: Tasks, *, beta: Tensor, queue_tasks: int) -> Tensor:
    """Largest QoE one step can earn each UE: alone on the server, all the band, the map's best accuracy.

    Args:
        system: constants of Table I.
        tasks: what a task of each UE costs.
        beta: (..., ues).
        queue_tasks: the longest queue, for which the download latency weighs least.

    Returns:
        QoE, `beta`'s shape.
    """
    queue = torch.full_like(beta, queue_tasks)
    clock_hz = best_local_clock(system, tasks, queue, beta)
    plenty = torch.full_like(beta, torch.inf)
    best = local_qoe(system, tasks, queue=queue, battery_j=plenty, beta=beta, clock_hz=clock_hz)
    for code in range(tasks.codes):
        index = torch.full_like(beta, code, dtype=torch.long)
        accuracy = tasks.map_ratio[:, code, -1].expand(beta.shape)
        latency_s, energy_j = offloading_effort(
            system, tasks, queue=queue, power_w=torch.full_like(beta, system.power_min_w), clock_hz=clock_hz,
            bandwidth_hz=torch.full_like(beta, system.bandwidth_hz), accuracy=accuracy,
            offloading=torch.ones_like(beta), code=index,
        )  # fmt: skip
        cost = standard_cost(system, tasks, queue=queue, beta=beta, latency_s=latency_s, energy_j=energy_j)
        best = torch.maximum(best, accuracy / cost)
    return best
