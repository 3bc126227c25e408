"""The rivals that the field asks for: drift plus penalty, and independent PPO."""

from dataclasses import replace

import pytest
import torch

from data.settings import SettingsError
from optimizer.bound import episode_bound
from optimizer.command import main
from optimizer.policies.baselines import POLICIES, QUEUE_POLICIES, DriftPlusPenaltyPolicy
from optimizer.policies.config import MappoConfig
from optimizer.policies.mappo import IppoTrainer, MappoTrainer
from optimizer.policies.networks import LearnedPolicy, OwnCritic
from optimizer.policies.registry import LEARNERS, USUAL
from optimizer.study.config import TrainConfig
from optimizer.study.evaluate import play
from optimizer.study.report import write_report
from optimizer.study.results import read_results
from optimizer.world.config import EpisodeConfig, SystemConfig
from optimizer.world.environment import OffloadingEnvironment
from optimizer.world.physics import execute

SYSTEM, MIX = SystemConfig(), ("text", "vqa", "image")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Impatient(DriftPlusPenaltyPolicy):
    """V so small that queues alone count."""

    qoe_weight = 1e-3


class Patient(DriftPlusPenaltyPolicy):
    """V so large that QoE alone counts."""

    qoe_weight = 1e9


@pytest.mark.parametrize("make", [DriftPlusPenaltyPolicy, Impatient])
def test_it_takes_what_earns_most_of_drift_and_penalty(make_tasks, make):
    """No action of exhaustive search, of `central` or at random is worth more in V QoE + d by more than what
    the search of a step misses."""
    tasks = make_tasks(mix=MIX)
    environment = OffloadingEnvironment(
        system=SYSTEM, episode=EpisodeConfig(mix=MIX, arrivals="poisson", arrival_rate=3.0), tasks=tasks,
        episodes=40, generator=generator(1),
    )  # fmt: skip
    view = environment.view()
    assert len(view.queue.unique()) > 3

    def worth(policy, seed=0):
        outcome = execute(SYSTEM, tasks, policy.act(view, generator(seed)), view.state)
        gained = make.qoe_weight * outcome.earned_qoe + view.queue * outcome.success
        return gained.sum(dim=-1)

    own = worth(make(SYSTEM, tasks))
    others = [worth(POLICIES[name](SYSTEM, tasks)) for name in ("central", "exhaustive", "local", "greedy")]
    others += [worth(POLICIES["random"](SYSTEM, tasks), seed) for seed in range(50)]
    assert (own >= torch.stack(others).amax(dim=0) * 0.99).all()
    central = execute(SYSTEM, tasks, POLICIES["central"](SYSTEM, tasks).act(view, generator()), view.state)
    patient = execute(SYSTEM, tasks, Patient(SYSTEM, tasks).act(view, generator()), view.state)
    assert torch.allclose(patient.earned_qoe.sum(dim=-1), central.earned_qoe.sum(dim=-1), rtol=1e-3)


def test_it_keeps_queues_shorter_for_some_qoe(make_tasks, slow_devices):
    """On devices that take long to compute, the largest QoE leaves others' tasks waiting."""
    tasks = replace(make_tasks(mix=MIX), devices=slow_devices(3))
    episode = EpisodeConfig(mix=MIX, arrivals="poisson", arrival_rate=0.9, steps=20)
    setting = {"system": SYSTEM, "episode": episode, "tasks": tasks, "episodes": 20, "seed": 3}
    makes = {
        "central": POLICIES["central"],
        "drift": QUEUE_POLICIES["drift-plus-penalty"],
        "queue": Impatient,
    }
    scores = {name: play(make(SYSTEM, tasks), **setting) for name, make in makes.items()}
    waiting = {name: float(score.queue.mean()) for name, score in scores.items()}
    done = {name: float(score.successes.sum()) for name, score in scores.items()}
    assert waiting["queue"] < waiting["central"]
    assert done["queue"] >= done["central"]
    assert waiting["queue"] <= waiting["drift"] <= waiting["central"]
    bound = episode_bound(**setting)
    for name, score in scores.items():
        assert (score.qoe <= bound * (1 + 1e-9)).all(), name


def test_a_run_with_arrivals_tests_it_too_and_says_what_waits(tmp_path, capsys):
    config = tmp_path / "world.yaml"
    config.write_text("episode: {arrivals: bursty, arrival_rate: 0.4, steps: 12}\nlearners: []\n")
    flags = ["--config", str(config), "--ues", "text:2", "--test-episodes", "16", "--seeds", "1"]
    assert main(["train", *flags, "--no-bound", "--output", str(tmp_path / "run")]) == 0
    assert set(read_results(tmp_path / "run")["policies"]) == {*POLICIES, "drift-plus-penalty"}
    assert "drift-plus-penalty" not in POLICIES
    setting, head, *lines = capsys.readouterr().out.splitlines()
    assert "; bursty arrivals of 0.4 tasks a step and UE" in setting
    place = head.replace("95 % interval", "interval").replace("of bound", "bound").split().index("waiting")
    (row,) = (line.replace(" to ", "-to-").split() for line in lines if line.startswith("remote "))
    tested = read_results(tmp_path / "run")["policies"]["remote"]
    assert row[place : place + 2] == [f"{tested['waiting']:.2f}", f"{tested['lost']:.2f}"]
    assert "<th>waiting</th><th>lost</th>" in write_report(tmp_path / "run").read_text()


# IPPO -----------------------------------------------------------------------------------------------------

SMALL = {"episodes": 2, "copies": 4, "hidden": 8, "batch_steps": 16, "epochs": 1}


def test_ippo_is_mappo_with_each_ues_own_critic(make_tasks, tmp_path):
    world = {"system": SYSTEM, "episode": EpisodeConfig(mix=MIX), "tasks": make_tasks(mix=MIX)}
    entry = LEARNERS["ippo"]
    assert "ippo" not in USUAL
    assert entry.config == MappoConfig(critic="own")
    ippo = entry.make(replace(entry.config, **SMALL), **world, generator=generator())
    own = MappoTrainer(MappoConfig(critic="own", **SMALL), **world, generator=generator())
    assert isinstance(ippo, IppoTrainer)
    assert isinstance(ippo.network.critic, OwnCritic)
    assert ippo.train() == own.train()
    central = MappoTrainer(MappoConfig(**SMALL), **world, generator=generator())
    assert central.train() != ippo.curve
    ippo.save_policy(tmp_path / "ippo.safetensors")
    loaded, view = LearnedPolicy.load(tmp_path / "ippo.safetensors", **world), ippo._environment.view()
    first, second = (policy.act(view, generator()) for policy in (ippo.policy, loaded))
    assert torch.equal(first.offload, second.offload)
    assert torch.equal(first.bandwidth_request, second.bandwidth_request)


def test_a_run_trains_ippo_by_its_name(tmp_path):
    config = tmp_path / "ippo.yaml"
    config.write_text("ippo: {hidden: 8, copies: 4}\n")
    flags = ["--config", str(config), "--learners", "ippo", "--ues", "text:2", "--episodes", "2"]
    flags += ["--test-episodes", "16", "--seeds", "1", "--no-bound", "--output", str(tmp_path / "run")]
    assert main(["train", *flags]) == 0
    results = read_results(tmp_path / "run")
    assert "ippo" in results["policies"]
    assert (tmp_path / "run" / "ippo-0.safetensors").exists()
    assert results["provenance"]["config"]["ippo"]["hidden"] == 8


def test_ippo_keeps_its_own_critic():
    with pytest.raises(SettingsError, match=r"ippo\.critic: all given, own is allowed: mappo has the other"):
        TrainConfig(ippo=MappoConfig())
