"""The official DeepLab graphs in plain ``tf.nn`` operations, with the official variable names and made-up values.

Written from the description of the graph (papers, model zoo, names of the variables); needs TensorFlow, which the program
does not.
"""

from __future__ import annotations

import tensorflow as tf

from tools.tensorflow_reference.plans import Plan, value

v1 = tf.compat.v1

TRUNK_EPSILON, HEAD_EPSILON = 1e-3, 1e-5
MOBILE = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
ENTRY = {
    "xception_41": (((128, 2), (256, 2), (728, 2)), 8),
    "xception_65": (((128, 2), (256, 2), (728, 2)), 16),
    "xception_71": (((128, 2), (256, 1), (256, 2), (728, 1), (728, 2)), 16),
}
CELL = ((-1, (1, 6)), (0, (18, 15)), (1, (6, 3)), (0, (1, 1)), (0, (6, 21)))


class Builder:
    """Layers under their official scopes; every variable is made once, by its full name."""

    def variable(self, name: str, shape: tuple[int, ...]) -> tf.Tensor:
        return v1.get_variable(name, initializer=value(name, shape), use_resource=False)

    def norm(self, x: tf.Tensor, scope: str, epsilon: float) -> tf.Tensor:
        size = (x.shape[-1],)
        names = ("gamma", "beta", "moving_mean", "moving_variance")
        values = [self.variable(f"{scope}/BatchNorm/{name}", size) for name in names]
        return v1.nn.fused_batch_norm(x, *values, epsilon=epsilon, is_training=False, name=f"{scope}/BatchNorm/FusedBatchNorm")[0]

    def conv(self, x, scope, channels, kernel=1, *, stride=1, rate=1, act=tf.nn.relu, epsilon=HEAD_EPSILON, explicit=False):
        weights = self.variable(f"{scope}/weights", (kernel, kernel, x.shape[-1], channels))
        padding = "SAME"
        if explicit and stride > 1:
            x, padding = pad(x, kernel), "VALID"
        x = tf.nn.conv2d(x, weights, stride, padding, dilations=rate, name=f"{scope}/Conv2D")
        x = self.norm(x, scope, epsilon)
        return x if act is None else act(x)

    def depthwise(self, x, scope, *, stride=1, rate=(1, 1), act=tf.nn.relu, epsilon=HEAD_EPSILON, explicit=False):
        weights = self.variable(f"{scope}/depthwise_weights", (3, 3, x.shape[-1], 1))
        padding = "SAME"
        if explicit and stride > 1:
            x, padding = pad(x, 3), "VALID"
        x = v1.nn.depthwise_conv2d(x, weights, [1, stride, stride, 1], padding, rate=list(rate), name=f"{scope}/depthwise")
        x = self.norm(x, scope, epsilon)
        return x if act is None else act(x)

    def separable(self, x, scope, channels, *, rate=(1, 1)):
        x = self.depthwise(x, f"{scope}_depthwise", rate=rate)
        return self.conv(x, f"{scope}_pointwise", channels)


def pad(x: tf.Tensor, kernel: int) -> tf.Tensor:
    """Symmetric zero padding, as the strided layers of Xception have it whatever the size."""
    side = (kernel - 1) // 2
    return tf.pad(x, [[0, 0], [side, side], [side, side], [0, 0]])


def resize(x: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Bilinear, corners aligned."""
    return v1.image.resize_bilinear(x, size, align_corners=True)


def xception(b: Builder, x: tf.Tensor, plan: Plan) -> tuple[tf.Tensor, tf.Tensor]:
    """The end of the trunk, and the low-level features: what enters the last convolution of the block that leaves stride 4."""
    root = plan.trunk
    entry, middle = ENTRY[root]
    eps = {"epsilon": TRUNK_EPSILON, "explicit": True}
    x = b.conv(x, f"{root}/entry_flow/conv1_1", 32, 3, stride=2, **eps)
    x = b.conv(x, f"{root}/entry_flow/conv1_2", 64, 3, **eps)
    current, rate, low = 2, 1, None

    def module(x, scope, widths, stride, shortcut, inner_act):
        nonlocal current, rate, low
        step, used = stride, rate
        if stride > 1 and current * stride > plan.stride:
            rate, step = rate * stride, 1
        inputs, before = x, current
        current *= step
        for index, width in enumerate(widths):
            name = f"{scope}/xception_module/separable_conv{index + 1}"
            act = tf.nn.relu if inner_act else None
            if not inner_act:
                x = tf.nn.relu(x)
            last = index == 2
            x = b.depthwise(x, f"{name}_depthwise", stride=step if last else 1, rate=(used, used), act=act, **eps)
            x = b.conv(x, f"{name}_pointwise", width, act=act, **eps)
            if index == 1 and before == 4 and stride == 2 and low is None:
                low = x
        if shortcut == "conv":
            inputs = b.conv(inputs, f"{scope}/xception_module/shortcut", widths[-1], stride=step, act=None, **eps)
        return x if shortcut == "none" else x + inputs

    for number, (width, stride) in enumerate(entry, 1):
        x = module(x, f"{root}/entry_flow/block{number}/unit_1", (width,) * 3, stride, "conv", False)
    for number in range(1, middle + 1):
        x = module(x, f"{root}/middle_flow/block1/unit_{number}", (728,) * 3, 1, "sum", False)
    x = module(x, f"{root}/exit_flow/block1/unit_1", (728, 1024, 1024), 2, "conv", False)
    return module(x, f"{root}/exit_flow/block2/unit_1", (1536, 1536, 2048), 1, "none", True), low


def mobilenet(b: Builder, x: tf.Tensor, plan: Plan) -> tuple[tf.Tensor, tf.Tensor]:
    """The 320-channel end and the rectified depthwise features of unit 2 ("layer_4/depthwise_output")."""
    opts = {"act": tf.nn.relu6, "epsilon": TRUNK_EPSILON}
    x = b.conv(x, "MobilenetV2/Conv", int(32 * plan.width), 3, stride=2, **opts)
    current, rate, number, low = 2, 1, 0, None
    for expansion, width, units, stride in MOBILE:
        for index in range(units):
            step, used = (stride if index == 0 else 1), rate
            if step > 1 and current * step > plan.stride:
                rate, step = rate * step, 1
            current *= step
            scope = "MobilenetV2/expanded_conv" + (f"_{number}" if number else "")
            inputs = x
            if expansion > 1:
                x = b.conv(x, f"{scope}/expand", expansion * x.shape[-1], **opts)
            x = b.depthwise(x, f"{scope}/depthwise", stride=step, rate=(used, used), **opts)
            low = x if number == 2 else low
            x = b.conv(x, f"{scope}/project", int(width * plan.width), act=None, epsilon=TRUNK_EPSILON)
            if stride == 1 or index > 0:
                x = x + inputs if x.shape[-1] == inputs.shape[-1] else x
            number += 1
    return x, low


def head(b: Builder, x: tf.Tensor, low: tf.Tensor, plan: Plan) -> tf.Tensor:
    """Coarse logits from the trunk's features."""
    scale, size = 16 // plan.stride, x.shape[1:3]
    if plan.pyramid == "cell":
        parts = []
        for number, (source, rate) in enumerate(CELL):
            given = x if source < 0 else parts[source]
            parts.append(b.separable(given, f"meta_architecture/branch{number}", 256, rate=tuple(r * scale for r in rate)))
        x = b.conv(tf.concat(parts, 3), "meta_architecture/concat_projection", 256)
    elif plan.pyramid != "none":
        image = tf.nn.avg_pool2d(x, size, size, "VALID")
        parts = [resize(b.conv(image, "image_pooling", 256), size), b.conv(x, "aspp0", 256)]
        for number, rate in enumerate((6, 12, 18) if plan.pyramid == "aspp" else (), 1):
            if plan.separable:
                parts.append(b.separable(x, f"aspp{number}", 256, rate=(rate * scale,) * 2))
            else:
                parts.append(b.conv(x, f"aspp{number}", 256, 3, rate=rate * scale))
        x = b.conv(tf.concat(parts, 3), "concat_projection", 256)
    if plan.decoder:
        low = b.conv(low, "decoder/feature_projection0", 48)
        x = tf.concat([resize(x, low.shape[1:3]), low], 3)
        for number in (0, 1):
            if plan.separable:
                x = b.separable(x, f"decoder/decoder_conv{number}", 256)
            else:
                x = b.conv(x, f"decoder/decoder_conv0/decoder_conv0_{number + 1}", 256, 3)
    weights = b.variable("logits/semantic/weights", (1, 1, x.shape[-1], plan.classes))
    return tf.nn.conv2d(x, weights, 1, "SAME") + b.variable("logits/semantic/biases", (plan.classes,))


def build(image: tf.Tensor, plan: Plan) -> tf.Tensor:
    """Coarse logits of an (N, H, W, 3) image of values 0..255."""
    builder = Builder()
    x = (2.0 / 255.0) * tf.cast(image, tf.float32) - 1.0
    trunk = mobilenet if plan.trunk == "mobilenet_v2" else xception
    return head(builder, *trunk(builder, x, plan), plan)
