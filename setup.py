"""What pyproject.toml cannot say: folders at the top of the checkout that an installed package carries within itself (`acg.shared`)."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

#: Folder and the patterns of what a user of an installed package meets.
SHARED = {"archs": ("*.yaml",), "docs": ("*.md", "*/*.md"), "examples": ("*.onnx", "*_test.npz", "LICENSE.*")}


class BuildWithSharedFiles(build_py):
    def run(self):
        super().run()
        if self.editable_mode:  # the checkout's own are found
            return
        project = Path(__file__).resolve().parent
        for folder, patterns in SHARED.items():
            target = Path(self.build_lib, "acg", "shared_files", folder)
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir(parents=True)
            for path in (path for pattern in patterns for path in sorted((project / folder).glob(pattern))):
                place = target / path.relative_to(project / folder)
                place.parent.mkdir(exist_ok=True)
                shutil.copy(path, place)


setup(cmdclass={"build_py": BuildWithSharedFiles})
