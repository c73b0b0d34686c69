"""Write checkpoints, frozen graphs and TensorFlow's logits of every network to a folder.

Run in an environment that has TensorFlow: ``python -m tools.tensorflow_reference.write FOLDER [NAME...]``; then
``python -m tools.tensorflow_reference.compare FOLDER`` in the program's own environment.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from tools.tensorflow_reference.network import build, tf, v1
from tools.tensorflow_reference.plans import PLANS, image


def write(folder: Path, name: str) -> None:
    """One network's files: a folder like an unpacked release, with ``reference.npz`` beside."""
    plan = PLANS[name]
    out = folder / name
    out.mkdir(parents=True, exist_ok=True)
    picture = image(plan)
    with tf.Graph().as_default() as graph, v1.Session() as session:
        given = v1.placeholder(tf.uint8, picture.shape, name="ImageTensor")
        logits = tf.identity(build(given, plan), name="logits")
        for variable in v1.global_variables()[:6]:  # an optimiser's slots are beside the variables, as in the releases
            v1.get_variable(f"{variable.op.name}/Momentum", initializer=np.ones(variable.shape, np.float32), use_resource=False)
        v1.train.get_or_create_global_step()
        session.run(v1.global_variables_initializer())
        v1.train.Saver(v1.global_variables()).save(session, str(out / "model.ckpt-30000"), write_meta_graph=False)
        frozen = v1.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), ["logits"])
        (out / "frozen_inference_graph.pb").write_bytes(frozen.SerializeToString())
        np.savez(out / "reference.npz", image=picture, logits=session.run(logits, {given: picture}))
    print(f"{name}: {len(frozen.node)} nodes", flush=True)


if __name__ == "__main__":
    v1.disable_eager_execution()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    target = Path(sys.argv[1])
    for chosen in sys.argv[2:] or PLANS:
        write(target, chosen)
