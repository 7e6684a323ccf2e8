"""Many databases used at random by several threads and processes (soak.cc), for some seconds. By hand for longer:
build/tests/soak build/walmanager /dev/shm/soak 600 1000"""

import shutil
import subprocess

from conftest import BUILD, EXTENSION
from workers import fast_path  # noqa: F401 (a fixture)


def test_many_databases_used_at_random_end_sound_and_leave_nothing(fast_path):
    directory = fast_path.parent / "soak"
    directory.mkdir()
    done = subprocess.run([str(BUILD / "tests" / "soak"), EXTENSION, str(directory), "15", "120"], text=True,
                          capture_output=True, timeout=300)
    shutil.rmtree(directory)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\n0 problems, 0 calls were busy" in done.stdout
