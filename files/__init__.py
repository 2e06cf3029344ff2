"""Files by name: what a name says, in which order people count, and how every output of this project reaches its own:
complete, or not at all. Imports nothing of ours."""

from .apart import check_apart, everything_in
from .kinds import IMAGE_SUFFIXES, VIDEO_SUFFIXES, is_image_path, is_video_path, natural_key, natural_sorted
from .names import address_in, is_partial
from .whole import Whole, WholeFile, WholeFolder, adopt, publish, scratch_folder, whole_file, whole_folder

__all__ = ['IMAGE_SUFFIXES', 'VIDEO_SUFFIXES', 'Whole', 'WholeFile', 'WholeFolder', 'address_in', 'adopt',
           'check_apart', 'everything_in', 'is_image_path', 'is_partial', 'is_video_path', 'natural_key',
           'natural_sorted', 'publish', 'scratch_folder', 'whole_file', 'whole_folder']
