"""Training of any nn.Module on arrays: the same seed gives the same bits, interrupted or not.

history = train(netdsl.load("lenet"), datasets.load("mnist5k:pad=2"), epochs=10, seed=0)
"""

from netdsl.training.checkpoint import CheckpointError
from netdsl.training.evaluation import evaluate
from netdsl.training.fit import check_fit, description
from netdsl.training.history import Epoch, History, Step
from netdsl.training.loop import Interrupted, stored_options, train
from netdsl.training.measures import LOSSES, METRICS, TrainingError
from netdsl.training.optimisers import OPTIMISERS
from netdsl.training.options import Options
from netdsl.training.processes import joined

__all__ = [
    "LOSSES",
    "METRICS",
    "OPTIMISERS",
    "CheckpointError",
    "Epoch",
    "History",
    "Interrupted",
    "Options",
    "Step",
    "TrainingError",
    "check_fit",
    "description",
    "evaluate",
    "joined",
    "stored_options",
    "train",
]
