"""Commands of the menus File, Edit, Go, Tools and Classes; :mod:`app.actions.table` lists them all."""

from __future__ import annotations

from app.actions.spec import ActionSpec, Group, command
from app.state.tools import TOOLS, CopyFrom, ToolSpec
from app.text import mark as _
from deeplab_core.errors import message

ON_IMAGE = ("image_open",)
EDITABLE = ("can_edit",)

# fmt: off
_FILE = (
    command(Group.FILE, "project.open", _("Open folder…"), "window.open_folder", icon="folder", keys="Ctrl+O",
          tip=_("Opens a folder of images, with the labels that you made for them")),
    command(Group.FILE, "project.open_video", _("Open video…"), "window.open_video",
          tip=_("Writes frames of a video as images beside it and opens their folder")),
    command(Group.FILE, "project.open_sample", _("Open sample project"), "window.open_sample", icon="image",
          tip=_("Opens rendered rooms with ground truth, to try everything without images of your own")),
    command(Group.FILE, "project.rescan", _("Rescan folder"), "project.rescan", icon="refresh", keys="F5",
          enabled_when=("project_open",), tip=_("Looks for images that were added, changed or removed by other programs")),
    command(Group.FILE, "project.save", _("Save now"), "project.save_now", icon="save", keys="Ctrl+S", enabled_when=EDITABLE,
          separated=True, tip=_("Work is saved as you go; this writes the mask file now")),
    command(Group.FILE, "project.import", _("Import labels from a folder…"), "window.import_masks", icon="import",
          enabled_when=("project_writable", "has_images"), tip=_("Masks, labelme, YOLO, CVAT and other formats")),
    command(Group.FILE, "project.import_file", _("Import labels from a file…"), "window.import_file", icon="import-file",
          enabled_when=("project_writable", "has_images"), tip=_("COCO, CVAT, Label Studio, a zip file and others")),
    command(Group.FILE, "project.merge", _("Merge with another project…"), "window.merge_project", enabled_when=("has_images",),
          tip=_("Labels of another user for the same images: how far you agree, and one project with the work of both")),
    command(Group.FILE, "project.export", _("Export masks…"), "window.export_masks", icon="export", keys="Ctrl+E",
          enabled_when=("has_images",), tip=_("Writes the masks of the images in a format of your choice")),
    command(Group.FILE, "project.report", _("Report of the data set…"), "export.ask_report", enabled_when=("has_images",),
          tip=_("One page: pixels and images of each class, what is not labelled or reviewed, equal images, tiny regions")),
    command(Group.FILE, "app.settings", _("Settings…"), "window.show_settings", icon="settings", keys="Ctrl+,", separated=True,
          tip=_("How Atrous looks, works, saves and computes")),
    command(Group.FILE, "app.quit", _("Quit"), "window.quit", keys="Ctrl+Q", tip=_("Saves your work and closes the window")),
)

_EDIT = (
    command(Group.EDIT, "edit.undo", _("Undo"), "edit.undo", icon="undo", keys="Ctrl+Z", enabled_when=("can_undo",),
          tip=_("Takes back the newest step of this image")),
    command(Group.EDIT, "edit.redo", _("Redo"), "edit.redo", icon="redo", keys=("Ctrl+Shift+Z", "Ctrl+Y"),
          enabled_when=("can_redo",), tip=_("Does the step again that was taken back last")),
    command(Group.EDIT, "edit.undo_folder", _("Undo folder job"), "folder_jobs.undo",
          enabled_when=("can_undo_folder",),
          tip=_("Undoes one step of every image that the job changed and that has not changed since")),
    command(Group.EDIT, "edit.copy_region", _("Copy region"), "copies.copy_region", keys="Ctrl+C", enabled_when=ON_IMAGE,
          separated=True, tip=_("The connected region of one class under the pointer")),
    command(Group.EDIT, "edit.paste_region", _("Paste region"), "copies.paste_region", keys="Ctrl+V", enabled_when=EDITABLE,
          tip=_("At the same place; for images of the same size")),
    command(Group.EDIT, "edit.copy_previous", _("Copy mask of the previous image"), "copies.copy_previous", keys="Ctrl+Shift+V",
          enabled_when=EDITABLE, tip=_("By the order of the names; one undo step, and the pixels count as yours")),
    command(Group.EDIT, "copy.here", _("Copy what is under the pointer"), "part_copies.copy_here", icon="copy", keys="Ctrl+D",
          enabled_when=EDITABLE, separated=True,
          tip=_("From the chosen source, with any tool; the tool 'Copy from' shows it before")),
    *(
        command(Group.EDIT, f"copy.{source}", text, "part_copies.choose", argument=CopyFrom[source.upper()], keys=key,
              enabled_when=ON_IMAGE, tip=tip)
        for source, text, key, tip in (
            ("prediction", _("Copy from the prediction"), "Alt+1", _("What the tool 'Copy from' takes")),
            ("model", _("Copy from another model"), "Alt+2", _("One that is compared or a kept prediction; again: the next one")),
            ("truth", _("Copy from the ground truth"), "Alt+3", _("Where it is not void")),
            ("previous", _("Copy from the previous image"), "Alt+4", _("At the same position, if it has the same size")),
        )
    ),
    command(Group.EDIT, "copy.region", _("Copy regions of the image"), "part_copies.toggle_region", keys="Alt+D",
          enabled_when=ON_IMAGE, checked_from="copy_region_on",
          tip=_("A click takes what lies inside the region under the pointer, and not the component of the source")),
    command(Group.EDIT, "note.add", _("Write a note…"), "reviewing.ask_note", icon="note", keys="Ctrl+N",
          enabled_when=EDITABLE, separated=True,
          tip=_("About the error that is shown, else the pixel under the pointer, else the whole image")),
    command(Group.EDIT, "note.list", _("List the notes…"), "reviewing.show_notes", keys="Ctrl+Shift+N",
          enabled_when=("project_open",), tip=_("All notes of the folder; open, change or delete them")),
    command(Group.EDIT, "start.model", _("Replace mask by prediction"), "predict.start_from_model", icon="model",
          separated=True, enabled_when=("can_edit", "has_prediction"),
          tip=_("Replaces the whole mask by the prediction; one undo step")),
    command(Group.EDIT, "start.truth", _("Replace mask by ground truth"), "evaluation.start_from_truth", icon="truth",
          enabled_when=("can_edit", "has_truth"), tip=_("Replaces the whole mask by the ground truth; one undo step")),
    command(Group.EDIT, "start.mask", _("Replace mask by file…"), "window.start_from_file", icon="import",
          enabled_when=EDITABLE, tip=_("Replaces the whole mask by a file; one undo step")),
    command(Group.EDIT, "start.blank", _("Clear mask"), "predict.start_from_blank", enabled_when=EDITABLE,
          tip=_("Everything becomes unlabelled; one undo step")),
    command(Group.EDIT, "start.over", _("Start this image over…"), "window.start_over", enabled_when=("can_start_over",),
          tip=_("Deletes labels, undo steps and status of the image; its mask file is kept beside the others")),
    command(Group.EDIT, "edit.accept_suggestion", _("Apply the new prediction"), "predict.accept_suggestion", icon="check",
          keys="Ctrl+Shift+Return", enabled_when=("can_edit", "suggestion_waiting"), separated=True,
          tip=_("Updates the mask; pixels that you painted or filled do not change")),
    command(Group.EDIT, "edit.dismiss_suggestion", _("Keep current mask"), "predict.dismiss_suggestion", icon="close",
          enabled_when=("suggestion_waiting",), tip=_("Drops the new prediction; no label changes")),
)

_NAVIGATE = (
    command(Group.NAVIGATE, "go.next", _("Next image"), "project.next_image", icon="chevron-right", keys=("D", "PgDown"),
          enabled_when=("has_images",), tip=_("Opens the image below this one in the list")),
    command(Group.NAVIGATE, "go.previous", _("Previous image"), "project.previous_image", icon="chevron-left", keys=("A", "PgUp"),
          enabled_when=("has_images",), tip=_("Opens the image above this one in the list")),
    command(Group.NAVIGATE, "go.next_unreviewed", _("Next unreviewed image"), "project.next_unreviewed", icon="unreviewed",
          keys="Ctrl+Shift+D", enabled_when=("has_images",), tip=_("Opens the next image that is neither reviewed nor rejected")),
    command(Group.NAVIGATE, "go.previous_unreviewed", _("Previous unreviewed image"), "project.previous_unreviewed",
          keys="Ctrl+Shift+A", enabled_when=("has_images",),
          tip=_("Opens the last image before this one that is neither reviewed nor rejected")),
    command(Group.NAVIGATE, "go.next_worst", _("Next worst image"), "rankings.next_worst", icon="worst", keys="N",
          enabled_when=("has_images",),
          tip=_("The unreviewed image with the lowest IoU; without ground truth, the least certain one")),
    command(Group.NAVIGATE, "go.next_error", _("Next error in this image"), "next_errors.next_error", icon="error",
          keys="Shift+N",
          enabled_when=ON_IMAGE, tip=_("The one that gains most if it is fixed; without ground truth, the most doubtful one")),
    command(Group.NAVIGATE, "go.give_error", _("Give the error the selected class"), "next_errors.give_selected",
          keys=("Shift+Enter", "Shift+Return"), enabled_when=("can_edit", "at_error"),
          tip=_("With ground truth the right class is selected")),
    command(Group.NAVIGATE, "go.restore_error", _("Restore the error to the prediction"), "next_errors.restore", keys="Shift+Del",
          enabled_when=("can_edit", "at_error"), tip=_("Its pixels get the labels of the prediction again")),
    command(Group.NAVIGATE, "go.filter", _("Filter the images…"), "reviewing.ask_filter", icon="filter", keys="Ctrl+Shift+F",
          enabled_when=("has_images",), tip=_("By name, class, status, note, score; Enter opens the first match")),
    command(Group.NAVIGATE, "go.reviewed_next", _("Reviewed, next"), "project.reviewed_next", icon="reviewed",
          keys=("Return", "Enter", "Ctrl+Return", "Ctrl+Enter"),
          enabled_when=("image_open", "project_writable"), separated=True,
          tip=_("Marks this image reviewed and opens the next unreviewed one")),
    command(Group.NAVIGATE, "go.toggle_reviewed", _("Reviewed"), "project.toggle_reviewed", keys="Ctrl+M",
          enabled_when=("image_open", "project_writable"), checked_from="reviewed",
          tip=_("Marks this image reviewed and stays on it; again: the mark is taken away")),
    command(Group.NAVIGATE, "go.reject", _("Reject this image…"), "reviewing.reject", icon="close", keys="Shift+M",
          enabled_when=("image_open", "project_writable"), checked_from="rejected",
          tip=_("Asks why and opens the next one; exports leave it out. Again: it is no longer rejected")),
    command(Group.NAVIGATE, "go.progress", _("Progress by day…"), "reviewing.show_progress", icon="progress",
          enabled_when=("has_images",), tip=_("Images reviewed, actions and active time of each day; as CSV, too")),
    command(Group.NAVIGATE, "go.accept_change", _("Confirm mask for changed file"), "project.accept_change", icon="check",
          enabled_when=("to_check",), tip=_("Confirms that the mask still fits: the image is no longer listed as changed")),
)


def _tool(tool: ToolSpec) -> ActionSpec:
    return command(
        Group.TOOLS,
        tool.action,
        tool.text,
        "edit.choose_tool",
        argument=tool.tool,
        icon=tool.tool,
        keys=tool.keys,
        enabled_when=ON_IMAGE,
        checked_from=tool.context_key,
        tip=tool.tip,
    )


_TOOLS = (
    *map(_tool, TOOLS),
    command(Group.TOOLS, "lasso.snap", _("Lasso snaps to edges"), "edit.toggle_snapping", keys="Alt+L", enabled_when=ON_IMAGE,
          checked_from="snapping_on", tip=_("The outline moves to the edges of the image while you draw it")),
    command(Group.TOOLS, "brush.larger", _("Larger brush"), "edit.scale_brush", argument=1, keys="]", enabled_when=ON_IMAGE,
          separated=True, tip=_("The brush grows by a step; Shift+wheel does the same")),
    command(Group.TOOLS, "brush.smaller", _("Smaller brush"), "edit.scale_brush", argument=-1, keys="[", enabled_when=ON_IMAGE,
          tip=_("The brush shrinks by a step; Shift+wheel does the same")),
    command(Group.TOOLS, "brush.within", _("Paint only over the class where a stroke begins"), "edit.toggle_within",
          keys="Shift+B",
          enabled_when=ON_IMAGE, checked_from="within_on", tip=_("Brush, eraser, lasso and polygon change nothing else")),
    command(Group.TOOLS, "brush.over", _("Paint only over the class under the pointer"), "modes.toggle_over", keys="Alt+B",
          enabled_when=ON_IMAGE,
          tip=_("Adds it to the classes that may be painted over, or takes it out; kept with the project")),
    command(Group.TOOLS, "brush.over_all", _("Paint over all classes"), "modes.over_all", enabled_when=("over_on",),
          checked_from="over_on", tip=_("Only some classes may be painted over now")),
    command(Group.TOOLS, "brush.inside_band", _("Paint only inside the trimap band"), "edit.toggle_band", argument="inside",
          keys="Shift+T", enabled_when=ON_IMAGE, checked_from="inside_band_on",
          tip=_("The band of the Trimap band view, as wide as it is shown; no tool changes other pixels")),
    command(Group.TOOLS, "brush.outside_band", _("Paint only outside the trimap band"), "edit.toggle_band", argument="outside",
          keys="Alt+T", enabled_when=ON_IMAGE, checked_from="outside_band_on",
          tip=_("The band of the Trimap band view, as wide as it is shown; no tool changes its pixels")),
)

_COMPONENTS = (
    command(Group.TOOLS, "components.guess", _("Give the error or component its second guess"), "next_errors.take_guess",
          keys="Shift+Z", enabled_when=EDITABLE, separated=True,
          tip=_("The class that the network finds most likely after the present one; Shift+click does the same")),
    command(Group.TOOLS, "components.dissolve", _("Give the error or component to its surroundings"), "next_errors.dissolve",
          keys="Del", enabled_when=EDITABLE, tip=_("The class that touches it most replaces it")),
    *(
        command(Group.TOOLS, f"components.{operation.replace(' ', '_')}", text, "window.change_components", argument=operation,
              keys=keys, enabled_when=EDITABLE, separated=operation == "drop islands", tip=tip)
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
        command(Group.CLASSES, f"class.key_{key}", message("Class with the key {key}", key=key), "classes.choose_key",
              argument=key, keys=key, enabled_when=ON_IMAGE, tip=_("Brush, fill and the other tools give this class from now on"))
        for key in CLASS_KEYS
    ),
    command(Group.CLASSES, "class.void", _("Unlabelled (void)"), "classes.choose_void", keys="`", enabled_when=ON_IMAGE,
          separated=True, tip=_("Tools take labels away: pixels become unlabelled")),
    command(Group.CLASSES, "class.previous", _("Previous class"), "classes.previous_class", keys="Q", enabled_when=ON_IMAGE,
          tip=_("Selects the class above in the list")),
    command(Group.CLASSES, "class.next", _("Next class"), "classes.next_class", keys="W", enabled_when=ON_IMAGE,
          tip=_("Selects the class below in the list")),
    command(Group.CLASSES, "class.swap", _("Swap the last two classes"), "classes.swap_classes", icon="swap", keys="X",
          enabled_when=ON_IMAGE, tip=_("Selects the class again that was selected before")),
    command(Group.CLASSES, "class.find", _("Find a class…"), "window.find_class", icon="search", keys=("/", "Ctrl+F"),
          enabled_when=("project_open",), tip=_("Type letters of a name to select its class")),
    command(Group.CLASSES, "class.show_all", _("Show all classes"), "classes.show_all", icon="eye",
          enabled_when=("project_open",), separated=True, tip=_("Shows classes again that you have hidden")),
    command(Group.CLASSES, "class.edit", _("Edit classes…"), "window.edit_classes", enabled_when=("project_open",),
          separated=True, tip=_("Add, rename, recolour, reorder, merge and delete classes")),
    command(Group.CLASSES, "class.undo_edit", _("Undo the edit of the classes"), "window.undo_class_edit",
          enabled_when=("project_open",), tip=_("Take the newest edit of the classes back, with the undo steps from before it")),
)
# fmt: on

EDIT_COMMANDS: tuple[ActionSpec, ...] = (*_FILE, *_EDIT, *_NAVIGATE, *_TOOLS, *_COMPONENTS, *_CLASSES)
