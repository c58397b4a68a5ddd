/*
 * count.c - a QEMU TCG plugin that counts the instructions of a boot
 *
 * It counts from the first instruction at 0x7c00, where the BIOS enters the
 * boot sector, to the first one at the kernel's entry, then ends QEMU. The
 * instructions in the BIOS's address ranges are the firmware's, all others are
 * the loader's own. Firmware that runs after an INT instruction of the loader
 * is charged to that INT's number until the loader runs again. All other
 * firmware is charged to hardware interrupts.
 *
 * Arguments: entry=ADDRESS,out=FILE. Each line of FILE is
 *
 *     own INSTRUCTIONS            the total of the loader
 *     firmware INSTRUCTIONS       the total of the firmware
 *     int NUMBER CALLS INSTRUCTIONS
 *     hardware TIMES INSTRUCTIONS
 *     at ADDRESS INSTRUCTIONS     the loader's, for each address below 64 KiB
 *     elsewhere INSTRUCTIONS      the loader's at higher addresses
 *
 * Each iteration of a REP string instruction counts as one instruction, because
 * TCG executes it that way.
 */
#include "plugin.h"

#include <unistd.h>

#define START 0x7c00
#define LOW_END 0x10000  /* addresses below it are counted individually */
#define HARDWARE 0x100   /* after the 256 possible numbers of INT */

struct caller {
    uint64_t calls, instructions;
};

static const char *out;
static uint64_t entry;
static bool running;
static uint64_t own, firmware;
static uint64_t at[LOW_END];
static struct caller callers[HARDWARE + 1];
static unsigned int caller = HARDWARE;
static bool in_firmware;

static bool is_firmware(uint64_t address)
{
    return (address >= 0xc0000 && address < 0x100000) ||
           (address >= 0xfffc0000 && address <= 0xffffffff);
}

static void run_start(unsigned int cpu, void *unused)
{
    running = true;
}

static void run_firmware(unsigned int cpu, void *unused)
{
    if (!running)
        return;
    if (!in_firmware && caller == HARDWARE)
        callers[HARDWARE].calls++;
    in_firmware = true;
    firmware++;
    callers[caller].instructions++;
}

static void run_own(unsigned int cpu, void *address)
{
    if (!running)
        return;
    in_firmware = false;
    caller = HARDWARE;
    own++;
    if ((uintptr_t)address < LOW_END)
        at[(uintptr_t)address]++;
}

static void run_int(unsigned int cpu, void *number)
{
    if (!running)
        return;
    caller = (uintptr_t)number;
    callers[caller].calls++;
}

static void run_entry(unsigned int cpu, void *unused)
{
    uint64_t low = 0;
    FILE *file;

    if (!running)
        return;
    file = fopen(out, "w");
    if (!file) {
        perror(out);
        _exit(1);
    }
    fprintf(file, "own %" PRIu64 "\nfirmware %" PRIu64 "\n", own, firmware);
    for (int n = 0; n < HARDWARE; n++)
        if (callers[n].calls)
            fprintf(file, "int %d %" PRIu64 " %" PRIu64 "\n", n, callers[n].calls,
                    callers[n].instructions);
    fprintf(file, "hardware %" PRIu64 " %" PRIu64 "\n", callers[HARDWARE].calls,
            callers[HARDWARE].instructions);
    for (int address = 0; address < LOW_END; address++) {
        if (at[address])
            fprintf(file, "at %d %" PRIu64 "\n", address, at[address]);
        low += at[address];
    }
    fprintf(file, "elsewhere %" PRIu64 "\n", own - low);
    _exit(fclose(file) ? 1 : 0); /* the kernel itself is not measured */
}

/* Called for each block of code that QEMU translates. */
static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *block)
{
    size_t count = qemu_plugin_tb_n_insns(block);

    for (size_t i = 0; i < count; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(block, i);
        uint64_t address = qemu_plugin_insn_vaddr(insn);
        uint8_t bytes[INSN_BYTES_MAX];

        if (address == START)
            when_executed(insn, run_start, 0);
        if (address == entry)
            when_executed(insn, run_entry, 0);
        if (is_firmware(address)) {
            when_executed(insn, run_firmware, 0);
            continue;
        }
        when_executed(insn, run_own, address);
        if (insn_bytes(insn, bytes) == 2 && bytes[0] == 0xcd) /* INT and its number */
            when_executed(insn, run_int, bytes[1]);
    }
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc,
                                           char **argv)
{
    const char *address = argument("entry", argc, argv);

    out = argument("out", argc, argv);
    if (!address || !out) {
        fputs("count.c: needs the arguments entry=ADDRESS,out=FILE\n", stderr);
        return 1;
    }
    entry = strtoull(address, NULL, 0);
    out = strdup(out);
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    return 0;
}
