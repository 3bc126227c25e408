"""Making a codec ready to ship: a folder of its weights in bfloat16, local model, maps, FLOPs and model card.

python -m accuracy_maps.release --codec runs/codec --local runs/local --output deepsc/zoo/NAME
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
