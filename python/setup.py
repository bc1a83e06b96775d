# SPDX-License-Identifier: Apache-2.0
"""Makes sdar.v1 from the public .proto while the package is built. pyproject.toml says the rest.

The .proto lies outside of this folder, because it belongs to the server too. A source distribution carries a copy.
"""

import pathlib
import shutil

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = pathlib.Path(__file__).resolve().parent
PROTO = "sdar/v1/generation.proto"
V1_DOC = '"""The messages and the stubs of the gRPC API, made from sdar/v1/generation.proto."""\n'


def proto_folder():
    """The folder that holds sdar/v1: of a source distribution, else of the repository."""
    for folder in (HERE / "proto", HERE.parent / "proto"):
        if (folder / PROTO).is_file():
            return folder
    raise SystemExit(f"{HERE.parent / 'proto' / PROTO} is missing: build from a whole checkout, with pip 21.3 or "
                     "later, or from a source distribution")


def make_stubs(target):
    """Writes the package sdar/v1 below `target`. protoc's own imports, `from sdar.v1`, are right there."""
    import grpc_tools
    from grpc_tools import protoc

    folder = proto_folder()
    well_known = pathlib.Path(grpc_tools.__file__).parent / "_proto"
    target.mkdir(parents=True, exist_ok=True)
    status = protoc.main(["protoc", f"-I{folder}", f"-I{well_known}", f"--python_out={target}", f"--pyi_out={target}",
                          f"--grpc_python_out={target}", PROTO])
    if status != 0:
        raise SystemExit(f"protoc failed on {folder / PROTO}")
    (target / "sdar/v1/__init__.py").write_text(V1_DOC)


class BuildWithStubs(build_py):
    def run(self):
        super().run()
        # An editable installation imports from the sources.
        make_stubs(HERE / "src" if self.editable_mode else pathlib.Path(self.build_lib))


class SourcesWithProto(sdist):
    def make_release_tree(self, base_dir, files):
        super().make_release_tree(base_dir, files)
        copies = {f"proto/{PROTO}": proto_folder() / PROTO, "LICENSE": HERE / "LICENSE"}
        for name, source in copies.items():
            copy = pathlib.Path(base_dir) / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.unlink(missing_ok=True)  # LICENSE is a link out of this folder
            shutil.copyfile(source, copy)


setup(cmdclass={"build_py": BuildWithStubs, "sdist": SourcesWithProto})
