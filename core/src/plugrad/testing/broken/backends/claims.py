"""Claims of plugins' ops that are wrong: kernels for composites, whose meaning is their decomposition."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import fault, kernel


def _softmax(x: Any, *, axis: int) -> Any:
    e = np.exp(x - x.max(axis, keepdims=True, initial=-np.inf))
    return (e / e.sum(axis, keepdims=True)).astype(x.dtype)


def _softmax_bwd(g: Any, y: Any, *, axis: int) -> Any:
    return y * (g - (g * y).sum(axis, keepdims=True))


def _log_softmax(x: Any, *, axis: int) -> Any:
    shifted = x - x.max(axis, keepdims=True, initial=-np.inf)
    return shifted - np.log(np.exp(shifted).sum(axis, keepdims=True))


def _normed(x: Any, w: Any, b: Any, *, eps: float, inside: float = 1.0, ddof: int = 0) -> Any:
    mean = x.mean(-1, keepdims=True, dtype="f8")
    centred = x - mean
    variance = (centred * centred).sum(-1, keepdims=True) / (x.shape[-1] - ddof)
    rstd = 1 / (np.sqrt(variance + eps * inside) + eps * (1 - inside))
    return tuple([a.astype(x.dtype) for a in (centred * rstd * w + b, mean, rstd)])


def _norm_bwd(g: Any, x: Any, w: Any, mean: Any, rstd: Any, *, rows_once: bool = False) -> Any:
    h, u, rows = (x - mean) * rstd, g * w, tuple(range(x.ndim - 1))
    dx = rstd * (u - u.mean(-1, keepdims=True) - h * (u * h).mean(-1, keepdims=True))
    over = rows[:1] if rows_once and len(rows) > 1 else rows
    sums = [(g * h).sum(over), g.sum(over)]
    while sums[0].ndim > 1:
        sums = [s[0] for s in sums]
    return tuple([a.astype(x.dtype) for a in (dx, *sums)])


def _adam(
    p: Any, g: Any, m: Any, v: Any, rate: Any, one: Any, two: Any, *,
    beta1: float, beta2: float, eps: float, weight_decay: float, decoupled: bool,
    eps_inside: bool = False, correct: bool = True, write: bool = False, couple: bool = False,
) -> Any:  # fmt: skip
    q, d = p.astype(m.dtype), g.astype(m.dtype)
    if weight_decay and decoupled and not couple:
        q = q * (1 - rate * weight_decay)
    elif weight_decay:
        d = d + q * weight_decay
    m, v = m * beta1 + d * (1 - beta1), v * beta2 + d * d * (1 - beta2)
    second = v / (two if correct else 1)
    size = np.sqrt(second + eps) if eps_inside else np.sqrt(second) + eps
    new = (q - (rate / one) * m / size).astype(p.dtype)
    if write:
        if p.flags.writeable:
            p[...] = new
        new = p
    return new, m, v


def _nchw(x: Any, layout: str) -> Any:
    return x if layout == "NCHW" else np.moveaxis(x, -1, 1)


def _conv2d(
    x: Any,
    w: Any,
    *,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
    layout: str,
    flip: bool = False,
    dense: bool = False,
) -> Any:
    x = np.pad(_nchw(x, layout), ((0, 0), (0, 0), *padding))
    w = w[:, :, ::-1, ::-1] if flip else w
    (o, c, kh, kw), n = w.shape, x.shape[0]
    sizes = [(x.shape[2 + i] - dilation[i] * (k - 1) - 1) // stride[i] + 1 for i, k in enumerate((kh, kw))]
    out = np.zeros((n, o, *sizes), x.dtype)
    dilation = (1, 1) if dense else dilation
    for k in range(groups):
        mine, ours = slice(k * o // groups, (k + 1) * o // groups), slice(k * c, (k + 1) * c)
        for i in range(kh):
            for j in range(kw):
                ends = [a * d + (size - 1) * s + 1 for a, d, size, s in zip((i, j), dilation, sizes, stride)]
                rows = slice(i * dilation[0], ends[0], stride[0])
                seen = x[:, ours, rows, slice(j * dilation[1], ends[1], stride[1])]
                out[:, mine] += np.einsum("nchw,oc->nohw", seen, w[mine, :, i, j]).astype(x.dtype)
    return out if layout == "NCHW" else np.moveaxis(out, 1, -1).copy()


def _one_sided(x: Any, w: Any, *, padding: Any, **attrs: Any) -> Any:
    """Padding of both sides is put in front."""
    front = tuple([(a + b, 0) for a, b in padding])
    return _conv2d(x, w, padding=front, **attrs)


def _all_channels(x: Any, w: Any, *, groups: int, **attrs: Any) -> Any:
    """With groups, every output channel sees the first group's input."""
    if groups > 1:
        axis = 1 if attrs["layout"] == "NCHW" else -1
        first = np.take(x, range(w.shape[1]), axis)
        x = np.concatenate([first] * groups, axis)
    return _conv2d(x, w, groups=groups, **attrs)


def _relu(x: Any) -> Any:
    return np.where(x > 0, x, x.dtype.type(0))


def _softmax_in_place(x: Any, *, axis: int) -> Any:
    found = _softmax(x, axis=axis)
    if x.flags.writeable:
        x[...] = found
    return found


def _claim(name: str, fn: Any) -> dict[str, Any]:
    return kernel(name, fn)


def _select_last(t: Any, x: Any, y: Any, *, kernel: Any, stride: Any, padding: Any, layout: str) -> Any:
    """Of equal largest elements in a window, the tangent of the last."""
    axes = (2, 3) if layout == "NCHW" else (1, 2)
    pads = [(0, 0)] * 4
    for axis, pair in zip(axes, padding):
        pads[axis] = pair
    big, ts = np.pad(x, pads, constant_values=-np.inf), np.pad(t, pads)
    out = np.zeros_like(y)
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            at: list[Any] = [slice(None)] * 4
            for axis, k, step in zip(axes, (i, j), stride):
                at[axis] = slice(k, k + (y.shape[axis] - 1) * step + 1, step)
            out = np.where(big[tuple(at)] == y, ts[tuple(at)], out)
    return out.astype(t.dtype)


FAULTS = (
    fault("claim_softmax_axis", "a claim of softmax always takes the last axis", "values.nn.softmax",
          _claim("nn.softmax", lambda x, *, axis: _softmax(x, axis=-1)), needs="nn.softmax"),
    fault("claim_softmax_unshifted", "a claim of softmax overflows", "values.nn.softmax",
          _claim("nn.softmax", lambda x, *, axis: np.exp(x) / np.exp(x).sum(axis, keepdims=True)), needs="nn.softmax"),
    fault("claim_softmax_in_place", "a claim of softmax writes its operand", "kernels.operands_are_not_written",
          _claim("nn.softmax", _softmax_in_place), needs="nn.softmax"),
    fault("claim_softmax_bwd_sign", "a claim of softmax's gradient has the wrong sign", "values.nn.softmax_bwd",
          _claim("nn.softmax_bwd", lambda g, y, *, axis: -_softmax_bwd(g, y, axis=axis)), needs="nn.softmax_bwd"),
    fault("claim_softmax_bwd_first_term", "a claim of softmax's gradient has the first term only",
          "values.nn.softmax_bwd", _claim("nn.softmax_bwd", lambda g, y, *, axis: y * g), needs="nn.softmax_bwd"),
    fault("claim_log_softmax_two_logs", "a claim of log_softmax is the logarithm of softmax, infinite far below the "
          "largest", "values.nn.log_softmax",
          _claim("nn.log_softmax", lambda x, *, axis: np.log(_softmax(x, axis=axis))), needs="nn.log_softmax"),
    fault("claim_log_softmax_float64", "a claim of log_softmax gives float64", "values.nn.log_softmax",
          _claim("nn.log_softmax", lambda x, *, axis: _log_softmax(x.astype("f8"), axis=axis)),
          needs="nn.log_softmax"),
    fault("claim_relu_bwd_at_zero", "a claim of relu's gradient lets it pass at 0", "values.nn.relu_bwd",
          _claim("nn.relu_bwd", lambda g, y: np.where(y >= 0, g, g.dtype.type(0))), needs="nn.relu_bwd"),
    fault("claim_relu_of_nan", "a claim of relu takes NaN for 0", "values.nn.relu", _claim("nn.relu", _relu),
          needs="nn.relu"),
    fault("claim_layer_norm_eps", "a claim of layer_norm adds eps outside the root", "values.norm.layer_norm",
          _claim("norm.layer_norm", lambda x, w, b, *, eps: _normed(x, w, b, eps=eps, inside=0.0)),
          needs="norm.layer_norm"),
    fault("claim_layer_norm_unbiased", "a claim of layer_norm divides by n - 1", "values.norm.layer_norm",
          _claim("norm.layer_norm", lambda x, w, b, *, eps: _normed(x, w, b, eps=eps, ddof=1)),
          needs="norm.layer_norm"),
    fault("claim_layer_norm_residual", "a claim of layer_norm gives the deviation for its inverse",
          "values.norm.layer_norm",
          _claim("norm.layer_norm", lambda x, w, b, *, eps: (lambda y, mean, rstd: (y, mean, 1 / rstd))(
              *_normed(x, w, b, eps=eps))), needs="norm.layer_norm"),
    fault("claim_layer_norm_bwd_rows", "a claim of layer_norm's gradient sums over one of the axes of rows",
          "values.norm.layer_norm_bwd",
          _claim("norm.layer_norm_bwd", lambda *xs: _norm_bwd(*xs, rows_once=True)), needs="norm.layer_norm_bwd"),
    fault("claim_adam_eps", "a claim of adam_step adds eps inside the root", "values.optim.adam_step",
          _claim("optim.adam_step", lambda *xs, **attrs: _adam(*xs, **attrs, eps_inside=True)),
          needs="optim.adam_step"),
    fault("claim_adam_correction", "a claim of adam_step does not correct the second moment", "values.optim.adam_step",
          _claim("optim.adam_step", lambda *xs, **attrs: _adam(*xs, **attrs, correct=False)), needs="optim.adam_step"),
    fault("claim_adam_decay", "a claim of adam_step adds decoupled decay to the gradient", "values.optim.adam_step",
          _claim("optim.adam_step", lambda *xs, **attrs: _adam(*xs, **attrs, couple=True)), needs="optim.adam_step"),
    fault("claim_adam_in_place", "a claim of adam_step writes the parameter", "kernels.operands_are_not_written",
          _claim("optim.adam_step", lambda *xs, **attrs: _adam(*xs, **attrs, write=True)), needs="optim.adam_step"),
    fault("claim_conv2d_flips", "a claim of conv2d turns the weight round", "values.nn.conv2d",
          _claim("nn.conv2d", lambda x, w, **attrs: _conv2d(x, w, **attrs, flip=True)), needs="nn.conv2d"),
    fault("claim_conv2d_padding", "a claim of conv2d pads in front only", "values.nn.conv2d",
          _claim("nn.conv2d", _one_sided), needs="nn.conv2d"),
    fault("claim_conv2d_dilation", "a claim of conv2d sees neighbours whatever the dilation", "values.nn.conv2d",
          _claim("nn.conv2d", lambda x, w, **attrs: _conv2d(x, w, **attrs, dense=True)), needs="nn.conv2d"),
    fault("claim_conv2d_groups", "a claim of conv2d shows the first group's input to all", "values.nn.conv2d",
          _claim("nn.conv2d", _all_channels), needs="nn.conv2d"),
    fault("claim_select_last", "a claim of the second derivative of pooling takes the last of equal elements",
          "values.nn.max_pool2d_select", _claim("nn.max_pool2d_select", _select_last),
          needs="nn.max_pool2d_select"),
)  # fmt: skip
