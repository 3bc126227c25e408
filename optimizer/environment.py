"""Many episodes of section IV's decision process at once, on tensors of shape (episodes, ues)."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from optimizer.config import EpisodeConfig, SystemConfig
from optimizer.pathloss import draw_gain, draw_positions
from optimizer.physics import Actions, Outcome, battery_beta, best_local_clock, execute, local_reference
from optimizer.tasks import MODALITIES, Tasks

OBSERVATION_SIZE = 6 + len(MODALITIES)
"""Location 2, battery, queue, modality one-hot, last latency, channel."""


@dataclass(frozen=True, kw_only=True)
class View:
    """What can be seen before a step. A policy says which of it it reads."""

    observation: Tensor
    """o_i, what UE i knows, float32, (episodes, ues, OBSERVATION_SIZE)."""
    state: Tensor
    """All observations and the time, for a central critic, float32, (episodes, state_size)."""
    queue: Tensor
    """d, tasks left, (episodes, ues)."""
    channel_gain: Tensor
    """g |h|^2 with instantaneous CSI, g with statistical, (episodes, ues)."""
    battery_j: Tensor
    """Energy left, (episodes, ues)."""
    beta: Tensor
    """Preference this step, (episodes, ues)."""


class OffloadingEnvironment:
    """I UEs around one edge server, in `episodes` independent copies.

    Places, LOS and shadowing are drawn once an episode, |h|^2 each step. Every draw is of a fixed shape, so
    the same seed gives every policy the same world whatever it does. With statistical CSI |h|^2 is not drawn:
    the map is already the mean over it.

    Args:
        system: constants of Table I.
        episode: horizon, reward and preference.
        tasks: what each UE has to do.
        episodes: number of copies.
        generator: source of all draws, on the CPU.
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
        self.system, self.episode, self.tasks, self.episodes = system, episode, tasks, episodes
        self._generator = generator
        first, _ = local_reference(system, tasks, torch.ones(tasks.ues, dtype=torch.float64))
        whole_queue = (
            episode.queue_tasks * (episode.queue_tasks + 1) / 2
        )  # the step at d tasks costs d E_0 of one
        self.battery_max_j = episode.battery_queues * whole_queue * first
        """B_max of eq. (28), (ues,)."""
        self.failure_penalty = episode.failure_scale * best_step_qoe(system, episode, tasks)
        """xi_F E_0 of eq. (14), reward lost per task left at T, (ues,)."""
        self.reset()

    @property
    def state_size(self) -> int:
        """Length of `View.state`."""
        return self.tasks.ues * OBSERVATION_SIZE + 1

    @property
    def finished(self) -> Tensor:
        """Episodes that are over, bool, (episodes,)."""
        return (self._queue == 0).all(dim=-1) | (self._step >= self.episode.steps)

    def reset(self) -> View:
        """Start new episodes: full queues and batteries, new places."""
        shape = (self.episodes, self.tasks.ues)
        self._position_m = draw_positions(self.system, shape, self._generator)
        self._gain = draw_gain(self.system, self._position_m, self._generator)
        self._queue = torch.full(shape, float(self.episode.queue_tasks), dtype=torch.float64)
        self._battery_j = self.battery_max_j.expand(shape)
        self._last_latency_s = torch.zeros(shape, dtype=torch.float64)
        self._step = 0
        self._fade()
        return self.view()

    def _fade(self) -> None:
        self._channel_gain = self._gain
        if self.episode.csi == "instantaneous":
            uniform = torch.rand(self._gain.shape, generator=self._generator, dtype=torch.float64)
            self._channel_gain = self._gain * -torch.log1p(-uniform)  # |h|^2 of h ~ CN(0, 1) is Exp(1)

    def _beta(self) -> Tensor:
        if self.episode.preference == "dynamic":
            return battery_beta(self._battery_j, self.battery_max_j)
        return torch.full_like(self._queue, self.episode.beta)

    def view(self) -> View:
        """What can be seen now."""
        # the channel as the SNR at p_max on an equal share of the band: of order 1 at any noise level
        share_hz = self.system.bandwidth_hz / self.tasks.ues
        snr = self._channel_gain * self.system.power_max_w / (share_hz * self.system.noise_w_hz)
        one_hot = torch.nn.functional.one_hot(self.tasks.modality, len(MODALITIES))
        observation = torch.cat(
            (
                self._position_m / self.system.radius_max_m,
                (self._battery_j / self.battery_max_j).unsqueeze(-1),
                (self._queue / self.episode.queue_tasks).unsqueeze(-1),
                one_hot.expand(self.episodes, -1, -1),
                (self._last_latency_s / self.system.latency_max_s).clamp_max(2.0).unsqueeze(-1),
                (torch.log10(snr.clamp_min(1e-9)) / 2.0).unsqueeze(-1),
            ),
            dim=-1,
        ).float()  # (episodes, ues, OBSERVATION_SIZE)
        time = torch.full((self.episodes, 1), self._step / self.episode.steps)
        return View(
            observation=observation,
            state=torch.cat((observation.flatten(1), time), dim=1),
            queue=self._queue,
            channel_gain=self._channel_gain,
            battery_j=self._battery_j,
            beta=self._beta(),
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
        self._step += 1
        self._queue = queue - outcome.success.double()
        idle_j = self.episode.idle_drain * self.battery_max_j / self.episode.steps
        # an execution that runs into t_max is broken off there and has drained only that much
        ran = (self.system.latency_max_s / outcome.latency_s.clamp_min(1e-12)).clamp_max(1.0)
        self._battery_j = (battery_j - outcome.energy_j * ran - idle_j).clamp_min(0.0)
        self._last_latency_s = outcome.latency_s
        reward = self._reward(outcome, queue, battery_j).sum(dim=-1) + self._final_reward()
        self._fade()
        return outcome, torch.where(over, 0.0, reward)

    def _reward(self, outcome: Outcome, queue: Tensor, battery_j: Tensor) -> Tensor:
        """Eq. (13), (episodes, ues). Where several constraints fail, the first in its order punishes.

        (11h) is not in eq. (13); the share of the energy that is missing stands in for it.
        """
        late = self.system.latency_max_s - outcome.latency_s
        inaccurate = outcome.accuracy - self.system.accuracy_min
        missing = (battery_j - outcome.energy_j) / outcome.energy_j.clamp_min(1e-12)
        punished = torch.where(
            ~outcome.in_time, late, torch.where(~outcome.accurate, inaccurate, missing)
        ).clamp_min(-self.episode.penalty_max)
        return torch.where(outcome.success, outcome.qoe, torch.where(queue > 0, punished, 0.0))

    def _final_reward(self) -> Tensor:
        """r_T of eq. (14), (episodes,): 0 in a step that does not end the episode."""
        bonus = self.episode.success_bonus * (self.episode.steps - self._step)
        left = (self._queue * self.failure_penalty).sum(dim=-1)
        done = torch.where((self._queue == 0).all(dim=-1), bonus, 0.0)
        return done - left if self._step >= self.episode.steps else done

    def _check(self, actions: Actions) -> None:
        limits = (
            ("power_w", self.system.power_min_w, self.system.power_max_w),
            ("clock_hz", self.system.local_clock_min_hz, self.system.local_clock_max_hz),
        )
        for name, low, high in limits:
            value = getattr(actions, name)
            tolerance = 1e-6 * high
            if not bool(((value >= low - tolerance) & (value <= high + tolerance)).all()):
                raise ValueError(f"actions.{name} must lie in {low:g} to {high:g}")
        if not math.isfinite(float(actions.bandwidth_request.sum())):
            raise ValueError("actions.bandwidth_request must be finite")


def best_step_qoe(system: SystemConfig, episode: EpisodeConfig, tasks: Tasks) -> Tensor:
    """Largest QoE one step can earn each UE: alone on the server, all the band, the map's best accuracy.

    Returns:
        QoE, (ues,).
    """
    betas = (episode.beta,) if episode.preference == "fixed" else (0.5, 1.0)  # the ends of eq. (28)
    one = torch.ones(tasks.ues, tasks.ues, dtype=torch.float64)
    alone = torch.eye(tasks.ues, dtype=torch.float64)  # row i: UE i has a queue, nobody else does
    best = torch.zeros(tasks.ues, dtype=torch.float64)
    for beta_value, length in itertools.product(betas, (1, episode.queue_tasks)):
        queue, beta = alone * length, one * beta_value
        low, high = one * system.local_clock_min_hz, one * system.local_clock_max_hz
        clocks = (low, best_local_clock(system, tasks, queue, beta), high)
        for clock_hz, offload in itertools.product(clocks, (True, False)):
            actions = Actions(
                offload=torch.full_like(one, offload, dtype=torch.bool),
                power_w=one * system.power_min_w,  # enough for any map's upper end at a gain of 1
                clock_hz=clock_hz,
                bandwidth_request=torch.zeros_like(one),
            )
            full = torch.full_like(one, torch.inf)
            outcome = execute(
                system, tasks, actions, queue=queue, channel_gain=one, battery_j=full, beta=beta
            )
            best = torch.maximum(best, outcome.qoe.diagonal())
    return best
