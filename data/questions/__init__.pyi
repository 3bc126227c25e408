from .load import DATASETS, load_vqa
from .sets import MAX_ANSWERS, Question, VQASet, VQASplit

__all__ = ["DATASETS", "MAX_ANSWERS", "Question", "VQASet", "VQASplit", "load_vqa"]
