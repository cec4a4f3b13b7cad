"""The .lamella file: one mappable file that an app embeds and a device verifies.

`save` writes `Contents`, `read` gives them back without copying, `open_manifest` reads only what
`lamella inspect` shows. `FORMAT.md` beside this file is the byte-level specification.
"""

from lamella.artifact.contents import Canary, Contents
from lamella.artifact.reader import Opened, open_manifest, read
from lamella.artifact.writer import save

__all__ = ["Canary", "Contents", "Opened", "open_manifest", "read", "save"]
