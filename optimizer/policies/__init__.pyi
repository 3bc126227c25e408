from .baselines import POLICIES, QUEUE_POLICIES, Policy, PolicyFactory, register_policy
from .config import DqnConfig, LearnerConfig, MappoConfig, Matd3Config
from .dqn import DqnPolicy, DqnTrainer
from .learner import Learner, LearningCurve, register_learner
from .mappo import IppoTrainer, MappoTrainer
from .matd3 import Matd3Policy, Matd3Trainer
from .networks import LearnedPolicy
from .registry import LEARNERS
from .scores import Scores, Tally

__all__ = [
    "LEARNERS",
    "POLICIES",
    "QUEUE_POLICIES",
    "DqnConfig",
    "DqnPolicy",
    "DqnTrainer",
    "IppoTrainer",
    "LearnedPolicy",
    "Learner",
    "LearnerConfig",
    "LearningCurve",
    "MappoConfig",
    "MappoTrainer",
    "Matd3Config",
    "Matd3Policy",
    "Matd3Trainer",
    "Policy",
    "PolicyFactory",
    "Scores",
    "Tally",
    "register_learner",
    "register_policy",
]
