"""``python -m covenant.bench``."""

import sys

from covenant.bench.figures import main

sys.exit(main())
