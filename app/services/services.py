"""What every controller works with, handed over as one record."""

from __future__ import annotations

from dataclasses import dataclass

from app.actions.context import ContextKeys
from app.services.calls import ComputeService
from app.services.jobs import JobRegistry
from app.services.notifications import Notifier
from app.services.session import Session
from app.services.settings import SettingsStore


@dataclass(frozen=True, slots=True)
class Services:
    """The services of one window; made once, before the first controller.

    Attributes:
        compute: runs the models in a process of their own; a fake one in tests.
        jobs: background work and what the status bar shows of it.
        notifier: messages to the user.
        settings: what the user has chosen.
        context: keys that enable commands.
        session: what is open: the project and the image in view.
    """

    compute: ComputeService
    jobs: JobRegistry
    notifier: Notifier
    settings: SettingsStore
    context: ContextKeys
    session: Session
