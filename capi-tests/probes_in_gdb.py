# SPDX-License-Identifier: MIT
"""Run by gdb, for scripts/check-probes: stops at each probe of the program that is debugged, and writes what it tells
to the file that the variable EVENTS names, a line of JSON each. A report's text is read from where the probe says.
"""

import json
import os

import gdb

EVENTS = open(os.environ["EVENTS"], "w")


class Probe(gdb.Breakpoint):
    def __init__(self, name):
        super().__init__(f"-probe-stap mesa_slab:{name}")
        self.name = name

    def stop(self):
        count = int(gdb.parse_and_eval("$_probe_argc"))
        event = {"name": self.name,
                 "arguments": [int(gdb.parse_and_eval(f"$_probe_arg{number}")) for number in range(count)]}
        if self.name == "misuse":
            text, length, _ = event["arguments"]
            event["text"] = bytes(gdb.selected_inferior().read_memory(text, length)).decode()
        print(json.dumps(event), file=EVENTS)
        return False


gdb.execute("set pagination off")
gdb.execute("set confirm off")
gdb.execute("tbreak main")
gdb.execute("run")
known = gdb.execute("info probes stap mesa_slab", to_string=True)
names = {line.split()[2] for line in known.splitlines() if line.startswith("stap")}
probes = [Probe(name) for name in sorted(names)]
gdb.execute("continue")
status = gdb.convenience_variable("_exitcode")
print(json.dumps({"status": None if status is None else int(status)}), file=EVENTS)
EVENTS.close()
