"""The picture: panes, overlay, brush.

``CanvasArea(view, edit)`` is the widget; it is given a ``LayerSet`` and forwards every gesture to ``ViewState`` and
``EditController``. Inside: ``picture`` (photograph at any scale), ``compose`` (overlay of some device pixels), ``frame``
(finished pixels of one pane, updated by rectangles), ``canvas_view`` (one pane: events and marks), ``tools/`` (one strategy per
tool).
"""
