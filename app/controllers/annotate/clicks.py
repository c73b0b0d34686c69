"""The Click tool: clicks and a box become a mask through a click network, and the mask a step when the user accepts it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PySide6.QtCore import QObject, Signal

from app.controllers.annotate.corrections import CorrectionsController, Target
from app.paths import CLICK_FOLDER, model_folders
from app.services.calls import Call, LatestCall
from app.services.jobs import LatestWork
from app.services.notifications import Choice
from app.services.services import Services
from app.services.session import OpenImage
from app.state.tools import Tool
from app.text import tr
from app.viewmodels.annotate.class_rows import class_name
from app.worker.messages import URGENT, AskClicks, Clicked, PrepareClicks
from deeplab_core.correction.proposal import Proposal
from deeplab_core.errors import AtrousError, message
from deeplab_core.learning import PackedLabels

Point = tuple[float, float]
BoxEdges = tuple[float, float, float, float]

#: Features of the image in view come after urgent requests and before a folder run.
_SOON = 5
#: Setting with the files of the chosen click network, one a line.
SETTING = "clicks.model"


@dataclass(slots=True, eq=False)
class _Session:
    """Clicks on one object until they are accepted or dropped.

    Attributes:
        cls: id of the object's class.
        points, positive: clicks in their order, and whether each is on the object.
        box: left, top, right, bottom around the object in image px, or None.
        revision: of the document that the newest answer was merged with.
    """

    cls: int
    points: list[Point] = field(default_factory=list)
    positive: list[bool] = field(default_factory=list)
    box: BoxEdges | None = None
    revision: int = -1


class ClicksController(QObject):
    """One object at a time.

    Attributes:
        target: what the chosen candidate would change; None before the first answer.
        waiting: whether an answer is on its way.

    Signals:
        changed(): target, clicks or :attr:`waiting`.
        getAsked(), fileAsked(): the user wants to get a published click network, or to open a file.
    """

    changed = Signal()
    getAsked = Signal()
    fileAsked = Signal()

    def __init__(self, services: Services, corrections: CorrectionsController, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session_of, self._compute, self._notifier = services.session, services.compute, services.notifier
        self._settings, self._corrections, self._edit = services.settings, corrections, corrections.edit
        self._call, self._preparing = LatestCall(), LatestCall()
        self._work = LatestWork(services.jobs, services.notifier.report_or_raise)
        self._session: _Session | None = None
        self._found: list[Proposal] = []
        self._place = 0
        self._known = self._edit.tools.tool
        self.target: Target | None = None
        services.session.imageChanged.connect(self._show_image)
        self._edit.tools.changed.connect(self._follow_tools)

    # -- the network -------------------------------------------------------------------------------------------------------

    @property
    def files(self) -> tuple[Path, ...]:
        """Files of the click network: the chosen one, else one that 'models get' has put into the folder; empty without any."""
        chosen = tuple(Path(line) for line in str(self._settings[SETTING]).splitlines() if line)
        if chosen and all(path.is_file() for path in chosen):
            return chosen
        return _installed()

    def choose(self, files: tuple[Path, ...]) -> None:
        """Use the network of a file, or of an encoder and a decoder, from now on; it is loaded at once."""
        self._settings.set(SETTING, "\n".join(str(path) for path in files))
        self.drop()
        self._edit.choose_tool(Tool.CLICKS)
        self._prepare()

    def _prepare(self) -> None:
        """Load the network, and have it look at the image in view."""
        self._preparing.ask(self._submit_preparation)

    def _submit_preparation(self) -> Call[Clicked] | None:
        image = self._session_of.image
        if image is None or self._edit.tools.tool is not Tool.CLICKS or not (files := self.files):
            return None
        model = tuple(str(path) for path in files)
        request = PrepareClicks(priority=_SOON, model=model, image=str(image.path), source_key=image.key)
        return self._compute.submit(request).on(failed=self._fail)

    def _say_missing(self) -> None:
        self._notifier.warning(
            tr("No click network is installed"),
            tr("Get a published one such as MobileSAM or EdgeSAM, or open an ONNX file that you have (extra 'onnx')."),
            replace_key="clicks",
            choices=(
                Choice(tr("Get a click network…"), self.getAsked.emit),
                Choice(tr("Open a file…"), self.fileAsked.emit),
            ),
        )

    # -- clicks ------------------------------------------------------------------------------------------------------------

    @property
    def open(self) -> bool:
        """Whether clicks wait to be accepted."""
        return self._session is not None

    @property
    def waiting(self) -> bool:
        """Whether an answer is on its way."""
        return self._session is not None and not (self._call.idle and self._work.idle)

    @property
    def clicks(self) -> tuple[tuple[Point, bool], ...]:
        """The clicks so far."""
        session = self._session
        return () if session is None else tuple(zip(session.points, session.positive, strict=True))

    @property
    def box(self) -> BoxEdges | None:
        """The box so far."""
        return None if self._session is None else self._session.box

    def click(self, x: float, y: float, *, positive: bool) -> None:
        """A click on the object, or beside it."""
        place = self._corrections.inside((x, y))
        session = self._begun() if place is not None else None
        if session is not None and place is not None:
            session.points.append(place)
            session.positive.append(positive)
            self._ask()

    def drag(self, first: Point, second: Point) -> None:
        """A box around the object, as the first action; later it is a click where it ends."""
        if self._session is not None:
            self.click(*second, positive=True)
            return
        session, document = self._begun(), self._edit.document
        if session is None or document is None:
            return
        height, width = document.shape
        (left, right), (top, bottom) = sorted((first[0], second[0])), sorted((first[1], second[1]))
        box = max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height))
        if box[0] < box[2] and box[1] < box[3]:
            session.box = box
            self._ask()
        else:
            self.drop()

    def take_back(self) -> bool:
        """Take the last click back; whether there was one."""
        session = self._session
        if session is None:
            return False
        if session.points:
            session.points.pop()
            session.positive.pop()
        else:
            session.box = None
        if session.points or session.box is not None:
            self._ask()
        else:
            self.drop()
        return True

    def turn(self, steps: int) -> None:
        """Show the next (positive) or previous candidate."""
        if self._found:
            self._place = (self._place + steps) % len(self._found)
            self._show()

    def accept(self) -> bool:
        """Make the candidate that is shown a step; whether clicks were open."""
        session, document = self._session, self._edit.document
        if session is None or document is None or self.waiting:
            return session is not None
        proposal = self._found[self._place] if self._found else None
        name = message("Clicks: {name}", name=class_name(document.catalog, session.cls))
        moved = document.revision != session.revision
        self.drop()
        if not moved and not self._corrections.apply(name, proposal):
            self._notifier.info(tr("The clicks change nothing"), "", replace_key="correction")
        return True

    def drop(self) -> bool:
        """Forget the clicks; whether there were any."""
        had, self._session = self._session is not None, None
        self._call.stop()
        self._work.stop()
        self._found, self._place, self.target = [], 0, None
        self.changed.emit()
        return had

    def _begun(self) -> _Session | None:
        """The clicks that are open, or new ones; None after saying why there cannot be any."""
        if self._session is not None:
            return self._session
        document = self._edit.ready()
        if document is None:
            return None
        if not self.files:
            self._say_missing()
            return None
        cls = self._edit.tools.class_id
        if self._edit.refuses(document, cls):
            return None
        if cls == document.catalog.ignore:
            self._notifier.info(tr("Clicks need a class: unlabelled is none"), "", replace_key="correction")
            return None
        self._edit.commit_stroke()
        self._session = _Session(cls)
        return self._session

    # -- asking ------------------------------------------------------------------------------------------------------------

    def _ask(self) -> None:
        self._call.ask(self._submit)
        self.changed.emit()

    def _submit(self) -> Call[Clicked] | None:
        session, image, files = self._session, self._session_of.image, self.files
        if session is None or image is None or not files:
            return None
        request = AskClicks(
            priority=URGENT, model=tuple(str(path) for path in files), image=str(image.path), source_key=image.key,
            points=tuple(session.points), positive=tuple(session.positive), box=session.box,
            previous=PackedLabels.of((image.document.labels == session.cls).view(np.uint8)),
        )  # fmt: skip
        return self._compute.submit(request).on(
            done=lambda answer: self._merge(answer, session, request), failed=self._fail, finished=self.changed.emit
        )

    def _merge(self, answer: Clicked, session: _Session, request: AskClicks) -> None:
        """Turn masks into what they would change; only the regions with a click do."""
        corrector, document = self._corrections.corrector, self._edit.document
        if self._session is not session or corrector is None or document is None:
            return
        session.revision = document.revision
        points, positive = np.array(request.points, np.float64).reshape(-1, 2), list(request.positive)

        def work() -> list[Proposal]:
            masks = [mask.unpacked().astype(np.bool_) for mask in answer.masks]
            return corrector.merge_clicks(masks, points, positive, session.cls, request.box)

        self._work.ask(work, self._take)

    def _take(self, found: list[Proposal]) -> None:
        if self._session is not None:
            self._found, self._place = found, 0
            self._show()

    def _show(self) -> None:
        session = self._session
        self.target = None
        if session is not None and self._found:
            proposal = self._found[self._place]
            box = proposal.bounds
            lines = (
                tr("Candidate {place} of {count}", place=self._place + 1, count=len(self._found)),
                tr("Enter: apply, Esc: drop"),
                *((tr("Alt+wheel: next candidate"),) if len(self._found) > 1 else ()),
            )
            mask = proposal.mask[box.slices]
            self.target = self._corrections.limited(Target(box, mask, int(mask.sum()), lines, session.cls))
        self.changed.emit()

    def _fail(self, error: AtrousError) -> None:
        self.drop()
        self._notifier.report(
            error, replace_key="clicks", choices=(Choice(tr("Open a file…"), self.fileAsked.emit),)
        )  # fmt: skip

    # -- following ---------------------------------------------------------------------------------------------------------

    def _show_image(self, _image: OpenImage | None) -> None:
        self.drop()
        self._prepare()

    def _follow_tools(self) -> None:
        tools, session = self._edit.tools, self._session
        if tools.tool is not self._known:
            self._known = tools.tool
            self.drop()
            if tools.tool is Tool.CLICKS:
                if self.files:
                    self._prepare()
                else:
                    self._say_missing()
        elif session is not None and session.cls != tools.class_id:
            document = self._edit.document
            if document is not None and tools.class_id not in (document.catalog.ignore, *document.locked):
                session.cls = tools.class_id
                self._ask()


def _installed() -> tuple[Path, ...]:
    """The files of the first published click network in a folder of models."""
    from deeplab_core.hub import click_networks, find_installed

    folders = [folder / CLICK_FOLDER for folder in model_folders()]
    for model in click_networks():
        found = find_installed(model, folders)
        if found is not None:
            return (found,) if model.decoder is None else (found, found.parent / model.decoder.file)
    return ()
