/*
 * coverage.c - a QEMU TCG plugin that notes which instructions of the loader run
 *
 * Arguments: out=FILE, which src/points.rs lays out and fills: what
 * the loader's instructions are, and room for what was seen of each. Every guest
 * maps the same file, and only ever sets bits in it, so nothing has to be merged,
 * and nothing is lost when a guest is killed.
 *
 * An instruction counts only if the whole block that QEMU translates with it is
 * the loader's as linked: neither a damaged loader counts, nor other code that
 * runs at the same addresses.
 *
 * The direction of a branch is known when the next instruction of the loader
 * runs. What comes between the two, such as an interrupt, is not the loader's. A
 * string instruction with a REP prefix that accesses memory had a count.
 */
#include "plugin.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define BASE 0x7c00   /* where the loader lies */
#define BYTES 0x2000  /* its size, at most */
#define PAGE 0x1000
#define CHAINED 0x200 /* how much lower CHAINED_CODE runs */

/* What an instruction is */
#define INSTRUCTION 1
#define BRANCH 2
#define REPEATED 4
#define CHAINED_CODE 8 /* runs where it is not linked: the first sector of stage 2,
                        * if it is entered as a boot sector */

/* What was seen of it */
#define EXECUTED 1
#define TAKEN 2     /* a branch; a REP with a count */
#define NOT_TAKEN 4 /* a branch; a REP whose count was 0 */
#define BOTH (TAKEN | NOT_TAKEN)

static struct points {
    uint8_t code[BYTES];
    uint8_t mask[BYTES]; /* 0: the image builder fills in this byte */
    uint8_t size[BYTES];
    uint8_t kind[BYTES];
    uint16_t target[BYTES];
    volatile uint8_t seen[BYTES];
} *points;

#define NONE BYTES
static unsigned int last = NONE; /* the branch or REP that ran last, if it was one */
static bool accessed;            /* it has accessed memory */

static void see(unsigned int at, uint8_t what)
{
    if ((points->seen[at] & what) != what)
        __atomic_fetch_or(&points->seen[at], what, __ATOMIC_RELAXED);
}

static void run(unsigned int cpu, void *offset)
{
    unsigned int at = (uintptr_t)offset;

    if (last == at && (points->kind[at] & REPEATED))
        return; /* the next iteration */
    if (last != NONE) {
        if (points->kind[last] & REPEATED)
            see(last, accessed ? TAKEN : NOT_TAKEN);
        else if (at == points->target[last])
            see(last, TAKEN);
        else if (at == last + points->size[last])
            see(last, NOT_TAKEN);
    }
    see(at, EXECUTED);
    last = points->kind[at] & (BRANCH | REPEATED) ? at : NONE;
    accessed = false;
}

static void note_access(unsigned int cpu, qemu_plugin_meminfo_t info, uint64_t address, void *unused)
{
    accessed = true;
}

/* Is anything left to see of a branch or REP when this instruction runs? It is one of
 * them, or comes after it. (What other guests see meanwhile is seen once more.) */
static bool concerns_branch[BYTES];

static void find_branches(void)
{
    for (unsigned int from = 0; from < BYTES; from++) {
        unsigned int around[] = {from, points->target[from], from + points->size[from]};

        if (!(points->kind[from] & (BRANCH | REPEATED)) || (points->seen[from] & BOTH) == BOTH)
            continue;
        for (size_t i = 0; i < sizeof around / sizeof *around; i++)
            if (around[i] < BYTES)
                concerns_branch[around[i]] = true;
    }
}

/* Is it the instruction of the loader that is linked here, and of this kind? QEMU
 * ends a block before an instruction that reaches into the next page, and in some
 * versions still lists it, with the bytes that it had read so far: `is_last` allows
 * that. */
static bool is_loader(struct qemu_plugin_insn *insn, uint64_t base, uint8_t kind, bool is_last)
{
    uint64_t address = qemu_plugin_insn_vaddr(insn), at = address - base;
    uint8_t bytes[INSN_BYTES_MAX];
    size_t size;

    if (at >= BYTES || !(points->kind[at] & kind))
        return false;
    size = insn_bytes(insn, bytes);
    if (size != points->size[at]) {
        bool crosses = address % PAGE + points->size[at] > PAGE;

        if (!is_last || !crosses || size > points->size[at])
            return false;
    }
    for (size_t i = 0; i < size; i++)
        if ((bytes[i] ^ points->code[at + i]) & points->mask[at + i])
            return false;
    return true;
}

static bool all_loader(struct qemu_plugin_tb *block, uint64_t base, uint8_t kind)
{
    size_t count = qemu_plugin_tb_n_insns(block);

    for (size_t i = 0; i < count; i++)
        if (!is_loader(qemu_plugin_tb_get_insn(block, i), base, kind, i == count - 1))
            return false;
    return true;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *block)
{
    size_t count = qemu_plugin_tb_n_insns(block);
    uint64_t base = BASE;

    if (!all_loader(block, base, INSTRUCTION)) {
        base -= CHAINED;
        if (!all_loader(block, base, CHAINED_CODE))
            return;
    }
    for (size_t i = 0; i < count; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(block, i);
        unsigned int at = qemu_plugin_insn_vaddr(insn) - base;

        if (points->size[at] != qemu_plugin_insn_size(insn) ||
            ((points->seen[at] & EXECUTED) && !concerns_branch[at]))
            continue;
        when_executed(insn, run, at);
        if (points->kind[at] & REPEATED)
            qemu_plugin_register_vcpu_mem_cb(insn, note_access, QEMU_PLUGIN_CB_NO_REGS,
                                             QEMU_PLUGIN_MEM_RW, NULL);
    }
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc,
                                           char **argv)
{
    const char *out = argument("out", argc, argv);
    int file;

    if (!out) {
        fputs("coverage.c: needs the argument out=FILE\n", stderr);
        return 1;
    }
    file = open(out, O_RDWR);
    if (file >= 0)
        points = mmap(NULL, sizeof *points, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (file < 0 || points == MAP_FAILED) {
        perror(out);
        return 1;
    }
    close(file);
    find_branches();
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    return 0;
}
