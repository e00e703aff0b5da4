"""Files of trained models for other programs: ONNX and safetensors.

For objects instead of files see `fastgd.to_torch` and `fastgd.from_torch`; for fastgd's own files,
`fastgd.Network.save`.
"""

from fastgd.export._onnx import register_estimators, to_onnx
from fastgd.export._safetensors import from_safetensors, to_safetensors

__all__ = ["from_safetensors", "register_estimators", "to_onnx", "to_safetensors"]


def __dir__() -> list[str]:
    return __all__
