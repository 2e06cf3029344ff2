"""MattingNetwork with `save_pretrained`, `from_pretrained` and `push_to_hub` (optional extra: huggingface_hub).

    from model.huggingface import HubMattingNetwork
    HubMattingNetwork('mobilenetv3').save_pretrained('folder')      # model.safetensors, config.json, README.md
    model = HubMattingNetwork.from_pretrained('folder').eval()
"""

from .model import MattingNetwork

try:
    from huggingface_hub import PyTorchModelHubMixin
except ImportError as error:
    raise RuntimeError('save_pretrained and from_pretrained need huggingface_hub: '
                       'pip install -r requirements/hub.txt') from error


class HubMattingNetwork(MattingNetwork, PyTorchModelHubMixin, license='other', license_name='that of the weights',
                        tags=['video-matting', 'background-removal']):
    """A MattingNetwork whose constructor arguments travel in config.json."""
