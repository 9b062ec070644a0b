"""Layers: `Recurrent` for any cell, `RNN`, `LSTM` and `GRU` in place of torch.nn's, topologies."""

from elman.nn import state
from elman.nn.dropout import LockedDropout
from elman.nn.recurrent import Recurrent
from elman.nn.torch_compatible import GRU, LSTM, RNN

__all__ = ["GRU", "LSTM", "RNN", "LockedDropout", "Recurrent", "state"]
