"""Files beside data that describe them and are no data: notes, and what programs leave."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

_NOTES = {
    *("readme", "license", "licence", "changelog", "copying", "sha256sums"),
    *("dataset_info", "dataset_infos", "dataset_dict"),
}
_OF_SLACK = {
    *("users.json", "channels.json", "groups.json", "dms.json", "mpims.json", "canvases.json"),
    *("integration_logs.json", "file_conversations.json", "lists.json", "huddle_transcripts.json"),
}
"""Files beside the folders of the channels in an export of Slack."""
_OF_GLUON = "metadata.json"
"""The file beside the folders train and test of GluonTS, or in one of its own."""


def seen(paths: Sequence[Path], folder: Path) -> list[Path]:
    """Return the files of a folder without those that only describe the others.

    >>> some = ["users.json", "channels.json", "general/2024-01-01.json", "readme.md"]
    >>> [one.name for one in seen([Path("x", name) for name in some], Path("x"))]
    ['2024-01-01.json']
    """
    names = {path.name for path in paths if path.parent == folder}
    slack = {"users.json", "channels.json"} <= names and any(p.parent != folder for p in paths)
    # The datasets of Hugging Face have it beside their Arrow files.
    parts = {path.relative_to(folder).parts[0] for path in paths}
    gluon = {"train", "test"} & parts
    arrow = {path.parent for path in paths if path.suffix == ".arrow"}
    return [
        path
        for path in paths
        if path.name.split(".")[0].lower() not in _NOTES
        and not (slack and path.parent == folder and path.name in _OF_SLACK)
        and not (path.name == "state.json" and path.parent in arrow)
        and not (gluon and path in (folder / _OF_GLUON, folder / "metadata" / _OF_GLUON))
    ]
