"""Small whole files to damage."""

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from tests.clips import picture, write_clip


def media(folder: Path) -> list[Path]:
    """Films in eight containers with sound, pictures of six kinds."""
    paths = [write_clip(folder / name, 10, **settings) for name, settings in {
        'a.mp4': {'audio': 'aac'}, 'b.mov': {'audio': 'pcm_s16le', 'codec': 'mpeg4'}, 'c.mkv': {'audio': 'flac'},
        'd.avi': {'audio': 'pcm_s16le', 'codec': 'mpeg4'}, 'e.ts': {'audio': 'aac'},
        'f.webm': {'codec': 'libvpx', 'audio': 'libopus'}, 'g.flv': {'audio': 'aac'},
        'h.mkv': {'codec': 'ffv1', 'pix_fmt': 'yuv444p10le'}, 'i.mov': {'codec': 'prores_ks', 'pix_fmt': 'yuv444p10le'},
    }.items()]
    frames = [Image.fromarray(picture(index, 64, 48)) for index in range(5)]
    for name in ('j.png', 'k.jpg', 'l.tif', 'm.webp'):
        frames[0].save(folder / name)
        paths.append(folder / name)
    for name in ('n.gif', 'o.webp', 'p.tif', 'q.png'):
        frames[0].save(folder / name, save_all=True, append_images=frames[1:])
        paths.append(folder / name)
    return paths


def checkpoint(folder: Path) -> list[Path]:
    """State dicts in three forms, and a program of torch.export."""
    from safetensors.torch import save_file

    from model import MattingNetwork
    from model.state_dicts import checksum
    state = {name: value for name, value in MattingNetwork().state_dict().items() if value.numel() < 3000}
    state = {name: value.contiguous() for name, value in state.items()}
    torch.save(state, folder / 'a.pth')
    torch.save({'state_dict': state, 'epoch': 1, 'note': 'text'}, folder / 'b.pth')
    torch.save(state, folder / 'c.pth', _use_new_zipfile_serialization=False)
    save_file(state, folder / 'd.safetensors', {'format': 'pt', 'sha256': checksum(state)})
    torch.export.save(torch.export.export(torch.nn.Conv2d(3, 4, 3), (torch.zeros(1, 3, 8, 8),)), folder / 'e.pt2',
                      extra_files={'downsample_ratio': '0.5', 'family': ''})
    return sorted(folder.iterdir())


def text(folder: Path) -> list[Path]:
    """Settings, lists, annotations."""
    (folder / 'a.yaml').write_text('root: .\nvideomatte:\n  train: {fgr: a/fgr, pha: a/pha}\n  valid: &v\n    fgr: b\n'
                                   '    pha: c\nimagematte: {train: *v}\n')
    (folder / 'b.json').write_text(json.dumps({
        'images': [{'id': i, 'file_name': f'{i}.png'} for i in range(5)],
        'annotations': [{'id': i, 'image_id': i, 'bbox': [1, 2], 'segmentation': {'size': [4, 4]}} for i in range(5)]}))
    (folder / 'c.csv').write_text('picture,bytes,copies\n' + ''.join(f'a/{i}.png,,{i}\n' for i in range(1, 9)))
    (folder / 'd.csv').write_text(''.join(f'name{i},{np.float32(i) / 3}\n' for i in range(8)))
    return sorted(folder.iterdir())
