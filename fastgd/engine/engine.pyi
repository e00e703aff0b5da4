from collections.abc import Sequence
from typing import Any

import numpy as np

from fastgd._typing import AnyArray, FloatArray, IndexArray

def max_threads() -> int: ...
def config() -> dict[str, Any]: ...

class Engine:
    all_threads: bool
    steps: int
    loss: float
    ahead: float
    def __init__(
        self,
        sizes: Sequence[int],
        hidden: Sequence[str],
        loss: str | None,
        optimizer: str | None,
        hyperparameters: Sequence[float],
        dtype: np.dtype[Any],
        n_threads: int,
        level: str,
        sparse: bool = False,
    ) -> None: ...
    def set_data(
        self,
        X: AnyArray | tuple[AnyArray, AnyArray, AnyArray],
        y: AnyArray | None = None,
        sample_weight: FloatArray | None = None,
        affine: tuple[FloatArray, FloatArray] | None = None,
    ) -> None: ...
    def replace_data(
        self, X: FloatArray, y: AnyArray, sample_weight: FloatArray | None = None
    ) -> None: ...
    def load(self, params: FloatArray, moments: Sequence[FloatArray] = ()) -> None: ...
    def load_scalars(self, scalars: FloatArray) -> None: ...
    def store(self, params: FloatArray) -> None: ...
    def store_moments(self, moments: Sequence[FloatArray]) -> None: ...
    def store_scalars(self, scalars: FloatArray) -> None: ...
    def epoch(
        self,
        order: IndexArray | None,
        batch_size: int,
        reduction: str,
        rates: FloatArray | None,
        *,
        bounds: IndexArray | None = None,
        scales: FloatArray | None = None,
        shards: int = 1,
        steps: int | None = None,
        step: int = 0,
        place: int = 0,
        total: float = 0.0,
        begun: bool = False,
        seed: int = 0,
        record_every: int = 0,
        loss: FloatArray | None = None,
        penalty: FloatArray | None = None,
        gradient_norm: FloatArray | None = None,
        sample_squares: FloatArray | None = None,
        params: FloatArray | None = None,
    ) -> float: ...
    def gradient(
        self, out: FloatArray, reduction: str, order: IndexArray | None = None
    ) -> FloatArray: ...
    def curvatures(
        self,
        params: FloatArray,
        mean: FloatArray,
        order: IndexArray,
        bounds: IndexArray,
        reach: float,
        out: FloatArray,
    ) -> None: ...
    def adjust(
        self,
        *,
        l1: float = 0,
        l2: float = 0,
        summed: bool = False,
        clip_value: float = 0,
        clip_norm: float = 0,
        clip_sample: float = 0,
        noise: float = 0,
        rng: np.random.Generator | None = None,
    ) -> None: ...
    def drop(self, thresholds: Sequence[int], factors: Sequence[float]) -> None: ...
    def sample_gradients(self, out: FloatArray) -> FloatArray: ...
    def sample_norms(self, out: FloatArray) -> FloatArray: ...
    def outputs(self, out: FloatArray) -> FloatArray: ...
