"""What is loaded at the start is left out of the garbage collector's walks, and what comes later is not."""

import subprocess
import sys

_IN_A_PROCESS_OF_ITS_OWN = """
import gc, weakref
from orchestrator import lasting

class Ring:
    def __init__(self): self.me = self

loaded, garbage = Ring(), weakref.ref(Ring())
lasting.set_aside()
assert garbage() is None, "garbage was set aside"
assert all(one is not loaded for one in gc.get_objects()), "what is loaded is walked through"

later = weakref.ref(Ring())
gc.collect()
assert later() is None, "what came later stays"
"""


def test_only_what_is_loaded_is_set_aside() -> None:
    done = subprocess.run([sys.executable, "-c", _IN_A_PROCESS_OF_ITS_OWN], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
