//! Exceptions, and the timer and keyboard interrupts.

use crate::{gdt, keyboard, println};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use lazy_static::lazy_static;
use pic8259::ChainedPics;
use spin::Mutex;
use x86_64::instructions::hlt;
use x86_64::registers::control::Cr2;
use x86_64::structures::idt::{InterruptDescriptorTable, InterruptStackFrame, PageFaultErrorCode};

/// The timer frequency that the BIOS set: 18.2 ticks per second.
pub const TICKS_PER_SECOND: u64 = 18;

/// The first of the 16 vectors of hardware interrupts; those below are exceptions.
const PIC_OFFSET: u8 = 32;
const TIMER: u8 = PIC_OFFSET;
const KEYBOARD: u8 = PIC_OFFSET + 1;

static PICS: Mutex<ChainedPics> = {
    // SAFETY: nothing else uses these vectors.
    let pics = unsafe { ChainedPics::new_contiguous(PIC_OFFSET) };
    Mutex::new(pics)
};

static TICKS: AtomicU64 = AtomicU64::new(0);

lazy_static! {
    static ref IDT: InterruptDescriptorTable = {
        let mut idt = InterruptDescriptorTable::new();
        idt.breakpoint.set_handler_fn(breakpoint);
        idt.page_fault.set_handler_fn(page_fault);
        let double_fault = idt.double_fault.set_handler_fn(double_fault);
        // SAFETY: the stack is valid, and no other exception uses it.
        unsafe { double_fault.set_stack_index(gdt::DOUBLE_FAULT_IST_INDEX) };
        idt[TIMER].set_handler_fn(timer);
        idt[KEYBOARD].set_handler_fn(key);
        idt
    };
}

/// Loads the handlers and initializes the interrupt controllers. Interrupts that
/// the BIOS left masked stay masked.
pub fn init() {
    IDT.load();
    // SAFETY: all interrupts that the BIOS left unmasked have handlers.
    unsafe { PICS.lock().initialize() };
}

/// How often the timer has ticked.
pub fn ticks() -> u64 {
    TICKS.load(Relaxed)
}

/// Sleeps until the timer has ticked `count` more times.
pub fn wait_for_ticks(count: u64) {
    let end = ticks() + count;
    while ticks() < end {
        hlt();
    }
}

extern "x86-interrupt" fn breakpoint(frame: InterruptStackFrame) {
    println!("breakpoint at {:?}", frame.instruction_pointer);
}

extern "x86-interrupt" fn page_fault(frame: InterruptStackFrame, error: PageFaultErrorCode) {
    let address = Cr2::read_raw();
    panic!("page fault at {address:#x}, {error:?}\n{frame:#?}");
}

extern "x86-interrupt" fn double_fault(frame: InterruptStackFrame, _error: u64) -> ! {
    panic!("double fault\n{frame:#?}");
}

extern "x86-interrupt" fn timer(_frame: InterruptStackFrame) {
    TICKS.fetch_add(1, Relaxed);
    end_of_interrupt(TIMER);
}

extern "x86-interrupt" fn key(_frame: InterruptStackFrame) {
    keyboard::interrupt();
    end_of_interrupt(KEYBOARD);
}

fn end_of_interrupt(vector: u8) {
    // SAFETY: this is the vector of the interrupt being handled.
    unsafe { PICS.lock().notify_end_of_interrupt(vector) };
}

#[test_case]
fn breakpoint_returns() {
    x86_64::instructions::interrupts::int3();
}

#[test_case]
fn timer_ticks() {
    let before = ticks();
    wait_for_ticks(3);
    assert!(ticks() >= before + 3);
}
