"""What every command shares: how it ends, and how its threads wait. Imports nothing of ours but names of files.

A command that computes imports this room before anything else: torch reads OMP_WAIT_POLICY when it is loaded, and
threads that wait by spinning hold up the decoder, the renderer and the encoder.
"""

import os

import files.as_script  # noqa: F401  (Ctrl-C while torch is being loaded)

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
