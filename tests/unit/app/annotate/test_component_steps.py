"""What correction tools and component operations write into a document."""

from __future__ import annotations

import numpy as np
import pytest

from app.state.document import Document
from app.state.edits.limits import EditLimits
from app.state.edits.proposal import job_patch, job_proposal, proposal_patch
from app.state.locks import Locks
from app.state.provenance import Provenance
from app.viewmodels.annotate.component_jobs import OPERATIONS, ListCount, effect_text, list_text
from app.viewmodels.annotate.correction import Pointed, pointed_lines
from deeplab_core.catalogs import get_catalog
from deeplab_core.correction import ComponentJob, Corrector

VOC = get_catalog("voc21")
CHAIR, SOFA, CAT = 9, 18, 8


def made() -> Document:
    """A chair on background with a speck of cat beside it and a hole in it; the speck's twin was painted by the user."""
    labels = np.zeros((30, 40), np.uint8)
    labels[5:25, 5:25] = CHAIR
    labels[10:12, 10:12] = 0
    labels[8, 30] = labels[20, 30] = CAT
    provenance = np.full(labels.shape, Provenance.MODEL, np.uint8)
    provenance[20, 30] = Provenance.USER
    return Document(labels, VOC, provenance)


def corrector(document: Document) -> Corrector:
    return Corrector(
        np.zeros((*document.shape, 3), np.uint8), document.labels, catalog=VOC, provenance=document.provenance, shared=True
    )


def test_a_proposal_becomes_a_step_that_keeps_locks_and_painted_pixels() -> None:
    document = made()
    document.provenance[5, 5] = Provenance.USER
    proposal = corrector(document).component_at(7, 7, SOFA)
    assert proposal is not None
    document.apply(proposal_patch(document, proposal))
    assert (document.labels == SOFA).sum() == 20 * 20 - 4
    assert document.provenance[5, 5] == Provenance.USER
    assert document.provenance[6, 6] == Provenance.RECLASSIFIED
    document.locks = Locks(frozenset({SOFA}))
    again = corrector(document).component_at(7, 7, CHAIR)
    assert again is not None
    assert proposal_patch(document, again).empty
    assert proposal_patch(document, again, EditLimits(frozenset({CAT}))).empty


def test_an_operation_in_one_image_changes_painted_pixels_and_one_in_a_folder_does_not() -> None:
    document, job = made(), ComponentJob("drop islands", 3)
    proposal = job_proposal(corrector(document), job)
    assert proposal is not None
    assert proposal.mask.sum() == 2
    patch, kept = job_patch(document, job)
    assert patch.changed_pixels == 1
    assert kept == 1
    document.apply(patch)
    assert document.labels[8, 30] == 0
    assert document.labels[20, 30] == CAT
    document.locks = Locks(frozenset({CHAIR}))
    assert job_patch(document, ComponentJob("fill holes", 10, CHAIR))[0].empty


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_of_the_dialog_can_be_done(operation: str) -> None:
    document = made()
    text = OPERATIONS[operation]  # type: ignore[index]
    job = ComponentJob(operation, text.px, None if text.any_class else CHAIR)  # type: ignore[arg-type]
    document.labels[2, 38] = CHAIR  # a second component
    tool = corrector(document)
    assert job_proposal(tool, job) is not None
    right = np.zeros(document.shape, np.bool_)
    right[:, 20:] = True
    limited = job_proposal(tool, job, within=right)
    assert limited is None or not limited.mask[:, :20].any()
    if text.outline:
        one = job_proposal(tool, job, component=(7.0, 7.0))
        assert one is not None
        assert not one.mask[:5, 33:].any()


def test_texts_say_class_size_and_what_a_click_does() -> None:
    lines = pointed_lines(VOC, Pointed(1204, CHAIR, SOFA, CAT))
    assert lines == ("chair, 1\u202f204 px", "Click: sofa", "Shift+click: cat")
    assert pointed_lines(VOC, Pointed(5, CHAIR, CHAIR, None)) == ("chair, 5 px",)
    assert pointed_lines(VOC, Pointed(5, CHAIR, SOFA, CAT, frozenset({CHAIR}))) == ("chair, 5 px", "chair is locked")
    assert pointed_lines(VOC, Pointed(5, None, SOFA, None, frozenset({SOFA}))) == ("5 px", "sofa is locked")
    assert pointed_lines(VOC, Pointed(5, None, SOFA, None, changes=2)) == ("5 px", "Click: sofa, 2 px")
    assert pointed_lines(VOC, Pointed(5, None, SOFA, CAT, changes=0)) == ("5 px", "Shift+click: cat")
    assert effect_text("drop islands", 40, 120) == "This image: 40 islands, 120 px change."
    assert effect_text("fill holes", 1, 1) == "This image: 1 hole, 1 px changes."
    assert effect_text("grow", 3, 90) == "This image: 90 px change."
    assert effect_text("grow", 0, 0) == "This image: nothing changes."
    assert list_text("drop islands", ListCount(40, 90, 2, 3, 3)) == "40 islands in 2 images."
    assert list_text("keep largest", ListCount(1, 4, 1, 2, 3)) == "1 island in 1 image so far."
    assert list_text("fill holes", ListCount(2, 9, 1, 3, 3)) == "2 holes in 1 image."
    assert list_text("smooth", ListCount(0, 1, 1, 3, 3)) == "1 px in 1 image."
