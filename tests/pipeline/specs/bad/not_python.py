"""A spec that cannot be run."""

import a_module_that_nobody_has  # noqa: F401
