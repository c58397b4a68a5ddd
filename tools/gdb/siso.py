r"""siso.py - makes GDB show where the CPU is, in every mode of the boot

From the top of the tree, QEMU with the image, then GDB with both ELF files:

    qemu-system-x86_64 -S -gdb tcp::1234 -drive format=raw,file=IMAGE
    tools/siso loader -o target/loader.elf
    gdb -q -x tools/gdb/siso.py target/kernel/siso_os \
        -ex 'add-symbol-file target/loader.elf' -ex 'target remote :1234'

After every stop, such as after every `stepi`, it shows the mode of the CPU, the
source line, and the next instructions.

    siso-mode           show only the mode
    siso-here           show all three again
    siso-next           step over calls and interrupts, and out of loops
    hbreak disk_read    set a breakpoint; `break` may write into memory (KVM),
                        and the loader would overwrite it

QEMU's GDB stub has one register layout for all modes, that of 64-bit mode, and
GDB assumes 64-bit code. Therefore:

- `set architecture i8086` is refused, or breaks the connection. The commands
  above do not need it; GDB's own `x/i` is correct only in 64-bit mode.
- $pc is the offset in CS. If CS has a base, as in the BIOS, GDB itself shows a
  wrong location; the commands above show the right one.
- GDB cannot unwind 16- and 32-bit stacks: `nexti` steps into calls and BIOS
  services, `finish` and `backtrace` fail. siso-next and thbreak work.
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
INSTRUCTION_MAX = 15  # bytes, Intel SDM 2A 2.3.11

ONE_MIB = 1 << 20
ET_DYN = 3
PT_LOAD = 1
CR0_PE = 1 << 0
EFER_LMA = 1 << 10
# In the upper half of a code segment descriptor, Intel SDM 3A 3.4.5:
DESCRIPTOR_L = 1 << 21  # 64-bit code, in long mode
DESCRIPTOR_D = 1 << 22  # 32-bit code; if clear, 16-bit

# bits: the code size, 16, 32 or 64; linear: the address of the next instruction
Location = collections.namedtuple("Location", "mode bits cs base ip linear")


def location():
    """Returns the Location of the CPU."""
    frame = gdb.newest_frame()
    cr0, efer, cs, ip = (
        int(frame.read_register(name)) for name in ("cr0", "efer", "cs", "rip")
    )
    base, descriptor = code_segment()

    if efer & EFER_LMA and descriptor & DESCRIPTOR_L:
        return Location("64-bit long mode", 64, cs, 0, ip, ip)
    bits = 32 if descriptor & DESCRIPTOR_D else 16
    if efer & EFER_LMA:
        kind = "compatibility"
    else:
        kind = "protected" if cr0 & CR0_PE else "real"
    linear = (base + ip) & 0xFFFFFFFF
    return Location(f"{bits}-bit {kind} mode", bits, cs, base, ip, linear)


def code_segment():
    """Returns the base and descriptor bits of CS that the CPU has cached.

    They do not follow from the selector: each GDT has different descriptors,
    and after a change of CR0.PE the cached ones apply until the next far jump.
    The GDB stub does not provide them, but QEMU's monitor does.
    """
    text = gdb.execute("monitor info registers -a", to_string=True)
    cpus = re.findall(r"^CS =\w+ (\w+) \w+ (\w+)", text, re.MULTILINE)
    cpu = gdb.selected_thread().ptid[1] - 1  # QEMU counts threads from 1
    if cpu >= len(cpus):
        raise gdb.error("QEMU's monitor does not show the registers of this CPU")
    base, descriptor = cpus[cpu]
    return int(base, 16), int(descriptor, 16)


def source(linear):
    """Returns "file:line: text" of an address, or None if DWARF has no line."""
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
    """Returns the next instructions as pairs of address and text."""
    if here.bits == 64:
        arch = gdb.newest_frame().architecture()
        found = arch.disassemble(here.linear, count=count)
        return [(line["addr"], named(line["asm"], here)) for line in found]

    machine = {16: "i8086", 32: "i386"}[here.bits]
    size = min(count * INSTRUCTION_MAX, (1 << 32) - here.linear)  # at reset: 16 bytes
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
    """Adds symbols to the addresses in an instruction, except to $ constants."""
    if here.base != 0:
        return instruction  # an offset from another base is not an address of the loader
    mask = (1 << here.bits) - 1  # objdump shows high 16-bit addresses as negative
    address = r"(?<![$:\w-])-?0x[0-9a-f]+(?![\w(]| <)"
    return re.sub(address, lambda found: label(int(found[0], 16) & mask), instruction)


def label(address):
    """Returns "0x7c02 <stage1+2>", or only the number."""
    # GDB's own format omits variables whose symbols have no size, as in assembly.
    answer = gdb.execute(f"info symbol {address:#x}", to_string=True)
    symbol, known, _ = answer.partition(" in section ")
    return f"{address:#x} <{symbol.replace(' ', '')}>" if known else f"{address:#x}"


def mode_line(here):
    """Returns "16-bit real mode, 0000:7c00"."""
    return f"{here.mode}, {here.cs:04x}:{here.ip:0{here.bits // 4}x}"


def show():
    """Prints mode, source line and instructions."""
    here = location()
    print(mode_line(here))
    print(source(here.linear) or "no source line for this address")
    arrow = "=>"
    for address, text in instructions(here):
        print(f"{arrow} {label(address)}:\t{text}")
        arrow = "  "


def attempt(action):
    """Runs an action and prints errors, which must not abort a script or a stop."""
    try:
        action()
    except (gdb.error, OSError, subprocess.CalledProcessError) as error:
        print(f"siso: {error}")


class ModeCommand(gdb.Command):
    """Show the mode of the CPU, from CR0, EFER and the descriptor of CS."""

    def __init__(self):
        super().__init__("siso-mode", gdb.COMMAND_STATUS)

    def invoke(self, _argument, _from_tty):
        attempt(lambda: print(mode_line(location())))


class HereCommand(gdb.Command):
    """Show the mode, the source line and the next instructions, as after a stop."""

    def __init__(self):
        super().__init__("siso-here", gdb.COMMAND_STATUS)

    def invoke(self, _argument, _from_tty):
        attempt(show)


class NextCommand(gdb.Command):
    """Step one instruction, but over calls and interrupts, and out of loops."""

    def __init__(self):
        super().__init__("siso-next", gdb.COMMAND_RUNNING)

    def invoke(self, _argument, _from_tty):
        attempt(self.run)

    @staticmethod
    def run():
        (_, text), (following, _) = instructions(location(), 2)
        if re.match(r"l?call|int|loop|rep(?!z ret)", text):
            gdb.execute(f"thbreak *{following:#x}", to_string=True)
            gdb.execute("continue")
        else:
            gdb.execute("stepi")


ModeCommand()
HereCommand()
NextCommand()
gdb.events.stop.connect(lambda _event: attempt(show))

# The DWARF of this project's kernel has paths relative to the top of the tree, "."
# (trim-paths). Other kernels name their own directories, which have precedence.
# If the loader was built elsewhere, its source files are still in boot/.
gdb.execute(f"set substitute-path . {ROOT}")
gdb.execute(f"set directories $cdir:{ROOT}:{ROOT}/boot")
gdb.execute("set confirm off")  # or add-symbol-file would ask


def rebase():
    """Relocates the symbols of a position-independent kernel.

    The image builder relocates it by 2 MiB if it is linked below 1 MiB
    (tools/src/elf.rs).
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
