"""Makes the Python modules and descriptor sets of this folder from wire/protos: `python -m wire.generate`."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# The two generations of Tinkerbell's worker protocol declare the same names, so neither may enter the default
# descriptor pool as a module would: wire/tink.py loads these sets into a pool each.
DESCRIPTOR_SETS = ("tink_old", "tink_new")
MODULES = sorted({proto.stem for proto in (HERE / "protos").glob("*.proto")} - {*DESCRIPTOR_SETS})


def generate(target: Path) -> None:
    """Write everything below `target`/wire; `target` is the checkout, or an empty folder to compare with."""
    import grpc_tools
    from grpc_tools import protoc

    # Seen by protoc as wire/<name>.proto, so that generated modules import each other from the package `wire`.
    roots = [f"-Iwire={HERE / 'protos'}", f"-I{Path(grpc_tools.__file__).parent / '_proto'}"]
    (target / "wire").mkdir(exist_ok=True)
    outputs = [f"--python_out={target}", f"--pyi_out={target}", f"--grpc_python_out={target}"]
    commands = [[*roots, *outputs, *(f"wire/{name}.proto" for name in MODULES)]]
    commands += [
        [*roots, "--include_imports", f"--descriptor_set_out={target}/wire/{name}.binpb", f"wire/{name}.proto"]
        for name in DESCRIPTOR_SETS
    ]
    for command in commands:
        if protoc.main(["protoc", *command]) != 0:
            sys.exit("protoc refused wire/protos; its message is above")
    # status.proto has no service: what the gRPC plug-in writes for it is empty.
    (target / "wire" / "status_pb2_grpc.py").unlink()


if __name__ == "__main__":
    generate(HERE.parent)
