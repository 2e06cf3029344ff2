"""Doors of torch.hub.

    model = torch.hub.load(REPOSITORY, 'default')                                       # our weights
    model = torch.hub.load(REPOSITORY, 'resnet50', pretrained='rvm_resnet50')           # official RVM weights, GPL-3.0
    convert_video = torch.hub.load(REPOSITORY, 'converter')

A new network is one line below. Every name here without an underscore is a door.
"""

import functools as _functools
import sys as _sys
from contextlib import contextmanager as _contextmanager
from pathlib import Path as _Path

dependencies = ['torch', 'torchvision', 'safetensors']       # of the networks; `converter` says itself what it misses


_ROOT = _Path(__file__).resolve().parent
_OURS: dict = {}             # modules of ours that stepped aside for those of a program with the same names


@_contextmanager
def _ours():
    """Meanwhile `model` and all other rooms are this repository's, although the program has a model.py of its own.

    Yields:
        Names of the program's modules, which are back afterwards.
    """
    rooms = {path.stem for path in _ROOT.iterdir() if path.suffix == '.py' or (path / '__init__.py').is_file()}
    theirs = {name: module for name, module in list(_sys.modules.items()) if name.split('.')[0] in rooms and
              name != 'hubconf' and not _is_ours(module)}
    for name in theirs:
        del _sys.modules[name]
    _sys.modules.update(_OURS)
    _sys.path.insert(0, str(_ROOT))
    try:
        yield set(theirs)
    finally:
        _sys.path.remove(str(_ROOT))
        _OURS.update({name: _sys.modules[name] for name in theirs if name in _sys.modules})
        _sys.modules.update(theirs)


def _among_ours(function):
    @_functools.wraps(function)
    def among(*arguments, **settings):
        with _ours():
            return function(*arguments, **settings)
    return among


def _is_ours(module) -> bool:
    place = getattr(module, '__file__', None) or next(iter(getattr(module, '__path__', [])), None)
    return place is not None and _Path(place).resolve().is_relative_to(_ROOT)


def _door(variant: str, own_weights: str | None = None, published: str | None = None, name: str | None = None):
    """The entry point of one network.

    Args:
        variant: a name in `model.families`.
        name: of the door, where it differs from the variant.
        own_weights: the checkpoint that pretrained=True stands for, or None when we have none.
        published: the name of official weights (GPL-3.0), or None.
    """
    official = f'{published!r} (official weights, GPL-3.0), ' if published else ''

    @_among_ours
    def door(pretrained: bool | str = True, progress: bool = True, refiner: str | None = None):
        from model.families import build_network
        from model.weights import load_network
        if pretrained is False or pretrained is None:
            return build_network(variant, **({'refiner': refiner} if refiner else {}))
        if pretrained is True and own_weights is None:
            raise ValueError(f'pretrained must be {official}the path of a checkpoint, or False for {variant}: '
                             'it has no weights of our own that True could stand for')
        return load_network(own_weights if pretrained is True else pretrained, variant, refiner, progress)
    door.__name__ = door.__qualname__ = name or variant
    door.__doc__ = f"""Matting network with the {variant} encoder.

    Args:
        pretrained: {'True (our own weights), ' if own_weights else ''}{official}the path of a .pth or .safetensors
            file, or False for random weights.
        progress: show downloads.
        refiner: 'deep_guided_filter' or 'fast_guided_filter'; None reads it from the weights.
    Returns:
        On the CPU; in eval mode with weights, ready to use, and in train mode without.
    """
    return door


default = _door('efficientnet_lite0', own_weights='default', name='default')      # the variant of our weights
efficientnet_lite0 = _door('efficientnet_lite0', own_weights='default')
mobilenetv3 = _door('mobilenetv3', published='rvm_mobilenetv3')
resnet50 = _door('resnet50', published='rvm_resnet50')
mobileone_rvm = _door('mobileone', name='mobileone_rvm')
mamba_rvm = _door('mamba', name='mamba_rvm')
unireplknet_rvm = _door('unireplknet', name='unireplknet_rvm')


def _plate_door(backbone: str, own_weights: str | None = None):
    """The entry point of a network with a background plate.

    Args:
        backbone: a name in `model.background.BACKBONES`. own_weights: as in `_door`.
    """
    @_among_ours
    def door(pretrained: bool | str = True, progress: bool = True, **settings):
        from model.families import build_network
        from model.weights import load_network
        variant = f'background_{backbone}'
        if pretrained is False or pretrained is None:
            return build_network(variant, **settings)
        if pretrained is True and own_weights is None:
            raise ValueError(f'pretrained must be the path of a checkpoint, or False for {variant}: it has no weights '
                             'of our own that True could stand for')
        network = load_network(own_weights if pretrained is True else pretrained, variant, progress=progress)
        for name, value in settings.items():
            if name not in network.settings:
                raise ValueError(f'settings are {", ".join(network.settings)}, got {name}')
            setattr(network, name, value)
        return network
    door.__name__ = door.__qualname__ = f'background_{backbone}'
    door.__doc__ = f"""Matting network with a background plate and the {backbone} backbone: `network(src, bgr)`.

    Args:
        pretrained: {'True (our own weights), ' if own_weights else ''}the path of a .pth or .safetensors file, or False
            for random weights.
        progress: show downloads.
        settings: of `MattingRefine`: backbone_scale, refine_mode, refine_sample_pixels, ...
    Returns:
        On the CPU; in eval mode with weights, ready to use, and in train mode without.
    """
    return door


background_efficientnet_lite0 = _plate_door('efficientnet_lite0', own_weights='background_default')
background_mobilenetv2 = _plate_door('mobilenetv2')
background_mobilenetv3 = _plate_door('mobilenetv3')
background_resnet50 = _plate_door('resnet50')
background_resnet101 = _plate_door('resnet101')


@_among_ours
def instance(pretrained: bool | str = False, progress: bool = True, **form):
    """Network for a matte of each person from rough masks: `pha, *state = network(src, msk, *state)`.

    Args:
        pretrained: True for our own weights; the path of a .pth or .safetensors file, ours or released (CC BY-NC 4.0);
            or False for random weights.
        progress: there is nothing to download.
        form: without weights, of `InstanceForm`: channels, slots, ...; of the video network where `video` is not False.
    Returns:
        On the CPU; in eval mode with weights, ready to use, and in train mode without.
    """
    from model.families import build_network
    from model.weights import load_network
    if pretrained:
        return load_network('instance_default' if pretrained is True else pretrained, progress=progress)
    return build_network('instance' if form.pop('video', True) else 'instance_image', **form)


def converter():
    """The function `convert_video`, see inference.py.

    Raises:
        RuntimeError: a package it needs is missing; the message has the install line.
    """
    try:
        with _ours() as theirs:
            from inference import convert_video
    except ModuleNotFoundError as error:
        raise RuntimeError(f'converter needs the package {error.name}, which is not installed: '
                           'pip install av opencv-python-headless numpy pillow tqdm') from error
    return _among_ours(convert_video) if theirs else convert_video
