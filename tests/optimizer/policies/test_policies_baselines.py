"""Every policy of the registry, by being in it."""

import itertools
from dataclasses import replace

import pytest
import torch

from data.files.errors import ToolkitError
from optimizer.policies.baselines import POLICIES, ExhaustivePolicy, GreedyPolicy
from optimizer.study.evaluate import play as play_scores
from optimizer.study.evaluate import summarise
from optimizer.world.config import EpisodeConfig, SystemConfig
from optimizer.world.environment import OffloadingEnvironment
from optimizer.world.physics import Actions, best_clock, execute

SYSTEM = SystemConfig()
LARGE, SMALL = 2.5e9, 2e7


def play(name, tasks, *, system=SYSTEM, seed=0, episodes=60, **episode):
    config = EpisodeConfig(**{"mix": ("text",) * tasks.ues} | episode)
    policy = POLICIES[name](system, tasks)
    scores = play_scores(policy, system=system, episode=config, tasks=tasks, episodes=episodes, seed=seed)
    return summarise([scores], None, sees=policy.sees)


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize(
    "episode",
    [{}, {"preference": "dynamic"}, {"csi": "statistical"}, {"offload_cost": "split"}, {"mix": ("vqa",)}],
)
def test_every_policy_plays_every_setting_and_repeats(name, episode, make_tasks):
    """The environment refuses powers and clocks out of range, so playing is also a check of those."""
    tasks = make_tasks(**episode)
    first, second = play(name, tasks, episodes=5, **episode), play(name, tasks, episodes=5, **episode)
    assert first == second
    assert first.qoe.low <= first.qoe.value <= first.qoe.high
    assert first.sees


def test_four_local_ues_earn_the_papers_4_23(make_tasks):
    tested = play("local", make_tasks(), system=SystemConfig(circuit_power_w=0.0))
    assert tested.qoe.value == pytest.approx(4.2331, abs=5e-5)
    assert tested.finished == 1
    assert tested.steps == 10
    assert tested.offloaded == 0


def test_announced_lets_the_ue_of_the_largest_gain_offload_alone(make_tasks):
    """The gain is what offloading earns it more than computing does."""
    mix = ("text", "image", "vqa", "vqa")
    tasks, generator = make_tasks(mix=mix), torch.Generator().manual_seed(0)
    environment = OffloadingEnvironment(
        system=SystemConfig(), episode=EpisodeConfig(mix=mix), tasks=tasks, episodes=50, generator=generator
    )
    view = environment.view()
    actions = POLICIES["announced"](SystemConfig(), tasks).act(view, generator)
    assert (actions.offload.sum(dim=-1) <= 1).all()
    assert actions.offload.any(dim=0).all(), "now one, now another"
    outcome, _ = environment.step(actions)
    gain = outcome.earned_qoe - view.local_qoe
    assert (gain[actions.offload] > 0).all()
    for other in range(4):  # nobody else alone would have earned more
        alone = torch.nn.functional.one_hot(torch.tensor(other), 4).bool().expand(50, 4)
        best = view.best_power(replace(actions, offload=alone))[1]
        assert (best.sum(dim=-1) <= outcome.earned_qoe.sum(dim=-1) + 1e-9).all()


def test_bids_leave_the_contest_to_eq_12(make_tasks):
    """All who gain bid; only those stay whose grant earns more than twice local execution."""
    mix = ("text", "image", "vqa", "vqa")
    tasks, generator = make_tasks(mix=mix), torch.Generator().manual_seed(0)
    environment = OffloadingEnvironment(
        system=SystemConfig(), episode=EpisodeConfig(mix=mix), tasks=tasks, episodes=200, generator=generator
    )
    view = environment.view()
    actions = POLICIES["bids"](SystemConfig(), tasks).act(view, generator)
    assert not (actions.offload & (view.gain <= 0)).any()
    gain = view.gain
    assert torch.allclose(actions.bandwidth_request[gain > 0], 20.0 * gain[gain > 0].log())
    bidders = replace(actions, offload=gain > 0)
    _, earned = view.best_power(bidders)
    assert torch.equal(actions.offload, (gain > 0) & (earned > 2.0 * view.local_qoe))
    few = (gain > 0).sum(dim=-1) > 1
    assert actions.offload[few].sum() < (gain > 0)[few].sum(), "some withdraw"
    largest = torch.nn.functional.one_hot(gain.argmax(dim=-1), 4).bool() & actions.offload
    assert largest.any(dim=-1).sum() > 0.6 * (gain > 0).any(dim=-1).sum()
    bids, announced = (play(name, tasks, mix=mix) for name in ("bids", "announced"))
    assert bids.qoe.value > 0.9 * announced.qoe.value


def test_static_power_changes_it_little(make_tasks):
    assert play("local", make_tasks()).qoe.value == pytest.approx(4.2193, abs=1e-4)


def test_remote_earns_about_4_9_per_ue_where_it_succeeds(make_tasks):
    """Transformer-base at close range, where no execution fails."""
    near = SystemConfig(radius_max_m=12.0, noise_dbm_hz=-175.0)
    tested = play("remote", make_tasks(LARGE), system=near)
    assert tested.violates_accuracy < 0.01
    assert tested.qoe.value / 4 == pytest.approx(4.9, abs=0.25)


def test_which_model_a_ue_runs_decides(make_tasks):
    large, small = make_tasks(LARGE), make_tasks(SMALL)
    assert play("greedy", large).qoe.low > play("local", large).qoe.high
    assert play("greedy", small).offloaded == 0
    assert play("greedy", small).qoe.value == pytest.approx(play("local", small).qoe.value)
    assert play("remote", small).qoe.high < 1


def test_greedy_beats_every_fixed_and_random_policy(make_tasks):
    names = ("greedy", "local", "remote", "random")
    tested = {name: play(name, make_tasks()) for name in names}
    others = [tested[name].qoe.high for name in names[1:]]
    assert tested["greedy"].qoe.low > max(others)


@pytest.mark.parametrize("flops", [LARGE, 8e7])  # at 80 MFLOP a sentence neither side always wins
def test_alone_greedy_takes_the_best_of_what_it_considers(make_tasks, flops):
    """With one UE greedy's assumption is the truth: trying each choice by itself finds nothing better."""
    tasks, episode = make_tasks(flops, mix=("text",)), EpisodeConfig(mix=("text",))
    environment = OffloadingEnvironment(
        system=SYSTEM, episode=episode, tasks=tasks, episodes=500, generator=torch.Generator().manual_seed(0)
    )
    view = environment.view()
    chosen = GreedyPolicy(SYSTEM, tasks).act(view, torch.Generator())

    def earned(actions):
        return execute(SYSTEM, tasks, actions, view.state).earned_qoe

    choices = [
        replace(
            chosen,
            offload=torch.full_like(chosen.offload, offload),
            power_w=torch.full_like(chosen.power_w, 10 ** ((level_dbm - 30) / 10)),
        )
        for offload in (False, True)
        for level_dbm in (18.0, 19.5, 21.0, 22.5, 24.0)
    ]
    best = torch.stack([earned(choice) for choice in choices]).amax(dim=0)
    assert torch.allclose(earned(chosen), best)
    assert 0.1 < chosen.offload.double().mean() < 0.99
    assert chosen.power_w[chosen.offload].unique().numel() > 1


@pytest.mark.parametrize("name", ["central", "exhaustive", "greedy", "remote"])
def test_who_offloads_encodes_at_the_best_clock(name, make_tasks):
    """Split, with a t_max that local execution needs f_max for: the encoder does not."""
    episode = {"mix": ("text", "image"), "offload_cost": "split", "beta": 0.9}
    tasks, system = make_tasks(**episode), SystemConfig(latency_max_s=0.2)
    environment = OffloadingEnvironment(
        system=system, episode=EpisodeConfig(**episode), tasks=tasks, episodes=50,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    view = environment.view()
    text_hz = 250e9 / (1024 * 0.2)
    assert view.clock_hz[:, 0].tolist() == pytest.approx([text_hz] * 50)
    chosen = POLICIES[name](system, tasks).act(view, torch.Generator())
    offload = chosen.offload[:, 0]
    assert offload.any()
    best_hz = best_clock(system, view.beta)[:, 0]
    assert (best_hz < text_hz).all()
    assert torch.equal(chosen.clock_hz[:, 0][offload], best_hz[offload])
    assert torch.equal(chosen.clock_hz[:, 0][~offload], view.clock_hz[:, 0][~offload])


def test_exhaustive_takes_the_best_of_its_levels(make_tasks):
    """Against a plain loop over the same levels, in one state at a time."""
    mix = ("text", "vqa")
    tasks, episode = make_tasks(mix=mix), EpisodeConfig(mix=mix)
    environment = OffloadingEnvironment(
        system=SYSTEM, episode=episode, tasks=tasks, episodes=6, generator=torch.Generator().manual_seed(0)
    )
    view = environment.view()
    chosen = ExhaustivePolicy(SYSTEM, tasks).act(view, torch.Generator())
    earned = execute(SYSTEM, tasks, chosen, view.state).earned_qoe.sum(dim=-1)
    requests = [None, *ExhaustivePolicy.requests]
    powers = [10 ** ((dbm - 30) / 10) for dbm in (18.0, 19.5, 21.0, 22.5, 24.0)]
    best = torch.zeros(6, dtype=torch.float64)
    for first, second in itertools.product(itertools.product(requests, powers), repeat=2):

        def row(pair, kind=torch.float64):
            return torch.tensor(pair, dtype=kind).expand(6, 2)

        actions = Actions(
            offload=row((first[0] is not None, second[0] is not None), torch.bool),
            power_w=row((first[1], second[1])),
            clock_hz=view.clock_hz,
            bandwidth_request=row((first[0] or 0.0, second[0] or 0.0)),
        )
        best = torch.maximum(best, execute(SYSTEM, tasks, actions, view.state).earned_qoe.sum(dim=-1))
    assert torch.allclose(earned, best)


def test_exhaustive_refuses_more_ues_than_it_can_search(make_tasks):
    with pytest.raises(ToolkitError, match="mix: 7 UEs given"):
        ExhaustivePolicy(SYSTEM, make_tasks(mix=("text",) * 7))
