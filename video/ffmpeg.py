"""The one door to files that FFmpeg reads: local files of the kinds that hold pictures and sound, and nothing else.

Playlists and scripts (HLS, DASH, concat, SDP) name other files and addresses: whoever sends one decides what we read.
The demuxers for them are never started.
"""

import errno
import os
import stat
from functools import cache
from pathlib import Path

import av

from files import address_in

# devices, networks, and formats whose files name other files
REFUSED = {'hls', 'dash', 'concat', 'sdp', 'rtsp', 'rtp', 'sap', 'imf', 'webm_dash_manifest', 'hds', 'lavfi', 'image2',
           'image2pipe', 'vobsub', 'tty', 'ffmetadata', 'alsa', 'oss', 'fbdev', 'kmsgrab', 'x11grab', 'v4l2',
           'video4linux2', 'pulse', 'jack', 'avfoundation', 'dshow', 'gdigrab', 'decklink', 'iec61883', 'libcdio',
           'smoothstreaming', 'mpjpeg', 'mods', 'avs'}
# how what is no video begins, to call it by its name
SIGNATURES = [
    (b'#EXTM3U', 'a playlist (HLS)'), (b'<MPD', 'a playlist (DASH)'),
    (b'<SmoothStreamingMedia', 'a playlist (Smooth Streaming)'), (b'ffconcat', 'a list of files (concat)'),
    (b'v=0', 'a session description (SDP)'), (b'<!DOCTYPE', 'a web page'), (b'<html', 'a web page'),
    (b'version https://git-lfs', 'a pointer of Git LFS, not the file itself (run "git lfs pull")'),
    (b'%PDF', 'a PDF'), (b'PK\3\4', 'a ZIP archive')]


@cache
def demuxers() -> str:
    """What is allowed, as FFmpeg's option wants it."""
    names = {part for name in av.formats_available for part in name.split(',')}
    return ','.join(sorted(names - REFUSED))


def check_no_address(path: str | Path) -> None:
    """
    Raises:
        ValueError: it is one, and no file.
    """
    if (address := address_in(path)) is not None:
        raise ValueError(f'{address} is an address: only files are read; download it first')


def check_local(path: str | Path) -> None:
    """
    Raises:
        ValueError: an address, standard input, a pipe or a device. FileNotFoundError: no such file.
    """
    text = str(path)
    if text == '-':
        raise ValueError('standard input cannot be read, since a clip is read more than once: save it to a file first')
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise PermissionError(f'{path} cannot be read: {error.strerror}') from error
        check_no_address(path)
        raise FileNotFoundError(f'{path}: no such file') from None
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise ValueError(f'{path} is a pipe or a device, and a clip is read more than once: save it to a file first')


def open_input(path: str | Path, **options) -> av.container.InputContainer:
    """Open a file for reading.

    Args:
        options: further ones of `av.open`.
    Raises:
        FileNotFoundError, PermissionError, ValueError: as `check_local`; ValueError if FFmpeg cannot read it.
    """
    check_local(path)
    try:
        # tags of old cameras are in any encoding; names with a colon look like protocols
        return av.open(f'file:{path}', metadata_errors='replace', options={
            'format_whitelist': demuxers(), 'protocol_whitelist': 'file,crypto,data', **options.pop('options', {})},
            **options)
    except (av.FFmpegError, OSError) as error:
        if getattr(error, 'errno', None) == errno.EACCES:
            raise PermissionError(f'{path} cannot be read: permission denied') from error
        kind = sniff(path)
        if kind:
            raise ValueError(f'{path} is {kind}: expected a video file') from error
        raise ValueError(f'{path} is not a video that FFmpeg can read ({error.strerror}): '
                         'damaged, cut off, or another kind of file') from error


def sniff(path: str | Path) -> str | None:
    """What a file is that is no video and no picture, in words; None when its beginning does not say."""
    try:
        with open(path, 'rb') as file:
            start = file.read(512).lstrip(b'\xef\xbb\xbf \t\r\n')
    except OSError:
        return None
    found = next((text for mark, text in SIGNATURES if start.lower().startswith(mark.lower())), None)
    return 'a playlist (DASH)' if found is None and b'<MPD' in start else found
