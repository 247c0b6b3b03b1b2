#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A long cable between two network namespaces: every packet takes its time, none is lost.

    netdelay.py NAMESPACE_A ADDRESS_A/BITS NAMESPACE_B ADDRESS_B/BITS ONE_WAY_MS

For machines whose kernel has no netem. Each namespace gets a tun device; packets are carried from
one to the other after the delay. Prints "ready"; ends with a signal or when its standard input is
closed. Needs root.
"""

import collections
import ctypes
import fcntl
import os
import select
import struct
import subprocess
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN_WITHOUT_HEADER = 0x0001 | 0x1000
CLONE_NEWNET = 0x40000000


def enter(descriptor):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "cannot enter the network namespace")


def open_end(home, namespace, address):
    """A tun device in the namespace, which we read from out here."""
    with open(f"/run/netns/{namespace}", "rb") as there:
        enter(there.fileno())
    try:
        tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", b"cable", IFF_TUN_WITHOUT_HEADER))
        for command in (["addr", "add", address, "dev", "cable"],
                        ["link", "set", "cable", "txqueuelen", "10000", "up"]):
            subprocess.run(["ip", *command], check=True)
    finally:
        enter(home)
    return tun


def carry(ends, delay):
    """Moves packets until standard input ends."""
    under_way = [collections.deque(), collections.deque()]
    while True:
        due = [queue[0][0] for queue in under_way if queue]
        wait = max(0.0, min(due) - time.monotonic()) if due else None
        readable, _, _ = select.select([*ends, sys.stdin], [], [], wait)
        if sys.stdin in readable:
            return
        for side in (0, 1):
            if ends[side] in readable:
                try:
                    while True:
                        packet = os.read(ends[side], 65536)
                        under_way[side].append((time.monotonic() + delay, packet))
                except BlockingIOError:
                    pass
        now = time.monotonic()
        for side in (0, 1):
            while under_way[side] and under_way[side][0][0] <= now:
                try:
                    os.write(ends[1 - side], under_way[side].popleft()[1])
                except BlockingIOError:
                    pass


def main():
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    with open("/proc/self/ns/net", "rb") as home:
        ends = [open_end(home.fileno(), sys.argv[1], sys.argv[2]),
                open_end(home.fileno(), sys.argv[3], sys.argv[4])]
    print("ready", flush=True)
    carry(ends, float(sys.argv[5]) / 1000)


if __name__ == "__main__":
    main()
