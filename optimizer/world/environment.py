"""Many episodes of section IV's decision process at once, on tensors of shape (episodes, ues)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from optimizer.world.arrivals import Arrivals
from optimizer.world.channel import Channels
from optimizer.world.config import EpisodeConfig, SystemConfig
from optimizer.world.devices import clamped, filled
from optimizer.world.history import History
from optimizer.world.physics import (
    Actions,
    Outcome,
    State,
    Transmission,
    battery_beta,
    best_local_clock,
    execute,
    local_qoe,
    local_reference,
    offloading_effort,
    standard_cost,
)
from optimizer.world.tasks import Tasks
from optimizer.world.view import View


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
        self._channels = Channels(
            system=system, episode=episode, gains=self.tasks.gains, shape=(episodes, tasks.ues),
            generator=generator,
        )  # fmt: skip
        self._arrivals = Arrivals(episode, (episodes, tasks.ues), generator)
        one_task = torch.ones(tasks.ues, dtype=torch.float64, device=self.device)
        energy_0_j, _ = local_reference(system, self.tasks, one_task)
        # the step at d tasks costs d E_0 of one
        whole_queue = episode.queue_tasks * (episode.queue_tasks + 1) / 2
        self.battery_max_j = episode.battery_queues * whole_queue * energy_0_j
        """B_max of eq. (28), (ues,)."""
        self.reset()

    @property
    def finished(self) -> Tensor:
        """Episodes that are over, bool, (episodes,)."""
        late = torch.full((self.episodes,), self._step >= self.episode.steps, device=self.device)
        return late if self.episode.tasks_arrive else late | (self._state.queue == 0).all(dim=-1)

    def reset(self) -> View:
        """Start new episodes: full queues, new batteries, places and preferences."""
        shape = (self.episodes, self.tasks.ues)
        self._channels.place()
        queue = torch.full(shape, float(self.episode.queue_tasks), dtype=torch.float64, device=self.device)
        if self.episode.tasks_arrive:
            queue = self._arrivals.first()
        self.arrived = queue
        """Tasks each UE has been given so far in the episode, lost ones included, (episodes, ues)."""
        queue = queue.clamp_max(self.episode.queue_tasks)
        level, beta = torch.rand(
            (2, *shape), generator=self._generator, dtype=torch.float64, device=self.device
        )
        low = self.episode.battery_start_min
        battery_j = (low + (1.0 - low) * level) * self.battery_max_j
        self._drawn_beta = beta[:, :1].expand(shape)
        self._last_latency_s = torch.zeros_like(queue)
        self._history = History.empty(queue)
        self._step = 0
        beta = self._beta(battery_j)
        best = best_step_qoe(self.system, self.tasks, beta=beta, queue_tasks=self.episode.queue_tasks)
        self.failure_penalty = self.episode.failure_scale * best
        """xi_F E_0 of eq. (14), reward lost per task left at T, or lost before; (episodes, ues)."""
        scale = best.mean(dim=-1)
        self.reward_scale = torch.where(scale > 0, scale, 1.0)
        """What a step can earn, for learners to divide rewards by: of order 1 at any beta. 1 where no step
        can earn anything. (episodes,)."""
        self._channels.fade()
        self._state = State(queue=queue, channel_gain=self._channels.gain, battery_j=battery_j, beta=beta)
        return self.view()

    def _beta(self, battery_j: Tensor) -> Tensor:
        if self.episode.preference == "dynamic":
            return battery_beta(battery_j, self.battery_max_j)
        if self.episode.preference == "drawn":
            return self._drawn_beta.expand_as(battery_j)
        return torch.full_like(battery_j, self.episode.beta)

    @property
    def state(self) -> State:
        """What the next step starts from. Its channels are the true ones: `view` shows a policy its estimates
        of them where CSI is imperfect."""
        return self._state

    def view(self) -> View:
        """What can be seen now."""
        seen = self._state
        if self.episode.csi_error > 0:
            seen = replace(seen, channel_gain=self._channels.seen_gain)
        return View(
            system=self.system,
            episode=self.episode,
            tasks=self.tasks,
            position_m=self._channels.position_m,
            state=seen,
            mean_gain=self._channels.mean_gain,
            battery_max_j=self.battery_max_j,
            last_latency_s=self._last_latency_s,
            history=self._history,
            step=self._step,
        )

    def step(self, actions: Actions) -> tuple[Outcome, Tensor]:
        """Run one step; episodes that are finished stay as they are.

        Args:
            actions: what the UEs do, (episodes, ues).

        Returns:
            What came of it, and the sum reward r_t of eqs. (13), (14), (episodes,).

        Raises:
            ValueError: if a power or clock lies outside its range, (11d), (11e), by more than rounding, if a
                request is not finite, or if a code is no index of `Tasks.symbols`.
        """
        state = self._state
        queue, battery_j = state.queue, state.battery_j
        outcome = execute(self.system, self.tasks, self._within_limits(actions), state)
        left = queue - outcome.success.to(queue.dtype)
        idle_j = self.episode.idle_drain * self.battery_max_j / self.episode.steps
        # an execution that runs into t_max is broken off there and has drained only that much
        ran = (self.system.latency_max_s / outcome.latency_s.clamp_min(1e-12)).clamp_max(1.0)
        reward = self._reward(outcome, queue, battery_j).sum(dim=-1) + self._final_reward(left)
        if self.episode.tasks_arrive and self._step + 1 < self.episode.steps:
            new = self._arrivals.next()
            self.arrived = self.arrived + new
            lost = (left + new - self.episode.queue_tasks).clamp_min(0.0)
            left = left + new - lost
            reward = reward - (lost * self.failure_penalty).sum(dim=-1)
        reward = torch.where(self.finished, 0.0, reward)
        left_j = (battery_j - outcome.energy_j * ran - idle_j).clamp_min(0.0)
        self._step += 1
        self._last_latency_s = outcome.latency_s
        self._history = self._history.after(self.system, outcome)
        self._channels.advance()
        self._state = State(
            queue=left, channel_gain=self._channels.gain, battery_j=left_j, beta=self._beta(left_j)
        )
        return outcome, reward

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

    def _final_reward(self, left: Tensor) -> Tensor:
        """r_T of eq. (14), (episodes,): 0 in a step that does not end the episode.

        Args:
            left: tasks after the step, (episodes, ues).
        """
        steps = self._step + 1
        saved = 0 if self.episode.tasks_arrive else self.episode.steps - steps
        bonus = self.episode.success_bonus * self.reward_scale * saved
        done = torch.where((left == 0).all(dim=-1), bonus, 0.0)
        if steps < self.episode.steps:
            return done
        return done - (left * self.failure_penalty).sum(dim=-1)

    def _within_limits(self, actions: Actions) -> Actions:
        """The same, p and f cut to their ranges: what they exceed by rounding would exceed the bound."""
        cut = {}
        device = self.tasks.device_in(self.system)
        for name, first, last in (
            ("power_w", device.power_min_w, device.power_max_w),
            ("clock_hz", device.local_clock_min_hz, device.local_clock_max_hz),
        ):
            value = getattr(actions, name).detach().double()
            if not isinstance(first, Tensor) and not isinstance(last, Tensor):
                least, most = (float(end) for end in value.aminmax())
                if first <= least and most <= last:
                    cut[name] = value
                    continue
            low, high = filled(value, first), filled(value, last)
            allowed = (low - 1e-6 * high <= value) & (value <= high * (1.0 + 1e-6))
            if not allowed.all():
                ue = int((~allowed).flatten(0, -2).any(dim=0).to(torch.uint8).argmax())
                ends = f"{float(low[..., ue].max()):g} to {float(high[..., ue].max()):g}"
                raise ValueError(f"actions.{name} must lie in {ends} (UE {ue})")
            cut[name] = clamped(value, low, high)
        if not all(end.isfinite() for end in actions.bandwidth_request.aminmax()):
            raise ValueError("actions.bandwidth_request must be finite")
        if actions.code is not None:
            least, most = (int(end) for end in actions.code.aminmax())
            if actions.code.is_floating_point() or not 0 <= least <= most < self.tasks.codes:
                raise ValueError(f"actions.code must be an index of 0 to {self.tasks.codes - 1}")
        return replace(actions, **cut)


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
    ones = torch.ones_like(beta)
    state = State(
        queue=ones * queue_tasks, channel_gain=ones, battery_j=torch.full_like(beta, torch.inf), beta=beta
    )
    clock_hz = best_local_clock(system, tasks, state)
    best = local_qoe(system, tasks, state, clock_hz=clock_hz)
    for code in range(tasks.codes):
        accuracy = tasks.map_ratio[:, code, -1].expand(beta.shape)
        sent = Transmission(
            power_w=ones * tasks.device_in(system).power_min_w,
            clock_hz=clock_hz,
            bandwidth_hz=ones * system.bandwidth_hz,
            offloading=ones,
            code=torch.full_like(beta, code, dtype=torch.long),
        )
        latency_s, energy_j = offloading_effort(system, tasks, sent, queue=state.queue, accuracy=accuracy)
        cost = standard_cost(system, tasks, state, latency_s=latency_s, energy_j=energy_j)
        best = torch.maximum(best, accuracy / cost)
    return best
