# SPDX-License-Identifier: GPL-2.0
"""The nested rig: boots L1 (a host kernel with our KVM) and L2 (a guest)."""
