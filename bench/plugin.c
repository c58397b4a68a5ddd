/*
 * plugin.c - a QEMU TCG plugin that counts the instructions of a boot
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
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined __has_include && __has_include(<qemu-plugin.h>)
#include <qemu-plugin.h>
#else
/* Debian's QEMU 7.2 lacks the header: the parts of version 1 that are used. */
#define QEMU_PLUGIN_VERSION 1
#define QEMU_PLUGIN_EXPORT __attribute__((visibility("default")))
typedef uint64_t qemu_plugin_id_t;
typedef struct qemu_info_t qemu_info_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };
typedef void (*qemu_plugin_vcpu_tb_trans_cb_t)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*qemu_plugin_vcpu_udata_cb_t)(unsigned int, void *);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, qemu_plugin_vcpu_tb_trans_cb_t);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, qemu_plugin_vcpu_udata_cb_t,
                                            enum qemu_plugin_cb_flags, void *);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
#endif

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

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

/* Called for each block of code that QEMU translates; registers callbacks for
 * the execution of its instructions. The callbacks of an instruction are called
 * in the order of registration. */
static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *block)
{
    size_t count = qemu_plugin_tb_n_insns(block);

    for (size_t i = 0; i < count; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(block, i);
        uint64_t address = qemu_plugin_insn_vaddr(insn);
        uint8_t bytes[16] = {0};

#define WHEN_EXECUTED(callback, data)                                                    \
    qemu_plugin_register_vcpu_insn_exec_cb(insn, callback, QEMU_PLUGIN_CB_NO_REGS,       \
                                           (void *)(uintptr_t)(data))
        if (address == START)
            WHEN_EXECUTED(run_start, 0);
        if (address == entry)
            WHEN_EXECUTED(run_entry, 0);
        if (is_firmware(address)) {
            WHEN_EXECUTED(run_firmware, 0);
            continue;
        }
        WHEN_EXECUTED(run_own, address);
        if (qemu_plugin_insn_size(insn) != 2)
            continue;
#if QEMU_PLUGIN_VERSION >= 3
        qemu_plugin_insn_data(insn, bytes, sizeof bytes);
#else
        memcpy(bytes, qemu_plugin_insn_data(insn), 2);
#endif
        if (bytes[0] == 0xcd) /* INT and its number */
            WHEN_EXECUTED(run_int, bytes[1]);
    }
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc,
                                           char **argv)
{
    for (int i = 0; i < argc; i++) {
        if (!strncmp(argv[i], "entry=", 6))
            entry = strtoull(argv[i] + 6, NULL, 0);
        else if (!strncmp(argv[i], "out=", 4))
            out = strdup(argv[i] + 4);
    }
    if (!entry || !out) {
        fputs("plugin.c: needs the arguments entry=ADDRESS,out=FILE\n", stderr);
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    return 0;
}
