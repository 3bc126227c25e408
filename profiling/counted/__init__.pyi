from .copies import Workload
from .library_models import hf_model, timm_model
from .operators import ProductCount, count_products
from .other_tools import FvcoreCount, TorchCount, count_with_fvcore, count_with_torch
from .residuals import Counted, Residual

__all__ = [
    "Counted",
    "FvcoreCount",
    "ProductCount",
    "Residual",
    "TorchCount",
    "Workload",
    "count_products",
    "count_with_fvcore",
    "count_with_torch",
    "hf_model",
    "timm_model",
]
