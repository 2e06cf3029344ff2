"""How every output of this project reaches its name: complete, or not at all. Imports nothing of ours."""

from .apart import check_apart
from .names import is_partial
from .whole import Whole, WholeFile, WholeFolder, adopt, publish, scratch_folder, whole_file, whole_folder

__all__ = ['Whole', 'WholeFile', 'WholeFolder', 'adopt', 'check_apart', 'is_partial', 'publish', 'scratch_folder',
           'whole_file', 'whole_folder']
