r"""test.py - checks that GDB finds its way through all modes of the boot

    qemu-system-x86_64 -display none -S -gdb tcp::PORT -drive format=raw,file=IMAGE &
    SISO_GDB=localhost:PORT gdb -nx -q -batch KERNEL \
        -ex 'add-symbol-file LOADER_ELF' -x tools/gdb/test.py

SISO_GDB may be the path of a Unix socket, too. Exit status: 0, or 1 with the
reason. At the end QEMU is told to end; whoever started it should still make
sure, because one that does not answer is left alone.

What takes longer than LIMIT_SECONDS in all is a failure. Only against GDB
itself an outer limit helps, of 10 seconds more. Where the emulator is slow,
SISO_GDB_SECONDS sets another limit.
"""

import os
import re
import sys
import threading

import gdb

gdb.execute(f"source {os.path.dirname(os.path.abspath(__file__))}/siso.py")

LIMIT_SECONDS = int(os.environ.get("SISO_GDB_SECONDS", "20"))
SWITCH_STEPS = 50  # a switch of modes takes fewer instructions

REAL = "16-bit real mode"
PROTECTED_16 = "16-bit protected mode"
PROTECTED = "32-bit protected mode"
COMPATIBILITY = "32-bit compatibility mode"
LONG = "64-bit long mode"


class Failure(Exception):
    """A check failed; the text says which."""


def require(condition, complaint):
    """A check."""
    if not condition:
        raise Failure(complaint)


def say(text):
    """Prints a line of the report at once, also into a pipe."""
    print(f"gdb: {text}", flush=True)


def late():
    """Ends GDB, which waits for a stop that does not come."""
    # Not through GDB: it would wait for QEMU's answer again.
    os.write(1, f"gdb: failed: no end after {LIMIT_SECONDS} seconds, {doing}\n".encode())
    os._exit(1)


def go(symbol):
    """Runs until a symbol is reached."""
    global doing
    doing = f"on the way to {symbol}"
    before = place()
    # The name alone: in an expression `long` is a type.
    wanted = gdb.decode_line(symbol)[1][0].pc
    gdb.execute(f"thbreak *{wanted:#x}", to_string=True)
    gdb.execute("continue", to_string=True)
    reached = place().linear == wanted
    require(reached, f"{symbol} not reached, from {mode_line(before)}")


def step():
    """Steps one instruction and returns the new Range; checks what is shown."""
    before = place()
    shown = gdb.execute("stepi", to_string=True)
    here = place()
    require(here.linear != before.linear, f"stepi does not move from {mode_line(before)}")
    expected = [mode_line(here), source(here.linear), f"=> {here.linear:#x}"]
    for part in expected:
        require(part and part in shown, f"stepi shows no {part!r} but:\n{shown}")
    return here


def check(here, mode, file):
    """Checks mode, file, and that this line became this instruction."""
    line = source(here.linear)
    instruction = instructions(here, 1)[0][1]
    text = f"{mode_line(here)}: {line}: {instruction}"
    require(here.mode == mode, f"not in {mode}: {text}")
    require(line is not None and line.startswith(file), f"not in {file}: {text}")
    if file.endswith(".s"):
        # Sources and disassemblers differ in the operand size: push, pushw.
        mnemonic = re.match(r"\w+?(?=[bwlq]?\b)", instruction)
        require(mnemonic and mnemonic[0] in line, f"another instruction: {text}")
    say(f"{mode}: {line.split(': ')[0]} ok")


def stop_and_step(symbol, mode, file):
    """Checks a place and the instruction behind it."""
    go(symbol)
    check(place(), mode, file)
    check(step(), mode, file)


def through(symbol, modes, file):
    """Steps through a switch; `modes` are all that must be seen, in order."""
    go(symbol)
    here = place()
    seen = [here.mode]
    for _ in range(SWITCH_STEPS):
        if here.mode == modes[-1]:
            break
        here = step()
        if here.mode != seen[-1]:
            seen.append(here.mode)
    require(seen == modes, f"modes behind {symbol}: {seen} instead of {modes}")
    check(here, modes[-1], file)


def run():
    """The boot, from the first sector to the kernel."""
    gdb.execute("set suppress-cli-notifications on")
    require("SISO_GDB" in os.environ, "SISO_GDB must say where QEMU's stub listens")
    gdb.execute(f"target remote {os.environ['SISO_GDB']}", to_string=True)
    stop_and_step("stage1", REAL, "boot/stage1.s")
    stop_and_step("disk_read", REAL, "boot/stage1.s")
    through("protect", [REAL, PROTECTED_16, PROTECTED], "boot/hop.s")
    stop_and_step("long", PROTECTED, "boot/long.s")
    through("long", [PROTECTED, COMPATIBILITY, LONG], "boot/long.s")
    stop_and_step("map_make", LONG, "boot/regions.s")
    stop_and_step("_start", LONG, "src/")


doing = "connecting"
watchdog = threading.Timer(LIMIT_SECONDS, late)
watchdog.daemon = True
watchdog.start()
try:
    run()
    status = 0
except Exception as error:  # whatever it is, there must be a reason and a 1
    say(f"failed: {error}, {doing}")
    status = 1
doing = "ending QEMU"
try:
    gdb.execute("kill")
except gdb.error:
    pass  # it is gone
sys.stdout.flush()
gdb.execute(f"quit {status}")
