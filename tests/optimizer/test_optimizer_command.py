"""`optimize` from the outside, its configs' errors, and what importing the package loads."""

import csv
import json
import logging
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import optimizer
import optimizer.policies.mappo
import optimizer.study.figures
from data.files.errors import ToolkitError
from data.settings.fields import help_of
from optimizer.command import SYMBOLS, main, parser, to_config
from optimizer.policies.baselines import POLICIES, shown
from optimizer.policies.config import DqnConfig, MappoConfig
from optimizer.study.config import FiguresConfig, ParetoConfig, PlanConfig, TrainConfig
from optimizer.study.evaluate import Interval
from optimizer.study.plan import Choice
from optimizer.study.results import format_table, read_results
from optimizer.study.train import train
from optimizer.world.config import EpisodeConfig, Inputs, SystemConfig
from optimizer.world.inputs import load

SYNTHETIC = "Measured on synthetic data: text. What these UEs earn says nothing about real data."
QUICK = ("--episodes", "2", "--test-episodes", "16", "--no-bound")
SUBCOMMANDS = (None, "train", "figures", "pareto", "plan")
ROOT = Path(optimizer.__file__).parent
MODULES = sorted(
    str(path.relative_to(ROOT).with_suffix("")).replace("/", ".") for path in ROOT.rglob("[a-z]*.py")
)


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_the_short_call_writes_and_prints_everything(files, tmp_path, capsys):
    """Issue 2's call: text files alone, four text UEs, MAPPO with one seed."""
    out = tmp_path / "out"
    arguments = ["--text-map", str(files[0]), "--flops", str(files[1]), "--output", str(out), *QUICK]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    for name in ("mappo", *map(shown, POLICIES), "sees", "95 % interval", "synthetic data", "4 UEs (4 text)"):
        assert name in printed
    assert sorted(path.name for path in out.iterdir()) == [
        "checkpoints", "inputs", "learning_curve.png", "mappo-0.safetensors", "results.csv", "results.json",
        "tensorboard",
    ]  # fmt: skip
    document = json.loads((out / "results.json").read_text())
    assert document["kind"] == "optimize-results"
    assert set(document["policies"]) == {"mappo", *POLICIES}
    assert len(document["learning_curves"]["mappo"]["qoe"]) == 2
    provenance = document["provenance"]
    assert provenance["seed"] == 0
    assert provenance["config"]["system"]["bandwidth_hz"] == 5e6
    assert set(provenance["data_sha256"]) == {str(path) for path in files}
    rows = list(csv.DictReader((out / "results.csv").open()))
    assert len(rows) == 1 + len(POLICIES)
    assert document["synthetic"] is True
    assert {row["synthetic"] for row in rows} == {"1"}
    assert (out / "learning_curve.png").read_bytes().startswith(b"\x89PNG")

    again = tmp_path / "again"
    assert main([*arguments, "--output", str(again)]) == 0
    repeated = json.loads((again / "results.json").read_text())
    for key in ("policies", "learning_curves"):
        assert repeated[key] == document[key]


def test_train_with_the_bound_and_every_learner(files, tmp_path, capsys):
    out = tmp_path / "out"
    flags = ["--text-map", str(files[0]), "--flops", str(files[1]), "--output", str(out), "--ues", "text:2"]
    assert main(["train", *flags, "--seeds", "2", "--episodes", "1", "--test-episodes", "16"]) == 0
    printed = capsys.readouterr().out
    assert "100.0%" in printed
    document = json.loads((out / "results.json").read_text())
    assert set(document["learning_curves"]) == {"mappo", "ddqn", "dqn"}
    for tested in document["policies"].values():
        assert 0 < tested["of_bound"]["value"] <= 1
        assert tested["qoe"]["value"] == pytest.approx(tested["of_bound"]["value"] * document["bound"])
        assert len(tested["queue"]) == 21


def test_figures_are_drawn_from_runs_that_are_read_again(files, make_map, tmp_path, capsys):
    out = tmp_path / "out"
    flags = ["--text-map", str(files[0]), "--flops", str(files[1]), "--output", str(out), "--ues", "text:1"]
    call = ["figures", *flags, *QUICK, "--episodes", "1", "--learners", "mappo", "--seeds", "1"]
    assert main([*call, "--figures", "2,3,5"]) == 0
    assert SYNTHETIC in capsys.readouterr().out
    for number in (2, 3, 5):
        rows = csv.DictReader((out / f"fig{number}.csv").open())
        assert {row["synthetic"] for row in rows} == {"1"}
    names = {path.name for path in out.iterdir() if path.is_file()}
    assert names == {f"fig{n}.{suffix}" for n in (2, 3, 5) for suffix in ("png", "pdf", "csv")}
    assert len((out / "fig5.csv").read_text().splitlines()) == 1 + 2 * (1 + len(POLICIES))
    rows = list(csv.DictReader((out / "fig5.csv").open()))
    tested = json.loads((out / "k-text-8" / "results.json").read_text())["policies"]["mappo"]
    drawn = next(row for row in rows if (row["policy"], row["value"]) == ("mappo", "8"))
    assert [float(drawn[name]) for name in ("qoe", "qoe_low", "qoe_high")] == list(tested["qoe"].values())
    results = out / "preference-fixed" / "results.json"
    before = results.stat().st_mtime_ns
    assert main([*call, "--figures", "3"]) == 0
    assert SYNTHETIC in capsys.readouterr().out, "read again, not made"
    assert results.stat().st_mtime_ns == before
    assert main([*call, "--figures", "3", "--beta", "0.4"]) == 2
    assert "is of another run: episode.beta was 0.5, is now 0.4; remove it" in capsys.readouterr().err
    make_map(local_accuracy=31.0, local_high=32.0).save(files[0])
    assert main([*call, "--figures", "3"]) == 2
    assert "is of another run: files was " in capsys.readouterr().err


def test_pareto_draws_a_front(files, tmp_path, capsys):
    out = tmp_path / "out"
    flags = ["--text-map", str(files[0]), "--flops", str(files[1]), "--output", str(out), "--ues", "text:2"]
    assert main(["pareto", *flags, "--episodes", "1", "--test-episodes", "16", "--betas", "0,1"]) == 0
    document = json.loads((out / "pareto.json").read_text())
    assert SYNTHETIC in capsys.readouterr().out
    assert document["synthetic"] is True
    assert {row["synthetic"] for row in csv.DictReader((out / "front.csv").open())} == {"1"}
    assert set(document["policies"]["mappo"]) == {"0.0", "1.0"}
    local = document["policies"]["local"]
    assert local["0.0"]["latency"] == pytest.approx(1.0)  # f_max
    assert local["1.0"]["energy"] < local["0.0"]["energy"]
    assert {"front.png", "front.pdf", "front.csv", "front-policy.safetensors"} <= {
        p.name for p in out.iterdir()
    }


def test_plan_answers_from_the_bound(files, capsys, caplog):
    flags = ["--text-map", str(files[0]), "--flops", str(files[1]), "--ues", "text:2"]
    caplog.set_level(logging.INFO)
    assert main(["plan", *flags, "--qoe", "8", "--states", "16", "--vary", "server,k-text"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    servers = [row for row in rows if row[0] == "server"]
    order = ["no", "tell", "yes"]  # "cannot tell" ends so
    assert [row[-1] for row in servers] == sorted((row[-1] for row in servers), key=order.index)
    assert {"no", "yes"} <= {row[-1] for row in servers}  # a slow server is not enough, a fast one is
    assert [row[1] for row in rows if row[0] == "k-text"] == ["8", "16"]
    assert caplog.text.count("the maps span") == 1, "once, not once for each k"
    assert main(["plan", *flags, "--qoe", "8", "--states", "16"]) == 0
    *lines, synthetic, following = capsys.readouterr().out.splitlines()
    assert SYNTHETIC in synthetic
    assert following.startswith("next: optimize train ")
    varied = {line.split()[0] for line in lines[1:]}
    assert varied == {"bandwidth", "server", "k-text"}, "text UEs have no k^I"
    for row in servers:
        reached, low, _, high, bound = (row[i] for i in (3, 4, 5, 6, 7))
        assert float(low) <= float(reached) <= float(high)
        assert float(reached) <= float(bound)


def test_real_data_are_not_called_synthetic(files, make_map, tmp_path, capsys):
    make_map(synthetic=False).save(files[0])
    flags = ["--text-map", str(files[0]), "--flops", str(files[1]), "--ues", "text:1"]
    out = ["--output", str(tmp_path / "out"), "--test-episodes", "16", "--episodes", "1"]
    assert main(["plan", *flags, "--qoe", "8", "--states", "16", "--vary", "k-text"]) == 0
    assert main(["pareto", *flags, *out, "--betas", "0,1"]) == 0
    assert main(["figures", *flags, *out, "--figures", "3", "--no-bound", "--learners", "mappo"]) == 0
    assert "synthetic" not in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "pareto.json").read_text())["synthetic"] is False
    for name in ("front.csv", "fig3.csv", "preference-fixed/results.csv"):
        assert {row["synthetic"] for row in csv.DictReader((tmp_path / "out" / name).open())} == {"0"}


def test_the_default_ues_have_maps_of_real_data():
    config = TrainConfig()
    assert not load(config.inputs, system=config.system, episode=config.episode).synthetic_maps


@pytest.mark.parametrize(("k", "said"), [(7, True), (8, False)])
def test_a_k_between_those_of_the_map_is_said(caplog, k, said):
    caplog.set_level(logging.INFO)
    load(Inputs(k_text=k), system=SystemConfig(), episode=EpisodeConfig(mix=("text",)))
    assert ("the text map has no k = 7, and f is interpolated" in caplog.text) is said


def test_the_shipped_map_of_vqa_is_called_synthetic(capsys):
    assert main(["plan", "--ues", "vqa:1", "--qoe", "1", "--states", "16", "--vary", "server"]) == 0
    assert SYNTHETIC.replace("text", "vqa") in capsys.readouterr().out


def test_no_long_step_is_silent(files, tmp_path, caplog):
    """Each says what it does before it does it."""
    caplog.set_level(logging.INFO)
    flags = [
        "--text-map",
        str(files[0]),
        "--flops",
        str(files[1]),
        "--ues",
        "text:1",
        "--test-episodes",
        "16",
    ]
    short = [*flags, "--episodes", "1", "--output", str(tmp_path / "out")]
    assert main(["train", *short, "--seeds", "1", "--learners", "dqn"]) == 0
    assert main(["pareto", *short, "--betas", "0,1"]) == 0
    assert main(["plan", *flags[:-2], "--qoe", "8", "--states", "16", "--vary", "k-text"]) == 0
    for told in (
        "loading torch", "DQN: 1 of 1 episodes to do", f"seed 0: tests of {1 + len(POLICIES)} policies: ",
        "seed 0: the bound of 16 episodes", "tests at each beta: 6 of 6 tests to do",
        "plan: 2 of 2 values to do",
    ):  # fmt: skip
        assert any(line.startswith(told) for line in caplog.messages), told


def test_a_bound_of_0_leaves_the_share_out(files, tmp_path, capsys):
    """Nobody can meet t_max: all policies are tested, nothing is divided by 0, the results can be shown."""
    config = TrainConfig(
        inputs=Inputs(text_map=files[0], text_flops=files[1]), system=SystemConfig(latency_max_s=1e-9),
        episode=EpisodeConfig(mix=("text",)), mappo=MappoConfig(episodes=1, copies=2), learners=("mappo",),
        seeds=1, test_episodes=16, output=tmp_path / "k-text-8",
    )  # fmt: skip
    result = train(config)
    assert result.bound == 0.0
    assert {one.of_bound for one in result.performance.values()} == {None}
    table = [line.split() for line in format_table(result.performance, result.bound).splitlines()]
    assert table[1][:3] == ["bound", "0.000", "-"]
    assert main(["report", str(config.output)]) == 0
    drawn = optimizer.study.figures._sweep(
        {8.0: read_results(config.output)}, tmp_path / "fig5", "k", synthetic=("text",)
    )
    rows = list(csv.DictReader(drawn[2].open()))
    assert {row["of_bound"] for row in rows} == {""}
    assert [row["qoe"] for row in rows if row["policy"] == "bound"] == ["0.0"]


def test_a_run_that_failed_before_its_first_step_leaves_its_folder_free(files, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    call = ["--text-map", str(files[0]), "--flops", str(files[1]), "--output", str(out), *QUICK]

    def fails(*_):
        raise ToolkitError("the loss is no number; lower learning_rate")

    with monkeypatch.context() as patch:
        patch.setattr(optimizer.policies.mappo.MappoTrainer, "update", fails)
        assert main(call) == 2
    assert "lower learning_rate" in capsys.readouterr().err
    assert main([*call, "--beta", "0.25", "--seed", "7"]) == 0


def test_plan_answers_only_what_its_intervals_tell():
    choice = Choice(
        varied="bandwidth",
        value=1.0,
        reached=Interval(value=9.0, low=8.0, high=10.0),
        bound=Interval(value=9.5, low=8.5, high=10.5),
    )
    verdicts = {qoe: choice.verdict(qoe) for qoe in (8.0, 9.0, 10.5, 10.6)}
    assert verdicts == {8.0: "yes", 9.0: "cannot tell", 10.5: "cannot tell", 10.6: "no"}


def test_plan_refuses_states_too_few_for_an_interval(files, capsys):
    flags = ["--text-map", str(files[0]), "--flops", str(files[1])]
    assert main(["plan", *flags, "--qoe", "8", "--states", "15"]) == 2
    assert "--states: 15 given, at least 16 is allowed" in capsys.readouterr().err


def test_section_iv_is_one_flag(files, tmp_path):
    """A UE knows its place, battery and last latency, all four are actions; what is written says so."""
    flags = ["--text-map", str(files[0]), "--flops", str(files[1]), "--output", str(tmp_path / "out")]
    assert main([*flags, *QUICK, "--section-iv", "--learners", "mappo,dqn"]) == 0
    document = json.loads((tmp_path / "out" / "results.json").read_text())
    config = document["provenance"]["config"]
    assert config["episode"]["observation"] == "printed"
    assert (config["mappo"]["critic"], config["mappo"]["heads"]) == ("own", "zero")
    assert config["mappo"]["learn_power"]
    assert config["mappo"]["learn_clock"]
    sees = {name: document["policies"][name]["sees"] for name in ("mappo", "dqn")}
    assert set(sees.values()) == {"own place, battery, last latency"}
    assert main([*flags, *QUICK, "--section-iv", "--observation", "bids"]) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["plan", "--qoe", "8", "--vary", "k-text"],
        ["figures", "--figures", "5"],
        ["figures", "--figures", "2,6"],
    ],
)
def test_a_k_that_the_ues_choose_is_not_varied(files, tmp_path, capsys, arguments):
    flags = ["--text-map", str(files[0]), "--flops", str(files[1]), "--joint-k"]
    if arguments[0] == "figures":
        flags += ["--output", str(tmp_path / "out")]
    assert main([*arguments, *flags]) == 2
    error = capsys.readouterr().err
    assert "--joint-k: given with" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("seed", ["-1", "99999999999999999999999"])
def test_plan_checks_its_seed(files, capsys, seed):
    flags = ["--text-map", str(files[0]), "--flops", str(files[1]), "--ues", "text:1", "--qoe", "1"]
    assert main(["plan", *flags, "--seed", seed]) == 2
    assert capsys.readouterr().err == (
        f"optimize plan: error: --seed: {seed} given, 0 to 9223372036854775807 is allowed\n"
    )


def test_flags_reach_the_config(files):
    flags = (
        "--ues text:1,vqa:2 --k 12 --k-image 8 --joint-k --episodes 7 --test-episodes 19 --seed 3 "
        "--preference dynamic --csi statistical --offload-cost split --bandwidth-hz 1e6 --noise-dbm-hz -170 "
        "--output there --learners dqn,mappo --seeds 2"
    )
    options = parser("train").parse_args(
        ["--text-map", str(files[0]), "--flops", str(files[1]), *flags.split()]
    )
    assert to_config(options) == TrainConfig(
        inputs=Inputs(text_map=files[0], text_flops=files[1], k_text=12, k_image=8, joint_k=True),
        system=SystemConfig(bandwidth_hz=1e6, noise_dbm_hz=-170.0),
        episode=EpisodeConfig(
            mix=("text", "vqa", "vqa"), preference="dynamic", csi="statistical",
            offload_cost="split",
        ),
        mappo=MappoConfig(episodes=7),
        output=Path("there"), test_episodes=19, seed=3, seeds=2, learners=("dqn", "mappo"),
    )  # fmt: skip
    assert to_config(parser().parse_args(["--beta", "0.25"])).episode.beta == 0.25


def test_whose_files_are_given_decides_the_default_mix(files):
    own = parser().parse_args(["--text-map", str(files[0])])
    assert to_config(own).episode.mix == ("text",) * 4
    assert to_config(parser().parse_args([])).episode.mix == ("text", "image", "text", "image")
    both = parser().parse_args(["--text-map", str(files[0]), "--vqa-map", str(files[0])])
    assert to_config(both).episode.mix == ("text", "vqa", "text", "vqa")
    assert to_config(parser().parse_args(["--ues", "3"])).episode.mix == ("text",) * 3


def test_every_setting_is_a_key_of_the_config_file_and_a_flag_counts_more(tmp_path, capsys):
    for name in ("train", "figures", "pareto", "plan"):
        flags = ["--qoe", "3"] if name == "plan" else []
        with pytest.raises(SystemExit) as stop:
            main([name, *flags, "--print-config"])
        assert stop.value.code == 0
        (tmp_path / "printed.yaml").write_text(capsys.readouterr().out)
        again = to_config(parser(name).parse_args(["--config", str(tmp_path / "printed.yaml")]))
        assert again == to_config(parser(name).parse_args(flags))
    (tmp_path / "run.yaml").write_text(
        "system: {remote_clock_hz: 2e9}\nepisode: {queue_tasks: 5, mix: 'image:2', beta: 0.25}\n"
        "mappo: {clip: 0.2, episodes: 9}\ndqn: {memory: 1000}\ninputs: {k_text: 8}\n"
    )
    config = to_config(parser("train").parse_args(["--config", str(tmp_path / "run.yaml"), "--beta", "0.75"]))
    assert config == TrainConfig(
        inputs=Inputs(k_text=8), system=SystemConfig(remote_clock_hz=2e9),
        episode=EpisodeConfig(queue_tasks=5, mix=("image",) * 2, beta=0.75),
        mappo=MappoConfig(clip=0.2, episodes=9), dqn=DqnConfig(double=False, memory=1000),
    )  # fmt: skip


def test_mistakes_of_file_and_flags_are_told_together(tmp_path, capsys):
    path = tmp_path / "run.yaml"
    path.write_text("episode: {bet: 2, steps: 5}\nmappo: {clip: -1}\n")
    assert main(["train", "--config", str(path), "--seeds", "0"]) == 2
    error = capsys.readouterr().err
    for part in (
        f"{path}: episode.bet: no such setting; near: episode.beta", f"{path}: mappo.clip: -1.0 given",
        "--seeds: 0 given", f"{path}: episode.steps: 5 given, at least queue_tasks 10",
    ):  # fmt: skip
        assert part in error, part
    assert error.count("\n") == 1


def test_symbols_says_where_each_symbol_is_set(capsys):
    assert main(["symbols"]) == 0
    text = capsys.readouterr().out
    for symbol in (
        "BW", "sigma^2", "beta^f", "beta^d", "k^T, k^I", "f^B", "xi_S", "lambda, gamma", "(28)", "E_0, t_0",
        "epsilon_0", "B_max, E^max", "  A  ", "  g  ", "training, test episodes",
    ):  # fmt: skip
        assert symbol in text
    with pytest.raises(SystemExit) as stop:
        main(["symbols", "--beta", "1"])
    assert stop.value.code == 2
    assert "optimize symbols: error: unrecognized arguments" in capsys.readouterr().err
    assert "optimize symbols" in parser().format_help()


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_the_help_of_a_subcommand_is_of_its_own_flags(name):
    """It names no flag that it lacks, but in a sentence about another command."""
    text = parser(name).format_help()
    assert "epsilon_0" not in text
    own = {flag for action in parser(name)._actions for flag in action.option_strings}
    said = set(re.findall(r"(?<![\w`-])--[a-z][a-z-]+", re.sub(r"`[^`]*`", "", text)))
    assert said <= own


def test_the_fields_that_symbols_names_are_there():
    groups = SYMBOLS.split("\nNot set:")[0].split("of optimizer.")[1:]
    for group, config in zip(groups, (SystemConfig, EpisodeConfig, MappoConfig), strict=True):
        head, *lines = group.splitlines()
        name = f"{config.__module__.removeprefix('optimizer.')}.{config.__name__}"
        assert head in (f"{name}:", f"{name}, a device's too:")
        named = {name.strip() for line in lines if line.startswith("  ") for name in line[58:].split(",")}
        assert named - {""} <= set(config.__dataclass_fields__)
        assert len(named) > 5
    flags = {word.strip("(),") for word in SYMBOLS.split() if word.strip("(").startswith("--")}
    known = parser("train").format_help().split("options:")[1].replace(",", " ").split()
    assert flags <= set(known)


def test_exhaustive_search_is_called_a_lower_bound():
    assert "a lower bound" in parser("train").format_help()
    assert shown("exhaustive") == "exhaustive (a lower bound)"
    assert [shown(name) for name in ("central", "mappo", "dqn")] == ["central", "mappo", "dqn"]


def test_symbols_say_where_they_are_on_the_page():
    page = SYMBOLS.partition("On the page of `optimize report`")[2]
    assert all(
        symbol in page for symbol in ("BW", "gamma (1)", "t/t_0 (9)", "(11h)", "QoE (10)", "E of (27)")
    )


def test_help_states_the_defaults_it_cannot_import():
    assert f"(default: {MappoConfig().episodes})" in " ".join(parser("train").format_help().split())
    assert to_config(parser("train").parse_args([])).mappo == MappoConfig()
    full = TrainConfig()
    assert to_config(parser("train").parse_args([])) == full
    assert to_config(parser("plan").parse_args(["--qoe", "1"])) == PlanConfig(qoe=1.0)
    assert to_config(parser("figures").parse_args([])) == FiguresConfig(train=full)
    short = to_config(parser().parse_args([]))
    assert (short.learners, short.seeds, short.mappo.episodes) == (("mappo",), 1, 200)
    front = to_config(parser("pareto").parse_args([]))
    assert front == ParetoConfig(train=replace(full, learners=("mappo",), output=Path("runs/pareto")))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--beta", "nan"], "--beta"),
        (["--beta", "1.5", "--bandwidth-hz", "-1", "--test-episodes", "1"], "--test-episodes: 1 given"),
        (["--beta", "1.5", "--bandwidth-hz", "-1", "--test-episodes", "1"], "--bandwidth-hz: -1.0 given"),
        (["--beta", "1.5", "--bandwidth-hz", "-1", "--test-episodes", "1"], "--beta: 1.5 given"),
        (
            ["--seeds", "3", "--test-episodes", "5"],
            "--test-episodes: 5 given, at least 16 is allowed",
        ),
        (["--seed", "-1"], "--seed: -1 given"),
        (["--seed", "99999999999999999999999"], "--seed: 99999999999999999999999 given"),
        (["--noise-dbm-hz", "9999"], "--noise-dbm-hz: 9999.0 given, -250 to 0 is allowed"),
        (["--noise-dbm-hz", "-9999"], "--noise-dbm-hz: -9999.0 given"),
        (["--bandwidth-hz", "1e-300"], "--bandwidth-hz: 1e-300 given, 1 to 1e+12 is allowed"),
        (["--ues", "0"], "--ues"),
        (["--csi", "perfect"], "--csi"),
        (["--csi", "statistical"], "fading twice"),
        (["--k", "4"], "--k-text 4 given, the text map holds 8 to 16"),
        (["--text-map", "missing.json"], "missing.json: no such file"),
        (["--tex-map", "x"], "--tex-map"),
        (["--ues", "text:0"], "--ues"),
        (["--ues", "sound:2"], "--ues"),
        (["--ues", "text:20000000"], "at most 1000 UEs are allowed"),
        (["--ues", "text:600,text:600"], "at most 1000 UEs are allowed"),
        (["--learners", "ppo"], "--learners: ppo given"),
        (
            ["--learners", "mappo,mappo"],
            "--learners: mappo,mappo given, each of mappo, ippo, matd3, ddqn, dqn is allowed once",
        ),
        (
            ["--test-episodes", "15"],
            "--test-episodes: 15 given, at least 16 is allowed: an interval over fewer",
        ),
        (["--text-map", "x" * 300], "x: File name too long"),
        (["--output", "x" * 300], "File name too long"),
        (["--output", ""], "--output '' given, a value is allowed"),
        (
            ["--joint-k", "--k", "8"],
            "--joint-k given, with --k-text 8, --k-image 32: the maps hold no smaller",
        ),
    ],
)
def test_mistakes_are_one_line_and_status_2(files, tmp_path, capsys, arguments, message):
    out = tmp_path / "out"
    everything = [
        "--text-map",
        str(files[0]),
        "--flops",
        str(files[1]),
        "--output",
        str(out),
        *QUICK,
        *arguments,
    ]
    try:
        status = main(everything)
    except SystemExit as stop:  # argparse's own errors
        status = stop.code
    assert status == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pareto", "--preference", "fixed"], "--preference given: the policy is trained on all beta"),
        (["pareto", "--beta", "0.5"], "--beta given: the policy is trained on all beta"),
        (["figures", "--preference", "fixed"], "--preference given: Figs. 2-4 have their own"),
        (["figures", "--figures", "4,7", "--beta", "0.3"], "--beta given: only Figs. 2 and 3"),
        (
            ["train", "--preference", "dynamic", "--beta", "0.3"],
            "--beta given: --preference dynamic does not",
        ),
        (
            ["plan", "--qoe", "1", "--preference", "drawn", "--beta", "0.3"],
            "--beta given: --preference drawn",
        ),
        (["--preference", "dynamic", "--beta", "0.3"], "--beta given: --preference dynamic does not"),
        (
            ["plan", "--qoe", "1", "--vary", "k-image"],
            "--vary: k-image given, the maps of the UEs (--ues) hold",
        ),
        (["train", "--ues", "text:1", "--k-image", "8"], "--k-image given: only image and vqa UEs"),
        (
            ["plan", "--qoe", "1", "--ues", "image:1"],
            "--text-map given: no UE of --ues image sends with the text codec",
        ),
        (
            ["--image-map", "x", "--ues", "text:2"],
            "--image-map given: no UE of --ues text sends with the image codec",
        ),
        (["figures", "--figures", "5", "--k", "8"], "--k given: Fig. 5 has its own"),
        (["figures", "--figures", "7", "--noise-dbm-hz", "-160"], "--noise-dbm-hz given: Fig. 7 has its own"),
        (["figures", "--figures", "7", "--seeds", "2"], "--seeds given: Figs. 5-7 have --sweep-seeds"),
        (["figures", "--figures", "3", "--sweep-seeds", "2"], "--sweep-seeds given: only Figs. 5-7 read it"),
        (["plan", "--qoe", "1", "--vary", "k-text", "--k", "8"], "--k given: --vary k-text has its own"),
        (["train", "--learners", "", "--episodes", "3"], "--episodes given: --learners '' trains nothing"),
        (
            ["trian"],
            "'trian' given, a subcommand of train, figures, pareto, plan, report, export, symbols or none",
        ),
        (
            ["--seed", "1", "plan"],
            "'plan' given behind other words, a subcommand as the first word is allowed",
        ),
    ],
)
def test_what_would_change_nothing_is_refused_by_name(files, tmp_path, capsys, arguments, message):
    out = tmp_path / "out"
    everything = [*arguments, "--text-map", str(files[0]), "--flops", str(files[1])]
    if "plan" not in arguments:
        everything += ["--output", str(out)]
    try:
        status = main(everything)
    except SystemExit as stop:  # argparse's own errors
        status = stop.code
    assert status == 2
    said = capsys.readouterr()
    assert message in said.err.splitlines()[-1]
    assert not said.out
    assert not out.exists()


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("damage", ["truncated", "foreign", "nan", "half a character"])
def test_damaged_inputs_are_one_line_and_status_2(files, tmp_path, capsys, which, damage):
    path = files[which]
    text = path.read_text()
    if damage == "truncated":
        path.write_text(text[: len(text) // 2])
    elif damage == "half a character":  # which no page could show after the training
        path.write_text(text.replace('"toy"', r'"\ud800"'))
    elif damage == "foreign":
        path.write_text('{"kind": "shopping-list", "schema_version": 1}')
    else:
        document = json.loads(text)
        document["local_accuracy" if which == 0 else "local_flops"] = float("nan")
        path.write_text(json.dumps(document))
    out = tmp_path / "out"
    assert main(["--text-map", str(files[0]), "--flops", str(files[1]), "--output", str(out), *QUICK]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert path.name in error or damage == "nan"
    assert not out.exists()


def test_an_output_that_cannot_be_written_is_found_before_training(files, tmp_path, capsys):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    arguments = ["--text-map", str(files[0]), "--flops", str(files[1]), "--episodes", "1000000"]
    assert main([*arguments, "--output", str(blocked / "out")]) == 2
    assert "--output" in capsys.readouterr().err


def test_configs_list_all_their_errors():
    with pytest.raises(ToolkitError) as caught:
        SystemConfig(bandwidth_hz=0.0, power_min_dbm=30.0, radius_min_m=1.0, noise_dbm_hz=float("nan"))
    for part in ("bandwidth_hz: 0.0", "power_min_dbm: 30.0", "radius_min_m: 1.0", "noise_dbm_hz: nan"):
        assert part in str(caught.value)
    with pytest.raises(ToolkitError, match=r"power_max_dbm: 5000\.0 given, -100 to 100 is allowed"):
        SystemConfig(power_max_dbm=5000.0)
    with pytest.raises(ToolkitError, match=r"discount.*gae_lambda|learning_rate") as caught:
        MappoConfig(discount=1.5, gae_lambda=0.0, learning_rate=0.0)
    assert all(
        name in str(caught.value) for name in ("discount: 1.5", "gae_lambda: 0.0", "learning_rate: 0.0")
    )
    with pytest.raises(ToolkitError, match="steps: 5"):
        EpisodeConfig(steps=5)
    with pytest.raises(ToolkitError, match="mix: 1001 UEs given, at most 1000 are allowed"):
        EpisodeConfig(mix=("text",) * 1001)
    for config in (MappoConfig, DqnConfig):
        with pytest.raises(ToolkitError, match=r"learning_rate: 1e\+308 given, above 0 up to 1 is allowed"):
            config(learning_rate=1e308, **({"double": True} if config is DqnConfig else {}))


def test_more_ues_than_can_be_bounded_are_refused_before_anything_is_written(files, tmp_path):
    inputs = Inputs(text_map=files[0], text_flops=files[1])
    crowd = {"inputs": inputs, "episode": EpisodeConfig(mix=("text",) * 129), "output": tmp_path / "out"}
    with pytest.raises(ToolkitError, match=r"bound is for at most 128: leave the bound out \(bound\)"):
        train(TrainConfig(**crowd, learners=()))
    with pytest.raises(ToolkitError, match="the certified bound is for at most 128"):
        PlanConfig(inputs=inputs, episode=crowd["episode"], qoe=1.0)
    assert not crowd["output"].exists()
    done = train(TrainConfig(**crowd, learners=(), bound=False, seeds=1, test_episodes=16))
    assert set(done.performance) == set(POLICIES) - {"central", "exhaustive"}


@pytest.mark.parametrize("horizon", [{"queue_tasks": 1, "steps": 1}, {"queue_tasks": 3, "steps": 3}])
@pytest.mark.parametrize("latency_max_s", [1.0, 1e-6])  # of which in the second nobody can succeed
def test_results_are_written_whatever_the_bound_is(files, tmp_path, horizon, latency_max_s):
    config = TrainConfig(
        inputs=Inputs(text_map=files[0], text_flops=files[1]),
        system=SystemConfig(latency_max_s=latency_max_s),
        episode=EpisodeConfig(mix=("text",) * 2, **horizon),
        mappo=MappoConfig(episodes=2, copies=2), seeds=1, test_episodes=16, output=tmp_path / "out",
    )  # fmt: skip
    done = train(config)
    written = json.loads((tmp_path / "out" / "results.json").read_text())
    table = format_table(done.performance, done.bound).splitlines()
    assert len(table) == 2 + len(done.performance)
    if latency_max_s < 1:
        assert written["bound"] == 0.0
        assert all(tested["of_bound"] is None for tested in written["policies"].values())
        assert "100.0%" not in table[1]
    else:
        assert all(tested["of_bound"]["value"] <= 1 + 1e-9 for tested in written["policies"].values())
    assert main(["report", str(tmp_path / "out")]) == 0


@pytest.mark.parametrize(
    "config",
    [SystemConfig, EpisodeConfig, MappoConfig, Inputs, DqnConfig, TrainConfig, PlanConfig, ParetoConfig,
     FiguresConfig],
)  # fmt: skip
def test_every_field_has_a_docstring(config):
    for name in config.__dataclass_fields__:
        assert help_of(config, name), name


def test_table_one_is_in_the_configs():
    system, mappo, run = SystemConfig(), MappoConfig(), TrainConfig()
    assert (EpisodeConfig().ues, system.carrier_hz, system.bandwidth_hz) == (4, 6e9, 5e6)
    assert (system.noise_dbm_hz, system.power_min_dbm, system.power_max_dbm) == (-160, 18, 24)
    assert system.circuit_power_w == pytest.approx(10 ** (20 / 10 - 3))
    assert (run.inputs.k_text, run.inputs.k_image) == (16, 32)
    assert run.episode.mix == ("text", "image", "text", "image")
    assert (system.local_flops_per_cycle, system.remote_flops_per_cycle) == (1024, 13824)
    assert (system.local_clock_min_hz, system.local_clock_max_hz) == (0.64e9, 1.28e9)
    assert system.remote_clock_hz == 1.41e9
    assert (system.accuracy_min, system.latency_max_s) == (0.9, 1)
    assert (mappo.episodes, run.test_episodes) == (1000, 100)
    assert (mappo.discount, mappo.clip) == (0.95, 0.3)
    assert (mappo.critic_weight, mappo.entropy_weight) == (0.5, 0.005)


def test_optimizer_never_imports_the_codecs():
    imports = "; ".join(f"import optimizer.{name}" for name in MODULES if name != "world.gym")
    loaded = run_python(f"import sys; {imports}; print(*sys.modules)").split()
    assert "optimizer.policies.mappo" in loaded
    assert not {"timm", "transformers", "torchvision"} & {name.split(".")[0] for name in loaded}
    # `profiling` names its models by deepsc's configs, and the zoo says where the shipped maps are; no model
    # itself is loaded
    light = {"deepsc", "deepsc.codec.config", "deepsc.zoo", "deepsc.zoo.find"}
    assert {name for name in loaded if name.startswith("deepsc")} <= light


def test_help_loads_nothing_heavy():
    code = (
        "import sys, optimizer.command as c; [c.parser(name).format_help() for name in c._RUN]; "
        "print(*sys.modules)"
    )
    loaded = {name.split(".")[0] for name in run_python(code).split()}
    assert not {"torch", "matplotlib", "numpy", "sklearn"} & loaded
