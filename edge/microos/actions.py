"""The workflow's actions on a real machine's disks; what goes wrong is an ActionFailed with a sentence."""

import functools
import os
import shlex
import subprocess
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from edge.errors import ActionFailed
from edge.microos import disks, image
from edge.microos.image import Environment, needed
from edge.worker import Step

MIB = 2**20
EDGE_BYTES = (
    16 * MIB
)  # holds every partition table and boot record there is, at the start and (backup GPT, RAID) at the end
EFI_VARIABLES = Path("/sys/firmware/efi/efivars")
EFI_GLOBAL = "8be4df61-93ca-11d2-aa0d-00e098032b8c"  # the vendor of the firmware's own variables
COMMAND_LAST_WORDS = 300  # characters of a failed command's output that go to the operator


def check_secure_boot(env: Environment, variables: Path = EFI_VARIABLES) -> None:
    """Stop when the firmware's secure boot isn't as the operator asked for the machine."""
    variable = variables / f"SecureBoot-{EFI_GLOBAL}"
    enabled = variable.exists() and variable.read_bytes()[4:5] == b"\1"
    wanted = env.get("SECURITY_FEATURE_FLAG", "")
    if enabled and wanted == "SECURITY_FEATURE_NONE":
        raise ActionFailed("secure boot is on, but the instance asks for no security feature: turn one of them round")
    if not enabled and wanted != "SECURITY_FEATURE_NONE":
        raise ActionFailed(f"secure boot is off, but the instance asks for {wanted or 'an unspecified feature'}")


def erase_fixed_disks(env: Environment) -> None:
    for disk in disks.wait_for_fixed_disks():
        erase(disk)
        print(f"erased {disk}", flush=True)


def erase(disk: Path) -> None:
    """Make a disk look empty in seconds: discard all of it where it can do that, and zero both ends in any case.

    Zeroing whole disks would take hours; what identifies data (partition tables and their backups, boot records,
    RAID and LVM labels) lies at the ends, and the image overwrites the start of each of its file systems.
    """
    handle = os.open(disk, os.O_RDWR)
    try:
        size = disks.size_bytes(handle)
        disks.discard(handle)
        disks.zero(handle, 0, min(EDGE_BYTES, size))
        disks.zero(handle, max(0, size - EDGE_BYTES), min(EDGE_BYTES, size))
        os.fsync(handle)
        disks.read_partitions_again(handle)
    except OSError as fault:
        raise ActionFailed(f"{disk} can't be erased: {fault}") from fault
    finally:
        os.close(handle)


def write_file(env: Environment) -> None:
    """Put one file into the installed system."""
    disk = Path(env["DEST_DISK"]) if env.get("DEST_DISK") else disks.root_partition(disks.wait_for_fixed_disks()[0])
    with disks.mounted(disk, env.get("FS_TYPE") or "ext4") as root:
        write_into(root, env)


def write_into(root: Path, env: Environment) -> None:
    """The file below `root`, with its parents; a path that leads out of `root` is refused."""
    target = (root / needed(env, "DEST_PATH").lstrip("/")).resolve()
    if not target.is_relative_to(root.resolve()):
        raise ActionFailed(f"{env['DEST_PATH']} leads out of the installed system")
    owner = int(env.get("UID") or 0), int(env.get("GID") or 0)
    for parent in reversed([p for p in target.parents if not p.exists()]):
        parent.mkdir()
        parent.chmod(int(env.get("DIRMODE") or "0755", 8))
        os.chown(parent, *owner)
    draft = target.with_name(f".{target.name}.new")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(env.get("CONTENTS", ""))
        os.fchmod(file.fileno(), int(env.get("MODE") or "0644", 8))
        os.fchown(file.fileno(), *owner)
        os.fsync(file.fileno())
    draft.replace(target)


def execute(env: Environment) -> None:
    """Run a command inside the installed system, with its devices and the kernel's file systems there."""
    named = env.get("BLOCK_DEVICE")
    disk = Path(named) if named else disks.root_partition(disks.wait_for_fixed_disks()[0])
    command = needed(env, "CMD_LINE")
    interpreter = shlex.split(env.get("DEFAULT_INTERPRETER") or "/bin/sh -c")
    with disks.mounted(disk, env.get("FS_TYPE") or "ext4") as root, ExitStack() as kernel:
        for name, fs_type in (("proc", "proc"), ("sys", "sysfs"), ("dev", "devtmpfs")):
            disks.mount(fs_type, root / name, fs_type)
            kernel.callback(disks.unmount, root / name)
        done = subprocess.run(["chroot", str(root), *interpreter, command], capture_output=True, text=True)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()[-COMMAND_LAST_WORDS:]
        raise ActionFailed(f"{command!r} ended with code {done.returncode}: {said}")


def boot_from_disk_next(env: Environment, variables: Path = EFI_VARIABLES) -> None:
    """Put the entry we booted from last in the firmware's order, still active.

    A deactivated one could only be brought back at the machine; where it comes up again, the server says what boots.
    """
    current, order = variables / f"BootCurrent-{EFI_GLOBAL}", variables / f"BootOrder-{EFI_GLOBAL}"
    if not (current.exists() and order.exists()):
        print("no UEFI boot entries on this machine, its boot order stays", flush=True)
        return
    booted, raw = current.read_bytes()[4:6], order.read_bytes()
    entries = [raw[i : i + 2] for i in range(4, len(raw), 2)]
    if booted in entries and len(entries) > 1:
        entries.remove(booted)
        order.write_bytes(raw[:4] + b"".join([*entries, booted]))


def keep_kernel(env: Environment) -> None:
    """The image's own kernel stays, and the system's first start grows its root file system over the whole disk.

    The archived system's action of this name also installs another kernel and sets space aside for LVM: who wishes for
    either is told that it can't be had here, which by CHECKS is before anything is erased.
    """
    if env.get("SKIP_KERNEL_UPGRADE", "").lower() != "true":
        raise ActionFailed(
            "this machine's micro-OS can't install another kernel: "
            'keep the image\'s by "skipkernelupgrade": "true" in the OS profile\'s metadata'
        )
    if env.get("LVM_SIZE", "0") not in ("", "0"):
        raise ActionFailed(
            f"this machine's micro-OS can't set {env['LVM_SIZE']} GB aside for LVM: give its host the userLvmSize 0"
        )
    print("the image's kernel stays; swap and data have no partitions of their own", flush=True)


def prepare_reboot(env: Environment) -> None:
    """Everything written goes to the disk; the machine reboots once the server has heard that we are done."""
    os.sync()


def _readable(action: Callable[[Environment], None]) -> Callable[[Environment], None]:
    """A fault of the machine's is an answer to the operator, not a crash."""

    @functools.wraps(action)
    def told(env: Environment) -> None:
        try:
            action(env)
        except OSError as fault:
            raise ActionFailed(str(fault)) from fault

    return told


ACTIONS: dict[str, Callable[[Environment], None]] = {
    "securebootflag": _readable(check_secure_boot),
    "erase_non_removable_disks": _readable(erase_fixed_disks),
    "image2disk": _readable(image.stream),
    "qemu_nbd_image2disk": _readable(image.stream),  # what the image begins with decides, not who was asked
    "writefile": _readable(write_file),
    "cexec": _readable(execute),
    "kernelupgrd": keep_kernel,
    "efibootset": _readable(boot_from_disk_next),
    "reboot-action": _readable(prepare_reboot),
}
# What a look at the machine and the server tells beforehand, so that nothing is erased for an installation that fails.
CHECKS: dict[str, Callable[[Environment], None]] = {
    "image2disk": _readable(image.check),
    "qemu_nbd_image2disk": _readable(image.check),
    "kernelupgrd": keep_kernel,
}


def foresee(steps: Sequence[Step]) -> None:
    """Raises ActionFailed when one of these can't be done on this machine."""
    for step in steps:
        if step.image_name not in ACTIONS:
            raise ActionFailed(
                f"this machine's micro-OS can't do {step.name} (it has no {step.image_name}): "
                "choose an OS and a security feature without it, or boot the machine with a micro-OS that can"
            )
    for step in steps:
        if check := CHECKS.get(step.image_name):
            check(step.environment)
