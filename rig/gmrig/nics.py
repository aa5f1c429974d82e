# SPDX-License-Identifier: GPL-2.0
"""Network cards that are passed through: L0 gives them to L1 behind an emulated IOMMU,
L1 hands them on to a guest by vfio-pci. Each card's wire ends at another card, which is
for L1's own kernel: so L1 is the far side of its guest, and both ends of a transfer can
be counted, paced and checked."""

from dataclasses import dataclass

from .case import expect_equal

# What L1's kernel wants: for the cards themselves, and for the far ends.
MODULES = ("vfio_pci", "vfio_iommu_type1", "virtio_net")
MACHINE = "kernel-irqchip=split"	# for interrupt remapping, if L0 has KVM
# A host that is busy is late with the timer's interrupts, and behind an IOMMU L1's kernel
# would panic over that.
APPEND = "intel_iommu=on no_timer_check "
GUEST_APPEND = "iomem=relaxed "	# its root reads what it likes, drivers or not
FAR = 8				# slots between a card and the far end of its wire


@dataclass(frozen=True)
class Card:
    name: str			# of QEMU's model and of the guest's stock driver
    ids: str			# the function's, VENDOR:DEVICE
    slot: int			# on L1's bus, on the guest's as well; igb's VFs want room behind it
    network: str		# of its wire: 1 is the guest, 2 is L1
    bus: int = 0		# in L1; another one is behind a port in that slot, which resets it

    @property
    def device(self):
        """QEMU's name of it in the guest, for grants."""
        return f"nic-{self.name}"

    @property
    def place(self):
        """Where it is in the guest."""
        return f"0000:00:{self.slot:02x}.0"

    @property
    def outer_place(self):
        """Where it is in L1."""
        return f"0000:{self.bus:02x}:00.0" if self.bus else self.place

    @property
    def near(self):
        return f"{self.network}.1"

    @property
    def far(self):
        return f"{self.network}.2"

    @property
    def far_link(self):
        """The far end's interface in L1."""
        return f"far-{self.name}"


CARDS = {card.name: card for card in (
    # It has no function level reset, and a reset by power states clears nothing of it.
    Card("e1000e", "8086:10d3", 0x08, "192.0.2", bus=1),
    Card("igb", "8086:10c9", 0x09, "198.51.100"),
    Card("e1000", "8086:100e", 0x0a, "203.0.113"),
)}


def outer_options(cards):
    """For L0: an IOMMU, and the cards with their far ends."""
    if not cards:
        return []
    words = ["-device", "intel-iommu,intremap=on,caching-mode=on"]
    for hub, card in enumerate(cards):
        near = f"addr={card.slot:#x}"
        if card.bus:
            words += ["-device", f"pcie-root-port,id=port-{card.name},chassis={hub},{near}"]
            near = f"bus=port-{card.name}"
        for end, model, slot, where in (
                ("near", card.name, card.slot, near),
                ("far", "virtio-net-pci", card.slot + FAR, f"addr={card.slot + FAR:#x}")):
            name = f"{end}-{card.name}"
            words += ["-netdev", f"hubport,id={name},hubid={hub}", "-device",
                      f"{model},netdev={name},{where},mac=52:54:00:00:{hub:02x}:"
                      f"{slot:02x},romfile="]
    return words


def guest_options(cards):
    """For QEMU in L1: the same cards, in the same places."""
    return [word for card in cards for word in
            ("-device", f"vfio-pci,host={card.outer_place},id={card.device},addr={card.slot:#x}")]


def prepare(outer, cards):
    """In L1: give the cards to vfio-pci, and put up the far ends."""
    for card in cards:
        device = f"/sys/bus/pci/devices/{card.outer_place}"
        outer.shell.check(f"echo vfio-pci >{device}/driver_override && "
                          f"echo {card.outer_place} >/sys/bus/pci/drivers_probe")
        bound = outer.shell.check(f"readlink {device}/driver; ls {device}/iommu_group/devices")
        expect_equal(f"driver and IOMMU group of L1's {card.name}",
                     [line.rsplit("/", 1)[-1] for line in bound.split()],
                     ["vfio-pci", card.outer_place])
        far = f"/sys/bus/pci/devices/0000:00:{card.slot + FAR:02x}.0"
        # Silent by itself: what it sends must not wait for a guest that does not listen.
        outer.shell.check(f"busybox ip link set $(ls {far}/virtio*/net) name {card.far_link} && "
                          f"echo 1 >/proc/sys/net/ipv6/conf/{card.far_link}/disable_ipv6 && "
                          f"busybox ip addr add {card.far}/24 dev {card.far_link} && "
                          f"busybox ip link set {card.far_link} up")
    if cards:
        outer.say(f"L1: {', '.join(card.name for card in cards)} behind an IOMMU, "
                  "bound to vfio-pci")
