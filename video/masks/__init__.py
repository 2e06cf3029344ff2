"""Rough masks of people: reading them, and filling the frames that have none."""
