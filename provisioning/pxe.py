"""A helper on a site's LAN, where the server can't be: dnsmasq, which adds to the LAN's own DHCP what to boot."""

from ipaddress import IPv4Network

# The files that the helper hands out by TFTP, and where they lie on it.
TFTP_FOLDER = "/srv/tftp"
FILES = ("undionly.kpxe", "ipxe.efi")
CONFIGURATION = """\
# dnsmasq (2.90 or newer) as a PXE helper for {subnet}: the LAN's own DHCP server goes on giving addresses, this one
# only says what to boot. Put this into /etc/dnsmasq.d/, and beforehand:
#     mkdir -p {folder}
{fetch}
port=0
dhcp-range={network},proxy,{netmask}
enable-tftp
tftp-root={folder}
tftp-no-fail

# iPXE asks the server; with a BIOS's or a UEFI's own PXE it is loaded first.
dhcp-userclass=set:ipxe,iPXE
pxe-service=tag:!ipxe,X86PC,"BIOS",undionly.kpxe
pxe-service=tag:!ipxe,X86-64_EFI,"UEFI",ipxe.efi
pxe-service=tag:!ipxe,BC_EFI,"UEFI",ipxe.efi
# iPXE believes this at once only with an address of a server, which a URL makes no use of.
dhcp-boot=tag:ipxe,{url}/boot.ipxe,,{network}
"""
# Where the LAN has no DHCP server of its own, dnsmasq gives addresses, and UEFI's HTTP boot needs no TFTP.
HTTP_BOOT = """\
dhcp-vendorclass=set:http,HTTPClient
dhcp-option-force=tag:http,60,HTTPClient
dhcp-boot=tag:http,{url}/signed_ipxe.efi
"""


def configuration(subnet: IPv4Network, url: str) -> str:
    """For dnsmasq; url is that of our /tink-stack, as the site's machines reach it."""
    fetch = "\n".join(f"#     wget -P {TFTP_FOLDER} {url}/{name}" for name in FILES)
    return CONFIGURATION.format(
        subnet=subnet, network=subnet.network_address, netmask=subnet.netmask, folder=TFTP_FOLDER, fetch=fetch, url=url
    )
