"""Training of every network of the package: examples, one loop, and what repeats it."""

from nebulines.training.config import TrainConfig
from nebulines.training.loop import Trained, train
from nebulines.training.several import cross_validate, search, train_ensemble
from nebulines.training.task import Task
from nebulines.training.tasks import get_task, task_names

__all__ = [
    "Task",
    "TrainConfig",
    "Trained",
    "cross_validate",
    "get_task",
    "search",
    "task_names",
    "train",
    "train_ensemble",
]
