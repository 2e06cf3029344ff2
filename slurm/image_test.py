"""%test of the image: everything that the commands need can be imported, and a network would run."""

import importlib
import os

PACKAGES = ('torch', 'torchvision', 'numpy', 'cv2', 'PIL', 'pandas', 'tqdm', 'yaml', 'tensorboard', 'av',
            'safetensors')

for package in PACKAGES + (('mamba_ssm', 'causal_conv1d') if os.environ.get('WITH_MAMBA') == '1' else ()):
    module = importlib.import_module(package)
    print(f'{package:12s} {getattr(module, "__version__", "")}')
torch = importlib.import_module('torch')
torch.nn.functional.conv2d(torch.rand(1, 3, 8, 8), torch.rand(4, 3, 3, 3))
print('GPU visible' if torch.cuda.is_available() else 'no GPU visible (fine while building)')
