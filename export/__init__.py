"""Formats that other runtimes read: one file per format, a table of them, and the proof that frames stay the same."""
