from .policies.baselines import register_policy
from .policies.config import DqnConfig, LearnerConfig, MappoConfig
from .policies.learner import Learner, register_learner
from .policies.networks import LearnedPolicy
from .study.config import FiguresConfig, ParetoConfig, PlanConfig, TrainConfig
from .study.evaluate import play
from .study.figures import figures
from .study.pareto import pareto
from .study.plan import plan
from .study.report import write_report
from .study.train import train
from .version import __version__
from .world.config import EpisodeConfig, Inputs, SystemConfig
from .world.environment import OffloadingEnvironment
from .world.inputs import load

__all__ = [
    "DqnConfig",
    "EpisodeConfig",
    "FiguresConfig",
    "Inputs",
    "LearnedPolicy",
    "Learner",
    "LearnerConfig",
    "MappoConfig",
    "OffloadingEnvironment",
    "ParetoConfig",
    "PlanConfig",
    "SystemConfig",
    "TrainConfig",
    "__version__",
    "figures",
    "load",
    "pareto",
    "plan",
    "play",
    "register_learner",
    "register_policy",
    "train",
    "write_report",
]
