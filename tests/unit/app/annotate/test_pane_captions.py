"""What the panes say besides their names: measured figures only."""

from __future__ import annotations

from app.viewmodels.annotate.panes import PaneKind, pane_captions, preview_captions


def test_figures_that_are_not_measured_are_left_out() -> None:
    captions = pane_captions(band_width=5, around_mask=True, in_band=None, by_hand=0.0, accuracy=None, predicted=False)
    assert captions == {PaneKind.BAND: "5 px · around the mask", PaneKind.MASK: ""}


def test_measured_figures_are_shown() -> None:
    captions = pane_captions(band_width=3, around_mask=False, in_band=0.5, by_hand=0.25, accuracy=0.875, predicted=True)
    assert captions[PaneKind.BAND] == "3 px · mIoU 50.0"
    assert captions[PaneKind.MASK] == "edited by hand 25.0 %"
    assert captions[PaneKind.ERRORS] == "pixel accuracy 87.5 %"
    assert captions[PaneKind.UNCERTAINTY] == "1 − confidence"


def test_a_preview_says_whether_it_is_exact() -> None:
    assert preview_captions(None, exact=True) == {}
    assert preview_captions(1200, exact=True)[PaneKind.REFINED] == "not applied"
    quick = preview_captions(1200, exact=False)
    assert quick[PaneKind.REFINED] == "not applied, draft"
    assert quick[PaneKind.CHANGES].endswith(" px")
