"""Makes the emulated driver importable as ``emu``. It is loaded only by the tests that ask for it."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
