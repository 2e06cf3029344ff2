"""Metrics, test sets and reports for video matting."""

import cli  # noqa: F401
