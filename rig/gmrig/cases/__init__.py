# SPDX-License-Identifier: GPL-2.0
"""The code of the test cases, one module per group."""
