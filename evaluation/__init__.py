"""Metrics, test sets and reports for video matting."""

import os

# Beside another busy process, threads that wait by spinning take seconds a frame: read when torch is loaded.
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
