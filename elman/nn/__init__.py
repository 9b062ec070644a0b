"""Layers (`Recurrent` for any cell; `RNN`, `LSTM`, `GRU` in place of torch.nn's) and topologies."""

from elman.nn import state
from elman.nn.attention import AdditiveAttention, MultiplicativeAttention
from elman.nn.conv import ConvFront1d, ConvFront2d
from elman.nn.dropout import LockedDropout
from elman.nn.ensemble import Ensemble
from elman.nn.pooling import AttentionPooling, LastPooling, MaxPooling, MeanPooling
from elman.nn.recurrent import Recurrent
from elman.nn.segment import DirectForecaster, SegmentForecaster
from elman.nn.seq2seq import EncoderDecoder
from elman.nn.topologies import Aligned, ManyToOne, OneToMany, OneToOne
from elman.nn.torch_compatible import GRU, LSTM, RNN
from elman.nn.window_norm import WindowNorm

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "AdditiveAttention",
    "Aligned",
    "AttentionPooling",
    "ConvFront1d",
    "ConvFront2d",
    "DirectForecaster",
    "EncoderDecoder",
    "Ensemble",
    "LastPooling",
    "LockedDropout",
    "ManyToOne",
    "MaxPooling",
    "MeanPooling",
    "MultiplicativeAttention",
    "OneToMany",
    "OneToOne",
    "Recurrent",
    "SegmentForecaster",
    "WindowNorm",
    "state",
]
