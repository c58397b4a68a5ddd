//! Dies in the way that the command line names. The loader's interrupt table is empty,
//! so each exception resets the machine.

#![no_std]
#![no_main]

use core::arch::asm;
use core::hint::black_box;
use core::ptr;
use support::boot_info::BootInfo;

#[unsafe(no_mangle)]
extern "C" fn _start(boot_info: &'static BootInfo) -> ! {
    let [address, length] = boot_info.command_line;
    // SAFETY: the loader has put the command line there.
    let name = unsafe { core::slice::from_raw_parts(address as *const u8, length as usize) };
    die(name);
    support::say(format_args!("still alive"));
    loop {
        core::hint::spin_loop();
    }
}

#[inline(never)]
fn die(name: &[u8]) {
    match name {
        b"stack" => _ = black_box(overflow(1)),
        b"null" => read(black_box(ptr::null())),
        b"code" => write(die as *const () as *mut u8),
        b"data" => jump(&raw const DATA),
        b"mmio" => read(black_box(0xfee0_0030 as *const u8)),
        b"cr3" => bad_cr3(),
        b"divide" => divide(),
        b"ud2" => ud2(),
        b"gp" => read(black_box(0x8000_0000_0000_0000 as *const u8)),
        b"halt" => halt(),
        b"loop" => spin(),
        _ => support::say(format_args!("no such death")),
    }
}

static DATA: [u8; 16] = [0x90; 16];

#[inline(never)]
#[allow(unconditional_recursion)]
fn overflow(depth: u64) -> u64 {
    let local = black_box([depth; 64]);
    overflow(depth + 1) + local[0]
}

#[inline(never)]
fn read(pointer: *const u8) {
    // SAFETY: the fault is what this kernel is for.
    unsafe { asm!("mov {0:l}, byte ptr [{0}]", in(reg_abcd) pointer) }
}

#[inline(never)]
fn write(pointer: *mut u8) {
    // SAFETY: as above.
    unsafe { asm!("mov byte ptr [{0}], 0", in(reg) pointer) }
}

#[inline(never)]
fn jump(target: *const [u8; 16]) {
    // SAFETY: as above.
    unsafe { asm!("jmp {0}", in(reg) target) }
}

#[inline(never)]
fn bad_cr3() {
    // SAFETY: as above. There is nothing but zeros at 16 MiB.
    unsafe { asm!("mov cr3, {0}", in(reg) 0x100_0000u64) }
}

#[inline(never)]
fn divide() {
    // SAFETY: as above.
    unsafe {
        asm!("div {0:e}", in(reg) 0u32, inout("eax") 1u32 => _, inout("edx") 0u32 => _);
    }
}

#[inline(never)]
fn ud2() {
    // SAFETY: as above.
    unsafe { asm!("ud2") }
}

#[inline(never)]
fn halt() {
    // SAFETY: as above.
    unsafe { asm!("cli", "hlt") }
}

#[inline(never)]
fn spin() {
    let mut count = 0u64;
    while black_box(count) < u64::MAX {
        count = black_box(count.wrapping_mul(3) & 7);
    }
}
