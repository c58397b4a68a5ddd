r"""siso.py - makes GDB tell where the CPU is, in every mode on the way up

From the top of the tree, QEMU with the image, then GDB with both ELF files:

    qemu-system-x86_64 -S -gdb tcp::1234 -drive format=raw,file=IMAGE
    tools/siso loader -o target/loader.elf
    gdb -q -x tools/gdb/siso.py target/kernel/siso_os \
        -ex 'add-symbol-file target/loader.elf' -ex 'target remote :1234'

After every stop, so after every `stepi`, there are three things to read: the
mode of the CPU, the line of the source, the instructions that come next.

    siso-mode           the mode only
    siso-here           all three again
    siso-next           stepi, but over calls and interrupts, and out of loops
    hbreak disk_read    stop there; `break` may write into memory (KVM), where
                        the loader will overwrite it

QEMU's stub has one register layout for all modes, the 64-bit one, and GDB
takes it for 64-bit code. Three things follow:

- `set architecture i8086` is refused, or breaks the connection. What we show
  is found by other means; GDB's own `x/i` is right in 64-bit mode only.
- $pc is the offset in CS. Where CS has a base, as in the BIOS, what GDB itself
  says about the place is wrong; what is printed here is right.
- GDB does not understand 16- and 32-bit stacks: `nexti` goes into calls and
  BIOS services, `finish` and `backtrace` fail. siso-next and thbreak do not.
"""

import collections
import linecache
import os
import re
import struct
import subprocess
import tempfile

import gdb

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
INSTRUCTIONS = 4
LONGEST = 15  # bytes in an instruction, Intel SDM 2A 2.3.11

ONE_MIB = 1 << 20
ET_DYN = 3
PT_LOAD = 1
CR0_PE = 1 << 0
EFER_LMA = 1 << 10
# In the high half of a code segment's descriptor, Intel SDM 3A 3.4.5:
DESCRIPTOR_L = 1 << 21  # 64-bit code, in long mode
DESCRIPTOR_D = 1 << 22  # 32-bit code, else 16-bit

# bits: of the code, 16, 32 or 64; linear: the address of the next instruction
Range = collections.namedtuple("Range", "mode bits cs base ip linear")


def place():
    """Where the CPU is, as a Range."""
    frame = gdb.newest_frame()
    cr0, efer, cs, ip = (
        int(frame.read_register(name)) for name in ("cr0", "efer", "cs", "rip")
    )
    base, descriptor = code_segment()

    if efer & EFER_LMA and descriptor & DESCRIPTOR_L:
        return Range("64-bit long mode", 64, cs, 0, ip, ip)
    bits = 32 if descriptor & DESCRIPTOR_D else 16
    if efer & EFER_LMA:
        kind = "compatibility"
    else:
        kind = "protected" if cr0 & CR0_PE else "real"
    linear = (base + ip) & 0xFFFFFFFF
    return Range(f"{bits}-bit {kind} mode", bits, cs, base, ip, linear)


def code_segment():
    """Base and descriptor bits that the CPU holds for CS.

    The selector alone does not tell them: every table has other descriptors,
    and after a change of CR0.PE the old ones count until the next far jump.
    The stub does not give them, but QEMU's monitor does.
    """
    text = gdb.execute("monitor info registers -a", to_string=True)
    cpus = re.findall(r"^CS =\w+ (\w+) \w+ (\w+)", text, re.MULTILINE)
    cpu = gdb.selected_thread().ptid[1] - 1  # QEMU counts threads from 1
    if cpu >= len(cpus):
        raise gdb.error("QEMU's monitor does not show the registers of this CPU")
    base, descriptor = cpus[cpu]
    return int(base, 16), int(descriptor, 16)


def source(linear):
    """Gives "file:line: text" of an address, or None where DWARF knows none."""
    found = gdb.find_pc_line(linear)
    if found.symtab is None:
        return None
    path = found.symtab.fullname()
    linecache.checkcache(path)
    text = linecache.getline(path, found.line).strip()
    if path.startswith(ROOT + os.sep):
        path = os.path.relpath(path, ROOT)
    return f"{path}:{found.line}: {text}"


def instructions(here, count=INSTRUCTIONS):
    """The next instructions: pairs of address and text."""
    if here.bits == 64:
        arch = gdb.newest_frame().architecture()
        found = arch.disassemble(here.linear, count=count)
        return [(line["addr"], named(line["asm"], here)) for line in found]

    machine = {16: "i8086", 32: "i386"}[here.bits]
    size = min(count * LONGEST, (1 << 32) - here.linear)  # at reset: 16 bytes
    memory = gdb.selected_inferior().read_memory(here.linear, size)
    with tempfile.NamedTemporaryFile() as file:
        file.write(memory)
        file.flush()
        listing = subprocess.run(
            ["objdump", "-D", "-b", "binary", "-m", machine, "--no-show-raw-insn",
             f"--adjust-vma={here.linear:#x}", file.name],
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
    found = re.findall(r"^ *([0-9a-f]+):\t(.*?) *$", listing, re.MULTILINE)[:count]
    return [(int(address, 16), named(text, here)) for address, text in found]


def named(instruction, here):
    """Adds symbols to an instruction's addresses, which are not $ constants."""
    if here.base != 0:
        return instruction  # what is an offset there is no address of ours
    mask = (1 << here.bits) - 1  # objdump takes high 16-bit addresses as negative
    address = r"(?<![$:\w-])-?0x[0-9a-f]+(?![\w(]| <)"
    return re.sub(address, lambda found: label(int(found[0], 16) & mask), instruction)


def label(address):
    """Gives "0x7c02 <stage1+2>", or the number alone."""
    # Not GDB's own format: it leaves out variables whose symbol has no size,
    # and in assembly none has one.
    answer = gdb.execute(f"info symbol {address:#x}", to_string=True)
    symbol, known, _ = answer.partition(" in section ")
    return f"{address:#x} <{symbol.replace(' ', '')}>" if known else f"{address:#x}"


def mode_line(here):
    """Gives "16-bit real mode, 0000:7c00"."""
    return f"{here.mode}, {here.cs:04x}:{here.ip:0{here.bits // 4}x}"


def show():
    """Prints mode, source line and instructions."""
    here = place()
    print(mode_line(here))
    print(source(here.linear) or "no source line here")
    arrow = "=>"
    for address, text in instructions(here):
        print(f"{arrow} {label(address)}:\t{text}")
        arrow = "  "


def attempt(action):
    """Runs an action; what goes wrong must not end a script or a stop."""
    try:
        action()
    except (gdb.error, OSError, subprocess.CalledProcessError) as error:
        print(f"siso: {error}")


class ModeCommand(gdb.Command):
    """Tell the mode of the CPU, from CR0, EFER and the descriptor in CS."""

    def __init__(self):
        super().__init__("siso-mode", gdb.COMMAND_STATUS)

    def invoke(self, _argument, _from_tty):
        attempt(lambda: print(mode_line(place())))


class HereCommand(gdb.Command):
    """Show mode, source line and next instructions, as after every stop."""

    def __init__(self):
        super().__init__("siso-here", gdb.COMMAND_STATUS)

    def invoke(self, _argument, _from_tty):
        attempt(show)


class NextCommand(gdb.Command):
    """Step, but do not go into a call or an interrupt, nor round a loop."""

    def __init__(self):
        super().__init__("siso-next", gdb.COMMAND_RUNNING)

    def invoke(self, _argument, _from_tty):
        attempt(self.run)

    @staticmethod
    def run():
        (_, text), (behind, _) = instructions(place(), 2)
        if re.match(r"l?call|int|loop|rep(?!z ret)", text):
            gdb.execute(f"thbreak *{behind:#x}", to_string=True)
            gdb.execute("continue")
        else:
            gdb.execute("stepi")


ModeCommand()
HereCommand()
NextCommand()
gdb.events.stop.connect(lambda _event: attempt(show))

# Our kernel's DWARF names its files from the top of the tree, which it calls "."
# (trim-paths); those of others name their own directories, which come first. A
# loader that was built elsewhere has other directories, too: its files are in boot/.
gdb.execute(f"set substitute-path . {ROOT}")
gdb.execute(f"set directories $cdir:{ROOT}:{ROOT}/boot")
gdb.execute("set confirm off")  # add-symbol-file would ask


def rebase():
    """Moves the symbols of a position-independent kernel with it.

    The image builder has put it 2 MiB above the addresses it was linked to, if
    those begin below 1 MiB (tools/src/elf.rs).
    """
    file = gdb.current_progspace().filename
    if file is None:
        return
    with open(file, "rb") as elf:
        header = elf.read(64)
        if struct.unpack_from("<H", header, 16) != (ET_DYN,):
            return
        (table,) = struct.unpack_from("<Q", header, 32)
        (count,) = struct.unpack_from("<H", header, 56)
        elf.seek(table)
        segments = [struct.unpack("<IIQQQQQQ", elf.read(56)) for _ in range(count)]
    lowest = min((segment[3] for segment in segments if segment[0] == PT_LOAD), default=0)
    if lowest < ONE_MIB:
        gdb.execute(f'symbol-file -o {2 * ONE_MIB:#x} "{file}"')


rebase()
