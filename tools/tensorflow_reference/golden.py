"""Write the small files of tests/data/tensorflow: what TensorFlow itself wrote and computed, for tests without TensorFlow.

Run in an environment that has TensorFlow: ``python -m tools.tensorflow_reference.golden``. A few kB; every value is made up.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np

from tools.tensorflow_reference.network import build, tf, v1
from tools.tensorflow_reference.plans import PLANS, image, value

OUT = Path(__file__).resolve().parents[2] / "tests" / "data" / "tensorflow"
#: Networks with kept logits, every fourth row and column.
KEPT = ("mnv2_os16", "mnv2_dm05_os16", "mnv2_aspp_decoder", "mnv2_plain_convs", "mnv2_no_pyramid", "xception_41_os16",
        "xception_71_cell_os16")  # fmt: skip


def checkpoint() -> dict[str, np.ndarray]:
    """Two data files, names with long common prefixes, every float type, a counter, optimiser slots, an empty tensor."""
    variables = {f"net/block_{n}/{leaf}": value(f"{n}/{leaf}", (3,)) for n in range(12) for leaf in ("gamma", "beta")}
    variables |= {
        "net/weights": value("net/weights", (3, 3, 2, 5)),
        "net/depthwise_weights": value("net/depthwise_weights", (3, 3, 4, 2)),
        "net/weights/Momentum": np.ones((3, 3, 2, 5), np.float32),
        "net/gamma_half": np.array([0.5, -2.0, 65504.0], np.float16),
        "net/gamma_double": np.array([1e-300, 0.1]),
        "net/scalar": np.float32(2.5),
        "net/empty": np.zeros((0, 4), np.float32),
        "global_step": np.int64(30000),
        "large": value("large", (40, 50)),
    }
    config = v1.ConfigProto(device_count={"CPU": 2})
    with tf.Graph().as_default(), v1.Session(config=config) as session:
        for number, (name, content) in enumerate(variables.items()):
            with tf.device(f"/cpu:{number % 2}"):
                v1.get_variable(name, initializer=content, use_resource=False)
        with tf.device("/cpu:0"):
            v1.get_variable("net/gamma_bfloat16", initializer=tf.constant([1.0, -3.5, 0.15625], tf.bfloat16), use_resource=False)
        session.run(v1.global_variables_initializer())
        v1.train.Saver(sharded=True).save(session, str(OUT / "small.ckpt"), write_meta_graph=False, write_state=False)
    return variables | {"net/gamma_bfloat16": np.array([1.0, -3.5, 0.15625], np.float32)}


def graph() -> dict[str, np.ndarray]:
    """A frozen graph with atrous and strided convolutions, both ways of writing a rate, batch norm and pooling."""
    variables = {
        "a_depthwise/depthwise_weights": value("a/depthwise_weights", (3, 3, 3, 1)),
        "b/weights": value("b/weights", (3, 3, 3, 4)),
        "image_pooling/weights": value("c/weights", (1, 1, 4, 2)),
        "b/BatchNorm/gamma": np.full(4, 0.75, np.float32),
        "b/BatchNorm/beta": np.zeros(4, np.float32),
        "b/BatchNorm/moving_mean": value("b/moving_mean", (4,)),
        "b/BatchNorm/moving_variance": np.ones(4, np.float32),
    }
    with tf.Graph().as_default() as made, v1.Session() as session:
        read = {name: v1.get_variable(name, initializer=content, use_resource=False) for name, content in variables.items()}
        x = v1.placeholder(tf.float32, (1, 17, 17, 3), name="ImageTensor")
        kernel = read["a_depthwise/depthwise_weights"]
        x = v1.nn.depthwise_conv2d(x, kernel, [1, 1, 1, 1], "SAME", rate=[2, 3], name="a_depthwise/depthwise")
        x = tf.nn.conv2d(x, read["b/weights"], 2, "SAME")
        norm = [read[f"b/BatchNorm/{name}"] for name in ("gamma", "beta", "moving_mean", "moving_variance")]
        x = v1.nn.fused_batch_norm(x, *norm, epsilon=1e-3, is_training=False)[0]
        x = tf.nn.avg_pool2d(x, [9, 9], [9, 9], "VALID")
        x = tf.identity(tf.nn.conv2d(x, read["image_pooling/weights"], 1, "SAME"), name="logits")
        unused = tf.constant(0.5, shape=[6], name="d/biases")
        x = tf.concat([tf.reshape(x, [-1]), unused], 0, name="out")
        session.run(v1.global_variables_initializer())
        frozen = v1.graph_util.convert_variables_to_constants(session, made.as_graph_def(), ["out"])
    (OUT / "small.pb").write_bytes(frozen.SerializeToString())
    return variables | {"d/biases": np.full(6, 0.5, np.float32)}


def logits(name: str) -> tuple[np.ndarray, dict[str, list[int]]]:
    """Coarse logits of one network, thinned out; and the shapes of its variables by name."""
    picture = image(PLANS[name])
    with tf.Graph().as_default(), v1.Session() as session:
        given = v1.placeholder(tf.uint8, picture.shape)
        coarse = build(given, PLANS[name])
        session.run(v1.global_variables_initializer())
        found: np.ndarray = session.run(coarse, {given: picture})
        shapes = {variable.op.name: variable.shape.as_list() for variable in v1.global_variables()}
    return found[:, ::4, ::4], shapes


if __name__ == "__main__":
    v1.disable_eager_execution()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    OUT.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(OUT / "checkpoint.npz", **{name.replace("/", "|"): content for name, content in checkpoint().items()})
    np.savez_compressed(OUT / "graph.npz", **{name.replace("/", "|"): content for name, content in graph().items()})
    computed = {name: logits(name) for name in KEPT}
    np.savez_compressed(OUT / "logits.npz", **{name: found for name, (found, _) in computed.items()})
    shapes = json.dumps({name: shapes for name, (_, shapes) in computed.items()}).encode()
    (OUT / "variables.json.gz").write_bytes(gzip.compress(shapes, mtime=0))
