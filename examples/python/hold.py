#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""hold.py FILE: hold a file until somebody wants to take bytes of it away, then let go.

With a normal lease a truncate waits for us, at most for the break time of the mount (10 s if nobody set another).
"""

import select
import sys

import holdfast


def main(path):
    with open(path, "rb") as file:
        lease = holdfast.take(file.fileno())
        print(f"holding {path}, lease {lease.id}", flush=True)

        poll = select.poll()
        # POLLERR, that it is over and we were too slow, is always reported.
        poll.register(file, select.POLLPRI)
        poll.poll()

        for lease in holdfast.leases(file.fileno()):
            if lease.state == holdfast.BREAKING:
                print(f"lease {lease.id} is breaking: {lease.break_ms} ms to let go", flush=True)
            elif lease.state == holdfast.REVOKED:
                print(f"lease {lease.id} was revoked", flush=True)
            holdfast.release(file.fileno(), lease.id)
        print("let go")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: hold.py FILE")
    main(sys.argv[1])
