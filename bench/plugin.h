/*
 * plugin.h - what this project's QEMU TCG plugins share
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined __has_include && __has_include(<qemu-plugin.h>)
#include <qemu-plugin.h>
#else
/* Debian's QEMU 7.2 lacks the header: the parts of version 1 that are used. */
#define QEMU_PLUGIN_VERSION 1
#define QEMU_PLUGIN_EXPORT __attribute__((visibility("default")))
typedef uint64_t qemu_plugin_id_t;
typedef uint32_t qemu_plugin_meminfo_t;
typedef struct qemu_info_t qemu_info_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };
enum qemu_plugin_mem_rw { QEMU_PLUGIN_MEM_R = 1, QEMU_PLUGIN_MEM_W, QEMU_PLUGIN_MEM_RW };
typedef void (*qemu_plugin_vcpu_tb_trans_cb_t)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*qemu_plugin_vcpu_udata_cb_t)(unsigned int, void *);
typedef void (*qemu_plugin_vcpu_mem_cb_t)(unsigned int, qemu_plugin_meminfo_t, uint64_t, void *);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, qemu_plugin_vcpu_tb_trans_cb_t);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, qemu_plugin_vcpu_udata_cb_t,
                                            enum qemu_plugin_cb_flags, void *);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *, qemu_plugin_vcpu_mem_cb_t,
                                      enum qemu_plugin_cb_flags, enum qemu_plugin_mem_rw, void *);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
#endif

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

#define INSN_BYTES_MAX 15

/* Registers a callback for each execution of an instruction. The callbacks of an
 * instruction are called in the order of registration. */
static void when_executed(struct qemu_plugin_insn *insn, qemu_plugin_vcpu_udata_cb_t callback,
                          uintptr_t data)
{
    qemu_plugin_register_vcpu_insn_exec_cb(insn, callback, QEMU_PLUGIN_CB_NO_REGS, (void *)data);
}

/* Copies an instruction's bytes and returns their number. */
static size_t insn_bytes(struct qemu_plugin_insn *insn, uint8_t bytes[static INSN_BYTES_MAX])
{
    size_t size = qemu_plugin_insn_size(insn);

    if (size > INSN_BYTES_MAX)
        size = INSN_BYTES_MAX;
#if QEMU_PLUGIN_VERSION >= 3
    qemu_plugin_insn_data(insn, bytes, size);
#else
    memcpy(bytes, qemu_plugin_insn_data(insn), size);
#endif
    return size;
}

/* The value of the argument NAME=VALUE, or NULL. */
static const char *argument(const char *name, int argc, char **argv)
{
    size_t length = strlen(name);

    for (int i = 0; i < argc; i++)
        if (!strncmp(argv[i], name, length) && argv[i][length] == '=')
            return argv[i] + length + 1;
    return NULL;
}
