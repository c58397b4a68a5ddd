# cpu.s - is this a 64-bit CPU, and what can its pages do?
#
# Mode:      16-bit real mode
# Called by: stage2.s
# Provides:  cpu_check, cpu_features
# Read also: paging.s, which uses what is found

        .include "layout.inc"
        .include "cpu.inc"

        .section .stage2, "ax"
        .code16

# cpu_check - stop unless the CPU has long mode; switch NX on where it is off
#
# Out:       cpu_features = EDX of CPUID 80000001h
# Clobbers:  EAX, EBX, ECX, EDX, SI
# ANCHOR: cpu_check
        .globl  cpu_check
cpu_check:
        mov     $msg_cpu, %si
        pushfl
        pop     %eax
        xor     $EFLAGS_ID, %eax        # a CPU without CPUID cannot flip it
        push    %eax
        popfl
        pushfl
        pop     %ecx
        xor     %ecx, %eax
        test    $EFLAGS_ID, %eax
        jnz     .Lno

        mov     $CPUID_EXTENDED - 1, %eax       # is there such a leaf?
        cpuid
        cmp     $CPUID_EXTENDED, %eax
        jb      .Lno
        call    .Lfeatures
        test    $CPUID_LM, %edx
        jz      .Lno

        test    $CPUID_NX, %edx
        jnz     .Lyes
        xor     %eax, %eax              # firmware set-up can switch NX off in
        cpuid                           # Intel CPUs: switch it on again
        cmp     $0x756e6547, %ebx       # "Genu", of "GenuineIntel"
        jne     .Lyes
        mov     $MSR_MISC_ENABLE, %ecx
        rdmsr
        test    $MISC_XD_DISABLE_HIGH, %edx
        jz      .Lyes
        and     $~MISC_XD_DISABLE_HIGH, %edx
        wrmsr
        call    .Lfeatures
.Lyes:  ret
.Lno:   jmp     die

.Lfeatures:
        mov     $CPUID_EXTENDED, %eax
        cpuid
        mov     %edx, cpu_features
        ret
# ANCHOR_END: cpu_check

        .bss
        .globl  cpu_features
cpu_features:
        .skip   4
