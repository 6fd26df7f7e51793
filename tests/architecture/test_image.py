"""Check that the files which docker/Dockerfile copies are enough for every process."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

ROOT = Path(__file__).resolve().parents[2]
COPIED = re.compile(r"^COPY (\S+) (?!\.$)\S+$", re.MULTILINE)
PROCESS = """
import config.wsgi, config.asgi, config.celery, config.ticker
config.celery.app.loader.import_default_modules()
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what the image has under /app."""
    folder = tmp_path_factory.mktemp("image")
    for name in COPIED.findall((ROOT / "docker" / "Dockerfile").read_text()):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    return folder


def run(image: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "BIOLAYER_HOME": str(image / "data"),
        "DATABASE_URL": "postgresql://biolayer@127.0.0.1:9/biolayer",
        "REDIS_URL": "redis://127.0.0.1:9/0",
        "SECRET_KEY": "k" * 32,
        "ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        "ALLOWED_HOSTS": "localhost",
    }
    line = [sys.executable, *arguments]
    return subprocess.run(
        line, cwd=image, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def test_image__has_no_local_package(image: Path) -> None:
    assert {path.name for path in image.iterdir()} >= {"manage.py", "apps", "biolayer", "config"}
    assert not (image / "local").exists()


@pytest.mark.parametrize("arguments", [["manage.py", "check"], ["-c", PROCESS]])
def test_image__loads_every_process(image: Path, arguments: list[str]) -> None:
    result = run(image, *arguments)
    assert result.returncode == 0, result.stdout + result.stderr


def test_image__has_no_command_up(image: Path) -> None:
    assert "Unknown command: 'up'" in run(image, "manage.py", "up").stderr
