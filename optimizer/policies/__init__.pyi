from .baselines import POLICIES, Policy, PolicyFactory, register_policy
from .config import DqnConfig, LearnerConfig, MappoConfig
from .dqn import DqnPolicy, DqnTrainer
from .learner import Learner, LearningCurve, register_learner
from .mappo import MappoTrainer
from .networks import LearnedPolicy
from .registry import LEARNERS
from .scores import Scores, Tally

__all__ = [
    "LEARNERS",
    "POLICIES",
    "DqnConfig",
    "DqnPolicy",
    "DqnTrainer",
    "LearnedPolicy",
    "Learner",
    "LearnerConfig",
    "LearningCurve",
    "MappoConfig",
    "MappoTrainer",
    "Policy",
    "PolicyFactory",
    "Scores",
    "Tally",
    "register_learner",
    "register_policy",
]
