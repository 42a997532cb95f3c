"""What can stop a build, each said in one line with the way out."""


class BuildFailed(Exception):
    """A step of a build ended without its result; nothing half-made is left behind."""


class ToolMissing(BuildFailed):
    def __init__(self, tools: dict[str, str]) -> None:
        packages = " ".join(sorted(set(tools.values())))
        names = ", ".join(sorted(tools))
        super().__init__(f"{names} {'is' if len(tools) == 1 else 'are'} missing: sudo apt-get install {packages}")


class DiskFull(BuildFailed):
    def __init__(self, folder: object, needed_bytes: int, free_bytes: int) -> None:
        super().__init__(
            f"{folder} has {free_bytes // 2**20} MiB free, this step needs {needed_bytes // 2**20} MiB:"
            " free some space, or set EIM_DATA to a folder on another disk"
        )


class CommandFailed(BuildFailed):
    def __init__(self, program: str, code: int, last_words: str) -> None:
        super().__init__(f"{program} ended with code {code}: {last_words}")


class NoCertificate(BuildFailed):
    def __init__(self, file: object, why: object) -> None:
        super().__init__(f"{file} is no certificate in PEM ({why}): machines would trust nobody; see EIM_CA_FILE")
