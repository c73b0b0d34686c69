"""Checkpoints that others publish: what there is, fetching it safely, and what is known of a file that was fetched. No torch."""

from deeplab_core.hub.download import DownloadProgress, download
from deeplab_core.hub.huggingface import HubAddress, find_from_hub, find_on_hub, hub_address
from deeplab_core.hub.install import (
    Installed,
    Receipt,
    by_hand,
    find_installed,
    install,
    published_card,
    read_receipt,
    write_published_card,
)
from deeplab_core.hub.published import PublishedModel, PublishedPart, click_networks, find_published, published_models

__all__ = [
    "DownloadProgress",
    "HubAddress",
    "Installed",
    "PublishedModel",
    "PublishedPart",
    "Receipt",
    "by_hand",
    "click_networks",
    "download",
    "find_from_hub",
    "find_installed",
    "find_on_hub",
    "find_published",
    "hub_address",
    "install",
    "published_card",
    "published_models",
    "read_receipt",
    "write_published_card",
]
