"""Clips: numbered frames that are read by index, from folders of pictures or from video files."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from .files import (
    Damage,
    UnreadableFrame,
    cached,
    list_clips,
    list_pictures,
    list_videos,
    natural_key,
    read_picture,
    shrunk_size,
)

Frame = tuple[np.ndarray, ...]  # what one index holds: (fgr, pha), (bgr,) or (img, seg); uint8, (H, W, 3) and (H, W)


@dataclass(frozen=True)
class PictureClip:
    """A clip whose frames are files: one or two pictures per frame, or one with alpha.

    Args:
        folders, modes: one of each per picture of a frame: (fgr folder, pha folder), ('RGB', 'L').
        names: per frame the file name in each folder.
    """

    name: str
    folders: tuple[Path, ...]
    modes: tuple[str, ...]
    names: Sequence[Sequence[str]]

    def __len__(self) -> int:
        return len(self.names)

    def read(self, indices: Sequence[int], size: int | None, damage: Damage) -> list[Frame]:
        """Frames at `indices`, each file decoded once. An unreadable frame is replaced by the next readable one."""
        frames = {index: None for index in indices}
        for index in frames:
            frames[index] = self._read_or_next(index, size, damage)
        return [frames[index] for index in indices]

    def read_one(self, index: int, size: int | None = None) -> Frame:
        pictures = []
        for folder, mode, name in zip(self.folders, self.modes, self.names[index]):
            picture = read_picture(folder / name, mode, size)
            if pictures and picture.shape[:2] != pictures[0].shape[:2]:
                (h, w), (h0, w0) = picture.shape[:2], pictures[0].shape[:2]
                raise UnreadableFrame(folder / name, f'is {w}x{h} but {self.names[index][0]} is {w0}x{h0}')
            pictures.append(picture)
        return split_alpha(pictures[0]) if self.modes == ('RGBA',) else tuple(pictures)

    def _read_or_next(self, index: int, size: int | None, damage: Damage) -> Frame:
        for attempt in range(len(self)):
            try:
                return self.read_one((index + attempt) % len(self), size)
            except UnreadableFrame as error:
                damage.report(error)
        raise RuntimeError(f'no frame of {self.name} can be read: {"; ".join(map(str, damage.paths))[:500]}')


@dataclass(frozen=True)
class VideoClip:
    """A clip that is a video file. Reading starts at the key frame before the first frame wanted.

    Args:
        mode: 'RGB' -> frames (bgr,); 'RGBA' -> frames (fgr, pha), straight alpha.
        times: presentation time of every frame in the stream's time base, ascending.
    """

    name: str
    path: Path
    mode: str
    times: Sequence[int]

    def __len__(self) -> int:
        return len(self.times)

    def read(self, indices: Sequence[int], size: int | None, damage: Damage) -> list[Frame]:
        """Frames at `indices`; one that cannot be decoded is replaced by the nearest one before or after it."""
        try:
            found = self._decode(set(indices), size)
        except (av.FFmpegError, OSError) as error:
            raise RuntimeError(f'{self.path} cannot be decoded: {error}') from error
        if not found:
            raise RuntimeError(f'{self.path} holds none of the frames {sorted(set(indices))}: it is cut off')
        for index in set(indices) - found.keys():
            damage.report(UnreadableFrame(self.path, f'frame {index} cannot be decoded'))
        return [found[min(found, key=lambda have, index=index: abs(have - index))] for index in indices]

    def _decode(self, wanted: set[int], size: int | None) -> dict[int, Frame]:
        index_of, found = {self.times[index]: index for index in wanted}, {}
        last = self.times[max(wanted)]
        with av.open(str(self.path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = 'NONE'  # loader workers are the threads
            context = alpha_decoder(stream) if self.mode == 'RGBA' else stream.codec_context
            container.seek(self.times[min(wanted)], stream=stream, backward=True)
            for packet in container.demux(stream):
                try:
                    decoded = context.decode(packet) if packet.dts is not None or packet.size else context.decode(None)
                except av.FFmpegError:
                    continue  # a damaged packet; the frames that it lacks are reported by the caller
                for frame in decoded:
                    if frame.pts in index_of:
                        found[index_of[frame.pts]] = self._convert(frame, size)
                    if frame.pts is not None and frame.pts > last or len(found) == len(wanted):
                        return found
        return found

    def _convert(self, frame: av.VideoFrame, size: int | None) -> Frame:
        w, h = shrunk_size((frame.width, frame.height), size)
        pixels = frame.to_ndarray(format='rgba' if self.mode == 'RGBA' else 'rgb24', width=w, height=h)
        return split_alpha(pixels) if self.mode == 'RGBA' else (pixels,)


Clip = PictureClip | VideoClip


def alpha_decoder(stream: av.video.VideoStream) -> av.VideoCodecContext:
    """A decoder that keeps alpha: FFmpeg's own VP8 and VP9 decoders drop it, libvpx does not."""
    name = {'vp8': 'libvpx', 'vp9': 'libvpx-vp9'}.get(stream.codec_context.name)
    if name is None:
        return stream.codec_context
    context = av.CodecContext.create(name, 'r')
    context.extradata = stream.codec_context.extradata
    return context


def split_alpha(pixels: np.ndarray) -> Frame:
    """(H, W, 4) -> fgr (H, W, 3) and pha (H, W)."""
    return np.ascontiguousarray(pixels[..., :3]), np.ascontiguousarray(pixels[..., 3])


def paired_clips(fgr: Path, pha: Path) -> tuple[list[PictureClip], bool]:
    """Clips of two folders that mirror each other, and whether they are clips (True) or single pictures.

    Frames are paired by name without suffix (fgr as JPEG, pha as PNG is fine); `fgr/<clip>/` folders make clips,
    pictures directly in `fgr/` are one-frame clips.

    Raises:
        ValueError: a foreground without alpha or the other way round; names the first ones.
        FileNotFoundError: no pictures.
    """
    moving = bool(list_clips(fgr))
    left = list_clips(fgr) if moving else {'': list_pictures(fgr)}
    right = list_clips(pha) if moving else {'': list_pictures(pha)}
    clips, orphans = [], []
    for clip in left.keys() | right.keys():
        pairs, alone = pair_names(left.get(clip, ()), right.get(clip, ()))
        orphans += [str(fgr / clip / n) for n in alone[0]] + [str(pha / clip / n) for n in alone[1]]
        if pairs and moving:
            clips.append(PictureClip(clip, (fgr / clip, pha / clip), ('RGB', 'L'), pairs))
        elif pairs:
            clips += [PictureClip(pair[0], (fgr, pha), ('RGB', 'L'), [pair]) for pair in pairs]
    if orphans:
        raise ValueError(f'{len(orphans)} pictures have no partner of the same name in {fgr} and {pha}, for example '
                         f'{", ".join(sorted(orphans)[:3])}: complete or remove them')
    if not clips:
        raise FileNotFoundError(f'no pictures in {fgr}: expected fgr/<clip>/<frame>.jpg with pha/<clip>/<frame>.jpg, '
                                'or fgr/<name> with pha/<name>')
    return _in_order(clips), moving


def pair_names(left: Iterable[str], right: Iterable[str]) -> tuple[list[tuple[str, str]], tuple[list[str], list[str]]]:
    """Pairs of names equal but for the suffix, in the order of `left`, and the names without partner on each side."""
    partner = {os.path.splitext(name)[0]: name for name in right}
    pairs = [(name, partner[stem]) for name in left if (stem := os.path.splitext(name)[0]) in partner]
    paired = {b for _, b in pairs}
    return pairs, ([a for a in left if os.path.splitext(a)[0] not in partner], [b for b in right if b not in paired])


def rgba_clips(folder: Path) -> tuple[list[Clip], bool]:
    """Folders of frames with alpha, video files with alpha, or single pictures with alpha."""
    clips = [PictureClip(name, (folder / name,), ('RGBA',), [(frame,) for frame in frames])
             for name, frames in list_clips(folder).items()]
    clips += video_clips(folder, 'RGBA')
    if clips:
        return _in_order(clips), True
    stills = [PictureClip(name, (folder,), ('RGBA',), [(name,)]) for name in list_pictures(folder)]
    if not stills:
        raise FileNotFoundError(f'nothing with alpha in {folder}: expected *.png, <clip>/*.png, or video files with an '
                                'alpha channel')
    return stills, False


def folder_clips(folder: Path) -> list[Clip]:
    """Clips of a folder without alpha: `<clip>/<frame>.jpg` and video files."""
    clips = [PictureClip(name, (folder / name,), ('RGB',), [(frame,) for frame in frames])
             for name, frames in list_clips(folder).items()]
    return _in_order(clips + video_clips(folder, 'RGB'))


def video_clips(folder: Path, mode: str) -> list[VideoClip]:
    """Every video file of a folder, indexed once by its packets (nothing is decoded)."""
    clips = []
    for path in (folder / name for name in list_videos(folder)):
        times = cached(path, f'times-{mode}', lambda path=path: (_times(path, mode), [path]))
        if times:
            clips.append(VideoClip(path.name, path, mode, times))
    return clips


def _times(path: Path, mode: str) -> list[int]:
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            if mode == 'RGBA' and not has_alpha(stream):
                raise ValueError(f'{path} has no alpha channel (pixel format {stream.codec_context.pix_fmt})')
            return sorted({packet.pts for packet in container.demux(stream) if packet.pts is not None and packet.size})
    except (av.FFmpegError, OSError, IndexError) as error:
        raise ValueError(f'{path} is not a video that can be read: {error}') from error


def has_alpha(stream: av.video.VideoStream) -> bool:
    """Alpha in the pixel format, or beside it as WebM does (tag alpha_mode)."""
    pixels = stream.codec_context.format
    beside = {key.lower(): value for key, value in stream.metadata.items()}.get('alpha_mode') == '1'
    return beside or pixels is not None and (len(pixels.components) in (2, 4) or pixels.name.startswith('pal'))


def _in_order(clips: list) -> list:
    return sorted(clips, key=lambda clip: (natural_key(clip.name), clip.name))
