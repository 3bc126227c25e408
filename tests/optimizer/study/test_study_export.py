"""An actor as ONNX: what onnxruntime computes is what PyTorch does."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from support.needed import need

from data.files.errors import ToolkitError
from optimizer.command import main
from optimizer.policies.config import SECTION_IV, MappoConfig
from optimizer.policies.dqn import DqnTrainer
from optimizer.policies.mappo import MappoTrainer
from optimizer.policies.networks import LearnedPolicy
from optimizer.policies.registry import LEARNERS
from optimizer.study.config import ExportConfig
from optimizer.study.export import export_actor
from optimizer.world.config import EpisodeConfig, SystemConfig
from optimizer.world.environment import OffloadingEnvironment
from optimizer.world.ranges import clock_to_share, power_to_share
from optimizer.world.view import COLUMN

onnxruntime = need("onnxruntime", extra="onnx")
SYSTEM, MIX = SystemConfig(), ("text", "image", "vqa", "vqa")
SETTINGS = {
    "announced": ("announced", {}),
    "section IV": ("printed", dict(SECTION_IV)),
    "bids": ("bids", {"heads": "bids", "learn_power": True}),
    "history": ("history", {"heads": "zero", "learn_clock": True}),
    "printed, heads of look-ups": ("printed", {}),
}  # fmt: skip


def saved(make_tasks, path, *, observation, k=(16,), learner=MappoTrainer, **config):
    """A policy file, and the world it is of."""
    episode = EpisodeConfig(mix=MIX, observation=observation)
    world = {"system": SYSTEM, "episode": episode, "tasks": make_tasks(mix=MIX, k=k)}
    usual = MappoConfig(**config) if learner is MappoTrainer else LEARNERS["dqn"].config
    trainer = learner(
        replace(usual, episodes=2, copies=4, hidden=16), **world, generator=torch.Generator().manual_seed(1)
    )
    if isinstance(trainer, MappoTrainer):  # whose last layer starts so small that all UEs decide alike
        torch.nn.init.normal_(trainer.network.actor[-1].weight, generator=torch.Generator().manual_seed(3))
    trainer.save_policy(path)
    return world


def views(world, policy):
    """What UEs see on the way through some episodes."""
    environment = OffloadingEnvironment(**world, episodes=30, generator=torch.Generator().manual_seed(2))
    for _ in range(8):
        view = environment.view()
        yield view
        environment.step(policy.act(view, torch.Generator()))


@pytest.mark.parametrize("k", [(16,), (16, 8)])
@pytest.mark.parametrize("name", SETTINGS)
def test_onnxruntime_decides_as_pytorch(make_tasks, tmp_path, name, k):
    observation, config = SETTINGS[name]
    world = saved(make_tasks, tmp_path / "policy.safetensors", observation=observation, k=k, **config)
    path = export_actor(ExportConfig(policy=tmp_path / "policy.safetensors", output=tmp_path / "actor.onnx"))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    reads = json.loads(session.get_modelmeta().custom_metadata_map["reads"])
    learned = {"power_share": config.get("learn_power"), "clock_share": config.get("learn_clock")}
    expected_names = {"offload_probability", "request", *(name for name, given in learned.items() if given)}
    assert set(names) == expected_names | ({"code"} if len(k) > 1 else set())
    policy = LearnedPolicy.load(tmp_path / "policy.safetensors", **world)
    network, chances = policy._network, set()
    for view in views(world, policy):
        with torch.no_grad():
            distribution = network.actions(view.observation, network.start(view))
            mode = distribution.mode()
        actions = mode.to_physical(view.ue_device)
        expected = {
            "offload_probability": distribution.offload_probability, "request": mode.request,
            "code": mode.code,
            "power_share": power_to_share(SYSTEM, actions.power_w),
            "clock_share": clock_to_share(SYSTEM, actions.clock_hz),
        }  # fmt: skip
        columns = view.columns.flatten(0, 1).numpy().copy()
        columns[:, [i for name, i in COLUMN.items() if name not in reads]] = 7.0  # whatever
        decided = dict(zip(names, session.run(None, {"columns": columns}), strict=True))
        sure = (distribution._logit.abs() > 1e-4).flatten().numpy() & (view.queue > 0).flatten().numpy()
        chances |= set(decided["offload_probability"][sure].round(2).tolist())
        for output, values in decided.items():
            want = expected[output].flatten().numpy()
            if want.dtype.kind == "f":
                tolerance = 2e-2 if config.get("heads") == "bids" and output == "request" else 1e-5
                apart = np.abs(values - want)[sure & bidding(view, config)]
                assert apart.max() < tolerance, output
            else:
                assert np.array_equal(values[sure], want[sure]), output
    assert len(chances) > 2, "not all UEs decide alike"


def bidding(view, config) -> np.ndarray:
    """Without heads of bids every UE; else those whose gain is no difference of two equal numbers."""
    return ((view.gain > 1e-3) | (config.get("heads") != "bids")).flatten().numpy()


def test_the_model_says_what_it_reads(make_tasks, tmp_path, capsys):
    saved(make_tasks, tmp_path / "policy.safetensors", observation="lookups")
    output = tmp_path / "folder" / "actor.onnx"
    assert main(["export", "--policy", str(tmp_path / "policy.safetensors"), "--output", str(output)]) == 0
    wrote, following = capsys.readouterr().out.splitlines()
    assert wrote == f"wrote {output}"
    assert following.startswith("next: python3 -m pip install onnxruntime ")
    session = onnxruntime.InferenceSession(str(output), providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["columns"]) == list(COLUMN)
    assert about["observation"] == "lookups"
    assert "rival" not in json.loads(about["reads"])
    assert json.loads(about["trained_for"])["episode"]["mix"] == list(MIX)
    columns = np.full((5, len(COLUMN)), 0.5, dtype=np.float32)
    changed = columns.copy()
    changed[:, COLUMN["rival"]] = 3.0
    first, second = (session.run(None, {"columns": given}) for given in (columns, changed))
    assert all(np.array_equal(one, other) for one, other in zip(first, second, strict=True)), "it is not seen"


def test_what_has_no_actor_is_refused(make_tasks, tmp_path, capsys):
    saved(make_tasks, tmp_path / "dqn.safetensors", observation="lookups", learner=DqnTrainer)
    with pytest.raises(ToolkitError, match="a policy of dqn given, one of mappo or ippo is allowed"):
        export_actor(ExportConfig(policy=tmp_path / "dqn.safetensors", output=tmp_path / "actor.onnx"))
    assert main(["export", "--policy", str(tmp_path / "none.safetensors")]) == 2
    assert "no such file" in capsys.readouterr().err
    saved(make_tasks, tmp_path / "policy.safetensors", observation="lookups")
    with pytest.raises(
        ToolkitError, match=r"output: .*actor\.pt given, a name that ends in \.onnx is allowed"
    ):
        export_actor(ExportConfig(policy=tmp_path / "policy.safetensors", output=tmp_path / "actor.pt"))
    assert not list(tmp_path.glob("actor*"))


def test_without_the_package_a_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ToolkitError, match=r"onnx is not installed: pip install 'deepsc-toolkit\[onnx\]'"):
        export_actor(ExportConfig(policy=tmp_path / "policy.safetensors"))
