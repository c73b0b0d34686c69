"""THE list of commands. Menus, top bar, context menu, command palette and the lists of keyboard shortcuts derive from it."""

from __future__ import annotations

from typing import Any

from app.actions.spec import ActionSpec, Gesture, Group

#: What runs again and again while its key is held; everything else runs once, however long a key is down.
_REPEATING = frozenset(
    {"go.next", "go.previous", "go.next_unreviewed", "go.previous_unreviewed", "go.next_worst", "edit.undo", "edit.redo",
     "brush.larger", "brush.smaller", "class.previous", "class.next", "view.more_opaque", "view.less_opaque", "view.zoom_in",
     "view.zoom_out", "inspect.next", "inspect.previous"}
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
    _spec(Group.FILE, "project.open", "Open folder…", "window.open_folder", icon="folder", keys="Ctrl+O"),
    _spec(Group.FILE, "project.open_sample", "Open the sample project", "window.open_sample", icon="image"),
    _spec(Group.FILE, "project.rescan", "Look for new images", "project.rescan", icon="refresh", keys="F5",
          enabled_when=("project_open",)),
    _spec(Group.FILE, "project.save", "Save now", "project.save_now", icon="save", keys="Ctrl+S", enabled_when=_EDITABLE,
          separated=True, tip="Work is saved as you go; this writes the mask at once"),
    _spec(Group.FILE, "project.import", "Import masks…", "window.import_masks", icon="import",
          enabled_when=("project_writable", "has_images"), tip="Start from mask files that exist already"),
    _spec(Group.FILE, "project.export", "Export masks…", "window.export_masks", icon="export", keys="Ctrl+E",
          enabled_when=("has_images",)),
    _spec(Group.FILE, "app.settings", "Settings…", "window.show_settings", icon="settings", keys="Ctrl+,", separated=True),
    _spec(Group.FILE, "app.quit", "Quit", "window.quit", keys="Ctrl+Q"),
)

_EDIT = (
    _spec(Group.EDIT, "edit.undo", "Undo", "edit.undo", icon="undo", keys="Ctrl+Z", enabled_when=("can_undo",)),
    _spec(Group.EDIT, "edit.redo", "Redo", "edit.redo", icon="redo", keys=("Ctrl+Shift+Z", "Ctrl+Y"), enabled_when=("can_redo",)),
    _spec(Group.EDIT, "edit.undo_folder", "Undo the last job over the folder", "folder_jobs.undo",
          enabled_when=("can_undo_folder",),
          tip="Takes one step of every image back that the job changed and that did not change since then"),
    _spec(Group.EDIT, "start.model", "Start again from the prediction", "predict.start_from_model", icon="model",
          separated=True, enabled_when=("can_edit", "has_prediction"),
          tip="Replaces the whole mask by the prediction; one step, can be undone"),
    _spec(Group.EDIT, "start.truth", "Start again from the ground truth", "judge.start_from_truth", icon="truth",
          enabled_when=("can_edit", "has_truth"), tip="Replaces the whole mask by the ground truth; one step, can be undone"),
    _spec(Group.EDIT, "start.mask", "Start again from a mask file…", "window.start_from_file", icon="import",
          enabled_when=_EDITABLE, tip="Replaces the whole mask by a file; one step, can be undone"),
    _spec(Group.EDIT, "start.blank", "Start again from blank", "predict.start_from_blank", enabled_when=_EDITABLE,
          tip="Everything becomes unlabelled; one step, can be undone"),
    _spec(Group.EDIT, "start.over", "Start this image again…", "window.start_over", enabled_when=("can_start_over",),
          tip="Forgets labels, undo steps and status of the image; its mask file is kept beside the others"),
    _spec(Group.EDIT, "edit.accept_suggestion", "Take the waiting prediction", "predict.accept_suggestion", icon="check",
          keys="Ctrl+Shift+Return", enabled_when=("can_edit", "suggestion_waiting"), separated=True,
          tip="Lays the prediction under your own pixels; nothing that you painted or filled changes"),
    _spec(Group.EDIT, "edit.dismiss_suggestion", "Dismiss the waiting prediction", "predict.dismiss_suggestion", icon="close",
          enabled_when=("suggestion_waiting",)),
)

_NAVIGATE = (
    _spec(Group.NAVIGATE, "go.next", "Next image", "project.next_image", icon="chevron-right", keys=("D", "PgDown"),
          enabled_when=("has_images",)),
    _spec(Group.NAVIGATE, "go.previous", "Previous image", "project.previous_image", icon="chevron-left", keys=("A", "PgUp"),
          enabled_when=("has_images",)),
    _spec(Group.NAVIGATE, "go.next_unreviewed", "Next unreviewed image", "project.next_unreviewed", icon="unreviewed",
          keys="Ctrl+Shift+D", enabled_when=("has_images",)),
    _spec(Group.NAVIGATE, "go.previous_unreviewed", "Previous unreviewed image", "project.previous_unreviewed",
          keys="Ctrl+Shift+A", enabled_when=("has_images",)),
    _spec(Group.NAVIGATE, "go.next_worst", "Next worst image", "queues.next_worst", icon="worst", keys="N",
          enabled_when=("has_images",), tip="The unreviewed image with the lowest IoU; without ground truth the least certain"),
    _spec(Group.NAVIGATE, "go.reviewed_next", "Reviewed, next", "project.reviewed_next", icon="reviewed",
          keys=("Return", "Enter", "Ctrl+Return", "Ctrl+Enter"),
          enabled_when=("image_open", "project_writable"), separated=True,
          tip="Marks this image reviewed and opens the next unreviewed one"),
    _spec(Group.NAVIGATE, "go.toggle_reviewed", "Reviewed", "project.toggle_reviewed", keys="Ctrl+M",
          enabled_when=("image_open", "project_writable"), checked_from="reviewed"),
    _spec(Group.NAVIGATE, "go.accept_change", "The mask fits the changed file", "project.accept_change", icon="check",
          enabled_when=("to_check",), tip="Says that you have looked: the image is not listed as changed any more"),
)


def _tool(name: str, text: str, icon: str, keys: str | tuple[str, ...], tip: str) -> ActionSpec:
    return _spec(
        Group.TOOLS,
        f"tool.{name}",
        text,
        "edit.choose_tool",
        argument=name,
        icon=icon,
        keys=keys,
        enabled_when=_ON_IMAGE,
        checked_from=f"tool_{name}",
        tip=tip,
    )


_TOOLS = (
    _tool("brush", "Brush", "brush", "B", "Paints the selected class; Shift+click draws a straight line"),
    _tool("eraser", "Eraser", "eraser", "E", "Paints the background class, or unlabelled where the catalog has none"),
    _tool(
        "restore",
        "Restore to prediction",
        "restore",
        "Shift+E",
        "Brings the model's pixels back; right-drag does the same with any tool",
    ),
    _tool("fill", "Fill", "fill", "G", "Gives a connected area the current class; the CRF may still move its outline"),
    _tool("lasso", "Lasso", "lasso", "L", "Fills what you draw around"),
    _tool("polygon", "Polygon", "polygon", "P", "Click the corners; Enter closes, Backspace removes the last one"),
    _tool("pick", "Pick class", "pick", "I", "Selects the class under the pointer"),
    _tool("pan", "Move the picture", "pan", "M", "Drag to move; Space-drag does the same with any tool"),
    _spec(Group.TOOLS, "brush.larger", "Larger brush", "edit.scale_brush", argument=1, keys="]", enabled_when=_ON_IMAGE,
          separated=True),
    _spec(Group.TOOLS, "brush.smaller", "Smaller brush", "edit.scale_brush", argument=-1, keys="[", enabled_when=_ON_IMAGE),
    _spec(Group.TOOLS, "brush.within", "Paint only over the class where a stroke begins", "edit.toggle_within", keys="Shift+B",
          enabled_when=_ON_IMAGE, checked_from="within_on", tip="Everything else is safe from brush, eraser, lasso and polygon"),
)

#: Keys of the class dock in their order on the keyboard.
CLASS_KEYS = ("1", "2", "3", "4", "5", "6", "7", "8", "9", "0")

_CLASSES = (
    *(
        _spec(Group.CLASSES, f"class.key_{key}", f"Class with the key {key}", "classes.choose_key", argument=key, keys=key,
              enabled_when=_ON_IMAGE)
        for key in CLASS_KEYS
    ),
    _spec(Group.CLASSES, "class.void", "Unlabelled (void)", "classes.choose_void", keys="`", enabled_when=_ON_IMAGE,
          separated=True),
    _spec(Group.CLASSES, "class.previous", "Previous class", "classes.previous_class", keys="Q", enabled_when=_ON_IMAGE),
    _spec(Group.CLASSES, "class.next", "Next class", "classes.next_class", keys="W", enabled_when=_ON_IMAGE),
    _spec(Group.CLASSES, "class.swap", "Swap the last two classes", "classes.swap_classes", icon="swap", keys="X",
          enabled_when=_ON_IMAGE),
    _spec(Group.CLASSES, "class.find", "Find a class…", "window.find_class", icon="search", keys=("/", "Ctrl+F"),
          enabled_when=("project_open",)),
    _spec(Group.CLASSES, "class.show_all", "Show all classes", "classes.show_all", icon="eye", enabled_when=("project_open",),
          separated=True),
)

_VIEW = (
    _spec(Group.VIEW, "view.overlay", "Masks over the picture", "view.toggle_overlay", icon="overlay", keys="V",
          enabled_when=_ON_IMAGE, checked_from="overlay_on"),
    _spec(Group.VIEW, "view.contours", "Contours", "view.toggle_contours", icon="contour", keys="C", enabled_when=_ON_IMAGE,
          checked_from="contours_on"),
    _spec(Group.VIEW, "view.more_opaque", "Stronger overlay", "view.step_opacity", argument=1, keys="Shift+V",
          enabled_when=_ON_IMAGE),
    _spec(Group.VIEW, "view.less_opaque", "Fainter overlay", "view.step_opacity", argument=-1, keys="Alt+V",
          enabled_when=_ON_IMAGE),
    _spec(Group.VIEW, "view.blink", "Blink to the prediction", "look.blink", icon="blink", keys="Tab", enabled_when=_ON_IMAGE,
          held=True, tip="Hold the key to see the prediction instead of the mask"),
    _spec(Group.VIEW, "view.trimap", "Trimap band", "view.toggle_trimap", icon="trimap", keys="T", enabled_when=_ON_IMAGE,
          checked_from="pane_trimap", separated=True),
    _spec(Group.VIEW, "view.uncertainty", "Uncertainty", "view.toggle_uncertainty", icon="uncertainty", keys="U",
          enabled_when=_ON_IMAGE, checked_from="pane_uncertainty"),
    _spec(Group.VIEW, "view.errors", "Errors against the ground truth", "view.toggle_errors", icon="error", keys="R",
          enabled_when=_ON_IMAGE, checked_from="pane_errors"),
    _spec(Group.VIEW, "view.linked", "Linked views", "view.toggle_linked", icon="layout-double", keys="S",
          enabled_when=_ON_IMAGE, tip="One view, or as many as you had last"),
    _spec(Group.VIEW, "view.layout_single", "One view", "view.set_layout", argument="single", icon="layout-single",
          keys="Ctrl+1", enabled_when=_ON_IMAGE, checked_from="layout_single", separated=True),
    _spec(Group.VIEW, "view.layout_double", "Two views", "view.set_layout", argument="double", icon="layout-double",
          keys="Ctrl+2", enabled_when=_ON_IMAGE, checked_from="layout_double"),
    _spec(Group.VIEW, "view.layout_triple", "Three views", "view.set_layout", argument="triple", icon="layout-triple",
          keys="Ctrl+3", enabled_when=_ON_IMAGE, checked_from="layout_triple"),
    _spec(Group.VIEW, "view.layout_quad", "Four views", "view.set_layout", argument="quad", icon="layout-quad", keys="Ctrl+4",
          enabled_when=_ON_IMAGE, checked_from="layout_quad"),
    _spec(Group.VIEW, "view.layout_split", "Split slider", "view.set_layout", argument="split", icon="blink", keys="Ctrl+5",
          enabled_when=_ON_IMAGE, checked_from="layout_split"),
    _spec(Group.VIEW, "view.fit", "Fit", "view.zoom_fit", icon="fit", keys="F", enabled_when=_ON_IMAGE, separated=True),
    _spec(Group.VIEW, "view.actual_size", "100 %", "view.zoom_actual", keys="Ctrl+0", enabled_when=_ON_IMAGE),
    _spec(Group.VIEW, "view.zoom_in", "Zoom in", "view.zoom_in", icon="zoom-in", keys=("Ctrl++", "Ctrl+="),
          enabled_when=_ON_IMAGE),
    _spec(Group.VIEW, "view.zoom_out", "Zoom out", "view.zoom_out", icon="zoom-out", keys="Ctrl+-", enabled_when=_ON_IMAGE),
    _spec(Group.VIEW, "view.keep", "Keep zoom between images", "view.toggle_keep", keys="K", enabled_when=_ON_IMAGE,
          checked_from="keep_view"),
)

_MODEL = (
    _spec(Group.MODEL, "model.open", "Open a model file…", "window.open_model", icon="model"),
    _spec(Group.MODEL, "model.get", "Get a model…", "window.get_model", icon="export",
          tip="Networks that their authors publish, with licence, classes and published score"),
    _spec(Group.MODEL, "model.options", "Options of the model…", "window.edit_model_options", enabled_when=("model_ready",),
          tip="What the file of weights does not tell: stride, rates, input; shown with where it comes from, and set"),
    _spec(Group.MODEL, "model.run_image", "Run on this image", "predict.run_image", icon="play", keys="Ctrl+R",
          enabled_when=("model_ready", "can_edit")),
    _spec(Group.MODEL, "model.run_folder", "Run on the folder", "predict.run_folder", icon="play-folder", keys="Ctrl+Shift+R",
          enabled_when=("model_ready", "project_writable", "has_images")),
    _spec(Group.MODEL, "model.cancel", "Stop what is running", "predict.cancel", icon="stop", keys="Ctrl+.",
          enabled_when=("job_running",)),
    _spec(Group.MODEL, "model.restart", "Restart the model process", "models.restart", icon="refresh",
          tip="Ends the process that computes, whatever it does, and starts it again; masks are not touched"),
    _spec(Group.MODEL, "model.learn", "Learn from corrections…", "learn.prepare", icon="learn",
          enabled_when=("model_ready", "project_writable", "has_images", "!learning"), separated=True,
          tip="Adapts the model to what you corrected, in the background; you compare before and after, and decide"),
    _spec(Group.MODEL, "model.learned", "What the model has learned…", "learn.show", icon="check",
          enabled_when=("learned_waiting",), tip="Before and after; accept or discard"),
    _spec(Group.MODEL, "model.compare", "Compare models", "compare.toggle", icon="layout-double", keys="Shift+C",
          enabled_when=_ON_IMAGE, checked_from="comparing", separated=True,
          tip="Two to four models side by side, where they differ, IoU, trimap curves and time; the mask stays as it is"),
    _spec(Group.MODEL, "model.compare_file", "Compare with a model file…", "compare.ask_file", icon="folder",
          enabled_when=_ON_IMAGE),
    _spec(Group.MODEL, "model.compare_folder", "Compare on the folder", "compare_folder.start", icon="play-folder",
          enabled_when=("comparing", "has_images", "!compare_running"),
          tip="Pooled figures of each model, and the images on which they differ most"),
    _spec(Group.MODEL, "model.receptive", "Receptive field under the pointer", "receptive.toggle", icon="fit", keys="Shift+R",
          enabled_when=("image_open", "model_ready"), checked_from="receptive_on",
          tip="What the label of a pixel depends on: boxes by the layers' arithmetic, heat by the gradient"),
    _spec(Group.MODEL, "model.mapping", "Classes of the model…", "window.edit_mapping", icon="swap",
          enabled_when=("model_ready", "project_open"), separated=True,
          tip="Which class of the project each class of the model becomes"),
)

_REFINE = (
    _spec(Group.REFINE, "refine.preview", "CRF preview", "refine.toggle_preview", icon="refine", keys="Y", enabled_when=_ON_IMAGE,
          checked_from="crf_preview", tip="Shows what the CRF would do with the mask; nothing changes before you apply it. "
          "Hold the key for blinking to see the mask as it is"),
    _spec(Group.REFINE, "refine.split", "Mask and preview divided by a line", "refine.toggle_split", icon="blink", keys="Alt+Y",
          enabled_when=_ON_IMAGE, checked_from="crf_split"),
    _spec(Group.REFINE, "refine.changes", "Pixels that the CRF changes", "refine.toggle_changes", icon="contour",
          enabled_when=_ON_IMAGE, checked_from="pane_changes"),
    _spec(Group.REFINE, "refine.apply", "Apply to this image", "refine.apply", icon="check", keys="Shift+Y",
          enabled_when=_EDITABLE, separated=True, tip="One step that can be undone; your own pixels stay"),
    _spec(Group.REFINE, "refine.apply_band", "Apply in the trimap band only", "refine.apply_band", icon="trimap",
          enabled_when=_EDITABLE),
    _spec(Group.REFINE, "refine.region", "Apply inside an outline", "refine.draw_region", icon="lasso", keys="Ctrl+L",
          enabled_when=_EDITABLE, checked_from="crf_region",
          tip="What you draw with lasso or polygon is refined instead of filled, until you switch it off"),
    _spec(Group.REFINE, "refine.folder", "Apply to the folder", "refine_folder.start", icon="play-folder",
          enabled_when=("model_ready", "project_writable", "has_images", "!crf_running"),
          tip="Masks that you have worked on get a suggestion, the others one step each"),
    _spec(Group.REFINE, "refine.discard", "Discard the preview", "refine.discard", icon="close",
          enabled_when=("crf_preview",)),
    _spec(Group.REFINE, "refine.scribble", "Scribble mode", "scribble.toggle", icon="scribble", keys="J", enabled_when=_EDITABLE,
          checked_from="scribble_on", separated=True,
          tip="The CRF follows every stroke up to the edges that the picture has; both are one step"),
    _spec(Group.REFINE, "refine.mask", "Refine the mask itself", "refine.refine_mask", icon="overlay", enabled_when=_ON_IMAGE,
          tip="Without a network: the labels of the mask are taken for fairly sure, and follow the picture's edges"),
    _spec(Group.REFINE, "refine.open", "Open CRF parameters…", "window.open_crf", icon="folder",
          tip="The report that 'atrous refine --search' wrote"),
)

_TRUTH = (
    _spec(Group.TRUTH, "truth.choose", "Choose ground truth…", "truth.review", icon="truth",
          enabled_when=("has_images",), tip="Which folder holds the masks that figures are measured against"),
    _spec(Group.TRUTH, "truth.find", "Look for ground truth beside the images", "truth.find", icon="search",
          enabled_when=("has_images",)),
    _spec(Group.TRUTH, "truth.frame", "Orientation of the masks…", "truth.review_frame", enabled_when=("has_images",),
          tip="Shows a photograph with an EXIF orientation and its mask both ways"),
    _spec(Group.TRUTH, "truth.judge_folder", "Judge the whole folder", "judge.judge_folder", icon="trimap", keys="Ctrl+J",
          enabled_when=("has_images",), tip="Per-class IoU and trimap curve of all images that have ground truth and a mask"),
    _spec(Group.TRUTH, "inspect.view", "Judge view", "inspect.toggle_view", icon="matrix", keys="O",
          enabled_when=("has_images",), checked_from="judge_open", separated=True,
          tip="Confusion matrix, kinds of failure, queues and plots; every number leads to its pixels"),
    _spec(Group.TRUTH, "inspect.next", "Next error of the list", "inspect.next_component", icon="chevron-right", keys=".",
          enabled_when=("has_components",)),
    _spec(Group.TRUTH, "inspect.previous", "Previous error of the list", "inspect.previous_component", icon="chevron-left",
          keys=",", enabled_when=("has_components",)),
    _spec(Group.TRUTH, "ambiguous.mark_error", "This error is ambiguous", "ambiguous.mark_error", icon="uncertainty", keys="H",
          enabled_when=("has_truth", "project_writable"), separated=True,
          tip="The connected error under the pointer counts in no figure any more; mask and ground truth stay as they are"),
    _spec(Group.TRUTH, "ambiguous.outline", "Mark an outline as ambiguous", "ambiguous.toggle_outline", icon="lasso",
          keys="Shift+H", enabled_when=("has_truth", "project_writable"), checked_from="marking_ambiguous",
          tip="Draw around what cannot be decided with lasso or polygon"),
    _spec(Group.TRUTH, "ambiguous.unmark", "Not ambiguous after all", "ambiguous.unmark_here", keys="Alt+H",
          enabled_when=("image_open", "project_writable"), tip="Unmarks what lies under the pointer"),
    _spec(Group.TRUTH, "truth.problems", "Ground truth files that could not be used…", "window.show_truth_problems",
          icon="warning", enabled_when=("project_open",)),
)


def _dock(name: str, text: str) -> ActionSpec:
    return _spec(Group.WINDOW, f"window.dock_{name}", text, "window.toggle_dock", argument=name, checked_from=f"dock_{name}")


_WINDOW = (
    _spec(Group.WINDOW, "window.fold", "Hide panels", "window.toggle_fold", icon="fold", keys=("\\", "F11"),
          checked_from="docks_folded"),
    _spec(Group.WINDOW, "window.next_panel", "Keyboard to the next panel", "window.next_panel", keys="F6",
          tip="Tab goes on within the panel; Esc goes back to the picture"),
    _spec(Group.WINDOW, "window.previous_panel", "Keyboard to the previous panel", "window.previous_panel", keys="Shift+F6"),
    _dock("images", "Images"),
    _dock("classes", "Classes"),
    _dock("model", "Model"),
    _dock("crf", "CRF"),
    _dock("trimap", "Trimap curve"),
    _dock("history", "History"),
    _spec(Group.WINDOW, "window.theme", "Dark theme", "window.toggle_theme", icon="theme", checked_from="theme_dark",
          separated=True),
    _spec(Group.WINDOW, "window.reset_layout", "Put the docks back", "window.reset_layout"),
)

_HELP = (
    _spec(Group.HELP, "help.keys", "Keyboard shortcuts", "window.show_keys", icon="keyboard", keys=("F1", "?")),
    _spec(Group.HELP, "help.palette", "All commands…", "window.show_palette", icon="command", keys=("Ctrl+K", "Ctrl+Shift+P")),
    _spec(Group.HELP, "help.shortcuts", "Change keyboard shortcuts…", "window.edit_shortcuts", icon="keyboard"),
    _spec(Group.HELP, "help.messages", "Messages…", "window.show_messages", icon="info",
          tip="Everything that was said since the start; the buttons still work"),
    _spec(Group.HELP, "help.copy_report", "Copy report", "window.copy_report", icon="copy", separated=True,
          tip="Versions, settings and the last lines of the log, for a bug report"),
    _spec(Group.HELP, "help.open_logs", "Open the folder of logs", "window.open_logs", icon="folder"),
    _spec(Group.HELP, "help.about", "About Atrous", "window.show_about", icon="info"),
)

# fmt: on

ACTIONS: tuple[ActionSpec, ...] = (
    *_FILE,
    *_EDIT,
    *_NAVIGATE,
    *_TOOLS,
    *_CLASSES,
    *_VIEW,
    *_MODEL,
    *_REFINE,
    *_TRUTH,
    *_WINDOW,
    *_HELP,
)

#: Tool buttons of the top bar, left to right.
TOOLBAR = ("tool.brush", "tool.eraser", "tool.fill", "tool.lasso", "tool.polygon", "tool.pick", "tool.restore")

#: What the hands do on the picture that no command stands for.
GESTURES: tuple[Gesture, ...] = (
    Gesture("Left drag", "Use the current tool"),
    Gesture("Right drag", "Restore to the prediction"),
    Gesture("Shift+click", "Straight line from the last point"),
    Gesture("Wheel, Ctrl+wheel", "Zoom at the pointer"),
    Gesture("Shift+wheel", "Brush size"),
    Gesture("Alt+wheel", "Overlay opacity"),
    Gesture("Space+drag, middle drag", "Move the picture"),
    Gesture("Enter / Backspace", "Close the polygon / remove its last corner"),
    Gesture("Esc", "Cancel the current stroke or polygon"),
    Gesture("Enter, Esc in a panel", "Give the keyboard back to the picture"),
)


def by_id(action_id: str) -> ActionSpec:
    """The command of this id. Raises KeyError if unknown."""
    return _BY_ID[action_id]


_BY_ID = {spec.id: spec for spec in ACTIONS}
