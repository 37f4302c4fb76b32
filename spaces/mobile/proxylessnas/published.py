"""The published networks of the space, and the names of their parameters in the published checkpoints.

Sources: mit-han-lab/proxylessnas for the four that were released; the archive of TuNAS (Bender et al. 2020) for
MobileNetV2 and MnasNet-B1 as members of the space, whose channels are flavours of no release.
"""

from __future__ import annotations

from spaces.mobile.proxylessnas.strings import ProxylessNet, parse
from tfnas.errors import unknown

ARCHITECTURES = {
    "proxyless_mobile": "k3e1|k5e3:k3e3:skip:skip|k7e3:k3e3:k5e3:k5e3|k7e6:k5e3:k5e3:k5e3|k5e6:k5e3:k5e3:k5e3"
    "|k7e6:k7e6:k7e3:k7e3|k7e6",
    "proxyless_cpu": "k3e1|k3e6:k3e3:k3e3:k3e3|k3e6:k3e3:k3e3:k5e3|k3e6:skip:skip:k3e3|k5e6:k3e3:k3e3:k3e3"
    "|k5e6:k5e3:k5e3:k3e3|k5e6",
    "proxyless_gpu": "k3e1|k5e3:skip:skip:skip|k7e3:skip:skip:k3e3|k7e6:skip:skip:k5e3|k5e6:skip:k3e3:k5e3"
    "|k7e6:k7e6:k7e6:k5e6|k7e6",
    "proxyless_mobile_14": "k3e1|k5e3:k3e3:skip:skip|k7e3:k3e3:k5e3:k5e3|k7e6:k5e3:k5e3:k5e3|k5e6:k5e3:k5e3:k5e3"
    "|k7e6:k7e6:k7e3:k7e3|k7e6",
    "mobilenet_v2": "k3e1|k3e6:k3e6:skip:skip|k3e6:k3e6:k3e6:skip|k3e6:k3e6:k3e6:k3e6|k3e6:k3e6:k3e6:skip"
    "|k3e6:k3e6:k3e6:skip|k3e6",
    "mnasnet_b1": "k3e1|k3e3:k3e3:k3e3:skip|k5e3:k5e3:k5e3:skip|k5e6:k5e6:k5e6:skip|k3e6:k3e6:skip:skip"
    "|k5e6:k5e6:k5e6:k5e6|k3e6",
}
FLAVOURS = {
    "proxyless_mobile": "mobile",
    "proxyless_cpu": "cpu",
    "proxyless_gpu": "gpu",
    "proxyless_mobile_14": "mobile_14",
}

_PARTS = {
    "expand": "mobile_inverted_conv.inverted_bottleneck",
    "depthwise": "mobile_inverted_conv.depth_conv",
    "project": "mobile_inverted_conv.point_linear",
}
_ENDS = {"stem": "first_conv", "head": "feature_mix_layer"}
_PARAMS = {
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "bias": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def named(name: str) -> ProxylessNet:
    """A published network; `FLAVOURS` tells the flavour of those that were released.

    Raises:
        InputError: an unknown name.
    """
    if name not in ARCHITECTURES:
        raise unknown("ProxylessNAS network", name, ARCHITECTURES)
    return parse(ARCHITECTURES[name])


def checkpoint_name(key: str) -> str:
    """The name in the published checkpoints of a parameter "<node>.<param>".

    Their kernels are [C_out, C_in, kh, kw], those of depthwise convolutions [C, 1, kh, kw], the dense one [out, in].
    """
    node, _, param = key.rpartition(".")
    if node == "head.dense":
        return f"classifier.linear.{_PARAMS[param]}"
    place, _, layer = node.rpartition(".")
    if place in _ENDS:
        return f"{_ENDS[place]}.{layer}.{_PARAMS[param]}"
    block, _, part = place.rpartition(".")
    return f"{block}.{_PARTS[part]}.{layer}.{_PARAMS[param]}"
