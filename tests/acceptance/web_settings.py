"""The real settings, with the paths of `web_paths.py` beside the real ones."""

from config.settings import *  # noqa: F403

ROOT_URLCONF = "tests.acceptance.web_paths"
