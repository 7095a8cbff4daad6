"""Training: mini-batches, the fit loop, metrics, callbacks, history."""

from .callbacks import Bar, Callback, EarlyStopping, Lines, Schedule, TerminateOnNaN
from .data import DataLoader, TensorDataset
from .fit import Run, evaluate, fit, predict
from .history import History
from .metrics import MAE, MSE, R2, RMSE, Accuracy, Metric, TopK
from .penalty import penalty, weights_of

__all__ = [
    "MAE",
    "MSE",
    "R2",
    "RMSE",
    "Accuracy",
    "Bar",
    "Callback",
    "DataLoader",
    "EarlyStopping",
    "History",
    "Lines",
    "Metric",
    "Run",
    "Schedule",
    "TensorDataset",
    "TerminateOnNaN",
    "TopK",
    "evaluate",
    "fit",
    "penalty",
    "predict",
    "weights_of",
]
