# info.s - the boot info: what the kernel is told
#
# Mode:      64-bit long mode
# Called by: handover.s, through hop
# Provides:  info_fill, info_frame, stack_frame
# Read also: docs/protocol.md and src/boot_info.rs: the same from the kernel

        .include "layout.inc"
        .include "cpu.inc"
        .include "elf.inc"

        .section .stage2, "ax"
        .code64

# info_fill - fill the boot info's page
#
# Out:       CF  0 = done, 1 = too many regions, and EAX = message
# Clobbers:  all
# ANCHOR: info
        .globl  info_fill
info_fill:
        xor     %eax, %eax              # what is in use from now on
        mov     $1, %edx
        mov     $KIND_FRAME_ZERO, %ecx
        call    region_put
        mov     $SWITCH_PAGE, %eax
        lea     1(%rax), %edx
        mov     $KIND_LOADER, %ecx
        call    region_put
        mov     stack_frame, %eax
        mov     info_frame, %edx
        mov     $KIND_STACK, %ecx
        call    region_put
        mov     %edx, %eax
        inc     %edx
        mov     $KIND_BOOT_INFO, %ecx
        call    region_put
        mov     %edx, %eax
        mov     frame_next, %edx
        mov     $KIND_PAGE_TABLE, %ecx
        call    region_put
        call    map_make
        jc      .Lret

        mov     info_frame, %edi
        shl     $12, %rdi
        mov     %rdi, %rbp              # RBP = the boot info
        mov     $MAP_BASE, %esi
        xor     %ebx, %ebx              # EBX = regions so far
.Lregion:
        mov     (%rsi), %eax            # frame numbers become 64 bits
        stosq
        mov     4(%rsi), %eax
        stosq
        mov     8(%rsi), %eax
        stosq
        inc     %ebx
        add     $REGION_BYTES, %esi
        cmp     map_end, %esi
        jne     .Lregion
        mov     %rbx, INFO_COUNT(%rbp)
.Lempty:cmp     $INFO_REGIONS, %ebx
        je      .Lfull
        movl    $KIND_EMPTY, 16(%rdi)
        inc     %ebx
        add     $INFO_REGION_BYTES, %edi
        jmp     .Lempty

.Lfull: mov     %rbp, %rdx              # RDX = the boot info
        mov     physical_offset, %rax
        mov     %rax, INFO_PHYSICAL(%rdx)
        mov     $.Ltls, %ebp
        mov     $PT_TLS, %r12d
        call    each_header
        mov     $.Lpackage, %ebp
        call    each_package
        mov     %rdx, %rbp
        mov     info_magic, %rax
        mov     %rax, INFO_MAGIC(%rbp)
        movl    $INFO_VERSION_NOW, INFO_VERSION(%rbp)
        movl    $INFO_END, INFO_SIZE(%rbp)
        movzbl  boot_drive, %eax
        mov     %eax, INFO_DRIVE(%rbp)
        mov     a20_method, %eax
        mov     %eax, INFO_A20(%rbp)
        mov     memory_source, %eax
        mov     %eax, INFO_SOURCE(%rbp)
        mov     allow_wx, %eax
        shl     $1, %eax                # INFO_FLAG_WX
        testl   $CPUID_NX, cpu_features
        jz      .Lno_nx
        or      $INFO_FLAG_NX, %eax
.Lno_nx:mov     %eax, INFO_FLAGS(%rbp)
        clc
.Lret:  ret
# ANCHOR_END: info

# The template of thread-local storage.
.Ltls:  mov     P_VADDR(%rbx), %rax
        mov     %rax, INFO_TLS(%rdx)
        mov     P_FILESZ(%rbx), %rax
        mov     %rax, INFO_TLS + 8(%rdx)
        mov     P_MEMSZ(%rbx), %rax
        mov     %rax, INFO_TLS + 16(%rdx)
        clc
        ret

# The command line or the ramdisk: where physical memory is mapped.
.Lpackage:
        mov     P_TYPE(%rbx), %ecx
        sub     $PT_PACKAGE, %ecx
        shl     $4, %ecx
        mov     P_PADDR(%rbx), %rax
        add     physical_offset, %rax
        mov     %rax, INFO_COMMAND(%rdx, %rcx)
        mov     P_FILESZ(%rbx), %rax
        mov     %rax, INFO_COMMAND + 8(%rdx, %rcx)
        clc
        ret

info_magic:
        .ascii  "siso_os1"

        .bss
        .balign 4
        .globl  info_frame, stack_frame
info_frame:
        .skip   4
stack_frame:                            # the lowest of the stack's frames
        .skip   4
