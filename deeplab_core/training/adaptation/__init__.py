"""Learning from the user's corrections: the frozen part of a network runs once, the rest is trained within seconds.

::

    adapted = adapt(model, card, corrected, untouched)      # Corrected, Untouched: readers of images and masks
    if adapted.report.verdict == "better":  # or "not sure", "worse"
        save_model("learned.safetensors", adapted.model, adapted.card)
"""

from deeplab_core.learning import ClassGain, LearnOptions, LearnPair, LearnReport
from deeplab_core.training.adaptation.adapt import Adapted, adapt
from deeplab_core.training.adaptation.examples import Corrected, Untouched

__all__ = ["Adapted", "ClassGain", "Corrected", "LearnOptions", "LearnPair", "LearnReport", "Untouched", "adapt"]
