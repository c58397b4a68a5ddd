# cpu.s - is this a 64-bit CPU, and what can its page tables do?
#
# Mode:      16-bit real mode
# Called by: stage2.s
# Provides:  cpu_check, cpu_features
# Next:      a20.s

# ANCHOR: uses
        .include "layout.inc"
        .include "cpu.inc"

        .section .stage2, "ax"
        .code16
# ANCHOR_END: uses

# cpu_check - stop unless the CPU has long mode; switch NX on where it is off
#
# Out:       cpu_features = EDX of CPUID 80000001h
# Clobbers:  EAX, EBX, ECX, EDX, SI
# ANCHOR: cpu_check
# ANCHOR: cpuid
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
# ANCHOR_END: cpuid

# ANCHOR: long_mode
        mov     $CPUID_EXTENDED - 1, %eax       # CPUID 80000000h. Out: EAX =
        cpuid                           # the highest extended leaf
        cmp     $CPUID_EXTENDED, %eax
        jb      die16
        call    .Lfeatures
        test    $CPUID_LM, %edx
        jz      die16
# ANCHOR_END: long_mode

        # NX: no-execute, a bit in a page-table entry that forbids running code
        # there.
# ANCHOR: nx
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
# ANCHOR_END: nx
# ANCHOR_END: cpu_check

# ANCHOR: variables
        .bss
        .balign 4
        .globl  cpu_features
cpu_features:
        .skip   4
# ANCHOR_END: variables
