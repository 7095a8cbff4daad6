"""Mixed precision on CUDA: products in float16 or bfloat16, parameters in float32. Names as in torch.amp."""

from .nn.autocast import autocast, is_autocast_enabled
from .optim.grad_scaler import GradScaler

__all__ = ["GradScaler", "autocast", "is_autocast_enabled"]
