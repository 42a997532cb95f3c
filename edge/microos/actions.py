"""The workflow's actions on a real machine's disks; what goes wrong is an ActionFailed with a sentence."""

import functools
import os
import shlex
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from edge.errors import ActionFailed
from edge.microos import disks, efi, image, layout, luks, verity
from edge.microos.image import Environment, needed
from edge.worker import Step, note

MIB = 2**20
EDGE_BYTES = (
    16 * MIB
)  # holds every partition table and boot record there is, at the start and (backup GPT, RAID) at the end
COMMAND_LAST_WORDS = 300  # characters of a failed command's output that go to the operator


def check_secure_boot(env: Environment, variables: Path = efi.VARIABLES) -> None:
    """Stop when the firmware's secure boot isn't as the operator asked for the machine."""
    enabled = efi.secure_boot_is_on(variables)
    wanted = env.get("SECURITY_FEATURE_FLAG", "")
    if enabled and wanted == "SECURITY_FEATURE_NONE":
        raise ActionFailed("secure boot is on, but the instance asks for no security feature: turn one of them round")
    if not enabled and wanted != "SECURITY_FEATURE_NONE":
        raise ActionFailed(f"secure boot is off, but the instance asks for {wanted or 'an unspecified feature'}")
    note(f"secure boot is {'on' if enabled else 'off'}, as asked for")


def erase_disks(env: Environment) -> None:
    """The disk that is named for the installation, and no other; all fixed ones where none is."""
    chosen = [disks.install_disk(env)] if env.get("INSTALL_DISK") else disks.wait_for_fixed_disks()
    for disk in chosen:
        erase(disk)
    note(f"erased {', '.join(disk.name for disk in chosen)}")


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
    with _system(env, env.get("DEST_DISK", "")) as root:
        write_into(root, env)
    note(f"wrote {env['DEST_PATH']}")


@contextmanager
def _system(env: Environment, partition: str) -> Iterator[Path]:
    """The folder where the installed system's root is, or another partition that is named."""
    device = Path(partition) if partition else disks.root_partition(disks.install_disk(env))
    with luks.opened(device) as unlocked, disks.mounted(unlocked, env.get("FS_TYPE") or "ext4") as root:
        yield root


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
    command = needed(env, "CMD_LINE")
    interpreter = shlex.split(env.get("DEFAULT_INTERPRETER") or "/bin/sh -c")
    with _system(env, env.get("BLOCK_DEVICE", "")) as root, ExitStack() as kernel:
        for name, fs_type in (("proc", "proc"), ("sys", "sysfs"), ("dev", "devtmpfs")):
            disks.mount(fs_type, root / name, fs_type)
            kernel.callback(disks.unmount, root / name)
        done = subprocess.run(["chroot", str(root), *interpreter, command], capture_output=True, text=True)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()[-COMMAND_LAST_WORDS:]
        raise ActionFailed(f"{command!r} ended with code {done.returncode}: {said}")


def boot_from_disk(env: Environment, variables: Path = efi.VARIABLES) -> None:
    if not efi.has_entries(variables):
        note("no UEFI boot entries on this machine, its boot order stays")
        return
    disk = disks.install_disk(env)
    layout.make_distinct(disk)
    efi.boot_disk_first(disk, variables)
    note(f"{disk.name} is first in the firmware's boot order, what was booted now is last")


def set_up_system(env: Environment) -> None:
    """Space for users' volumes, and another kernel, where they are asked for; both are if the archived agents ask."""
    disk = disks.install_disk(env)
    if gib := lvm_gib(env):
        device = layout.set_aside(disk, gib)
        with luks.opened(device, layout.LVM) as volumes:  # encrypted before, if all of the disk is
            if volumes == device:
                layout.make_volume_group(volumes)
        note(f"{gib} GiB are set aside for LVM: {device.name}, volume group {layout.VOLUME_GROUP}")
    note("the image's kernel stays")


def check_set_up(env: Environment) -> None:
    if env.get("SKIP_KERNEL_UPGRADE", "").lower() != "true":
        raise ActionFailed(
            "this machine's micro-OS can't install another kernel: "
            'keep the image\'s by "skipkernelupgrade": "true" in the OS profile\'s metadata'
        )
    check_lvm(env)


def check_lvm(env: Environment) -> None:
    if gib := lvm_gib(env):
        disk = disks.install_disk(env)
        with image.opened(disk) as handle:
            size = disks.size_bytes(handle)
        if gib * layout.GIB >= size:
            raise ActionFailed(
                f"{gib} GiB can't be set aside for LVM on {disk.name}, which has {size / layout.GIB:.1f}: "
                "give its host a smaller userLvmSize"
            )


def lvm_gib(env: Environment) -> int:
    """LVM_SIZE, in what its users call GB."""
    return int(env.get("LVM_SIZE") or 0)


def secure(env: Environment) -> None:
    """Encrypt the installed system's disk for this machine's TPM; or only have its image's own dm-verity begin."""
    disk = disks.install_disk(env)
    if only_verity(env):
        verity.protect(disk)
    elif verity.is_asked_for(disk):
        raise ActionFailed(
            "an image with dm-verity can't be encrypted here: give the instance another security feature"
        )
    else:
        luks.encrypt(disk, lvm_gib(env))


def check_secure(env: Environment) -> None:
    if not only_verity(env):
        luks.check()
        check_lvm(env)


def only_verity(env: Environment) -> bool:
    return env.get("ENABLE_ONLY_DMVERITY", "").lower() == "true"


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
    "erase_non_removable_disks": _readable(erase_disks),
    "image2disk": _readable(image.stream),
    "qemu_nbd_image2disk": _readable(image.stream),  # what the image begins with decides, not who was asked
    "writefile": _readable(write_file),
    "cexec": _readable(execute),
    "kernelupgrd": _readable(set_up_system),
    "fde_dmv": _readable(secure),
    "efibootset": _readable(boot_from_disk),
    "reboot-action": _readable(prepare_reboot),
}
# What a look at the machine and the server tells beforehand, so that nothing is erased for an installation that fails.
CHECKS: dict[str, Callable[[Environment], None]] = {
    "image2disk": _readable(image.check),
    "qemu_nbd_image2disk": _readable(image.check),
    "kernelupgrd": _readable(check_set_up),
    "fde_dmv": _readable(check_secure),
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
