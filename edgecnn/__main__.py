"""``python -m edgecnn``."""

import sys

from edgecnn.cli.main import main

sys.exit(main())
