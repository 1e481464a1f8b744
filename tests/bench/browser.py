"""A real browser without a window: what a page looks like, and what it says once its script has run."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.conftest import skip

_QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
_SECONDS = 120


def _browse(page: Path, *options: str) -> str:
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        skip("chromium is not installed (Debian: apt-get install chromium)")
    with tempfile.TemporaryDirectory() as profile:
        command = [browser, *_QUIET, f"--user-data-dir={profile}", *options, page.resolve().as_uri()]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=_SECONDS).stdout


def screenshot(page: Path, picture: Path, width: int = 1280, height: int = 2400) -> Path:
    """Write what the page looks like as PNG."""
    _browse(page, f"--window-size={width},{height}", f"--screenshot={picture}")
    return picture


def rendered(page: Path) -> str:
    """Return the document as the browser has it."""
    return _browse(page, "--dump-dom")
