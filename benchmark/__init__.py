"""Measuring speed, memory and energy. Networks are handed in; nothing here knows one."""

import cli  # noqa: F401
