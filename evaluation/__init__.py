"""Metrics, test sets and reports for video matting."""
