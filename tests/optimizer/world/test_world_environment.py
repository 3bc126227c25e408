"""Rewards, queues, batteries and draws of the batched environment."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.bound import Step, cell_upper
from optimizer.policies.baselines import POLICIES, LocalPolicy, RandomPolicy
from optimizer.world.channel.draws import fading_power
from optimizer.world.config import EpisodeConfig, SystemConfig
from optimizer.world.environment import OffloadingEnvironment
from optimizer.world.physics import Actions, State, execute
from optimizer.world.ranges import clock_from_share, power_from_share, power_levels_w
from optimizer.world.view import BID_SCALE, COLUMN, LOOKUP_POWERS, OBSERVATION_SIZE, SEEN

SYSTEM = SystemConfig()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def make_environment(make_tasks):
    def make(*, system=SYSTEM, episodes=3, seed=0, flops=2.5e9, **episode):
        return OffloadingEnvironment(
            system=system, episode=EpisodeConfig(**{"mix": ("text",) * 4} | episode),
            tasks=make_tasks(flops, **episode),
            episodes=episodes, generator=generator(seed),
        )  # fmt: skip

    return make


def everyone(environment, *, offload: bool, clock_hz: float = 1.28e9) -> Actions:
    shape = (environment.episodes, environment.tasks.ues)
    return Actions(
        offload=torch.full(shape, offload),
        power_w=torch.full(shape, SYSTEM.power_max_w, dtype=torch.float64),
        clock_hz=torch.full(shape, clock_hz, dtype=torch.float64),
        bandwidth_request=torch.zeros(shape, dtype=torch.float64),
    )


def test_observation_is_what_the_design_lists(make_environment):
    environment = make_environment(mix=("text", "vqa"))
    view = environment.view()
    assert view.observation.shape == (3, 2, OBSERVATION_SIZE)
    names = ("x", "y", "battery", "queue", "beta", "last_latency", "mean_channel", "time", "earned_locally")
    x, y, battery, queue, beta, latency, mean, time, local = (
        view.observation[..., COLUMN[name]] for name in names
    )
    assert (torch.hypot(x, y) <= 1).all()
    assert torch.allclose(battery.double(), view.battery_j / environment.battery_max_j, atol=1e-6)
    assert torch.equal(queue, torch.ones(3, 2))
    assert torch.equal(beta, torch.full((3, 2), 0.5))
    assert not latency.any()
    assert not time.any()
    channel = view.observation[..., COLUMN["channel"]]
    for column, gain in ((mean, view.mean_gain), (channel, view.channel_gain)):
        nominal = gain * SYSTEM.power_max_w / (SYSTEM.bandwidth_hz / 4 * SYSTEM.noise_w_hz)
        assert torch.allclose(column.double(), torch.log10(nominal) / 2, atol=1e-5)
    assert torch.allclose(local.double(), torch.log1p(view.local_qoe), atol=1e-6)
    modalities = [COLUMN[f"is_{name}"] for name in ("text", "image", "vqa")]
    assert view.observation[..., modalities].tolist() == [[[1, 0, 0], [0, 0, 1]]] * 3
    lookup = view.observation[..., COLUMN["alone"]]
    chosen = everyone(environment, offload=True)
    chosen = replace(chosen, offload=chosen.offload & torch.tensor([True, False]))
    earned = [
        execute(SYSTEM, view.tasks, replace(chosen, power_w=power_w.expand(3, 2)), view.state).earned_qoe
        for power_w in power_levels_w(SYSTEM, LOOKUP_POWERS)
    ]
    best = torch.stack(earned).amax(dim=0)[:, 0]
    assert torch.allclose(lookup[:, 0].double(), torch.log1p(best), atol=1e-5)


def test_of_the_others_a_ue_hears_the_largest_gain(make_environment):
    """What each would earn alone on the band and the server, less what it earns locally; nobody without a
    task says anything."""
    environment = make_environment(mix=("text", "vqa", "image"), episodes=20)
    environment.view().queue[:, 2] = 0.0
    view = environment.view()
    column = COLUMN["rival"]
    heard, ahead = view.observation[..., column], view.observation[..., column + 1]
    alone = torch.expm1(view.observation[..., COLUMN["alone"]].double())
    gain = (alone - view.local_qoe).clamp_min(0.0)
    expected = torch.stack((gain[:, 1], gain[:, 0], gain[:, :2].amax(dim=-1)), dim=-1)
    assert (gain > 0).any(dim=0).all()
    assert torch.allclose(heard.double(), torch.log1p(expected), atol=1e-4)
    assert torch.equal(ahead[:, 0], (gain[:, 0] > gain[:, 1]).float())
    assert not ahead[:, 2].any()
    alone = make_environment(mix=("text",), episodes=20).view().observation[..., column : column + 2]
    assert not alone[..., 0].any()
    assert alone[..., 1].any()


def test_of_equal_gains_the_station_names_the_first(make_environment):
    """Else nobody would be told to be the largest; `announced` follows the same name."""
    environment = make_environment(episodes=20)
    view = environment.view()
    gains = torch.tensor([[2.0, 5.0, 5.0, 1.0], [3.0, 3.0, 3.0, 3.0], [0.0, 0.0, 0.0, 0.0]])
    tied = replace(view)
    vars(tied)["gain"] = gains
    rival, named = tied.announced
    assert named.tolist() == [[False, True, False, False], [True, False, False, False], [False] * 4]
    assert rival.tolist() == [[5.0, 5.0, 5.0, 5.0], [3.0, 3.0, 3.0, 3.0], [0.0] * 4]
    equal = replace(view, state=replace(view.state, channel_gain=torch.full((20, 4), 1e-7)))
    assert (equal.gain > 0).all()
    actions = POLICIES["announced"](SYSTEM, view.tasks).act(equal, generator())
    leads = equal.observation[..., COLUMN["leads"]] > 0
    assert torch.equal(actions.offload, leads)
    assert leads.sum(dim=-1).tolist() == [1] * 20


@pytest.mark.parametrize("observation", list(SEEN))
def test_a_ue_observes_what_its_setting_lets_it(make_environment, observation):
    """Everything else is 0, whatever happened before."""
    environment = make_environment(mix=("text", "vqa", "image"), episodes=20, observation=observation)
    environment.step(everyone(environment, offload=True))
    view = environment.view()
    shown = view.observation.any(dim=0).any(dim=0)
    assert {name for name, i in COLUMN.items() if shown[i]} == set(SEEN[observation])
    places = [COLUMN[name] for name in SEEN[observation]]
    assert torch.equal(view.observation[..., places], view.columns[..., places])
    assert set(SEEN["printed"]) == {"x", "y", "battery", "last_latency"}


def test_what_a_bid_is_granted_tells_how_strong_the_others_are(make_environment):
    """Eq. (12) with b-hat = 20 ln(gain), undone by each UE for itself."""
    environment = make_environment(mix=("text", "vqa", "image", "vqa"), episodes=50, observation="bids")
    environment.view().queue[:10, 3] = 0.0
    view = environment.view()
    rival, leads = view.told_by_bids
    largest = view.gain.amax(dim=-1, keepdim=True).clamp_min(1e-9)
    span = view.system.bandwidth_request_span
    weight = ((view.gain / largest) ** BID_SCALE).clamp_min(math.exp(-span))  # (12) counts no bid as less
    weight = torch.where(view.gain > 0, weight, 0.0)
    share = weight / weight.sum(dim=-1, keepdim=True)
    norm = largest * (weight.sum(dim=-1, keepdim=True) - weight) ** (1.0 / BID_SCALE)
    near = view.gain > 0.7 * largest
    several = near & ((view.gain > 0).sum(dim=-1, keepdim=True) > 1) & (share < 1 - 1e-9)
    assert several.sum() > 30
    assert torch.allclose(rival[several], norm[several], rtol=1e-6)
    assert torch.equal(leads[near], (share > 0.5)[near])
    assert not rival[view.gain == 0].any()
    assert not leads[view.gain == 0].any()
    alone = (view.gain > 0) & ((view.gain > 0).sum(dim=-1, keepdim=True) == 1)
    assert not rival[alone].any()
    assert leads[alone].all()


def test_a_ue_remembers_its_own_grants(make_environment):
    environment = make_environment(mix=("text", "vqa", "image"), episodes=4, observation="history")
    assert not environment.view().observation[..., COLUMN["offloaded"] :].any()
    first = everyone(environment, offload=True)
    granted = environment.step(first)[0].bandwidth_hz / SYSTEM.bandwidth_hz
    second = replace(first, offload=torch.tensor([True, False, False]).expand(4, 3))
    environment.step(second)
    view = environment.view()

    def column(name):
        return view.observation[..., COLUMN[name]].double()

    assert torch.equal(column("offloaded"), second.offload.double())
    assert torch.equal(column("granted"), second.offload.double())
    assert torch.allclose(column("sharing").expm1(), second.offload.double(), atol=1e-6)
    assert torch.allclose(column("mean_offloaded"), torch.tensor([1.0, 0.5, 0.5]).double().expand(4, 3))
    expected = torch.stack(((granted[:, 0] + 1.0) / 2, granted[:, 1], granted[:, 2]), dim=-1)
    assert torch.allclose(column("mean_granted"), expected, atol=1e-6)
    sharing = torch.tensor([2.0, 3.0, 3.0]).double().expand(4, 3)
    assert torch.allclose(column("mean_sharing").expm1(), sharing, atol=1e-5)
    environment.reset()
    assert not environment.view().observation[..., COLUMN["offloaded"] :].any()


def test_the_number_that_offload_follows_from_a_ues_own_latency(make_environment):
    """What the history says of the others is in (5): the server's time goes by their number."""
    environment = make_environment(mix=("text", "vqa", "image"), episodes=4)
    view = environment.view()
    outcome, _ = environment.step(everyone(environment, offload=True))
    tasks = view.tasks
    sending = tasks.symbols[:, 0] / (outcome.bandwidth_hz * outcome.accuracy.clamp_min(SYSTEM.accuracy_floor))
    serving = (outcome.latency_s - SYSTEM.download_latency_s) / view.queue - sending
    number = serving * SYSTEM.remote_capacity_flops / tasks.server_flops
    assert torch.allclose(number, torch.full_like(number, 3.0), rtol=1e-6)


def test_local_execution_finishes_in_ten_steps_with_the_printed_reward(make_environment):
    environment = make_environment()
    rewards = []
    for _ in range(20):
        view = environment.view()
        outcome, reward = environment.step(everyone(environment, offload=False))
        assert torch.equal(outcome.success, view.queue > 0)
        rewards.append(reward)
    total = torch.stack(rewards)
    assert torch.allclose(
        total[:9], torch.full((9, 3), 4.0, dtype=torch.float64)
    )  # (13): QoE 1 for each of 4
    bonus = environment.episode.success_bonus * environment.reward_scale
    assert torch.allclose(total[9], 4.0 + (20 - 10) * bonus)  # (14), t_0 = 10
    assert not total[10:].any()


def test_unfinished_queues_are_punished_at_the_end(make_environment):
    """Noise so strong that nobody is understood: (11b) fails in every step, (14) charges 4 queues of 10."""
    environment = make_environment(system=SystemConfig(noise_dbm_hz=-40.0), idle_drain=0.0)
    rewards = [environment.step(everyone(environment, offload=True))[1] for _ in range(20)]
    assert torch.equal(rewards[0], torch.full((3,), -4.0, dtype=torch.float64))  # each at penalty_max
    penalty = 10 * environment.failure_penalty.sum(dim=-1)
    assert torch.allclose(rewards[-1], -4.0 - penalty)
    assert environment.finished.all()


def test_one_task_left_costs_more_than_any_step_earned(make_environment):
    environment = make_environment(episodes=200)
    policy = RandomPolicy(SYSTEM, environment.tasks)
    best = torch.zeros(4, dtype=torch.float64)
    for _ in range(20):
        outcome, _ = environment.step(policy.act(environment.view(), generator(1)))
        best = torch.maximum(best, outcome.earned_qoe.amax(dim=0))
    assert (environment.failure_penalty >= best).all()
    assert (environment.failure_penalty <= 3 * best).all()  # the bound is not vacuous


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        # too slow for t_max, by less than penalty_max: t_max - t_i
        (SystemConfig(latency_max_s=0.05), 0.05 - 10 * 25e9 / (1024 * 1.28e9)),
        # the battery holds less than the step takes: minus the share that is missing
        (SystemConfig(), -0.5),
    ],
)
def test_what_eq_13_punishes(make_environment, system, expected):
    scale = 2.0 if system.latency_max_s < 1 else 10 / (2 * 55)  # the first of the queue's 55 E_0 takes 10
    environment = make_environment(system=system, mix=("text",), battery_queues=scale, battery_start_min=1.0)
    _, reward = environment.step(everyone(environment, offload=False))
    assert reward.tolist() == pytest.approx([expected] * 3)


def test_accuracy_failure_earns_epsilon_minus_epsilon_min(make_environment):
    environment = make_environment(mix=("text",), episodes=500)
    outcome, reward = environment.step(everyone(environment, offload=True))
    inaccurate = (outcome.in_time & ~outcome.accurate).squeeze(-1)
    assert inaccurate.sum() > 20
    assert torch.allclose(reward[inaccurate], (outcome.accuracy.squeeze(-1) - 0.9)[inaccurate])


def test_dynamic_beta_spans_half_to_095_among_the_ues(make_environment):
    environment = make_environment(preference="dynamic", episodes=500)
    before = environment.view().beta
    assert before.min().item() == pytest.approx(0.5, abs=0.01)
    assert before.max().item() == pytest.approx(0.95, abs=0.01)
    for _ in range(10):
        environment.step(everyone(environment, offload=False))
    rise = environment.view().beta - before
    assert torch.allclose(rise, torch.full_like(rise, 0.5 / 5000))  # (28): one queue of the battery's 5000


def test_idle_drain_empties_the_battery(make_environment):
    environment = make_environment(preference="dynamic", idle_drain=1.0)
    for _ in range(20):
        environment.step(everyone(environment, offload=True))
    assert environment.view().beta.numpy() == pytest.approx(1.0)


def test_drawn_beta_is_one_for_all_ues_and_stays(make_environment):
    environment = make_environment(preference="drawn", episodes=200)
    beta = environment.view().beta
    assert torch.equal(beta, beta[:, :1].expand_as(beta))
    assert 0 <= beta.min() < 0.05
    assert 0.95 < beta.max() <= 1
    environment.step(everyone(environment, offload=True))
    assert torch.equal(environment.view().beta, beta)


def test_late_execution_drains_no_more_than_t_max(make_environment):
    environment = make_environment(system=SystemConfig(noise_dbm_hz=-40.0), mix=("text",), idle_drain=0.0)
    before = environment.view().battery_j
    outcome, _ = environment.step(everyone(environment, offload=True))
    assert (outcome.latency_s > 1).all()
    drained = before - environment.view().battery_j
    assert torch.allclose(drained, outcome.energy_j / outcome.latency_s)


ACTION = st.tuples(st.booleans(), st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.floats(-12.0, 12.0))
"""rho, and p and f as shares of their ranges, b-hat."""


def test_queues_and_batteries_are_conserved_under_any_actions(make_tasks):
    """Every task that leaves a queue was a success, every joule that leaves a battery was drained."""
    mix, system = ("text", "vqa"), SystemConfig(latency_max_s=0.15)  # some are late, locally and offloading
    tasks = make_tasks(mix=mix)
    seen = dict.fromkeys(("success", "failure", "late", "emptied", "idle UE"), 0)

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(st.lists(ACTION, min_size=4, max_size=4), min_size=12, max_size=12),
        st.integers(0, 2**31), st.floats(0.02, 2.0), st.sampled_from([0.0, 0.5]),
    )  # fmt: skip
    def check(played, seed, battery_queues, idle_drain):
        episode = EpisodeConfig(
            mix=mix, preference="dynamic", queue_tasks=4, steps=12, battery_queues=battery_queues,
            idle_drain=idle_drain,
        )  # fmt: skip
        environment = OffloadingEnvironment(
            system=system, episode=episode, tasks=tasks, episodes=2, generator=generator(seed)
        )
        start, idle_j = environment.view(), idle_drain * environment.battery_max_j / 12
        succeeded, drained_j = torch.zeros_like(start.queue), torch.zeros_like(start.queue)
        for actions in played:
            before = environment.view()
            offload, power, clock, request = (
                torch.tensor(actions, dtype=torch.float64).view(2, 2, 4).unbind(-1)
            )
            outcome, _ = environment.step(
                Actions(
                    offload=offload > 0.5, power_w=power_from_share(system, power),
                    clock_hz=clock_from_share(system, clock), bandwidth_request=request,
                )
            )  # fmt: skip
            after = environment.view()
            assert torch.equal(before.queue - after.queue, outcome.success.double())
            assert not outcome.success[before.queue == 0].any()
            late = outcome.latency_s > 0.15
            spent_j = (
                torch.where(late, outcome.energy_j * 0.15 / outcome.latency_s, outcome.energy_j) + idle_j
            )
            spent_j = torch.minimum(spent_j, before.battery_j)  # no more than there is
            assert torch.allclose(before.battery_j - after.battery_j, spent_j, rtol=1e-9, atol=1e-9)
            assert (after.battery_j >= 0).all()
            succeeded, drained_j = succeeded + outcome.success, drained_j + spent_j
            active = before.queue > 0
            for name, found in (
                ("success", outcome.success), ("failure", active & ~outcome.success), ("late", late),
                ("emptied", after.battery_j == 0), ("idle UE", ~active),
            ):  # fmt: skip
                seen[name] += int(found.sum())
        end = environment.view()
        assert torch.equal(start.queue - end.queue, succeeded)
        assert (end.queue >= 0).all()
        assert torch.allclose(start.battery_j - end.battery_j, drained_j, rtol=1e-9, atol=1e-9)

    check()
    assert all(seen.values()), seen


def test_same_seed_same_world_whatever_the_policy_does(make_environment):
    one, other = make_environment(seed=7), make_environment(seed=7)
    for _ in range(5):
        first, second = one.view(), other.view()
        assert torch.equal(first.channel_gain, second.channel_gain)
        assert torch.equal(first.observation[..., :2], second.observation[..., :2])
        one.step(everyone(one, offload=True))
        other.step(LocalPolicy(SYSTEM, other.tasks).act(second, generator()))
    assert not torch.equal(
        make_environment(seed=8).view().channel_gain, make_environment(seed=7).view().channel_gain
    )


def test_places_change_by_episode_and_fading_by_step(make_environment):
    environment = make_environment()
    before = environment.view()
    environment.step(everyone(environment, offload=False))
    after = environment.view()
    assert torch.equal(before.observation[..., :2], after.observation[..., :2])
    assert not torch.equal(before.channel_gain, after.channel_gain)
    again = environment.reset()
    assert not torch.equal(before.observation[..., :2], again.observation[..., :2])
    assert (again.queue == 10).all()


def test_statistical_csi_has_no_fading(make_environment):
    environment = make_environment(csi="statistical")
    before = environment.view().channel_gain
    environment.step(everyone(environment, offload=False))
    assert torch.equal(before, environment.view().channel_gain)


def test_fading_is_exponential_with_mean_one(make_environment):
    faded = make_environment(episodes=20_000, seed=2)
    ratio = faded.view().channel_gain / faded.view().mean_gain
    assert ratio.mean().item() == pytest.approx(1, abs=0.015)  # 4 standard errors of 80 000 draws
    assert (ratio < 1).double().mean().item() == pytest.approx(1 - 2.718281828**-1, abs=0.007)


def test_no_gain_is_zero(make_tasks):
    """A uniform draw may be 0, and a gain of 0 at 0 Hz is 0/0 in eq. (1)."""
    uniform = torch.tensor([0.0, 2.0**-53, 0.5], dtype=torch.float64)
    power = fading_power(uniform)
    assert power[0] == power[1] > 0
    assert torch.equal(power[1:], -torch.log1p(-uniform[1:]))
    ones = torch.ones((3, 1), dtype=torch.float64)
    step = Step.known(
        State(queue=5 * ones, channel_gain=1e-9 * power.unsqueeze(-1), battery_j=1e6 * ones, beta=0.5 * ones)
    )
    edges = torch.tensor([0.0, 5e6], dtype=torch.float64)
    upper = cell_upper(
        SYSTEM, make_tasks(mix=("text",)), step, offloading=1, low_hz=edges[:1], high_hz=edges[1:], powers=4
    )
    assert upper.isfinite().all()


@pytest.mark.parametrize(
    "change",
    [
        {"power_w": 0.3}, {"power_w": 0.01}, {"clock_hz": 2e9}, {"clock_hz": 1e8},
        {"bandwidth_request": float("nan")},
    ],
)  # fmt: skip
def test_actions_out_of_range_are_refused(make_environment, change):
    environment = make_environment()
    good = everyone(environment, offload=True)
    bad = {
        name: torch.full_like(value, change[name]) if name in change else value
        for name, value in vars(good).items()
    }
    with pytest.raises(ValueError, match=next(iter(change))):
        environment.step(Actions(**bad))


@pytest.mark.parametrize("code", [[[1]], [[-1]], [[0.0]]])
def test_a_code_that_the_tasks_do_not_have_is_refused(make_environment, code):
    """It would read another UE's map."""
    environment = make_environment(mix=("text",), episodes=1)
    good = everyone(environment, offload=True)
    environment.step(replace(good, code=torch.tensor([[0]])))
    with pytest.raises(ValueError, match=r"actions\.code must be an index of 0 to 0"):
        environment.step(replace(good, code=torch.tensor(code)))


@pytest.mark.parametrize("beyond", [5e-7, -5e-7])
def test_what_exceeds_a_range_by_rounding_counts_as_its_end(make_environment, beyond):
    """Else an action could exceed the bound by as much."""
    environment, other = make_environment(offload_cost="split"), make_environment(offload_cost="split")
    good = everyone(environment, offload=True, clock_hz=1.28e9 if beyond > 0 else 0.64e9)
    end_w = SYSTEM.power_max_w if beyond > 0 else SYSTEM.power_min_w
    at_end = replace(good, power_w=torch.full_like(good.power_w, end_w))
    outside = replace(at_end, power_w=at_end.power_w * (1 + beyond), clock_hz=good.clock_hz * (1 + beyond))
    outcome, reward = environment.step(outside)
    expected, expected_reward = other.step(at_end)
    assert torch.equal(reward, expected_reward)
    for name, value in vars(outcome).items():
        assert torch.equal(value, vars(expected)[name]), name
    with pytest.raises(ValueError, match="power_w"):
        environment.step(replace(good, power_w=good.power_w * 2))


def test_where_no_step_can_earn_anything_rewards_stay_numbers(make_tasks):
    """Local execution is always late and the map is 0 throughout."""
    tasks = make_tasks(mix=("text",))
    tasks = replace(tasks, map_ratio=torch.zeros_like(tasks.map_ratio))
    environment = OffloadingEnvironment(
        system=SystemConfig(latency_max_s=1e-6), episode=EpisodeConfig(mix=("text",)), tasks=tasks,
        episodes=2, generator=generator(),
    )  # fmt: skip
    _, reward = environment.step(everyone(environment, offload=False))
    assert (reward / environment.reward_scale).isfinite().all()


def test_fading_decides_what_a_channel_lets_a_ue_earn_alone(make_environment):
    environment = make_environment(mix=("text", "vqa"), episodes=20)
    before = environment.view()
    faded = replace(before, state=replace(before.state, channel_gain=environment._channels._faded()))
    changed = (before.observation != faded.observation).any(dim=0).any(dim=0)
    first, last = COLUMN["channel"], COLUMN["quarter_of_four"]
    expected = [*range(first, last + 1), COLUMN["rival"], COLUMN["leads"]]
    assert changed.nonzero().squeeze(-1).tolist() == expected
