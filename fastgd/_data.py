"""Check and convert arrays: samples, targets, weights and indices.

A check returns the array in the form that the engine reads, or raises a TypeError or
ValueError that says what was given, what is allowed, and what to do. It never changes the
user's array.
"""

from __future__ import annotations

import functools
import numbers
import sys
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from fastgd import _frames
from fastgd._typing import AnyArray, FloatArray, IndexArray
from fastgd._validation import check_choice, check_real
from fastgd._words import count, kind_of, listed, show, there_are
from fastgd.losses import LOSSES, Targets, with_classes

__all__ = [
    "all_finite",
    "as_array",
    "check_X",
    "check_array",
    "check_class_weight",
    "check_columns",
    "check_finite",
    "check_matrix",
    "check_numbers",
    "check_order",
    "check_point",
    "check_sample_weight",
    "check_samples",
    "check_y",
    "class_factors",
    "dtype_error",
    "kernels",
    "not_finite",
]


CHUNK_BYTES = 1 << 20
DLPACK_CPU = 1  # DLDeviceType in dlpack.h, as the other kinds
DLPACK_DEVICES = {2: "CUDA", 4: "OpenCL", 7: "Vulkan", 8: "Metal", 10: "ROCm", 14: "oneAPI"}
BFLOAT16 = "bfloat16"  # ml_dtypes' name; its kind is V, as of any dtype from outside NumPy


def as_array(name: str, value: Any, wanted: np.dtype[Any] | None = None) -> AnyArray:
    """Return array-like values as an array of any dtype, without a copy where possible.

    `wanted` is the dtype for a frame's copy; see `_frames.from_frame`.
    """
    if value is None:
        raise TypeError(f"{name} is None, but must be an array of numbers")
    ma = sys.modules.get("numpy.ma")  # a masked array comes with its module
    if ma is not None and ma.is_masked(value):
        raise ValueError(
            f"{name} has masked values: remove such samples, or fill the values in, for example "
            f"by {name}.filled({name}.mean())"
        )
    if _frames.is_frame(value):
        return _frames.from_frame(name, value, wanted)
    if hasattr(value, "__dlpack_device__") and not isinstance(value, np.ndarray):
        return _from_dlpack(name, value)
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} is not an array: its rows differ in length ({error})") from None
    if array.ndim == 0 and array.dtype.kind in "OUST" and not isinstance(value, numbers.Real):
        what = repr(value) if array.dtype.kind != "O" else kind_of(value)
        raise TypeError(
            f"{name} is {what}, but must be an array of numbers{_how_to_array(name, value)}"
        )
    return _frames.from_objects(array) if array.dtype.kind == "O" else array


def _from_dlpack(name: str, value: Any) -> AnyArray:
    """Return another library's array, whose memory is not copied."""
    what = f"{name} is a {type(value).__module__.partition('.')[0]} {type(value).__name__}"
    try:
        device = int(value.__dlpack_device__()[0])
    except ValueError:  # such as torch's "meta"
        raise TypeError(f"{what} without memory, but must hold numbers") from None
    if device != DLPACK_CPU:
        kind = DLPACK_DEVICES.get(device, f"of DLPack's kind {device}")
        raise TypeError(
            f"{what} on a device ({kind}), but fastgd computes on CPUs: copy it to the CPU first, "
            f"such as by {name}.cpu()"
        )
    try:
        return np.from_dlpack(value)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        reason = error
    try:  # of an older version of DLPack, or of a dtype that DLPack does not know
        return np.asarray(value)
    except (RuntimeError, TypeError, ValueError):
        hint = ""
        if getattr(value, "requires_grad", False):
            hint = f": use {name}.detach()"
        elif "bfloat16" in str(getattr(value, "dtype", "")):
            hint = f": use {name}.float()"
        raise TypeError(f"{what} that NumPy cannot read ({reason}){hint}") from None


def _how_to_array(name: str, value: Any) -> str:
    """Return a hint on converting a value that is not an array; empty if there is none."""
    if hasattr(value, "toarray"):
        return f": use {name}.toarray()"
    if hasattr(value, "collect"):
        return f": use {name}.collect()"
    if hasattr(value, "bounds") and hasattr(value, "read"):  # blocks
        return f": blocks are not taken here; X, y = {name}.read(i) has the arrays of block i"
    if isinstance(value, Iterator):
        return f": use list({name})"
    if isinstance(value, Mapping):
        return f": use numpy.column_stack(list({name}.values()))"
    if isinstance(value, str) and "." in value:
        return ": a file is read by numpy.load, numpy.loadtxt or pandas.read_csv"
    return ""


def dtype_error(name: str, array: AnyArray, hint: str = "") -> TypeError:
    """Return the error for an array that holds no real numbers."""
    if array.dtype.kind == "O":
        place, value = next(
            (place, value)
            for place, value in np.ndenumerate(array)
            if not isinstance(value, (numbers.Real, np.bool_)) or not _is_float(value)
        )
        where = f"[{', '.join(map(str, place))}]" if place else ""
        missing = value is None or type(value).__name__ in ("NAType", "NaTType")
        if not hint and not missing and not isinstance(value, int):
            hint = "; turn such values into numbers first, text into a column for each category"
        return TypeError(
            f"{name}{where} is {show(value)} ({type(value).__name__}), but every value must be "
            f"a real number that fits a float{hint or '; remove or fill in such samples first'}"
        )
    if not hint:
        hint = {
            "c": f"; take {name}.real or {name}.imag",
            "M": f"; take the time since some moment, such as {name} - {name}.min(), in some unit",
            "m": f"; divide by a unit, as in {name} / numpy.timedelta64(1, 's')",
            "V": f"; numpy.lib.recfunctions.structured_to_unstructured({name}) has no fields",
            "U": f"; convert text that spells numbers by {name}.astype(float), encode other text",
        }.get(array.dtype.kind.replace("T", "U").replace("S", "U"), "")
    return TypeError(f"{name} has dtype {array.dtype}, but must hold real numbers{hint}")


def _is_float(value: Any) -> bool:
    try:
        float(value)
    except OverflowError:
        return False
    return True


def check_numbers(name: str, value: Any) -> AnyArray:
    """Return an array of real numbers, finite or not; an array of numbers is not copied."""
    array = as_array(name, value)
    if array.dtype.kind not in "fiub" and array.dtype.name != BFLOAT16:
        raise dtype_error(name, array)
    return array


def check_array(name: str, value: Any, dtype: np.dtype[Any]) -> FloatArray:
    """Return real numbers as a C-contiguous array of dtype, without a copy if they are one."""
    array = check_numbers(name, value)
    if array.dtype == dtype and array.flags.c_contiguous and array.flags.aligned:
        return array
    with np.errstate(over="ignore"):  # overflow becomes infinity, which is reported later
        return np.require(array, dtype, ["C", "A"])


def check_finite(
    name: str,
    array: FloatArray,
    given: AnyArray | None = None,
    first: int = 0,
    columns: Sequence[str] | None = None,
) -> None:
    """Check that all elements are finite, without copying the data.

    `given` is the array before conversion: it tells a number that overflowed from an infinite
    one, and the message uses its indices. `first` is the number of the array's first row,
    `columns` are the columns' names.
    """
    rows = array.reshape(len(array), -1)
    step = max(1, CHUNK_BYTES // max(1, rows[0].nbytes))
    for start in range(0, len(rows), step):
        finite = np.isfinite(rows[start : start + step])
        if finite.all():
            continue
        row, column = np.argwhere(~finite)[0]
        row += start
        given = array if given is None else given
        value = given.reshape(rows.shape)[row, column]
        place = [row + first, column] if given.ndim == 2 else [row + first]
        named = "" if columns is None else columns[column]
        raise not_finite(name, place, value, array.dtype, named)


def not_finite(
    name: str, place: list[Any], value: Any, dtype: np.dtype[Any], column: str = ""
) -> ValueError:
    """Return the error for a number that is not finite, or becomes infinite in a dtype."""
    named = f", column {column!r}," if column else ""
    where = f"{name}[{', '.join(map(str, place))}]{named} is {value}"
    if np.isfinite(value):
        return ValueError(
            f"{where}, which is more than {dtype} holds: scale the values, such as to mean 0 and "
            "variance 1"
        )
    return ValueError(f"{where}: every value must be finite; remove or fill in such samples first")


@functools.cache  # an import statement takes a microsecond, which counts in small trainings
def kernels() -> ModuleType:
    """Return the module of the kernels; compiled code is loaded when it is needed."""
    from fastgd.engine import kernels

    return kernels


def all_finite(array: FloatArray) -> bool:
    """Return whether all elements are finite: a pass at the speed of memory."""
    finite: bool = kernels().all_finite(array)
    return finite


def check_X(  # noqa: N802, the field's name for samples
    X: Any, n_features: int, dtype: np.dtype[Any], name: str = "X"
) -> FloatArray:
    """Return samples of shape (n, n_features), without a copy where possible."""
    given = check_matrix(X, n_features, name)
    array = check_array(name, given, dtype)
    if not all_finite(array):
        check_finite(name, array, given)
    return array


def check_matrix(
    X: Any, n_features: int | None, name: str = "X", wanted: np.dtype[Any] | None = None
) -> AnyArray:
    """Return real numbers of shape (n, n_features) of any dtype, finite or not.

    They are not copied where possible; `wanted` is the dtype for a frame's copy. Without
    n_features, any number of columns from 1 on is allowed.
    """
    given = as_array(name, X, wanted)
    if given.shape and len(given) == 0:
        raise ValueError(f"{name} has no samples: its shape is {given.shape}")
    if given.ndim == 1 and given.dtype.kind in "fiub":
        raise ValueError(
            f"{name} has shape {given.shape}, but must have one row per sample: for one feature "
            "use .reshape(-1, 1), for one sample .reshape(1, -1)"
        )
    array = check_numbers(name, given)
    if array.ndim != 2:
        hint = "; .reshape(len(X), -1) makes a row of each sample" if array.ndim > 2 else ""
        raise ValueError(f"{name} has shape {array.shape}, but must have two dimensions{hint}")
    if n_features is not None:
        check_columns(array.shape, n_features, name)
    elif array.shape[1] == 0:
        raise ValueError(f"{name} has no columns: its shape is {array.shape}")
    return array


def check_columns(shape: tuple[int, ...], n_features: int, name: str = "X") -> None:
    """Check that a matrix of this shape has a column for each of a network's inputs."""
    if shape[1] == n_features:
        return
    hint = "the first of a network's sizes is the number of columns"
    if shape[0] == n_features:
        hint = f"{name} has a row for each sample, so that {name}.T may be meant"
    raise ValueError(
        f"{name} has {count(shape[1], 'column')}, but the network has "
        f"{count(n_features, 'input')}: {hint}"
    )


def check_y(
    y: Any, n: int, outputs: int, loss: str, dtype: np.dtype[Any], name: str = "y"
) -> AnyArray:
    """Return targets: (n, outputs) of dtype, or (n,) class indices as int32."""
    array = given = as_array(name, y)
    if array.ndim == 0 or len(array) != n:
        length = "is a single value" if array.ndim == 0 else f"has length {len(array)}"
        raise ValueError(f"{name} {length}, but {there_are(n)}: it needs a target for each")
    kind = LOSSES[loss].targets
    if kind.indices and array.ndim == 1:
        return _check_classes(array, outputs, loss, name)
    if array.dtype.kind in "OUST":
        hint = "; numpy.unique(y, return_inverse=True) turns labels into numbers"
        raise dtype_error(name, array, hint)
    array = check_array(name, array, dtype)
    if array.ndim == 1 and outputs == 1:
        array = array.reshape(-1, 1)
    if array.shape != (n, outputs):
        also = f" or ({n},)" if outputs == 1 or kind.indices else ""
        raise ValueError(
            f"{name} has shape {array.shape}, but the loss {loss!r} with "
            f"{count(outputs, 'output')} takes ({n}, {outputs}){also}"
            f"{_how_to_shape(array, kind, outputs)}"
        )
    if not all_finite(array):
        check_finite(name, array, given)
    kind.check(array, loss, name)
    return array


def _how_to_shape(array: AnyArray, kind: Targets, outputs: int) -> str:
    """Return a hint on reshaping targets; empty if there is none."""
    if array.ndim == 1 and not kind.classes and kind.numbers:
        return "; for one class out of several use loss='cross_entropy'"
    if array.shape[1:] == (1,) and kind.indices:
        return "; .ravel() makes one dimension of a column of classes"
    if array.ndim == 2 and outputs == 1:
        return f"; for {array.shape[1]} targets per sample let the network's sizes end with that"
    return ""


def _check_classes(array: AnyArray, classes: int, loss: str, name: str) -> AnyArray:
    """Return a copy of class indices as int32: kernels use them as addresses.

    Copy before checking: another thread may change the user's array during the check, and a
    callback during the training.
    """
    array = np.array(array)
    if array.dtype.kind == "f":
        bad = array != np.trunc(array)
        bad |= ~(np.abs(array.astype(np.float64)) < 2.0**62)
        if bad.any():
            first = int(np.argmax(bad))
            raise TypeError(
                f"{name}[{first}] is {array[first]}, but the loss {loss!r} takes class "
                f"indices (whole numbers from 0 to {classes - 1}) or a matrix of probabilities; "
                "numpy.unique(y, return_inverse=True) turns labels into indices"
            )
        array = array.astype(np.int64)
    if array.dtype.kind not in "iub":
        raise TypeError(
            f"{name} has dtype {array.dtype}, but the loss {loss!r} takes class indices "
            f"(whole numbers from 0 to {classes - 1}) or a matrix of probabilities; "
            "numpy.unique(y, return_inverse=True) turns labels into indices"
        )
    bad = (array < 0) | (array >= classes)
    if bad.any():
        first = int(np.argmax(bad))
        raise ValueError(
            f"{name}[{first}] is {array[first]}, but class indices run from 0 to {classes - 1}, "
            f"as the network has {count(classes, 'output')}: give it one for each class; "
            "numpy.unique(y, return_inverse=True) turns labels into indices"
        )
    return np.array(array, np.int32, order="C")


def check_sample_weight(
    weight: Any, n: int, dtype: np.dtype[Any], name: str = "sample_weight"
) -> FloatArray | None:
    """Return one weight per sample, or None."""
    if weight is None:
        return None
    given = as_array(name, weight)
    array = check_array(name, given, dtype)
    if array.shape != (n,):
        raise ValueError(f"{name} has shape {array.shape}, but must have ({n},), one per sample")
    if not all_finite(array):
        check_finite(name, array, given)
    if (array < 0).any():
        first = int(np.argmax(array < 0))
        raise ValueError(f"{name}[{first}] is {array[first]}, but weights must be at least 0")
    if not array.any():
        raise ValueError(f"{name} holds only zeros: no sample would count")
    return array


def check_point(
    name: str, value: Any, n_params: int | None = None, dtype: np.dtype[Any] | None = None
) -> FloatArray:
    """Return a parameter vector, a copy; a single number is a vector of one.

    Without a dtype, float32 and float64 are kept, and anything else becomes float64.
    """
    given = np.atleast_1d(as_array(name, value))
    if dtype is None:
        dtype = given.dtype if given.dtype in (np.float32, np.float64) else np.dtype(np.float64)
    array = check_array(name, given, dtype).copy()
    if array.ndim != 1 or len(array) != (n_params or len(array)) or len(array) == 0:
        expected = "(n_params,)" if n_params is None else f"({n_params},), one value per parameter"
        raise ValueError(f"{name} has shape {array.shape}, but must have {expected}")
    check_finite(name, array, given)
    return array


def check_class_weight(class_weight: Any, labels: AnyArray | None) -> AnyArray | None:
    """Return each sample's weight by its class; None for ones."""
    if class_weight is None:
        return None
    if labels is None:
        raise ValueError(f"class_weight needs {with_classes()}")
    classes, members, counts = np.unique(labels, return_inverse=True, return_counts=True)
    factors: FloatArray = class_factors(class_weight, classes, counts)[members]
    return factors


def class_factors(
    class_weight: Any, classes: AnyArray, sizes: AnyArray, may_lack: bool = False
) -> FloatArray:
    """Return the factor of each class.

    Parameters
    ----------
    class_weight : mapping of classes to float, or "balanced"
        A class that a mapping does not name has 1; "balanced" makes factors inverse to the
        classes' sizes.
    classes : ndarray of shape (n_classes,)
        All classes, whether or not these samples have them.
    sizes : ndarray of shape (n_classes,)
        The classes' sizes, which are sums of probabilities where labels are soft.
    may_lack : bool
        Whether the mapping may name other classes, if it names all of these: a part of the data
        may lack a class. A misspelt one leaves another out.
    """
    if isinstance(class_weight, str):
        check_choice("class_weight", class_weight, ("balanced",))
        present = sizes > 0
        return np.where(present, sizes.sum() / (present.sum() * np.where(present, sizes, 1)), 1.0)
    if not isinstance(class_weight, Mapping):
        raise TypeError(
            "class_weight must be 'balanced' or a mapping of classes to weights, as in "
            f"{{0: 1.0, 1: 5.0}}, not {show(class_weight)}"
        )
    known = classes.tolist()
    unknown = [label for label in class_weight if label not in known]
    if unknown and not (may_lack and all(label in class_weight for label in known)):
        raise ValueError(f"class_weight has {unknown[0]!r}, but the classes are {listed(known)}")
    factors = [
        check_real(f"class_weight[{label!r}]", class_weight.get(label, 1.0), at_least=0)
        for label in known
    ]
    return np.array(factors)


def check_samples(samples: Any, n: int) -> IndexArray:
    """Return indices into n samples."""
    array = as_array("samples", samples)
    if array.size == 0:
        raise ValueError("samples is empty: a network needs at least one sample to train on")
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise TypeError(
            f"samples must list indices into X, not {array.dtype} of shape {array.shape}; "
            "numpy.flatnonzero(mask) turns a mask into indices"
        )
    array = _copy_within("samples holds", array, n)
    return np.ascontiguousarray(array, np.uint32 if n <= 1 << 32 else np.int64)


def check_order(order: Any, n: int) -> IndexArray:
    """Return the sample indices of an epoch, as a sampling gave them."""
    array = as_array("what the sampling's epoch() returned", order)
    if array.size == 0:
        raise ValueError("the sampling's epoch() returned no samples")
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise TypeError(
            "the sampling's epoch() must return a one-dimensional array of whole numbers, not "
            f"{array.dtype} of shape {array.shape}"
        )
    array = _copy_within("the sampling's epoch() returned", array, n)
    return np.ascontiguousarray(array, np.uint32 if array.dtype == np.uint32 else np.int64)


def _copy_within(what: str, given: AnyArray, n: int) -> IndexArray:
    """Return a copy of indices, which are those of n samples: kernels use it as addresses.

    Copy before checking: another thread may change the user's array in between.
    """
    indices: IndexArray = np.array(given)
    low, high = indices.min(), indices.max()
    if low < 0 or high >= n:
        raise ValueError(
            f"{what} the index {low if low < 0 else high}, but {there_are(n)}, from 0 on"
        )
    return indices
