#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""events.py FILE: print what happens to the leases of a file, until it is interrupted.

Reads the event stream of the control directory, which INFO names: one JSON object per line. `events` shows
what one may see: root everything, others what concerns their own processes and files.
"""

import json
import os
import sys

import holdfast


def describe(event):
    text = f"{event['event']} lease {event.get('lease', '-')}"
    offender = event.get("offender")
    if offender:
        text += f": {offender['operation']} by {offender['pid']} ({offender['command']})"
        if "errno" in offender:
            text += f", answered {offender['errno']}"
    elif "reason" in event:
        text += f": {event['reason']}"
    return text


def main(path):
    path = os.path.realpath(path)
    with open(path, "rb") as file:
        events = open(holdfast.control_directory(file.fileno()) + "/events", encoding="utf-8")
    with events:
        print(f"watching {path}", flush=True)
        for line in events:
            if not line.strip():
                continue  # A sign of life: nothing happened.
            event = json.loads(line)
            if event["event"] == "lost":
                print(f"{event['count']} events were missed", flush=True)
            elif event.get("file") == path:
                print(describe(event), flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: events.py FILE")
    try:
        main(sys.argv[1])
    except KeyboardInterrupt:
        pass
