"""Makes what a machine boots (the micro-OS) and what it is given: the disk image, and its cloud-init."""
