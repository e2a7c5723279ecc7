# SPDX-License-Identifier: MIT
"""Pools of mesa-slab in gdb: commands and pretty printers. slabtool does the looking, so that there is one walker.

   slab pools                     the table of all pools
   slab find ADDRESS...           what addresses are; they may be expressions
   slab objects POOL [OPTION...]  what the program has of a pool; POOL may be an expression for a parent pool

The process is looked at as it stands, a core file as it is. A process that slabtool may not look at beside gdb is dumped
to a core file first, which goes when it has been read.
"""

import json
import os
import re
import subprocess
import tempfile

import gdb
import gdb.printing


class Tool(gdb.Parameter):
    """Which slabtool the slab commands run."""

    set_doc = "Set which slabtool the slab commands run."
    show_doc = "Show which slabtool the slab commands run."

    def __init__(self):
        super().__init__("slabtool", gdb.COMMAND_DATA, gdb.PARAM_FILENAME)
        self.value = os.environ.get("SLABTOOL", "slabtool")

    def get_set_string(self):
        return ""

    def get_show_string(self, value):
        return f"The slab commands run {value}."


TOOL = Tool()


def core_file():
    """The core file that gdb looks at, if it does."""
    match = re.search(r"core dump file:\s+`([^']*)'", gdb.execute("info files", to_string=True))
    return match and match[1]


def run(target, arguments):
    command, *rest = arguments
    try:
        done = subprocess.run([TOOL.value, command, target, *rest], capture_output=True, text=True)
    except OSError as error:
        raise gdb.GdbError(f"{TOOL.value}: {error.strerror}; set slabtool to where it is") from error
    return done


def ask(*arguments):
    """What slabtool says of what gdb looks at."""
    core = core_file()
    if core:
        done = run(core, arguments)
    else:
        pid = gdb.selected_inferior().pid
        if not pid:
            raise gdb.GdbError("There is no process and no core file.")
        done = run(str(pid), arguments)
        if done.returncode and ("may not be looked at" in done.stderr or "there is no process" in done.stderr):
            with tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, "core")
                gdb.execute(f"generate-core-file {path}", to_string=True)
                done = run(path, arguments)
    if done.returncode:
        raise gdb.GdbError(done.stderr.strip())
    return done.stdout


def address(text):
    """An expression as the address that it gives, or that it is at."""
    try:
        value = gdb.parse_and_eval(text)
    except gdb.error as error:
        raise gdb.GdbError(str(error)) from error
    kind = value.type.strip_typedefs().code
    if kind in (gdb.TYPE_CODE_STRUCT, gdb.TYPE_CODE_UNION, gdb.TYPE_CODE_ARRAY) and value.address is not None:
        value = value.address
    return hex(int(value) & (1 << 64) - 1)


class Slab(gdb.Command):
    """Look at the pools of mesa-slab."""

    def __init__(self):
        super().__init__("slab", gdb.COMMAND_DATA, gdb.COMPLETE_NONE, True)


class Pools(gdb.Command):
    """Print the pools of mesa-slab, as slab_print_stats does.
Usage: slab pools [OPTION...]
The options are those of slabtool pools."""

    def __init__(self):
        super().__init__("slab pools", gdb.COMMAND_DATA, gdb.COMPLETE_NONE)

    def invoke(self, argument, from_tty):
        gdb.write(ask("pools", *gdb.string_to_argv(argument)))


class Find(gdb.Command):
    """Tell what addresses are: objects of which pool, and who has them.
Usage: slab find ADDRESS...
An address may be an expression; one with spaces is quoted."""

    def __init__(self):
        super().__init__("slab find", gdb.COMMAND_DATA, gdb.COMPLETE_EXPRESSION)

    def invoke(self, argument, from_tty):
        arguments = gdb.string_to_argv(argument)
        if not arguments:
            raise gdb.GdbError("Usage: slab find ADDRESS...")
        gdb.write(ask("find", *(one if one.startswith("--") else address(one) for one in arguments)))


class Objects(gdb.Command):
    """List what the program has of a pool's objects.
Usage: slab objects POOL [OPTION...]
POOL is a name, a size and hint as 96x64, or an expression for a parent pool. The options are those of slabtool
objects: --hexdump, --group-by BYTES@OFFSET, --limit COUNT."""

    def __init__(self):
        super().__init__("slab objects", gdb.COMMAND_DATA, gdb.COMPLETE_EXPRESSION)

    def invoke(self, argument, from_tty):
        arguments = gdb.string_to_argv(argument)
        if not arguments:
            raise gdb.GdbError("Usage: slab objects POOL [OPTION...]")
        pool, *options = arguments
        known = {name for one in state().pools.values() for name in (one["name"], size_of(one))}
        if pool not in known and pool != "limbo":
            pool = address(pool)
        gdb.write(ask("objects", pool, *options))


def size_of(pool):
    return f"{pool['item_size']}x{pool['num_items']}"


class State:
    """What slabtool says of all pools, by the addresses of their parents."""

    def __init__(self):
        report = json.loads(ask("pools", "--json"))
        self.pools = {int(pool["address"], 16): pool for copy in report["copies"] for pool in copy["pools"]
                      if pool["address"]}


cached = None


def state():
    global cached
    if cached is None:
        cached = State()
    return cached


def forget(_):
    global cached
    cached = None


# A call from gdb's prompt may change pools as well as the program that goes on; so may a look at another process.
for event in ("stop", "cont", "exited", "new_objfile", "inferior_call", "memory_changed", "clear_objfiles"):
    getattr(gdb.events, event).connect(forget)


def unsigned(value):
    return int(value) & (1 << 64) - 1


class Parent:
    """Prints a struct slab_parent_pool: its size, its name, and what is out."""

    def __init__(self, value):
        self.value = value

    def to_string(self):
        value = self.value
        if int(value["num_elements"]) == 0:
            return "no pool: destroyed, or never created"
        text = f"pool {int(value['item_size'])}x{int(value['num_elements'])}"
        if value.address is None:
            return text
        try:
            pool = state().pools.get(unsigned(value.address))
        except gdb.GdbError as error:
            return f"{text} ({error})"
        if pool is None:
            return f"{text}, no objects"
        name = f" \"{pool['name']}\"" if pool["name"] else ""
        unsure = ", of no one moment" if pool["unsure"] else ""
        return (f"{text}{name}, {pool['objects_out']} objects out, {pool['objects_in_depot']} of them in the depot, "
                f"{pool['bytes'] // 1024} KiB{unsure}")


class Child:
    """Prints a struct slab_child_pool: its pool, and how many objects it caches."""

    def __init__(self, value):
        self.value = value

    def to_string(self):
        value = self.value
        if unsigned(value["parent"]) == 0:
            return "no child: destroyed, or never created"
        mask, word = int(value["mask"]), value["parent"].type.sizeof
        rounds = sum((unsigned(value[field]) & mask) // word for field in ("top", "previous")) if mask else 0
        try:
            parent = Parent(value["parent"].dereference()).to_string()
        except gdb.MemoryError:
            parent = f"pool at {unsigned(value['parent']):#x}, which cannot be read"
        return f"child with {rounds} objects in its magazines, of {parent}"


class Mempool:
    """Prints a struct slab_mempool."""

    def __init__(self, value):
        self.value = value

    def to_string(self):
        return f"mempool: {Child(self.value['child']).to_string()}"


def printers():
    found = gdb.printing.RegexpCollectionPrettyPrinter("mesa-slab")
    found.add_printer("slab_parent_pool", "^slab_parent_pool$", Parent)
    found.add_printer("slab_child_pool", "^slab_child_pool$", Child)
    found.add_printer("slab_mempool", "^slab_mempool$", Mempool)
    return found


Slab()
Pools()
Find()
Objects()
gdb.printing.register_pretty_printer(None, printers(), replace=True)
