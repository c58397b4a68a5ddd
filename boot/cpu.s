# cpu.s - is this a 64-bit CPU, and what can its page tables do?
#
# Mode:      16-bit real mode
# Called by: stage2.s
# Provides:  cpu_check, cpu_features
# Next:      a20.s

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
        xor     $EFLAGS_ID, %eax        # a CPU without CPUID cannot change this
        push    %eax                    # flag
        popfl
        pushfl
        pop     %ecx
        xor     %ecx, %eax
        test    $EFLAGS_ID, %eax
        jnz     die16

        mov     $CPUID_EXTENDED - 1, %eax       # CPUID 80000000h. Out: EAX =
        cpuid                           # the highest extended leaf
        cmp     $CPUID_EXTENDED, %eax
        jb      die16
        call    .Lfeatures
        test    $CPUID_LM, %edx
        jz      die16

        # NX: no-execute, a bit in a page-table entry that forbids running code
        # there.
        test    $CPUID_NX, %edx
        jnz     .Lyes
        xor     %eax, %eax              # CPUID 0. Out: EBX, EDX, ECX = vendor.
        cpuid                           # Firmware setup can switch NX off in
        cmp     $CPUID_INTEL, %ebx      # Intel CPUs: switch it on again
        jne     .Lyes
        mov     $MSR_MISC_ENABLE, %ecx
        rdmsr
        test    $MISC_XD_DISABLE_HIGH, %edx
        jz      .Lyes
        and     $~MISC_XD_DISABLE_HIGH, %edx
        wrmsr
.Lfeatures:
        mov     $CPUID_EXTENDED, %eax   # CPUID 80000001h. Out: EDX = features
        cpuid
        mov     %edx, cpu_features
.Lyes:  ret
# ANCHOR_END: cpu_check

        .bss
        .balign 4
        .globl  cpu_features
cpu_features:
        .skip   4
