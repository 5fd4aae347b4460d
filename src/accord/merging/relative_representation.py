"""A space that independently trained encoders share, so that one's head reads the other's encodings."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional

from accord.errors import ConfigurationError
from accord.method import Method


class RelativeRepresentation(nn.Module):
    """Replace an encoding by its cosine similarities to the encodings of fixed anchors.

    Encoders trained from different seeds differ, to a good approximation, by a rotation and a scale, which cosines do
    not see: a head trained on the relative representations of one encoder can be put behind another one, if both are
    given the same anchor *samples*. Nothing is learned or aligned.

    Args:
        encoder: maps inputs to encodings ``[N, d]``; ``d`` may differ between encoders.
        anchors: inputs of the anchor samples, ``[A, ...]``: as many as ``d`` and drawn from the data is usual.

    Source: Moschella et al., Relative representations enable zero-shot latent space communication, 2023.
    """

    method: ClassVar[Method] = Method(
        title="Relative representations",
        paper="Relative representations enable zero-shot latent space communication",
        year=2023,
        url="https://arxiv.org/abs/2209.15430",
        needs="data",
        cost="A d products per sample",
        catalogue=(312,),
    )

    anchors: Tensor

    def __init__(self, encoder: nn.Module, anchors: Tensor) -> None:
        super().__init__()
        if len(anchors) < 1:
            raise ConfigurationError("anchors must hold at least one sample")
        self.encoder = encoder
        self.register_buffer("anchors", anchors)

    def forward(self, inputs: Any) -> Tensor:
        """Return the cosines ``[N, A]``, in [-1, 1].

        Anchors are encoded anew with every batch, so that gradients reach the encoder through them too.
        """
        return relative(self.encoder(inputs), self.encoder(self.anchors))


def relative(encodings: Tensor, anchors: Tensor) -> Tensor:
    """Return cosines ``[N, A]`` between encodings ``[N, d]`` and anchor encodings ``[A, d]``; 0 for one of length 0.

    Raises:
        ConfigurationError: they are not of one width.
    """
    if encodings.shape[-1] != anchors.shape[-1]:
        raise ConfigurationError(
            f"encodings of width {encodings.shape[-1]} have no cosine with anchors of width {anchors.shape[-1]}"
        )
    return functional.normalize(encodings, dim=-1) @ functional.normalize(anchors, dim=-1).T


def stitch(encoder: nn.Module, anchors: Tensor, head: nn.Module) -> nn.Sequential:
    """Return a model of one network's encoder and another's head, which was trained on relative representations.

    Args:
        encoder: maps inputs to encodings.
        anchors: the anchor samples that the head was trained with, in the same order.
        head: reads cosines ``[N, A]``.
    """
    return nn.Sequential(RelativeRepresentation(encoder, anchors), head)
