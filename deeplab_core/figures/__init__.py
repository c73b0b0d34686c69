"""The figures of the papers, drawn from this package's own networks, metrics and CRF: ``atrous figures``.

:data:`FIGURES` lists them; :func:`make_figure` draws one and writes it as PNG and SVG with its numbers, caption and source.
"""

from __future__ import annotations

from pathlib import Path

from deeplab_core.errors import AtrousError, message
from deeplab_core.figures.decoder_design import decoder_design
from deeplab_core.figures.features import atrous_or_downsample, crf_steps, pyramid, upsampling
from deeplab_core.figures.layers import gridding, large_rates, receptive_field
from deeplab_core.figures.record import DrawnFigure, FigureInputs, FigureSpec, NamedModel, TruthPair, WrittenFigure
from deeplab_core.figures.runs import decoders, failures, output_stride, protocol
from deeplab_core.figures.style import house_style, write_figure

__all__ = ["FIGURES", "DrawnFigure", "FigureInputs", "FigureSpec", "NamedModel", "TruthPair", "WrittenFigure", "make_figure"]

_ALL = (
    FigureSpec(
        name="receptive-field",
        title="Receptive field, layer by layer",
        caption="A 3x3 kernel at rate r spans 2r + 1 pixels. Stacked rates 1, 2, 4 see 3, 7, 15 pixels without a hole. "
        "With --network, "
        "the field of a network behind every convolution and pooling.",
        source="Yu and Koltun 2015, Multi-Scale Context Aggregation by Dilated Convolutions, arXiv 1511.07122, figure 1",
        needs=frozenset(),
        draw=receptive_field,
    ),
    FigureSpec(
        name="gridding",
        title="Equal rates leave holes",
        caption="Paths from each input pixel to one output pixel of three stacked 3x3 convolutions. Equal rates of 2 never "
        "see 71 % of the pixels in their field; the multi-grid 1, 2, 4 sees all.",
        source="Wang et al. 2018, Understanding Convolution for Semantic Segmentation, arXiv 1702.08502, figure 2; multi-grid: "
        "DeepLabv3, arXiv 1706.05587, section 3.2",
        needs=frozenset(),
        draw=gridding,
    ),
    FigureSpec(
        name="large-rates",
        title="Large rates become 1x1 kernels",
        caption="Share of positions of a 65 x 65 map at which 1, 4 or 9 weights of a 3x3 kernel fall inside the map. At the "
        "map's own size only the central weight is left.",
        source="Chen et al. 2017, DeepLabv3, arXiv 1706.05587, figure 4",
        needs=frozenset(),
        draw=large_rates,
    ),
    FigureSpec(
        name="atrous-or-downsample",
        title="Dense features by a rate, sparse ones by a stride",
        caption="A 7x7 kernel on the halved image answers at a quarter of the positions; the same kernel with rate 2 on "
        "the whole image "
        "answers at all of them.",
        source="Chen et al. 2016, DeepLab, arXiv 1606.00915, figure 3",
        needs=frozenset({"image"}),
        draw=atrous_or_downsample,
    ),
    FigureSpec(
        name="upsampling",
        title="Unpooling and transposed convolution",
        caption="Unpooling puts each value back where the pooling found it and leaves the rest empty; a transposed "
        "convolution fills "
        "the map, without the places.",
        source="Noh et al. 2015, DeconvNet, arXiv 1505.04366, figure 3",
        needs=frozenset({"image"}),
        draw=upsampling,
    ),
    FigureSpec(
        name="pyramid",
        title="Branches of the pyramid",
        caption="Mean activation of every branch of atrous spatial pyramid pooling on one image. The image-level branch "
        "is one vector for "
        "all positions.",
        source="Chen et al. 2017, DeepLabv3, arXiv 1706.05587, figure 5",
        needs=frozenset({"image", "model"}),
        draw=pyramid,
    ),
    FigureSpec(
        name="crf-steps",
        title="Steps of mean field",
        caption="Labels of the network, and after 1, 2, 5 and 10 steps of the dense CRF.",
        source="Chen et al. 2014, DeepLab, arXiv 1412.7062, figure 2",
        needs=frozenset({"image", "model"}),
        draw=crf_steps,
    ),
    FigureSpec(
        name="output-stride",
        title="What a finer output stride brings, and what it costs",
        caption="Mean IoU over the folder, IoU near class edges, and multiply-adds, by output stride, with the same weights.",
        source="Chen et al. 2017, DeepLabv3, arXiv 1706.05587, tables 1 and 2",
        needs=frozenset({"model", "folder"}),
        draw=output_stride,
    ),
    FigureSpec(
        name="protocol",
        title="Strides of training and evaluation, scales, mirroring",
        caption="Mean IoU over the folder; each --model is a row of its own, so that networks trained at strides 16 and 8 "
        "can be compared.",
        source="Chen et al. 2018, DeepLabv3+, arXiv 1802.02611, table 3",
        needs=frozenset({"model", "folder"}),
        draw=protocol,
    ),
    FigureSpec(
        name="decoders",
        title="Mean IoU by trimap width",
        caption="Mean IoU within a band of 1 to 20 px around the class edges of the ground truth, one curve for each "
        "--model, e.g. with the "
        "bilinear and with the proposed decoder.",
        source="Chen et al. 2018, DeepLabv3+, arXiv 1802.02611, figure 5",
        needs=frozenset({"model", "folder"}),
        draw=decoders,
    ),
    FigureSpec(
        name="decoder-design",
        title="Designs of the decoder",
        caption="Decoders of different design, each trained for a short time on the same frozen features of every second "
        "image, measured on "
        "the others. The order counts, not the level.",
        source="Chen et al. 2018, DeepLabv3+, arXiv 1802.02611, tables 1 and 2",
        needs=frozenset({"model", "folder"}),
        draw=decoder_design,
    ),
    FigureSpec(
        name="failures",
        title="Failures",
        caption="The largest error components of three kinds: sofa and chair swapped, occlusion, and objects that were missed.",
        source="Chen et al. 2018, DeepLabv3+, arXiv 1802.02611, figure 6 (failure modes, last row)",
        needs=frozenset({"model", "folder"}),
        draw=failures,
    ),
)

#: Every figure by name.
FIGURES: dict[str, FigureSpec] = {spec.name: spec for spec in _ALL}


def make_figure(name: str, inputs: FigureInputs, folder: Path) -> WrittenFigure:
    """Draw a figure and write it.

    Args:
        name: one of :data:`FIGURES`.
        inputs: what it is drawn from.
        folder: where its files go; made if missing. Files of the same figure are replaced.

    Raises:
        AtrousError: an unknown figure, an input that it needs and that is missing, or one that it cannot use.
    """
    if name not in FIGURES:
        raise AtrousError(
            message("no figure '{name}'", name=name), remedy=message("Choose one of {names}", names=", ".join(FIGURES))
        )
    spec = FIGURES[name]
    given = {"image": inputs.image is not None, "model": bool(inputs.models), "folder": inputs.pairs is not None}
    for need in sorted(spec.needs):
        if not given[need]:
            raise AtrousError(
                message("figure '{name}' needs more", name=name),
                why=message("{need} is missing", need=need),
                remedy=message("Give it to the figure"),
                option="--model, --image, or --images and --truth",
            )
    with house_style():
        return WrittenFigure(spec, write_figure(spec, spec.draw(inputs), folder))
