"""Store files on the local disk, so that they outlive a loss of power like committed rows."""

import os
from pathlib import Path
from typing import Any

from django.core.files.storage import FileSystemStorage


class LocalStorage(FileSystemStorage):
    """Write files through to the disk, readable by the service's user only."""

    def __init__(self, **options: Any) -> None:
        modes = {"file_permissions_mode": 0o600, "directory_permissions_mode": 0o700}
        # A path is used once: an attempt to write it again is the same file.
        super().__init__(**{"allow_overwrite": True, **modes, **options})

    def _save(self, name: str, content: Any) -> str:
        saved = super()._save(name, content)  # type: ignore[misc]
        path = Path(self.path(saved))
        # The file, and the entry of its name in the folder.
        for place in (path, path.parent):
            descriptor = os.open(place, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        return str(saved)
