"""What the search below the bound, and `central`, reach: against brute force over a fine grid, and against
every policy of the registry."""

import itertools
from dataclasses import replace

import pytest
import torch

from optimizer.bound import GRIDS, Step, bracket
from optimizer.bound.divide import divide
from optimizer.devices import device_path
from optimizer.policies.baselines import POLICIES
from optimizer.study.evaluate import play
from optimizer.world.config import EpisodeConfig, SystemConfig
from optimizer.world.devices import with_devices
from optimizer.world.environment import OffloadingEnvironment
from optimizer.world.physics import (
    Actions,
    Transmission,
    best_clock,
    best_local_clock,
    execute,
    local_qoe,
    offloading_qoe,
)
from optimizer.world.ranges import clock_from_share, power_from_share, power_levels_w
from profiling import DeviceFile

DEVICES = [
    ("paper",), ("jetson-nano",), ("cortex-m7",), ("raspberry-pi-zero-2w",),
    ("jetson-nano", "phone", "cortex-m7"),
]  # fmt: skip
MIXES = [("text",) * 3, ("text", "image", "vqa")]


def setting_of(make_tasks, devices, mix, **changes):
    files = [DeviceFile.load(device_path(name, role="ue")) for name in devices]
    system, differing = with_devices(SystemConfig(**changes), files * (len(mix) // len(files)))
    return {
        "system": system, "episode": EpisodeConfig(mix=mix),
        "tasks": replace(make_tasks(mix=mix), devices=differing),
    }  # fmt: skip


def drawn_step(setting, *, episodes, seed=0):
    view = OffloadingEnvironment(
        **setting, episodes=episodes, generator=torch.Generator().manual_seed(seed)
    ).view()
    queue = torch.randint(0, 11, view.queue.shape, generator=torch.Generator().manual_seed(seed)).double()
    return Step.known(replace(view.state, queue=queue))


def brute_force(system, tasks, step, *, shares, powers):
    """Best of every set of UEs that offload and every division of the band into `shares` parts, (states,)."""
    state, device = step.longest(step.beta_min), tasks.device_in(system)
    clock_hz = best_local_clock(system, tasks, state)
    local = torch.where(step.queue > 0, local_qoe(system, tasks, state, clock_hz=clock_hz), 0.0)
    band_hz = system.bandwidth_hz * torch.arange(1, shares + 1, dtype=torch.float64) / shares
    best = local.sum(dim=-1)
    for n in range(1, tasks.ues + 1):
        sent = Transmission(
            power_w=power_levels_w(device, powers).view(powers, 1, 1, -1),
            clock_hz=best_clock(device, step.beta_min), bandwidth_hz=band_hz.view(-1, 1, 1),
            offloading=torch.tensor(float(n)), code=None,
        )  # fmt: skip
        earned = offloading_qoe(system, tasks, state, sent).amax(dim=0)  # (shares, states, ues)
        for members in itertools.combinations(range(tasks.ues), n):
            total = earned[:, :, members[0]]
            for ue in members[1:]:
                joint = torch.full_like(total, -torch.inf)
                for part in range(1, shares):
                    joint[part:] = torch.maximum(joint[part:], total[:-part] + earned[part - 1, :, ue])
                total = joint
            rest = local.sum(dim=-1) - local[:, list(members)].sum(dim=-1)
            idle = (step.queue[:, list(members)] == 0).any(dim=-1)
            best = torch.maximum(best, torch.where(idle, -torch.inf, rest + total[-1]))
    return best


@pytest.mark.parametrize(
    ("devices", "mix", "partial"),
    [(devices, mix, False) for devices in DEVICES for mix in MIXES]
    + [(DEVICES[i], MIXES[1], True) for i in (1, 4)],
)
def test_the_search_reaches_brute_force_over_a_fine_grid(make_tasks, devices, mix, partial):
    """On devices for which several UEs offload at once, some of them only to take band off others."""
    setting = setting_of(make_tasks, devices, mix, partial_band=partial)
    system, tasks = setting["system"], setting["tasks"]
    step = drawn_step(setting, episodes=24)
    found = bracket(system, tasks, step, grids=GRIDS[:1])
    brute = brute_force(system, tasks, step, shares=60, powers=5)
    assert brute.max() > 0
    assert (brute <= found.upper * (1 + 1e-12)).all()
    assert (found.lower <= found.upper * (1 + 1e-12)).all()
    assert found.lower.sum() >= brute.sum()
    assert (found.lower >= 0.99 * brute).all()
    outcome = execute(system, tasks, found.actions, step.longest(step.beta_min))
    assert torch.allclose(outcome.earned_qoe.sum(dim=-1), found.lower)


@pytest.mark.parametrize(
    ("devices", "mix"), [(("paper",), ("text", "image")), (("jetson-nano",), ("text", "image", "vqa"))]
)
def test_no_policy_earns_more_than_central(make_tasks, devices, mix):
    setting = setting_of(make_tasks, devices, mix)
    scores = {
        name: play(make(setting["system"], setting["tasks"]), **setting, episodes=12, seed=3).qoe.mean()
        for name, make in POLICIES.items()
    }
    assert scores["central"] >= 0.998 * max(scores.values()), scores


def test_less_than_the_granted_band_is_never_worse_and_bounded(make_tasks):
    """What random actions earn with the best part of each grant, with all of it, and the bound."""
    mix, gains = ("text", "image", "vqa"), []
    whole, partial = (
        setting_of(make_tasks, ("jetson-nano",), mix, partial_band=flag) for flag in (False, True)
    )
    step = drawn_step(whole, episodes=40)
    state, tasks = step.longest(step.beta_min), whole["tasks"]
    found = bracket(partial["system"], tasks, step, grids=GRIDS[:1])
    assert (found.upper >= bracket(whole["system"], tasks, step, grids=GRIDS[:1]).lower * (1 - 1e-12)).all()
    generator = torch.Generator().manual_seed(1)
    for _ in range(40):
        coin, power, clock, request = torch.rand((4, 40, 3), generator=generator, dtype=torch.float64)
        actions = Actions(
            offload=coin < 0.7, power_w=power_from_share(whole["system"], power),
            clock_hz=clock_from_share(whole["system"], clock), bandwidth_request=4 * request,
        )  # fmt: skip
        all_of_it, part = (execute(one["system"], tasks, actions, state) for one in (whole, partial))
        assert (part.earned_qoe >= all_of_it.earned_qoe).all()
        assert torch.equal(part.bandwidth_hz, all_of_it.bandwidth_hz), "the grant is (12)'s"
        assert (part.snr_db >= all_of_it.snr_db - 1e-9).all()
        assert (part.earned_qoe.sum(dim=-1) <= found.upper * (1 + 1e-12)).all()
        gains.append((part.earned_qoe - all_of_it.earned_qoe).sum())
    assert sum(gains) > 0


def test_divide_is_the_best_of_all_divisions():
    generator = torch.Generator().manual_seed(0)
    parts, ues, states = 6, 3, 10
    earned = torch.randn((parts, states, ues), generator=generator, dtype=torch.float64)
    earned[:, 0, 1] = -torch.inf  # must not offload
    local = torch.randn((states, ues), generator=generator, dtype=torch.float64)
    for n in (1, 2, 3):
        best = torch.full((states,), -torch.inf, dtype=torch.float64)
        for taken in itertools.product(range(parts + 1), repeat=ues):
            if sum(taken) == parts and sum(part > 0 for part in taken) == n:
                value = sum(earned[part - 1, :, i] if part else local[:, i] for i, part in enumerate(taken))
                best = torch.maximum(best, value)
        chosen = divide(earned, local, n)
        if n == 3:
            assert not chosen[0].any(), "the second UE of the first state may not"
        else:
            assert chosen[0].sum() == parts
        rows = slice(1 if n == 3 else 0, None)
        given = earned.gather(0, (chosen - 1).clamp_min(0).unsqueeze(0))[0]
        value = torch.where(chosen > 0, given, local).sum(dim=-1)
        assert torch.allclose(value[rows], best[rows])
