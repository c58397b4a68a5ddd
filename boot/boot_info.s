# boot_info.s - the boot info: what the kernel is told
#
# Mode:      64-bit long mode
# Called by: stage2.s
# Provides:  boot_info
# Next:      start_kernel.s; docs/protocol.md and src/boot_info.rs have the same
#            from the kernel's side

# ANCHOR: uses
        .include "layout.inc"
        .include "cpu.inc"
        .include "elf.inc"

        .section .stage2, "ax"
        .code64
# ANCHOR_END: uses

# boot_info - fill the boot info's page; warn if the map was simplified, or if
#             some page is writable and executable
#
# Clobbers:  all
# ANCHOR: boot_info
# ANCHOR: in_use
        .globl  boot_info
boot_info:
        xor     %eax, %eax              # what is in use from now on
        mov     $1, %edx
        mov     $KIND_FRAME_ZERO, %ecx
        call    region_add
        mov     $SWITCH_PAGE, %eax
        lea     1(%rax), %edx
        mov     $KIND_LOADER, %ecx
        call    region_add
        mov     stack_frame, %eax
        mov     info_frame, %edx
        mov     $KIND_STACK, %ecx
        call    region_add
        mov     %edx, %eax
        inc     %edx
        mov     $KIND_BOOT_INFO, %ecx
        call    region_add
        mov     %edx, %eax
        mov     frame_next, %edx
        mov     $KIND_PAGE_TABLE, %ecx
        call    region_add
        testb   $FEATURE_CRATE, features
        jz      .Lused
        mov     $CRATE_TABLES >> PAGE_SHIFT, %eax
        mov     $CRATE_TABLES_END >> PAGE_SHIFT, %edx
        call    region_add
.Lused: call    map_make
# ANCHOR_END: in_use

# ANCHOR: regions
        mov     info_frame, %edi
        shl     $PAGE_SHIFT, %rdi
        mov     %rdi, %rdx              # RDX = the boot info
        xor     %eax, %eax
        mov     $PAGE_BYTES / 8, %ecx
        rep stosq
        mov     %rdx, %rdi
        mov     $MAP_BASE, %esi
        mov     $INFO_REGIONS, %ecx     # ECX = regions left
.Lregion:
        mov     (%rsi), %eax            # frame numbers become 64 bits
        stosq
        mov     REGION_END(%rsi), %eax
        stosq
        mov     REGION_KIND(%rsi), %eax
        stosq
        dec     %ecx
        add     $REGION_BYTES, %esi
        cmp     map_end, %esi
        jne     .Lregion
        mov     $INFO_REGIONS, %eax
        sub     %ecx, %eax
        jecxz   .Lfull
.Lempty:movl    $KIND_EMPTY, INFO_REGION_KIND(%rdi)
        add     $INFO_REGION_BYTES, %edi
        loop    .Lempty
.Lfull: stosq                           # how many they are
# ANCHOR_END: regions

        # From here on, the features of the bootloader crate decide what there is.
# ANCHOR: crate_fields
        mov     recursive_address, %rax
        testb   $FEATURE_RECURSIVE, features
        jz      .Lnot_recursive
        stosq
.Lnot_recursive:
        mov     physical_offset, %rax
        testb   $FEATURE_PHYSICAL, features
        jz      .Lnot_physical
        stosq
.Lnot_physical:
        mov     $.Ltls, %ebp
        mov     $PT_TLS, %r12d
        call    each_header
# ANCHOR_END: crate_fields

        # The fields of our own.
# ANCHOR: fields
        add     $INFO_MAGIC - INFO_TLS, %edi
        mov     $.Lmodule, %ebp
        call    each_module
        mov     info_magic, %rax
        stosq
        mov     $INFO_VERSION_NOW, %eax
        stosl
        mov     %edi, %eax
        sub     %edx, %eax
        add     $INFO_END - INFO_SIZE, %eax
        stosl
        movzbl  boot_drive, %eax
        stosl
        mov     a20_method, %eax
        stosl
        mov     memory_source, %eax
        stosl
        mov     allow_wx, %eax
        shl     $1, %eax                # INFO_FLAG_WX
        testl   $CPUID_NX, cpu_features
        jz      .Lno_nx
        or      $INFO_FLAG_NX, %eax
.Lno_nx:stosl
# ANCHOR_END: fields

# ANCHOR: warnings
        cmpl    $0, map_simplified
        je      .Lwhole
        mov     $msg_simplified, %esi
        call    put
.Lwhole:cmpl    $0, allow_wx
        je      .Lstrict
        mov     $msg_wx_allowed, %esi
        call    put
.Lstrict:
        ret
# ANCHOR_END: warnings
# ANCHOR_END: boot_info

# The template of thread-local storage: the first values of each thread's own
# variables (ELF program header PT_TLS).
# ANCHOR: modules
.Ltls:  mov     P_VADDR(%rbx), %rax
        mov     %rax, (%rdi)
        mov     P_FILESZ(%rbx), %rax
        mov     %rax, 8(%rdi)
        mov     P_MEMSZ(%rbx), %rax
        mov     %rax, 16(%rdi)
        clc
        ret

# The command line or the ramdisk: where physical memory is mapped.
.Lmodule:
        mov     P_TYPE(%rbx), %ecx
        sub     $PT_COMMAND_LINE, %ecx
        shl     $4, %ecx                # an address and a size for each type
        mov     P_PADDR(%rbx), %rax
        add     physical_offset, %rax
        mov     %rax, INFO_COMMAND - INFO_MAGIC(%rdi, %rcx)
        mov     P_FILESZ(%rbx), %rax
        mov     %rax, INFO_COMMAND - INFO_MAGIC + 8(%rdi, %rcx)
        clc
        ret
# ANCHOR_END: modules

# ANCHOR: magic
info_magic:
        .ascii  "siso_os1"
# ANCHOR_END: magic
