"""Metrics of mattes: a table of readable references and fast forms. Knows nothing else of this project."""

from .meter import FrameMeter
from .reference import alpha_metrics
from .table import METRICS, PROTOCOLS, Clip, Metric, check_metrics, measure_clip, needing, protocol_named

__all__ = ['METRICS', 'PROTOCOLS', 'Clip', 'FrameMeter', 'Metric', 'alpha_metrics', 'check_metrics', 'measure_clip',
           'needing', 'protocol_named']
