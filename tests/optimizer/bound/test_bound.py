"""The certified bound against brute force, against random points of its cells, and against every policy."""

import itertools
import math
from dataclasses import replace

import pytest
import torch

from optimizer.bound import GRIDS, Step, bracket, cell_upper, episode_bound
from optimizer.bound.count import programme
from optimizer.bound.episode import _World
from optimizer.policies.baselines import POLICIES
from optimizer.study.evaluate import play
from optimizer.world.config import EpisodeConfig, SystemConfig
from optimizer.world.environment import OffloadingEnvironment
from optimizer.world.physics import (
    Actions,
    State,
    Transmission,
    best_local_clock,
    execute,
    local_reference,
    needed_snr_db,
    offloading_qoe,
)
from optimizer.world.ranges import clock_from_share, power_from_share

SYSTEM = SystemConfig()
MIXES = [("text", "image"), ("text", "vqa", "vqa")]


def states(tasks, *, episodes=12, seed=0, preference="fixed", **episode) -> Step:
    environment = OffloadingEnvironment(
        system=SYSTEM, episode=EpisodeConfig(preference=preference, **episode), tasks=tasks,
        episodes=episodes, generator=torch.Generator().manual_seed(seed),
    )  # fmt: skip
    view = environment.view()
    queue = torch.randint(0, 11, view.queue.shape, generator=torch.Generator().manual_seed(seed)).double()
    return Step.known(replace(view.state, queue=queue))


def brute_force(tasks, step: Step, *, shares: int, powers: int, clocks: int = 0) -> torch.Tensor:
    """Best of every set of UEs, division of the band into `shares` parts, k, and each of `powers` and of
    `clocks`, the closed form's where there are none."""
    best_hz = best_local_clock(SYSTEM, tasks, step.longest(step.beta_min))
    device = tasks.device_in(SYSTEM)
    tried_hz = [
        clock_from_share(device, torch.full_like(best_hz, i / (clocks - 1))) for i in range(clocks)
    ] or [best_hz]
    ues = tasks.ues
    best = torch.zeros(step.queue.shape[0], dtype=torch.float64)
    for offload in itertools.product((False, True), repeat=ues):
        members = [i for i in range(ues) if offload[i]]
        parts = [
            part for part in itertools.product(range(1, shares), repeat=max(len(members) - 1, 0))
            if sum(part) < shares
        ]  # fmt: skip
        request = torch.zeros(len(parts), 1, ues, dtype=torch.float64)
        for row, part in enumerate(parts):
            whole = (*part, shares - sum(part)) if members else ()
            for i, size in zip(members, whole, strict=True):
                request[row, 0, i] = math.log(size)
        shape = (len(parts), *step.queue.shape)
        earned = []
        for level, code, clock_hz in itertools.product(range(powers), range(tasks.codes), tried_hz):
            actions = Actions(
                offload=torch.tensor(offload).expand(shape),
                power_w=power_from_share(
                    device, torch.full(shape, level / (powers - 1), dtype=torch.float64)
                ),
                clock_hz=clock_hz.expand(shape),
                bandwidth_request=request.expand(shape),
                code=torch.full(shape, code),
            )
            state = step.longest(step.beta_min).expand(shape)
            earned.append(execute(SYSTEM, tasks, actions, state).earned_qoe)
        best = torch.maximum(best, torch.stack(earned).amax(dim=0).sum(dim=-1).amax(dim=0))
    return best


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize(
    ("episode", "k"),
    [({}, (16,)), ({"preference": "dynamic"}, (16,)), ({"offload_cost": "split"}, (16,)), ({}, (16, 8))],
)
def test_brute_force_lies_below_and_the_gap_is_small(make_tasks, mix, episode, k):
    tasks = make_tasks(mix=mix, k=k, **episode)
    step = states(tasks, mix=mix, **episode)
    found = bracket(SYSTEM, tasks, step)
    brute = brute_force(tasks, step, shares=24, powers=13)
    assert (brute <= found.upper * (1 + 1e-12)).all()
    assert (found.lower <= found.upper * (1 + 1e-12)).all()
    assert (found.lower >= 0.995 * brute).all()
    assert 1 - found.lower.sum() / found.upper.sum() < 0.005
    outcome = execute(SYSTEM, tasks, found.actions, step.longest(step.beta_min))
    assert torch.allclose(outcome.earned_qoe.sum(dim=-1), found.lower)


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("episode", [{}, {"preference": "dynamic", "offload_cost": "split"}])
def test_brute_force_over_ues_with_devices_of_their_own_lies_below(make_tasks, slow_devices, mix, episode):
    """Its powers and clocks are those of each UE's own ranges."""
    tasks = replace(make_tasks(mix=mix, **episode), devices=slow_devices(len(mix)))
    step = states(tasks, mix=mix, **episode)
    found = bracket(SYSTEM, tasks, step)
    brute = brute_force(tasks, step, shares=16, powers=13, clocks=17)
    assert (brute <= found.upper * (1 + 1e-12)).all()
    assert (found.lower <= found.upper * (1 + 1e-12)).all()
    assert (found.lower >= 0.995 * brute).all()
    assert 1 - found.lower.sum() / found.upper.sum() < 0.005
    outcome = execute(SYSTEM, tasks, found.actions, step.longest(step.beta_min))
    assert torch.allclose(outcome.earned_qoe.sum(dim=-1), found.lower)
    same = bracket(SYSTEM, replace(tasks, devices=None), step)
    assert not torch.allclose(same.upper, found.upper, rtol=0.05)


def test_the_band_that_no_ue_may_use_goes_to_the_one_that_fails_anyway(make_tasks):
    """The more band, the lower the SNR (1): two UEs succeed on up to a share each, the third never. Both earn
    if the third, of no other use, takes the rest (12)."""
    system, ues, count = replace(SYSTEM, local_flops_per_cycle=128.0), 3, 200
    tasks = make_tasks(mix=("text",) * ues)
    needed = 10 ** (needed_snr_db(system, tasks) / 10)
    drawn = torch.rand((count, 2), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    used = torch.stack((0.03 + 0.3 * drawn[:, 0], 0.3 + 0.35 * drawn[:, 1]), dim=-1)
    shares = torch.cat((used, torch.full((count, 1), 1e-9, dtype=torch.float64)), dim=-1)
    queue = torch.full_like(shares, 5.0)
    state = State(
        queue=queue, battery_j=torch.full_like(queue, torch.inf), beta=torch.full_like(queue, 0.5),
        channel_gain=needed * shares * system.bandwidth_hz * system.noise_w_hz / system.power_max_w,
    )  # fmt: skip
    rest = 1.0 - 0.999 * used.sum(dim=-1, keepdim=True)
    both = Actions(
        offload=torch.ones_like(queue, dtype=torch.bool),
        power_w=torch.full_like(queue, system.power_max_w),
        clock_hz=best_local_clock(system, tasks, state),
        bandwidth_request=torch.log(torch.cat((0.999 * used, rest), dim=-1)),
    )
    earned = execute(system, tasks, both, state).earned_qoe
    assert (earned[:, :2] > 0).all()
    assert (earned[:, 2] == 0).all()
    found = bracket(system, tasks, Step.known(state), grids=GRIDS[:1])
    assert (found.lower >= 0.98 * earned.sum(dim=-1)).all()


@pytest.mark.parametrize("episode", [{}, {"preference": "dynamic"}])
def test_batteries_that_decide_the_clock_leave_the_gap_small(make_tasks, episode):
    """From too little for any clock to enough for all, of what a queue takes locally."""
    mix = MIXES[0]
    tasks = make_tasks(mix=mix)
    step = states(tasks, mix=mix, episodes=30, seed=1, **episode)
    share = torch.rand(step.queue.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    most_j, _ = local_reference(SYSTEM, tasks, step.queue)
    step = replace(step, battery_j=(0.2 + share) * most_j)
    state = step.longest(step.beta_min)
    free = best_local_clock(SYSTEM, tasks, replace(state, battery_j=torch.full_like(share, torch.inf)))
    kept = best_local_clock(SYSTEM, tasks, step.longest(step.beta_min))
    assert 0.1 < (kept < free).double().mean() < 0.9
    found = bracket(SYSTEM, tasks, step)
    brute = brute_force(tasks, step, shares=12, powers=7, clocks=33)
    assert (brute <= found.upper * (1 + 1e-12)).all()
    assert (found.lower <= found.upper * (1 + 1e-12)).all()
    assert (found.lower >= 0.995 * brute).all()
    assert 1 - found.lower.sum() / found.upper.sum() < 0.005


def test_states_of_whole_numbers_are_bounded_alike(make_tasks):
    tasks = make_tasks(mix=MIXES[0])
    known = states(tasks, mix=MIXES[0])
    state = replace(known.longest(known.beta_min), queue=known.queue.long())
    whole = bracket(SYSTEM, tasks, Step.known(state))
    for name in ("upper", "lower"):
        assert torch.equal(getattr(whole, name), getattr(bracket(SYSTEM, tasks, known), name))


def test_coarser_grids_are_looser_but_still_above(make_tasks):
    tasks = make_tasks(mix=MIXES[1])
    step = states(tasks, mix=MIXES[1])
    fine, coarse = (bracket(SYSTEM, tasks, step, grids=grids) for grids in (GRIDS, GRIDS[:1]))
    assert (coarse.upper >= fine.lower).all()
    assert coarse.upper.sum() > fine.upper.sum()


def test_any_point_of_a_cell_lies_below_its_bound(make_tasks):
    """Bandwidths down to 0 Hz and powers down to p_min."""
    tasks = make_tasks(mix=("text", "image", "vqa"), k=(16, 8))
    step = states(tasks, mix=("text", "image", "vqa"), episodes=40)
    edges = SYSTEM.bandwidth_hz * torch.tensor([0.0, 0.001, 0.01, 0.1, 0.3, 0.7, 1.0], dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    for n in (1, 3):
        upper = cell_upper(SYSTEM, tasks, step, offloading=n, low_hz=edges[:-1], high_hz=edges[1:], powers=4)
        for _ in range(30):
            where, level = torch.rand((2, *upper.shape), generator=generator, dtype=torch.float64)
            bandwidth = edges[:-1].view(-1, 1, 1) + where * edges.diff().view(-1, 1, 1)
            dbm = SYSTEM.power_min_dbm + (level * 1.2 - 0.1).clamp(0, 1) * 6.0  # ends included
            state = step.longest(step.beta_min)
            sent = Transmission(
                power_w=10 ** ((dbm - 30) / 10), clock_hz=best_local_clock(SYSTEM, tasks, state),
                bandwidth_hz=bandwidth.clamp_min(1e-3), offloading=torch.tensor(float(n)),
                code=torch.randint(2, upper.shape, generator=generator),
            )  # fmt: skip
            earned = offloading_qoe(SYSTEM, tasks, state, sent)
            assert (torch.where(step.queue > 0, earned, 0.0) <= upper * (1 + 1e-12)).all()


def test_programme_is_the_best_of_all_assignments():
    generator = torch.Generator().manual_seed(0)
    cells, ues = 5, 3
    tilted = torch.randn((cells, 20, ues), generator=generator, dtype=torch.float64)
    local = torch.randn((20, ues), generator=generator, dtype=torch.float64)
    for n in (1, 2, 3):
        best = torch.full((20,), -torch.inf, dtype=torch.float64)
        for members in itertools.combinations(range(ues), n):
            for places in itertools.product(range(cells), repeat=n):
                if cells - n <= sum(places) <= cells:
                    value = local.sum(dim=-1)
                    for i, place in zip(members, places, strict=True):
                        value = value - local[:, i] + tilted[place, :, i]
                    best = torch.maximum(best, value)
        assert torch.allclose(programme(tilted, local, n), best)


@pytest.mark.parametrize(
    ("change", "k"),
    [
        ({"preference": "fixed"}, (16,)), ({"preference": "dynamic"}, (16,)), ({"csi": "statistical"}, (16,)),
        ({"offload_cost": "split"}, (16,)), ({}, (16, 8)),
        ({"preference": "dynamic", "idle_drain": 1.0, "battery_queues": 5.0}, (16,)),
    ],
)  # fmt: skip
def test_no_policy_exceeds_the_episode_bound(make_tasks, change, k):
    mix = ("text", "image")
    tasks, episode = make_tasks(mix=mix, k=k, **change), EpisodeConfig(mix=mix, **change)
    setting = {"system": SYSTEM, "episode": episode, "tasks": tasks, "episodes": 12, "seed": 3}
    bound = episode_bound(**setting)

    class Waits:
        """Lets every task fail while it may still finish, and then does as `central` does."""

        def act(self, view, generator):
            central = POLICIES["central"](SYSTEM, tasks).act(view, generator)
            good = view.offers([(1, 1.0)], [SYSTEM.power_max_w])[0][0] > 0
            wait = ~good.any(dim=-1, keepdim=True) & (view.queue.amax(dim=-1, keepdim=True) < 20 - view.step)
            return Actions(**{**vars(central), "offload": central.offload | wait})

    scores = {name: play(make(SYSTEM, tasks), **setting) for name, make in POLICIES.items()}
    scores["waits"] = play(Waits(), **setting)
    for name, score in scores.items():
        assert (score.qoe <= bound * (1 + 1e-9)).all(), name
    assert scores["waits"].steps.mean() > 10.5
    if not episode.idle_drain:  # waiting for beta to rise would pay, of which the bound knows no end
        assert scores["central"].qoe.mean() > 0.93 * bound.mean()
    assert scores["exhaustive"].qoe.mean() > scores["greedy"].qoe.mean()


def test_no_policy_exceeds_the_episode_bound_with_devices_of_their_own(make_tasks, slow_devices):
    mix = ("text", "image", "text")
    tasks = replace(make_tasks(mix=mix), devices=slow_devices(3))
    setting = {"system": SYSTEM, "episode": EpisodeConfig(mix=mix), "tasks": tasks, "episodes": 8, "seed": 3}
    bound = episode_bound(**setting)
    for name, make in POLICIES.items():
        score = play(make(SYSTEM, tasks), **setting)
        assert (score.qoe <= bound * (1 + 1e-9)).all(), name
        if name == "central":
            assert score.qoe.mean() > 0.9 * bound.mean()


@pytest.mark.parametrize("horizon", [1, 2])
def test_brute_force_over_an_episode_without_a_spare_step_lies_below(make_tasks, horizon):
    """T = D: an episode is over after D steps, finished or not. A task that waits keeps its queue long, over
    which the download latency is spread: unfinished episodes exceed the bound of finished ones."""
    system = SystemConfig(download_latency_s=0.05, noise_dbm_hz=-150.0, local_flops_per_cycle=16.0)
    mix = ("text", "image")
    tasks, episode = make_tasks(mix=mix), EpisodeConfig(mix=mix, queue_tasks=horizon, steps=horizon)
    setting = {"system": system, "episode": episode, "tasks": tasks, "episodes": 40, "seed": 5}
    bound, world = episode_bound(**setting), _World(system, episode, tasks, 40, 5)

    choices = [(mine, other) for mine in (False, True) for other in (False, True)]
    requests = [math.log(share / (12 - share)) for share in range(1, 12)]
    powers = torch.linspace(0.0, 1.0, 5, dtype=torch.float64)
    rows = list(itertools.product(choices, requests, powers.tolist(), powers.tolist()))
    offload = torch.tensor([row[0] for row in rows]).unsqueeze(1)
    request = torch.tensor([[row[1], 0.0] for row in rows], dtype=torch.float64).unsqueeze(1)
    power_w = power_from_share(
        system, torch.tensor([row[2:] for row in rows], dtype=torch.float64)
    ).unsqueeze(1)

    def step(t, queues):
        shape = (len(rows), 40, 2)
        queue = torch.tensor(queues, dtype=torch.float64).expand(shape)
        state = State(
            queue=queue, channel_gain=world._gain[t].expand(shape),
            battery_j=world._battery_j.expand(shape), beta=world._beta.expand(shape),
        )  # fmt: skip
        clock_hz = best_local_clock(system, tasks, state)
        actions = Actions(
            offload=offload.expand(shape), power_w=power_w.expand(shape), clock_hz=clock_hz,
            bandwidth_request=request.expand(shape),
        )  # fmt: skip
        return execute(system, tasks, actions, state)

    every = list(itertools.product(range(horizon + 1), repeat=2))
    later = torch.zeros((horizon + 1, horizon + 1, 40), dtype=torch.float64)
    for t in reversed(range(horizon)):
        best = torch.zeros_like(later)
        for queues in every:
            outcome = step(t, queues)
            mine, other = (queues[i] - outcome.success[..., i].long() for i in (0, 1))
            follows = later[mine, other, torch.arange(40)]
            best[queues] = (outcome.earned_qoe.sum(dim=-1) + follows).amax(dim=0)
        later = best
    reached = later[horizon, horizon] / horizon
    assert (reached <= bound * (1 + 1e-12)).all()
    if horizon > 1:
        assert (reached > world.shortest() * 1.01).any()
    for name, make in POLICIES.items():
        assert (play(make(system, tasks), **setting).qoe <= bound * (1 + 1e-9)).all(), name
