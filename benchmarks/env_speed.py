"""Environment steps a CPU second, with and without the observations that learners read, and CPU seconds and
memory of a MAPPO update, against the number of UEs.

    python benchmarks/env_speed.py --ue-device jetson-nano (the flags of `optimize`)
        [--before FOLDER] another checkout of this repository, measured in turns with this one
        [--vmas] VMAS's scenario "transport" of four agents as well (pip install vmas)

An environment step is one step of one episode, whatever the number of UEs; actions are drawn once, at random.
The mix of --ues is repeated, or cut, to each of --sizes. All have as many UEs at once: fewer copies of more.
Each measurement is a process of its own on one thread; the best of --rounds counts, as the CPU seconds of a
busy machine grow with what else runs. The last line is of as many processes at once as there are cores, each
with the first of --sizes.
"""

from __future__ import annotations

import itertools
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from flag_types import int_list, positive_int

from data.files.errors import ToolkitError
from data.terminal.command import Parser, run_command
from optimizer.command import system_flags, world_settings
from optimizer.policies.baselines import RandomPolicy
from optimizer.policies.config import MappoConfig
from optimizer.policies.mappo import MappoTrainer
from optimizer.world.environment import OffloadingEnvironment
from optimizer.world.inputs import load

WORKER = "ENV_SPEED_WORKER"
"""Environment variable with what a process is to measure, as JSON."""


def least_cpu_s(work: Callable[[], None], rounds: int) -> float:
    """CPU seconds of the quickest of some runs, after one that does not count."""
    work()
    spent = []
    for _ in range(rounds):
        started = time.process_time()
        work()
        spent.append(time.process_time() - started)
    return min(spent)


def measure_ours(options: Any, *, ues: int, copies: int) -> dict[str, float]:
    """Steps and observed steps a CPU second, CPU seconds of an update, peak memory in MB."""
    world = world_settings(options)
    mix = tuple(itertools.islice(itertools.cycle(world.episode.mix), ues))
    episode = replace(world.episode, mix=mix)
    loaded = load(world.inputs, system=world.system, episode=episode)
    setting: Any = {"system": loaded.system, "episode": episode, "tasks": loaded.tasks}
    environment = OffloadingEnvironment(
        **setting, episodes=copies, generator=torch.Generator().manual_seed(0)
    )
    policy = RandomPolicy(loaded.system, loaded.tasks)
    actions = policy.act(environment.reset(), torch.Generator().manual_seed(1))

    def play(observe: bool) -> None:
        environment.reset()
        for _ in range(episode.steps):
            environment.step(actions)
            if observe:
                _ = environment.view().observation

    steps = copies * episode.steps
    stepping = steps / least_cpu_s(lambda: play(False), options.rounds)
    observing = steps / least_cpu_s(lambda: play(True), options.rounds)
    before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    learner = MappoTrainer(
        MappoConfig(copies=options.learn_copies), **setting, generator=torch.Generator().manual_seed(0)
    )

    def update() -> None:
        learner.learn(0)

    update_s = least_cpu_s(update, 1)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "stepping": stepping, "observing": observing, "update_s": update_s,
        "environment_mb": before_mb, "peak_mb": peak_mb,
    }  # fmt: skip


def measure_vmas(options: Any, *, copies: int) -> dict[str, float]:
    """Steps a CPU second of VMAS with four agents, which observe at each step."""
    import vmas

    environment = vmas.make_env(
        scenario="transport", num_envs=copies, device="cpu", continuous_actions=True, n_agents=4, seed=0
    )
    actions = [torch.rand(copies, 2) * 2.0 - 1.0 for _ in environment.agents]

    def play() -> None:
        environment.reset()
        for _ in range(20):
            environment.step(actions)

    return {"observing": 20 * copies / least_cpu_s(play, options.rounds)}


def worker(what: dict[str, Any], checkout: Path) -> dict[str, float]:
    """Measure in a process of its own, with the packages of a checkout."""
    paths = [str(checkout), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        **os.environ, WORKER: json.dumps(what), "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)
    }  # fmt: skip
    done = subprocess.run([sys.executable, *sys.argv], env=environment, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip() or f"status {done.returncode}").splitlines()[-1]
        raise ToolkitError(f"the measurement of {checkout} failed: {reason}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    flags = Parser(prog="env_speed.py", description=__doc__)
    system_flags(flags)
    flags.add_argument("--sizes", type=int_list, default=(4, 16, 64, 256, 1000), help="numbers of UEs")
    flags.add_argument("--at-once", type=positive_int, default=8192, help="UEs of all copies")
    flags.add_argument("--rounds", type=positive_int, default=5, help="times that is measured")
    flags.add_argument(
        "--learn-copies", type=positive_int, default=16, help="copies of an episode of the MAPPO update"
    )
    flags.add_argument("--before", type=Path, default=None, help="another checkout")
    flags.add_argument("--vmas", action="store_true", help="measure VMAS as well")
    options = flags.parse_args()

    def measure() -> None:
        torch.set_num_threads(1)
        what = json.loads(os.environ[WORKER])
        kind = measure_vmas if what.pop("vmas") else measure_ours
        print(json.dumps(kind(options, **what)))

    def compare() -> None:
        here = Path(__file__).resolve().parent.parent
        checkouts = {"before": options.before, "now": here} if options.before else {"now": here}
        print(
            f"{'':8}{'UEs':>5}{'copies':>8}{'steps':>10}{'observed':>10}{'observed UEs':>14}"
            f"{'update':>9}{'environment':>13}{'peak':>9}\n"
            f"{'':21}{'k/CPU s':>10}{'k/CPU s':>10}{'M/CPU s':>14}{'CPU s':>9}{'MB':>13}{'MB':>9}"
        )

        def ours(ues: int) -> dict[str, Any]:
            return {"vmas": False, "ues": ues, "copies": max(1, options.at_once // ues)}

        for ues in options.sizes:
            copies = ours(ues)["copies"]
            for name, checkout in checkouts.items():
                row = worker(ours(ues), checkout)
                print(
                    f"{name:8}{ues:5}{copies:8}{row['stepping'] / 1e3:10.1f}{row['observing'] / 1e3:10.1f}"
                    f"{ues * row['observing'] / 1e6:14.2f}{row['update_s']:9.2f}"
                    f"{row['environment_mb']:13.0f}{row['peak_mb']:9.0f}",
                    flush=True,
                )
        if options.vmas:
            copies = max(1, options.at_once // 4)
            row = worker({"vmas": True, "copies": copies}, here)
            print(f"{'VMAS':8}{4:5}{copies:8}{'':10}{row['observing'] / 1e3:10.1f}")
        ues, cores = options.sizes[0], len(os.sched_getaffinity(0))
        with ThreadPoolExecutor(cores) as pool:
            rows = list(pool.map(lambda _: worker(ours(ues), here), range(cores)))
        observed = sum(row["observing"] for row in rows) / 1e6
        print(f"{cores} processes at once: {observed:.2f} M observed steps of {ues} UEs a CPU second of each")

    sys.exit(run_command("env_speed.py", measure if WORKER in os.environ else compare))


if __name__ == "__main__":
    main()
