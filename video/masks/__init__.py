"""Rough masks of people: reading them, filling the frames that have none, dividing a matte by them."""
