r"""test.py - checks that GDB can step through all modes of the boot

    qemu-system-x86_64 -display none -S -gdb tcp::PORT -drive format=raw,file=IMAGE &
    SISO_GDB=localhost:PORT gdb -nx -q -batch KERNEL \
        -ex 'add-symbol-file LOADER_ELF' -x tools/gdb/test.py

SISO_GDB may also be the path of a Unix socket. Exit status: 0, or 1 with the
reason. At the end, the script tells QEMU to exit. The caller should still make
sure that it does, because a QEMU that does not respond keeps running.

The test fails after LIMIT_SECONDS in total. If GDB itself hangs, only an outer
limit helps, which should be 10 seconds longer. SISO_GDB_SECONDS sets another
limit, for slow emulators.
"""

import os
import re
import sys
import threading

import gdb

gdb.execute(f"source {os.path.dirname(os.path.abspath(__file__))}/siso.py")

LIMIT_SECONDS = int(os.environ.get("SISO_GDB_SECONDS", "20"))
SWITCH_STEPS_MAX = 50  # instructions in a mode switch

REAL = "16-bit real mode"
PROTECTED_16 = "16-bit protected mode"
PROTECTED = "32-bit protected mode"
COMPATIBILITY = "32-bit compatibility mode"
COMPATIBILITY_16 = "16-bit compatibility mode"
LONG = "64-bit long mode"


class Failure(Exception):
    """A failed check; the text says which."""


def require(condition, complaint):
    """Raises a Failure unless the condition is true."""
    if not condition:
        raise Failure(complaint)


def say(text):
    """Prints a line of the report and flushes it."""
    print(f"gdb: {text}", flush=True)


def timed_out():
    """Exits while GDB waits for a stop that does not come."""
    # Not through GDB, which would wait for QEMU again.
    os.write(1, f"gdb: failed: not finished after {LIMIT_SECONDS} seconds, {doing}\n".encode())
    os._exit(1)


def run_to(symbol):
    """Runs until the CPU reaches a symbol."""
    global doing
    doing = f"on the way to {symbol}"
    before = location()
    # Not as an expression, because some symbols are C keywords.
    target = gdb.decode_line(symbol)[1][0].pc
    gdb.execute(f"thbreak *{target:#x}", to_string=True)
    gdb.execute("continue", to_string=True)
    reached = location().linear == target
    require(reached, f"{symbol} not reached, from {mode_line(before)}")


def step():
    """Steps one instruction, checks the output, and returns the new Location."""
    before = location()
    shown = gdb.execute("stepi", to_string=True)
    here = location()
    if here.linear == before.linear:
        # With a plugin, QEMU has been seen to report once more the breakpoint at which
        # it stood.
        shown = gdb.execute("stepi", to_string=True)
        here = location()
    require(here.linear != before.linear, f"stepi did not advance from {mode_line(before)}")
    expected = [mode_line(here), source(here.linear), f"=> {here.linear:#x}"]
    for part in expected:
        require(part and part in shown, f"stepi did not show {part!r}:\n{shown}")
    return here


def check(here, mode, file):
    """Checks the mode, the file, and that the instruction matches the line."""
    line = source(here.linear)
    instruction = instructions(here, 1)[0][1]
    text = f"{mode_line(here)}: {line}: {instruction}"
    require(here.mode == mode, f"not in {mode}: {text}")
    require(line is not None and line.startswith(file), f"not in {file}: {text}")
    if file.endswith(".s"):
        # Source and disassembly may differ in the size suffix: push, pushw.
        mnemonic = re.match(r"\w+?(?=[bwlq]?\b)", instruction)
        require(mnemonic and mnemonic[0] in line, f"the instruction does not match: {text}")
    say(f"{mode}: {line.split(': ')[0]} ok")


def stop_and_step(symbol, mode, file):
    """Checks a symbol's location and that of the next instruction."""
    run_to(symbol)
    check(location(), mode, file)
    check(step(), mode, file)


def through(symbol, modes, file):
    """Steps through a mode switch and checks that it passes exactly these modes."""
    run_to(symbol)
    here = location()
    seen = [here.mode]
    for _ in range(SWITCH_STEPS_MAX):
        if here.mode == modes[-1]:
            break
        here = step()
        if here.mode != seen[-1]:
            seen.append(here.mode)
    require(seen == modes, f"modes after {symbol}: {seen} instead of {modes}")
    check(here, modes[-1], file)


def run():
    """Follows the boot from the first sector to the kernel."""
    gdb.execute("set suppress-cli-notifications on")
    require("SISO_GDB" in os.environ, "SISO_GDB must be the address of QEMU's GDB stub")
    gdb.execute(f"target remote {os.environ['SISO_GDB']}", to_string=True)
    stop_and_step("stage1", REAL, "boot/stage1.s")
    stop_and_step("disk_read", REAL, "boot/stage1.s")
    through("enter_protected", [REAL, PROTECTED_16, PROTECTED], "boot/protected.s")
    stop_and_step("identity_map", PROTECTED, "boot/long.s")
    through("enter_long", [PROTECTED, COMPATIBILITY, LONG], "boot/long.s")
    through("bios_call", [LONG, COMPATIBILITY_16, PROTECTED_16, REAL], "boot/bios.s")
    stop_and_step("map_make", LONG, "boot/map.s")
    stop_and_step("_start", LONG, "src/")


doing = "connecting"
watchdog = threading.Timer(LIMIT_SECONDS, timed_out)
watchdog.daemon = True
watchdog.start()
try:
    run()
    status = 0
except Exception as error:  # any error must give a reason and status 1
    say(f"failed: {error}, {doing}")
    status = 1
doing = "stopping QEMU"
try:
    gdb.execute("kill")
except gdb.error:
    pass  # QEMU has already ended
sys.stdout.flush()
gdb.execute(f"quit {status}")
