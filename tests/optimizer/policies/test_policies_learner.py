"""The loop that all learners share, and learners and policies of one's own beside those of the package."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

import optimizer
from data.files.errors import ToolkitError
from data.files.tensors import read_tensors, write_tensors
from optimizer.policies import baselines, registry
from optimizer.policies.baselines import POLICIES, LocalPolicy
from optimizer.policies.config import DqnConfig, LearnerConfig, MappoConfig
from optimizer.policies.dqn import DqnTrainer
from optimizer.policies.learner import Learner
from optimizer.policies.mappo import MappoTrainer
from optimizer.policies.scores import Tally
from optimizer.study.config import TrainConfig
from optimizer.study.results import format_table
from optimizer.study.train import train
from optimizer.world.config import EpisodeConfig, Inputs, SystemConfig
from optimizer.world.physics import Actions
from optimizer.world.view import OBSERVATION_SIZE

EPISODE = EpisodeConfig(mix=("text",) * 4)
CONFIGS: dict[str, tuple[type[Learner[Any]], Any]] = {
    "mappo": (MappoTrainer, MappoConfig(episodes=4, copies=3)),
    "dqn": (DqnTrainer, DqnConfig(double=False, episodes=4, copies=3, batch=32, target_updates=7)),
    "ddqn": (DqnTrainer, DqnConfig(double=True, episodes=4, copies=3, batch=32, memory=100)),
}
QOE = [12.82663639962327, 14.372036042030794, 18.60532350989955]
REWARD = [407.8525206520544, 423.3065170761296, 462.5984966867393]
ENTROPY = [0.7101278901100159, 0.7572074085474014, 0.7935921549797058]


class StoppedError(Exception):
    pass


def learner(name: str, tasks: Any, *, seed: int = 2) -> Learner[Any]:
    make, config = CONFIGS[name]
    generator = torch.Generator().manual_seed(seed)
    return make(config, system=SystemConfig(), episode=EPISODE, tasks=tasks, generator=generator)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_learner_goes_on_bit_for_bit(make_tasks, tmp_path, name):
    tasks, path = make_tasks(), tmp_path / "checkpoint.safetensors"
    whole = learner(name, tasks)
    whole.train()

    def stop(trained):
        if len(trained.curve.qoe) == 2:
            trained.save(path)
            raise StoppedError

    with pytest.raises(StoppedError):
        learner(name, tasks).train(watch=stop)
    resumed = learner(name, tasks)
    resumed.train(checkpoint=path)
    assert resumed.curve == whole.curve
    ends = [one.network.state_dict() for one in (whole, resumed)]
    assert all(torch.equal(value, ends[1][key]) for key, value in ends[0].items())
    with pytest.raises(
        ToolkitError, match=r"is of another run: seed was 2, is now 3; remove it to start anew"
    ):
        learner(name, tasks, seed=3).train(checkpoint=path)
    other = next(one for one in CONFIGS if one != name)
    with pytest.raises(
        ToolkitError, match=f"kind '{name}-checkpoint' given, '{other}-checkpoint' is allowed"
    ):
        learner(other, tasks).restore(path)


def test_a_learner_that_has_not_updated_yet_is_saved(make_tasks, tmp_path):
    """Adam has no moments then."""
    tasks = make_tasks()
    learner("dqn", tasks).save(tmp_path / "start.safetensors")
    resumed = learner("dqn", tasks)
    resumed.restore(tmp_path / "start.safetensors")
    whole = learner("dqn", tasks)
    assert resumed.train() == whole.train()


def test_mappos_curve_and_checkpoint_are_those_of_before(make_tasks, tmp_path):
    """Whoever changes the numbers has changed the training, and says so."""
    trained = MappoTrainer(
        MappoConfig(episodes=3, copies=4), system=SystemConfig(), episode=EPISODE, tasks=make_tasks(),
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    curve = trained.train(checkpoint=tmp_path / "checkpoint.safetensors")
    assert curve.qoe == pytest.approx(QOE, rel=1e-6)
    assert curve.reward == pytest.approx(REWARD, rel=1e-6)
    assert curve.entropy == pytest.approx(ENTROPY, rel=1e-6)
    with safe_open(tmp_path / "checkpoint.safetensors", framework="pt") as stored:
        names = set(stored.keys())
        head = json.loads(stored.metadata()["head"])
    assert (head["kind"], head["schema_version"]) == ("mappo-checkpoint", 4)
    assert set(head) == {"kind", "schema_version", "config", "curve", "normaliser"}
    assert set(head["config"]) == {"mappo", "system", "episode", "tasks", "seed", "device"}
    assert {name.partition(".")[0] for name in names} == {"network", "adam", "generator"}


@pytest.fixture
def registries() -> Iterator[None]:
    """What a test registers is gone after it."""
    kept = [(names, dict(names)) for names in (registry._learners, baselines._policies)]
    yield
    for names, before in kept:
        names.clear()
        names.update(before)


@dataclass(frozen=True, kw_only=True)
class BanditConfig(LearnerConfig):
    arms: int = 2
    """All compute, or all offload."""


class BanditPolicy:
    """All UEs do what has earned most."""

    sees = "nothing"

    def __init__(self, offload: bool, system: SystemConfig) -> None:
        self._offload, self._power_w = offload, system.power_max_w

    def act(self, view: Any, generator: torch.Generator) -> Actions:
        offload = torch.full_like(view.queue, self._offload, dtype=torch.bool)
        return Actions(
            offload=offload, power_w=torch.full_like(view.queue, self._power_w),
            clock_hz=view.clock_for(offload), bandwidth_request=torch.zeros_like(view.queue),
        )  # fmt: skip


class Bandit(Learner[BanditConfig]):
    """Tries both in turn; its weights are what they earned."""

    name = "bandit"

    def build(self, tasks, generator):
        return torch.nn.Linear(OBSERVATION_SIZE, self.config.arms)

    def learn(self, done):
        policy, environment = BanditPolicy(bool(done % 2), self.system), self._environment
        view, tally = environment.reset(), Tally(self.system, environment.tasks)
        while not environment.finished.all():
            outcome, reward = environment.step(policy.act(view, self._generator))
            tally.add(view.queue, outcome, reward)
            view = environment.view()
        scores = tally.scores(environment.arrived)
        with torch.no_grad():
            self.network.bias[done % 2] = scores.qoe.mean()
        return scores, 0.0

    @property
    def policy(self):
        return BanditPolicy(bool(self.network.bias.argmax()), self.system)


def test_ones_own_learner_and_policy_are_trained_tested_and_resumed(files, tmp_path, registries, caplog):
    optimizer.register_learner("bandit", Bandit, BanditConfig(copies=2))
    optimizer.register_policy("lazy", LocalPolicy)
    config = TrainConfig(
        inputs=Inputs(text_map=files[0], text_flops=files[1]), episode=EpisodeConfig(mix=("text",)),
        mappo=MappoConfig(episodes=4), learners=("bandit",), seeds=1, test_episodes=16, bound=False,
        output=tmp_path / "out",
    )  # fmt: skip
    done = train(config)
    assert len(done.curves["bandit"].qoe) == 4
    table = format_table(done.performance, None)
    assert {"bandit", "lazy"} <= {line.split()[0] for line in table.splitlines()}
    assert done.performance["lazy"] == done.performance["local"]
    assert len(list((tmp_path / "out" / "checkpoints").glob("bandit-0-*"))) == 1
    caplog.set_level("INFO")
    assert train(config).performance == done.performance
    assert "seed 0: done before" in caplog.text
    registry._learners.pop("bandit")
    optimizer.register_learner("bandit", Bandit, BanditConfig(copies=3))
    with pytest.raises(ToolkitError, match=r"registered_learners\.bandit\.copies was 2, is now 3"):
        train(config)


@pytest.mark.parametrize("name", ["mappo", "local", "a/b", "", "ä"])
def test_a_name_that_is_taken_or_none_for_a_file_is_refused(name, registries):
    with pytest.raises(ToolkitError, match=r"^name .* given, .* (is|are) allowed$"):
        optimizer.register_policy(name, LocalPolicy)
    with pytest.raises(ToolkitError, match=r"^name .* given, .* (is|are) allowed$"):
        optimizer.register_learner(name, Bandit, BanditConfig())
    assert set(POLICIES) == set(baselines.BUILT_IN)


def test_a_learner_may_be_called_as_a_field_of_the_run_is(registries):
    optimizer.register_learner("seed", Bandit, BanditConfig(copies=5))
    assert TrainConfig(learners=("seed",), mappo=MappoConfig(episodes=7)).learner("seed") == BanditConfig(
        copies=5, episodes=7
    )


def test_what_would_hold_for_no_learner_is_refused():
    with pytest.raises(ToolkitError, match=r"dqn\.episodes: 5 given, mappo\.episodes 1000 holds for every"):
        TrainConfig(dqn=DqnConfig(double=False, episodes=5))
    with pytest.raises(ToolkitError, match=r"ddqn\.double: False given, True is allowed"):
        TrainConfig(ddqn=DqnConfig(double=False))
    assert Path(TrainConfig().output) == Path("runs/optimize")


@pytest.mark.parametrize(
    "change",
    [{"memory.reward": 1}, {"memory.action": 10**6}, {"memory.goes_on": None}, {"target.0.bias": None},
     {"head": {"memory": [0, 10**9]}}, {"head": {"memory": [-1, 5]}}, {"head": {"updated": "many"}}],
    ids=str,
)  # fmt: skip
def test_a_dqn_checkpoint_that_is_damaged_is_refused(make_tasks, tmp_path, change):
    tasks, path = make_tasks(), tmp_path / "checkpoint.safetensors"
    learner("ddqn", tasks).save(path)
    tensors, head = read_tensors(path)
    for name, value in change.items():
        if name == "head":
            head |= value
        elif value is None:
            del tensors[name]
        elif name == "memory.action":
            tensors[name][3] = value
        else:
            tensors[name] = tensors[name][:value].clone()
    write_tensors(path, tensors, head)
    with pytest.raises(ToolkitError, match=rf"^{path}: "):
        learner("ddqn", tasks).restore(path)
