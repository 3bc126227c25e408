"""Policies: baselines and learners, how they are registered, and what they did.

A learner is one file and an entry of the registry; `Learner` is the loop that all of them share.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
