//! A stack overflow hits the loader's guard page; the resulting double fault is
//! handled on a separate stack.

#![no_std]
#![no_main]
#![feature(abi_x86_interrupt)]

use bootloader::{BootInfo, entry_point};
use core::hint::black_box;
use core::panic::PanicInfo;
use lazy_static::lazy_static;
use series::{QemuExitCode, exit_qemu, gdt, serial_print, serial_println};
use x86_64::VirtAddr;
use x86_64::registers::control::Cr2;
use x86_64::structures::idt::{InterruptDescriptorTable, InterruptStackFrame};

lazy_static! {
    static ref TEST_IDT: InterruptDescriptorTable = {
        let mut idt = InterruptDescriptorTable::new();
        let double_fault = idt.double_fault.set_handler_fn(double_fault);
        // SAFETY: the stack is valid, and no other exception uses it.
        unsafe { double_fault.set_stack_index(gdt::DOUBLE_FAULT_IST_INDEX) };
        idt
    };
}

entry_point!(main);

fn main(_boot_info: &'static BootInfo) -> ! {
    serial_print!("stack_overflow::stack_overflow...\t");
    gdt::init();
    TEST_IDT.load();
    overflow(0);
    panic!("execution continued after the stack overflow");
}

#[allow(unconditional_recursion)]
fn overflow(depth: u64) {
    overflow(black_box(depth) + 1);
    black_box(depth); // prevents a tail call
}

extern "x86-interrupt" fn double_fault(frame: InterruptStackFrame, _error: u64) -> ! {
    let here = VirtAddr::from_ptr(&raw const frame);
    assert!(gdt::double_fault_stack().contains(&here), "{here:?}");

    // CR2 is the address at which the CPU could not push, next to the stack pointer.
    let top = frame.stack_pointer.as_u64();
    let fault = Cr2::read_raw();
    assert!(fault.abs_diff(top) < 4096, "{fault:#x}, {top:#x}");
    serial_println!("[ok]");
    exit_qemu(QemuExitCode::Success)
}

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    series::test_panic_handler(info)
}
