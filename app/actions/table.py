"""THE list of commands. Menus, top bar, context menu, command palette and the lists of keyboard shortcuts derive from it."""

from __future__ import annotations

from typing import Any

from app.actions.spec import ActionSpec, Gesture, Group
from app.state.tools import TOOLS, CopyFrom, ToolSpec
from app.text import mark as _
from deeplab_core.errors import message

#: What runs again and again while its key is held; everything else runs once, however long a key is down.
_REPEATING = frozenset(
    {"go.next", "go.previous", "go.next_unreviewed", "go.previous_unreviewed", "go.next_worst", "go.next_error", "edit.undo",
     "edit.redo",
     "brush.larger", "brush.smaller", "class.previous", "class.next", "view.more_opaque", "view.less_opaque", "view.zoom_in",
     "view.zoom_out", "view.brighter", "view.darker", "view.more_contrast", "view.less_contrast", "view.more_gamma",
     "view.less_gamma", "inspect.next", "inspect.previous"}
)  # fmt: skip


def _spec(group: Group, id: str, text: str, handler: str, **rest: Any) -> ActionSpec:  # noqa: A002 - the field's own name
    shortcuts = rest.pop("keys", ())
    rest["repeats"] = id in _REPEATING
    return ActionSpec(
        id=id,
        text=text,
        group=group,
        handler=handler,
        shortcuts=(shortcuts,) if isinstance(shortcuts, str) else shortcuts,
        **rest,
    )


_ON_IMAGE = ("image_open",)
_EDITABLE = ("can_edit",)

# fmt: off
_FILE = (
    _spec(Group.FILE, "project.open", _("Open folder…"), "window.open_folder", icon="folder", keys="Ctrl+O"),
    _spec(Group.FILE, "project.open_video", _("Open video…"), "window.open_video",
          tip=_("Writes frames of a video as images beside it and opens their folder")),
    _spec(Group.FILE, "project.open_sample", _("Open sample project"), "window.open_sample", icon="image"),
    _spec(Group.FILE, "project.rescan", _("Rescan folder"), "project.rescan", icon="refresh", keys="F5",
          enabled_when=("project_open",)),
    _spec(Group.FILE, "project.save", _("Save now"), "project.save_now", icon="save", keys="Ctrl+S", enabled_when=_EDITABLE,
          separated=True, tip=_("Work is saved as you go; this writes the mask file now")),
    _spec(Group.FILE, "project.import", _("Import labels from a folder…"), "window.import_masks", icon="import",
          enabled_when=("project_writable", "has_images"), tip=_("Masks, labelme, YOLO, CVAT and other formats")),
    _spec(Group.FILE, "project.import_file", _("Import labels from a file…"), "window.import_file", icon="import",
          enabled_when=("project_writable", "has_images"), tip=_("COCO, CVAT, Label Studio, a zip file and others")),
    _spec(Group.FILE, "project.merge", _("Merge with another project…"), "window.merge_project", enabled_when=("has_images",),
          tip=_("Labels of another user for the same images: how far you agree, and one project with the work of both")),
    _spec(Group.FILE, "project.export", _("Export masks…"), "window.export_masks", icon="export", keys="Ctrl+E",
          enabled_when=("has_images",)),
    _spec(Group.FILE, "app.settings", _("Settings…"), "window.show_settings", icon="settings", keys="Ctrl+,", separated=True),
    _spec(Group.FILE, "app.quit", _("Quit"), "window.quit", keys="Ctrl+Q"),
)

_EDIT = (
    _spec(Group.EDIT, "edit.undo", _("Undo"), "edit.undo", icon="undo", keys="Ctrl+Z", enabled_when=("can_undo",)),
    _spec(Group.EDIT, "edit.redo", _("Redo"), "edit.redo", icon="redo", keys=("Ctrl+Shift+Z", "Ctrl+Y"),
          enabled_when=("can_redo",)),
    _spec(Group.EDIT, "edit.undo_folder", _("Undo folder job"), "folder_jobs.undo",
          enabled_when=("can_undo_folder",),
          tip=_("Undoes one step of every image that the job changed and that has not changed since")),
    _spec(Group.EDIT, "edit.copy_region", _("Copy region"), "copies.copy_region", keys="Ctrl+C", enabled_when=_ON_IMAGE,
          separated=True, tip=_("The connected region of one class under the pointer")),
    _spec(Group.EDIT, "edit.paste_region", _("Paste region"), "copies.paste_region", keys="Ctrl+V", enabled_when=_EDITABLE,
          tip=_("At the same place; for images of the same size")),
    _spec(Group.EDIT, "edit.copy_previous", _("Copy mask of the previous image"), "copies.copy_previous", keys="Ctrl+Shift+V",
          enabled_when=_EDITABLE, tip=_("By the order of the names; one undo step, and the pixels count as yours")),
    _spec(Group.EDIT, "copy.here", _("Copy what is under the pointer"), "part_copies.copy_here", icon="copy", keys="Ctrl+D",
          enabled_when=_EDITABLE, separated=True,
          tip=_("From the chosen source, with any tool; the tool 'Copy from' shows it before")),
    *(
        _spec(Group.EDIT, f"copy.{source}", text, "part_copies.choose", argument=CopyFrom[source.upper()], keys=key,
              enabled_when=_ON_IMAGE, tip=tip)
        for source, text, key, tip in (
            ("prediction", _("Copy from the prediction"), "Alt+1", _("What the tool 'Copy from' takes")),
            ("model", _("Copy from another model"), "Alt+2", _("One that is compared or a kept prediction; again: the next one")),
            ("truth", _("Copy from the ground truth"), "Alt+3", _("Where it is not void")),
            ("previous", _("Copy from the previous image"), "Alt+4", _("At the same position, if it has the same size")),
        )
    ),
    _spec(Group.EDIT, "copy.region", _("Copy regions of the image"), "part_copies.toggle_region", keys="Alt+D",
          enabled_when=_ON_IMAGE, checked_from="copy_region_on",
          tip=_("A click takes what lies inside the region under the pointer, and not the component of the source")),
    _spec(Group.EDIT, "note.add", _("Write a note…"), "reviewing.ask_note", icon="note", keys="Ctrl+N",
          enabled_when=_EDITABLE, separated=True,
          tip=_("About the error that is shown, else the pixel under the pointer, else the whole image")),
    _spec(Group.EDIT, "note.list", _("List the notes…"), "reviewing.show_notes", keys="Ctrl+Shift+N",
          enabled_when=("project_open",), tip=_("All notes of the folder; open, change or delete them")),
    _spec(Group.EDIT, "start.model", _("Replace mask by prediction"), "predict.start_from_model", icon="model",
          separated=True, enabled_when=("can_edit", "has_prediction"),
          tip=_("Replaces the whole mask by the prediction; one undo step")),
    _spec(Group.EDIT, "start.truth", _("Replace mask by ground truth"), "evaluation.start_from_truth", icon="truth",
          enabled_when=("can_edit", "has_truth"), tip=_("Replaces the whole mask by the ground truth; one undo step")),
    _spec(Group.EDIT, "start.mask", _("Replace mask by file…"), "window.start_from_file", icon="import",
          enabled_when=_EDITABLE, tip=_("Replaces the whole mask by a file; one undo step")),
    _spec(Group.EDIT, "start.blank", _("Clear mask"), "predict.start_from_blank", enabled_when=_EDITABLE,
          tip=_("Everything becomes unlabelled; one undo step")),
    _spec(Group.EDIT, "start.over", _("Start this image over…"), "window.start_over", enabled_when=("can_start_over",),
          tip=_("Deletes labels, undo steps and status of the image; its mask file is kept beside the others")),
    _spec(Group.EDIT, "edit.accept_suggestion", _("Apply the new prediction"), "predict.accept_suggestion", icon="check",
          keys="Ctrl+Shift+Return", enabled_when=("can_edit", "suggestion_waiting"), separated=True,
          tip=_("Updates the mask; pixels that you painted or filled do not change")),
    _spec(Group.EDIT, "edit.dismiss_suggestion", _("Keep current mask"), "predict.dismiss_suggestion", icon="close",
          enabled_when=("suggestion_waiting",)),
)

_NAVIGATE = (
    _spec(Group.NAVIGATE, "go.next", _("Next image"), "project.next_image", icon="chevron-right", keys=("D", "PgDown"),
          enabled_when=("has_images",)),
    _spec(Group.NAVIGATE, "go.previous", _("Previous image"), "project.previous_image", icon="chevron-left", keys=("A", "PgUp"),
          enabled_when=("has_images",)),
    _spec(Group.NAVIGATE, "go.next_unreviewed", _("Next unreviewed image"), "project.next_unreviewed", icon="unreviewed",
          keys="Ctrl+Shift+D", enabled_when=("has_images",)),
    _spec(Group.NAVIGATE, "go.previous_unreviewed", _("Previous unreviewed image"), "project.previous_unreviewed",
          keys="Ctrl+Shift+A", enabled_when=("has_images",)),
    _spec(Group.NAVIGATE, "go.next_worst", _("Next worst image"), "rankings.next_worst", icon="worst", keys="N",
          enabled_when=("has_images",),
          tip=_("The unreviewed image with the lowest IoU; without ground truth, the least certain one")),
    _spec(Group.NAVIGATE, "go.next_error", _("Next error in this image"), "next_errors.next_error", icon="error", keys="Shift+N",
          enabled_when=_ON_IMAGE, tip=_("The one that gains most if it is fixed; without ground truth, the most doubtful one")),
    _spec(Group.NAVIGATE, "go.give_error", _("Give the error the selected class"), "next_errors.give_selected",
          keys=("Shift+Return", "Shift+Enter"), enabled_when=("can_edit", "at_error"),
          tip=_("With ground truth the right class is selected")),
    _spec(Group.NAVIGATE, "go.restore_error", _("Restore the error to the prediction"), "next_errors.restore", keys="Shift+Del",
          enabled_when=("can_edit", "at_error")),
    _spec(Group.NAVIGATE, "go.filter", _("Filter the images…"), "reviewing.ask_filter", icon="filter", keys="Ctrl+Shift+F",
          enabled_when=("has_images",), tip=_("By name, class, status, note, score; Enter opens the first match")),
    _spec(Group.NAVIGATE, "go.reviewed_next", _("Reviewed, next"), "project.reviewed_next", icon="reviewed",
          keys=("Return", "Enter", "Ctrl+Return", "Ctrl+Enter"),
          enabled_when=("image_open", "project_writable"), separated=True,
          tip=_("Marks this image reviewed and opens the next unreviewed one")),
    _spec(Group.NAVIGATE, "go.toggle_reviewed", _("Reviewed"), "project.toggle_reviewed", keys="Ctrl+M",
          enabled_when=("image_open", "project_writable"), checked_from="reviewed"),
    _spec(Group.NAVIGATE, "go.reject", _("Reject this image…"), "reviewing.reject", icon="close", keys="Shift+M",
          enabled_when=("image_open", "project_writable"), checked_from="rejected",
          tip=_("Asks why and opens the next one; exports leave it out. Again: it is no longer rejected")),
    _spec(Group.NAVIGATE, "go.progress", _("Progress by day…"), "reviewing.show_progress", icon="history",
          enabled_when=("has_images",), tip=_("Images reviewed, actions and active time of each day; as CSV, too")),
    _spec(Group.NAVIGATE, "go.accept_change", _("Confirm mask for changed file"), "project.accept_change", icon="check",
          enabled_when=("to_check",), tip=_("Confirms that the mask still fits: the image is no longer listed as changed")),
)


def _tool(tool: ToolSpec) -> ActionSpec:
    return _spec(
        Group.TOOLS,
        tool.action,
        tool.text,
        "edit.choose_tool",
        argument=tool.tool,
        icon=tool.tool,
        keys=tool.keys,
        enabled_when=_ON_IMAGE,
        checked_from=tool.context_key,
        tip=tool.tip,
    )


_TOOLS = (
    *map(_tool, TOOLS),
    _spec(Group.TOOLS, "lasso.snap", _("Lasso snaps to edges"), "edit.toggle_snapping", keys="Alt+L", enabled_when=_ON_IMAGE,
          checked_from="snapping_on", tip=_("The outline moves to the edges of the image while you draw it")),
    _spec(Group.TOOLS, "brush.larger", _("Larger brush"), "edit.scale_brush", argument=1, keys="]", enabled_when=_ON_IMAGE,
          separated=True),
    _spec(Group.TOOLS, "brush.smaller", _("Smaller brush"), "edit.scale_brush", argument=-1, keys="[", enabled_when=_ON_IMAGE),
    _spec(Group.TOOLS, "brush.within", _("Paint only over the class where a stroke begins"), "edit.toggle_within", keys="Shift+B",
          enabled_when=_ON_IMAGE, checked_from="within_on", tip=_("Brush, eraser, lasso and polygon change nothing else")),
    _spec(Group.TOOLS, "brush.over", _("Paint only over the class under the pointer"), "modes.toggle_over", keys="Alt+B",
          enabled_when=_ON_IMAGE,
          tip=_("Adds it to the classes that may be painted over, or takes it out; kept with the project")),
    _spec(Group.TOOLS, "brush.over_all", _("Paint over all classes"), "modes.over_all", enabled_when=("over_on",),
          checked_from="over_on", tip=_("Only some classes may be painted over now")),
    _spec(Group.TOOLS, "brush.inside_band", _("Paint only inside the trimap band"), "edit.toggle_band", argument="inside",
          keys="Shift+T", enabled_when=_ON_IMAGE, checked_from="inside_band_on",
          tip=_("The band of the Trimap band view, as wide as it is shown; no tool changes other pixels")),
    _spec(Group.TOOLS, "brush.outside_band", _("Paint only outside the trimap band"), "edit.toggle_band", argument="outside",
          keys="Alt+T", enabled_when=_ON_IMAGE, checked_from="outside_band_on",
          tip=_("The band of the Trimap band view, as wide as it is shown; no tool changes its pixels")),
)

_COMPONENTS = (
    _spec(Group.TOOLS, "components.guess", _("Give the error or component its second guess"), "next_errors.take_guess",
          keys="Shift+Z", enabled_when=_EDITABLE, separated=True,
          tip=_("The class that the network finds most likely after the present one; Shift+click does the same")),
    _spec(Group.TOOLS, "components.dissolve", _("Give the error or component to its surroundings"), "next_errors.dissolve",
          keys="Del", enabled_when=_EDITABLE, tip=_("The class that touches it most replaces it")),
    *(
        _spec(Group.TOOLS, f"components.{operation.replace(' ', '_')}", text, "window.change_components", argument=operation,
              keys=keys, enabled_when=_EDITABLE, separated=operation == "drop islands", tip=tip)
        for operation, text, keys, tip in (
            ("drop islands", _("Drop islands…"), "Shift+I", _("Small components go to the class around them")),
            ("fill holes", _("Fill holes…"), (), _("Small areas inside of a class get its class")),
            ("keep largest", _("Keep the largest component…"), (), _("The other components go to the classes around them")),
            ("grow", _("Grow a class…"), (), _("By some px, everywhere or one component")),
            ("shrink", _("Shrink a class…"), (), _("By some px; what it loses takes the nearest class")),
            ("smooth", _("Smooth an outline…"), (), _("Removes teeth and thin parts")),
        )
    ),
)

#: Keys of the class dock in their order on the keyboard.
CLASS_KEYS = ("1", "2", "3", "4", "5", "6", "7", "8", "9", "0")

_CLASSES = (
    *(
        _spec(Group.CLASSES, f"class.key_{key}", message("Class with the key {key}", key=key), "classes.choose_key",
              argument=key, keys=key, enabled_when=_ON_IMAGE)
        for key in CLASS_KEYS
    ),
    _spec(Group.CLASSES, "class.void", _("Unlabelled (void)"), "classes.choose_void", keys="`", enabled_when=_ON_IMAGE,
          separated=True),
    _spec(Group.CLASSES, "class.previous", _("Previous class"), "classes.previous_class", keys="Q", enabled_when=_ON_IMAGE),
    _spec(Group.CLASSES, "class.next", _("Next class"), "classes.next_class", keys="W", enabled_when=_ON_IMAGE),
    _spec(Group.CLASSES, "class.swap", _("Swap the last two classes"), "classes.swap_classes", icon="swap", keys="X",
          enabled_when=_ON_IMAGE),
    _spec(Group.CLASSES, "class.find", _("Find a class…"), "window.find_class", icon="search", keys=("/", "Ctrl+F"),
          enabled_when=("project_open",)),
    _spec(Group.CLASSES, "class.show_all", _("Show all classes"), "classes.show_all", icon="eye", enabled_when=("project_open",),
          separated=True),
    _spec(Group.CLASSES, "class.edit", _("Edit classes…"), "window.edit_classes", enabled_when=("project_open",),
          separated=True, tip=_("Add, rename, recolour, reorder, merge and delete classes")),
    _spec(Group.CLASSES, "class.undo_edit", _("Undo the edit of the classes"), "window.undo_class_edit",
          enabled_when=("project_open",), tip=_("Take the newest edit of the classes back, with the undo steps from before it")),
)

_VIEW = (
    _spec(Group.VIEW, "view.overlay", _("Show masks"), "view.toggle_overlay", icon="overlay", keys="V",
          enabled_when=_ON_IMAGE, checked_from="overlay_on"),
    _spec(Group.VIEW, "view.contours", _("Contours"), "view.toggle_contours", icon="contour", keys="C", enabled_when=_ON_IMAGE,
          checked_from="contours_on"),
    _spec(Group.VIEW, "view.names", _("Class names"), "view.toggle_names", keys="Alt+N", enabled_when=_ON_IMAGE,
          checked_from="names_on", tip=_("On large regions and on the one under the pointer; hidden while you paint")),
    _spec(Group.VIEW, "view.more_opaque", _("Increase overlay opacity"), "view.step_opacity", argument=1, keys="Shift+V",
          enabled_when=_ON_IMAGE),
    _spec(Group.VIEW, "view.less_opaque", _("Decrease overlay opacity"), "view.step_opacity", argument=-1, keys="Alt+V",
          enabled_when=_ON_IMAGE),
    _spec(Group.VIEW, "view.blink", _("Blink to the prediction"), "view.hold_blink", icon="blink", keys="Tab",
          enabled_when=_ON_IMAGE, held=True, tip=_("Hold the key to see the prediction instead of the mask")),
    _spec(Group.VIEW, "view.trimap", _("Trimap band"), "view.toggle_trimap", icon="trimap", keys="T", enabled_when=_ON_IMAGE,
          checked_from="pane_trimap", separated=True),
    _spec(Group.VIEW, "view.uncertainty", _("Uncertainty"), "view.toggle_uncertainty", icon="uncertainty", keys="U",
          enabled_when=_ON_IMAGE, checked_from="pane_uncertainty"),
    _spec(Group.VIEW, "view.errors", _("Errors against the ground truth"), "view.toggle_errors", icon="error", keys="R",
          enabled_when=_ON_IMAGE, checked_from="pane_errors"),
    _spec(Group.VIEW, "view.linked", _("Linked views"), "view.toggle_linked", icon="layout-double", keys="S",
          enabled_when=_ON_IMAGE, tip=_("Switches between one view and the last layout")),
    _spec(Group.VIEW, "view.layout_single", _("One view"), "view.set_layout", argument="single", icon="layout-single",
          keys="Ctrl+1", enabled_when=_ON_IMAGE, checked_from="layout_single", separated=True),
    _spec(Group.VIEW, "view.layout_double", _("Two views"), "view.set_layout", argument="double", icon="layout-double",
          keys="Ctrl+2", enabled_when=_ON_IMAGE, checked_from="layout_double"),
    _spec(Group.VIEW, "view.layout_triple", _("Three views"), "view.set_layout", argument="triple", icon="layout-triple",
          keys="Ctrl+3", enabled_when=_ON_IMAGE, checked_from="layout_triple"),
    _spec(Group.VIEW, "view.layout_quad", _("Four views"), "view.set_layout", argument="quad", icon="layout-quad", keys="Ctrl+4",
          enabled_when=_ON_IMAGE, checked_from="layout_quad"),
    _spec(Group.VIEW, "view.layout_split", _("Split slider"), "view.set_layout", argument="split", icon="blink", keys="Ctrl+5",
          enabled_when=_ON_IMAGE, checked_from="layout_split"),
    _spec(Group.VIEW, "view.fit", _("Fit"), "view.zoom_fit", icon="fit", keys="F", enabled_when=_ON_IMAGE, separated=True),
    _spec(Group.VIEW, "view.actual_size", _("100 %"), "view.zoom_actual", keys="Ctrl+0", enabled_when=_ON_IMAGE),
    _spec(Group.VIEW, "view.zoom_in", _("Zoom in"), "view.zoom_in", icon="zoom-in", keys=("Ctrl++", "Ctrl+="),
          enabled_when=_ON_IMAGE),
    _spec(Group.VIEW, "view.zoom_out", _("Zoom out"), "view.zoom_out", icon="zoom-out", keys="Ctrl+-", enabled_when=_ON_IMAGE),
    _spec(Group.VIEW, "view.keep", _("Keep zoom between images"), "view.toggle_keep", keys="K", enabled_when=_ON_IMAGE,
          checked_from="keep_view"),
    _spec(Group.VIEW, "view.adjust", _("Brightness and contrast…"), "view.ask_adjustment", icon="theme", keys="Alt+I",
          enabled_when=_ON_IMAGE, separated=True,
          tip=_("Of the image as it is shown, with gamma; labels, predictions and exports do not change")),
    *(
        _spec(Group.VIEW, f"view.{name}", text, f"view.step_{what}", argument=steps, keys=key, enabled_when=_ON_IMAGE)
        for name, text, what, steps, key in (
            ("brighter", _("Brighter view"), "brightness", 1, "Alt+Up"),
            ("darker", _("Darker view"), "brightness", -1, "Alt+Down"),
            ("more_contrast", _("More contrast"), "contrast", 1, "Alt+Right"),
            ("less_contrast", _("Less contrast"), "contrast", -1, "Alt+Left"),
            ("more_gamma", _("Brighter dark parts"), "gamma", 1, "Alt+PgUp"),
            ("less_gamma", _("Darker dark parts"), "gamma", -1, "Alt+PgDown"),
        )
    ),
    _spec(Group.VIEW, "view.reset_adjustment", _("Show the image as it is"), "view.reset_adjustment", keys="Alt+0",
          enabled_when=("view_adjusted",), checked_from="view_adjusted",
          tip=_("Ends brightness, contrast and gamma of the view")),
)

_MODEL = (
    _spec(Group.MODEL, "model.open", _("Open a model file…"), "window.open_model", icon="model"),
    _spec(Group.MODEL, "model.get", _("Get a model…"), "window.get_model", icon="export",
          tip=_("Networks published by their authors, with licence, classes and published score")),
    _spec(Group.MODEL, "model.open_clicks", _("Open a click network…"), "window.open_click_network",
          tip=_("One ONNX file, or encoder and decoder: what the Clicks tool asks")),
    _spec(Group.MODEL, "model.options", _("Model options…"), "window.edit_model_options", enabled_when=("model_ready",),
          tip=_("Settings that the weights file does not contain: stride, rates, input; with their sources")),
    _spec(Group.MODEL, "model.run_image", _("Run on this image"), "predict.run_image", icon="play", keys="Ctrl+R",
          enabled_when=("model_ready", "can_edit")),
    _spec(Group.MODEL, "model.run_folder", _("Run on folder"), "folder_run.run", icon="play-folder", keys="Ctrl+Shift+R",
          enabled_when=("model_ready", "project_writable", "has_images")),
    _spec(Group.MODEL, "model.cancel", _("Cancel running job"), "predict.cancel", icon="stop", keys="Ctrl+.",
          enabled_when=("job_running",)),
    _spec(Group.MODEL, "model.restart", _("Restart the model process"), "models.restart", icon="refresh",
          tip=_("Ends and restarts the compute process; masks do not change")),
    _spec(Group.MODEL, "model.learn", _("Learn from corrections…"), "learn.prepare", icon="learn",
          enabled_when=("model_ready", "project_writable", "has_images", "!learning"), separated=True,
          tip=_("Adapts the model to your corrections in the background; compare before and after, then decide")),
    _spec(Group.MODEL, "model.learned", _("Review learned model…"), "learn.show", icon="check",
          enabled_when=("learned_waiting",), tip=_("Before and after; accept or discard")),
    _spec(Group.MODEL, "model.compare", _("Compare models"), "compare.toggle", icon="layout-double", keys="Shift+C",
          enabled_when=_ON_IMAGE, checked_from="comparing", separated=True,
          tip=_("Two to four models side by side: differences, IoU, trimap curves and time; the mask does not " "change")),
    _spec(Group.MODEL, "model.compare_file", _("Compare with a model file…"), "compare.ask_file", icon="folder",
          enabled_when=_ON_IMAGE),
    _spec(Group.MODEL, "model.compare_folder", _("Compare on folder"), "compare_folder.start", icon="play-folder",
          enabled_when=("comparing", "has_images", "!compare_running"),
          tip=_("Pooled metrics of each model, and the images on which they differ most")),
    _spec(Group.MODEL, "model.compare_all", _("Compare all models on folder"), "compare.all_on_folder", icon="layout-quad",
          enabled_when=(*_ON_IMAGE, "has_images", "!compare_running"),
          tip=_("Every installed model with the classes of the one in use, four at most")),
    _spec(Group.MODEL, "model.receptive", _("Receptive field under the pointer"), "receptive.toggle", icon="fit", keys="Shift+R",
          enabled_when=("image_open", "model_ready"), checked_from="receptive_on",
          tip=_("Pixels that a label depends on: boxes from the layer geometry, heat from the gradient")),
    _spec(Group.MODEL, "model.similar", _("More like this"), "similar.begin", icon="image",
          enabled_when=("image_open", "model_ready"),
          tip=_("Images in the order of how alike the model's encoder finds them; where an error is open, like its box")),
    _spec(Group.MODEL, "model.mapping", _("Match model classes…"), "window.edit_mapping", icon="swap",
          enabled_when=("model_ready", "project_open"), separated=True,
          tip=_("Project class for each class of the model")),
)

_REFINE = (
    _spec(Group.REFINE, "refine.preview", _("CRF preview"), "refine.toggle_preview", icon="refine", keys="Y",
          enabled_when=_ON_IMAGE,
          checked_from="crf_preview",
          tip=_("Shows the effect of the CRF on the mask; nothing changes until you apply it. "
                "Hold the blink key to see the current mask")),
    _spec(Group.REFINE, "refine.split", _("Split mask and preview"), "refine.toggle_split", icon="blink", keys="Alt+Y",
          enabled_when=_ON_IMAGE, checked_from="crf_split"),
    _spec(Group.REFINE, "refine.changes", _("Pixels changed by the CRF"), "refine.toggle_changes", icon="contour",
          enabled_when=_ON_IMAGE, checked_from="pane_changes"),
    _spec(Group.REFINE, "refine.apply", _("Apply to this image"), "refine.apply", icon="check", keys="Shift+Y",
          enabled_when=_EDITABLE, separated=True, tip=_("One undo step; your own pixels stay")),
    _spec(Group.REFINE, "refine.apply_band", _("Apply in trimap band only"), "refine.apply_band", icon="trimap",
          enabled_when=_EDITABLE),
    _spec(Group.REFINE, "refine.region", _("Apply inside an outline"), "refine.draw_region", icon="lasso", keys="Ctrl+L",
          enabled_when=_EDITABLE, checked_from="crf_region",
          tip=_("Lasso and polygon refine their inside instead of filling it, until you turn this off")),
    _spec(Group.REFINE, "refine.folder", _("Apply to the folder"), "refine_folder.start", icon="play-folder",
          enabled_when=("model_ready", "project_writable", "has_images", "!crf_running"),
          tip=_("Edited masks get a suggestion, the others one undo step each")),
    _spec(Group.REFINE, "refine.discard", _("Discard preview"), "refine.discard", icon="close",
          enabled_when=("crf_preview",)),
    _spec(Group.REFINE, "refine.scribble", _("Scribble mode"), "scribble.toggle", icon="scribble", keys="J",
          enabled_when=_EDITABLE,
          checked_from="scribble_on", separated=True,
          tip=_("The CRF refines every stroke to the image's edges; both are one undo step")),
    _spec(Group.REFINE, "refine.mask", _("Refine the mask itself"), "refine.refine_mask", icon="overlay", enabled_when=_ON_IMAGE,
          tip=_("Without a network: refines the current labels to the image's edges")),
    _spec(Group.REFINE, "refine.open", _("Open CRF parameters…"), "window.open_crf", icon="folder",
          tip=_("Report written by 'atrous refine --search'")),
)

_TRUTH = (
    _spec(Group.TRUTH, "truth.choose", _("Choose ground truth…"), "truth.review", icon="truth",
          enabled_when=("has_images",), tip=_("Folder of the masks that metrics are computed against")),
    _spec(Group.TRUTH, "truth.find", _("Find ground truth near the images"), "truth.find", icon="search",
          enabled_when=("has_images",)),
    _spec(Group.TRUTH, "truth.frame", _("Mask orientation…"), "truth.review_frame", enabled_when=("has_images",),
          tip=_("Shows an image with EXIF orientation and its mask in both orientations")),
    _spec(Group.TRUTH, "evaluate.folder", _("Evaluate folder"), "folder_evaluation.start", icon="trimap", keys="Ctrl+J",
          enabled_when=("has_images",), tip=_("Per-class IoU and trimap curve over all images with ground truth and a mask")),
    _spec(Group.TRUTH, "inspect.view", _("Evaluation panel"), "inspect.toggle_view", icon="matrix", keys="O",
          enabled_when=("has_images",), checked_from="evaluation_open", separated=True,
          tip=_("Confusion matrix, kinds of failure, rankings and plots; every number leads to its pixels")),
    _spec(Group.TRUTH, "inspect.next", _("Next error"), "inspect.next_component", icon="chevron-right", keys=".",
          enabled_when=("has_components",)),
    _spec(Group.TRUTH, "inspect.previous", _("Previous error"), "inspect.previous_component", icon="chevron-left",
          keys=",", enabled_when=("has_components",)),
    _spec(Group.TRUTH, "ambiguous.mark_error", _("Mark error as ambiguous"), "ambiguous.mark_error", icon="uncertainty", keys="H",
          enabled_when=("has_truth", "project_writable"), separated=True,
          tip=_("Excludes the error under the pointer from all metrics; mask and ground truth do not change")),
    _spec(Group.TRUTH, "ambiguous.outline", _("Mark outline as ambiguous"), "ambiguous.toggle_outline", icon="lasso",
          keys="Shift+H", enabled_when=("has_truth", "project_writable"), checked_from="marking_ambiguous",
          tip=_("Draw around what cannot be decided, with lasso or polygon")),
    _spec(Group.TRUTH, "ambiguous.unmark", _("Clear ambiguity mark"), "ambiguous.unmark_here", keys="Alt+H",
          enabled_when=("image_open", "project_writable"), tip=_("Clears the mark under the pointer")),
    _spec(Group.TRUTH, "truth.problems", _("Skipped ground truth files…"), "window.show_truth_problems",
          icon="warning", enabled_when=("project_open",)),
)


def _dock(name: str, text: str) -> ActionSpec:
    return _spec(Group.WINDOW, f"window.dock_{name}", text, "window.toggle_dock", argument=name, checked_from=f"dock_{name}")


_WINDOW = (
    _spec(Group.WINDOW, "window.fold", _("Hide panels"), "window.toggle_fold", icon="fold", keys=("\\", "F11"),
          checked_from="docks_folded"),
    _spec(Group.WINDOW, "window.next_panel", _("Focus next panel"), "window.next_panel", keys="F6",
          tip=_("Tab moves within the panel; Esc returns to the image")),
    _spec(Group.WINDOW, "window.previous_panel", _("Focus previous panel"), "window.previous_panel", keys="Shift+F6"),
    _dock("images", _("Images")),
    _dock("classes", _("Classes")),
    _dock("model", _("Model")),
    _dock("crf", _("CRF")),
    _dock("trimap", _("Trimap curve")),
    _dock("history", _("History")),
    _spec(Group.WINDOW, "window.theme", _("Dark theme"), "window.toggle_theme", icon="theme", checked_from="theme_dark",
          separated=True),
    _spec(Group.WINDOW, "window.reset_layout", _("Reset layout"), "window.reset_layout"),
)

_HELP = (
    _spec(Group.HELP, "help.keys", _("Keyboard shortcuts"), "window.show_keys", icon="keyboard", keys=("F1", "?")),
    _spec(Group.HELP, "help.palette", _("All commands…"), "window.show_palette", icon="command", keys=("Ctrl+K", "Ctrl+Shift+P")),
    _spec(Group.HELP, "help.shortcuts", _("Change keyboard shortcuts…"), "window.edit_shortcuts", icon="keyboard"),
    _spec(Group.HELP, "help.messages", _("Messages…"), "window.show_messages", icon="info",
          tip=_("All messages since the start, with their buttons")),
    _spec(Group.HELP, "help.copy_report", _("Copy report"), "window.copy_report", icon="copy", separated=True,
          tip=_("Versions, settings and the last lines of the log, for a bug report")),
    _spec(Group.HELP, "help.open_logs", _("Open log folder"), "window.open_logs", icon="folder"),
    _spec(Group.HELP, "help.about", _("About Atrous"), "window.show_about", icon="info"),
)

# fmt: on

ACTIONS: tuple[ActionSpec, ...] = (
    *_FILE,
    *_EDIT,
    *_NAVIGATE,
    *_TOOLS,
    *_COMPONENTS,
    *_CLASSES,
    *_VIEW,
    *_MODEL,
    *_REFINE,
    *_TRUTH,
    *_WINDOW,
    *_HELP,
)

#: Tool buttons of the top bar, left to right.
TOOLBAR = tuple(tool.action for tool in TOOLS if tool.in_bar)

#: What the hands do on the picture that no command stands for.
GESTURES: tuple[Gesture, ...] = (
    Gesture(_("Left drag"), _("Use the current tool")),
    Gesture(_("Right drag"), _("Restore to the prediction")),
    Gesture(_("Right click"), _("Components: a menu; Clicks: a point beside the object")),
    Gesture(_("Shift+click"), _("Straight line from the last point")),
    Gesture(_("Wheel, Ctrl+wheel"), _("Zoom at the pointer")),
    Gesture(_("Shift+wheel"), _("Brush size")),
    Gesture(_("Alt+wheel"), _("Overlay opacity; larger or smaller regions")),
    Gesture(_("Space+drag, middle drag"), _("Pan the image")),
    Gesture(_("Enter / Backspace"), _("Close the polygon / remove its last corner")),
    Gesture(_("Esc"), _("Cancel the current stroke or polygon")),
    Gesture(_("Enter, Esc in a panel"), _("Return keyboard focus to the image")),
)


def by_id(action_id: str) -> ActionSpec:
    """The command of this id. Raises KeyError if unknown."""
    return _BY_ID[action_id]


_BY_ID = {spec.id: spec for spec in ACTIONS}
