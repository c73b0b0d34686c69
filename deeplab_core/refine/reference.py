"""The other engine: pydensecrf, the usual Python binding of the authors' code, as the reference for ours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deeplab_core.errors import AtrousError
from deeplab_core.records import CRFParams


def reference_mean_field(
    rgb: NDArray[np.uint8], logits: NDArray[np.float32], labels: int, params: CRFParams
) -> NDArray[np.float32]:
    """Marginals by pydensecrf, in the layout of :func:`~deeplab_core.refine.mean_field.mean_field`.

    Args:
        rgb: (H, W, 3) uint8.
        logits: (H W, P) float32: minus the unary energies.
        labels: columns of ``logits`` that are labels.
        params: kernels, normalisation and iterations.

    Returns:
        (H W, P) float32; columns beyond ``labels`` are 0.

    Raises:
        AtrousError: pydensecrf is not installed.
    """
    try:
        from pydensecrf import densecrf
    except ImportError as error:
        raise AtrousError(
            "the reference CRF is not installed",
            why=str(error),
            remedy="Choose the native engine, or install the extra: pip install 'atrous[crf]'",
        ) from error
    normalization = {
        "symmetric": densecrf.NORMALIZE_SYMMETRIC,
        "after": densecrf.NORMALIZE_AFTER,
        "none": densecrf.NO_NORMALIZATION,
    }[params.normalization]
    height, width = rgb.shape[:2]
    crf = densecrf.DenseCRF2D(width, height, labels)
    crf.setUnaryEnergy(np.ascontiguousarray(-logits[:, :labels].T))
    if params.gaussian_compat != 0.0:
        crf.addPairwiseGaussian(sxy=params.gaussian_sxy, compat=params.gaussian_compat, normalization=normalization)
    if params.bilateral_compat != 0.0:
        picture = np.require(rgb, requirements=["C", "W"])  # it refuses read-only arrays
        crf.addPairwiseBilateral(
            sxy=params.bilateral_sxy, srgb=params.bilateral_srgb, rgbim=picture, compat=params.bilateral_compat,
            normalization=normalization,
        )  # fmt: skip
    q = np.zeros_like(logits)
    q[:, :labels] = np.asarray(crf.inference(params.iterations)).T
    return q
