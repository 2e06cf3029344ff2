"""What each file name means: container, codec, pixel formats, and which audio may be copied into it."""

from dataclasses import dataclass, field
from pathlib import Path

DEFAULT_CRF = 18        # of lossy codecs: hardly to be told from the source


@dataclass(frozen=True)
class Codec:
    """An encoder and the pixel formats it gets, by what the picture holds."""

    encoder: str
    opaque: str                         # pixel format of 8-bit pictures without alpha
    alpha: str | None = None            # with alpha; None: the codec has none
    deep: str | None = None             # of more than 8 bits; None: rounded to 8 bits
    deep_alpha: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    quality: str | None = None          # encoder option that --crf sets; None: lossless or fixed by the profile
    even: bool = False                  # width and height must be even (4:2:0 without cropping)
    left_chroma: bool = False           # decoders say that 4:2:0 has it on the left luma sample, not between two


# Fixed: FFmpeg's search for the best quantiser of every slice takes four times as long and finds the finest one anyway.
PRORES_QUALITY = '118'
CODECS: dict[str, Codec] = {
    'h264': Codec('libx264', 'yuv420p', options={'preset': 'veryfast'}, quality='crf', even=True, left_chroma=True),
    'hevc': Codec('libx265', 'yuv420p', deep='yuv420p10le', quality='crf', even=True, left_chroma=True,
                  options={'preset': 'veryfast', 'x265-params': 'log-level=error'}),
    'av1': Codec('libsvtav1', 'yuv420p', deep='yuv420p10le', options={'preset': '8'}, quality='crf', even=True),
    'vp9': Codec('libvpx-vp9', 'yuv420p', 'yuva420p', quality='crf',
                 options={'row-mt': '1', 'deadline': 'realtime', 'cpu-used': '5', 'auto-alt-ref': '0'}),
    'prores': Codec('prores_ks', 'yuv444p10le', 'yuva444p10le', 'yuv444p10le', 'yuva444p10le',
                    {'profile': '4444', 'vendor': 'apl0', 'flags': '+qscale', 'global_quality': PRORES_QUALITY}),
    'ffv1': Codec('ffv1', 'bgr0', 'bgra', 'gbrp16le', 'gbrap16le', {'level': '3', 'slicecrc': '1'}),
    'qtrle': Codec('qtrle', 'rgb24', 'argb'),
    'png': Codec('png', 'rgb24', 'rgba', 'rgb48be', 'rgba64be'),
    'h264_nvenc': Codec('h264_nvenc', 'yuv420p', quality='cq', even=True, left_chroma=True),
    'hevc_nvenc': Codec('hevc_nvenc', 'yuv420p', quality='cq', even=True, left_chroma=True),
}


@dataclass(frozen=True)
class Container:
    """A file suffix: FFmpeg's muxer, the codec it stands for here, the audio that players expect in it."""

    muxer: str
    codec: str
    audio: tuple[str, ...] | None       # audio codecs that are copied as they are; None: all
    audio_encoder: str                  # what other audio becomes
    subtitles: tuple[str, ...] = ()     # subtitle codecs that are copied; others are left out with a note


_MP4_AUDIO = ('aac', 'mp3', 'ac3', 'eac3', 'alac', 'opus', 'flac')

CONTAINERS: dict[str, Container] = {
    '.mp4': Container('mp4', 'h264', _MP4_AUDIO, 'aac', ('mov_text',)),
    '.m4v': Container('mp4', 'h264', _MP4_AUDIO, 'aac', ('mov_text',)),
    '.mov': Container('mov', 'prores', ('aac', 'mp3', 'ac3', 'eac3', 'alac', 'pcm_s16le', 'pcm_s16be', 'pcm_s24le',
                                        'pcm_s24be', 'pcm_s32le', 'pcm_f32le'), 'aac', ('mov_text',)),
    '.webm': Container('webm', 'vp9', ('opus', 'vorbis'), 'libopus', ('webvtt',)),
    '.mkv': Container('matroska', 'ffv1', None, 'flac', ('subrip', 'ass', 'webvtt', 'hdmv_pgs_subtitle',
                                                         'dvd_subtitle')),
}


def container_of(path: str | Path) -> Container:
    """The container that a file name asks for.

    Raises:
        ValueError: an unknown suffix; the message lists the known ones.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in CONTAINERS:
        raise ValueError(f'{path}: cannot write {suffix or "a file without suffix"} as video: '
                         f'use one of {", ".join(CONTAINERS)}, or a folder for a PNG sequence')
    return CONTAINERS[suffix]


def codec_of(path: str | Path, codec: str | None = None) -> Codec:
    """The codec by name, or the one its container stands for."""
    name = codec or container_of(path).codec
    if name not in CODECS:
        raise ValueError(f'codec must be one of {", ".join(CODECS)}, got {name!r}')
    return CODECS[name]


def is_container_path(path: str | Path) -> bool:
    return Path(path).suffix.lower() in CONTAINERS


def holds_alpha(path: str | Path, codec: str | None = None) -> bool:
    """Whether a composition under this name is written with transparency unless a background is asked for."""
    if is_container_path(path):
        return codec_of(path, codec).alpha is not None
    return Path(path).suffix.lower() not in ('.jpg', '.jpeg', '.jpe', '.bmp', '.ppm', '.pgm', '.pnm')
