//! The kernel of the lab `vga`: prints what its command line says, with `src/vga.rs` as
//! you wrote it, and reports on the serial line how it ended. The grader looks at the
//! screen then.

#![no_std]
#![no_main]

use core::fmt::Write;
use siso_os::vga::{self, COLUMNS, Color, ROWS, Writer};
use siso_os::{BootInfo, cpu, exceptions, panic, port, print, println, serial_println};

/// The text memory; the screen shows its first cells.
const TEXT: *mut u16 = 0xb8000 as *mut u16;
const TEXT_CELLS: usize = 0x8000 / 2;

#[unsafe(no_mangle)]
pub extern "C" fn _start(boot_info: &'static BootInfo) -> ! {
    exceptions::init();
    panic::set_hook(|info| end(format_args!("{info}")));
    exceptions::set_hook(|it| end(format_args!("exception at {:#x}\n{it}", it.rip)));
    fill();
    run(boot_info.command_line());
    end(format_args!("cursor {}", cursor()))
}

fn run(what: &str) {
    let yellow = || Writer::new(Color::Yellow, Color::Blue);
    let result = match what {
        "text" => yellow().write_str("Hello World!"),
        "pieces" => {
            print!("{} and ", 1);
            let result = write!(yellow(), "{}", 2);
            print!(" and {:>3}", 3);
            result
        }
        "newline" => {
            println!("one");
            write!(yellow(), "two\nthree")
        }
        "row" => writeln!(yellow(), "{:x<80}", 1).and_then(|()| yellow().write_char('y')),
        "characters" => yellow().write_str("~ \t\u{7f}\u{e4}\u{20ac}\u{1f600}b"),
        "full" => write!(yellow(), "{:>1$}", "last", ROWS * COLUMNS - 1),
        "scroll" => {
            for _ in 1..ROWS {
                println!();
            }
            print!("one\ntwo\n3");
            Ok(())
        }
        "colors" => {
            for _ in 1..ROWS {
                println!();
            }
            write!(yellow(), "{:x<80}", 1).and_then(|()| yellow().write_str("2"))
        }
        "clear" => {
            print!("gone\ngone, too");
            vga::clear();
            yellow().write_str("new")
        }
        "much" => (0..50).try_for_each(|number| writeln!(yellow(), "{number:>200}")),
        _ => panic!("there is no '{what}'"),
    };
    assert!(result.is_ok(), "writing to the screen cannot fail");
}

/// Another letter in each row, and something after the screen: what must not change.
fn fill() {
    for cell in 0..TEXT_CELLS {
        let value = match cell / COLUMNS {
            row @ 0..ROWS => 0x2f00 | (u16::from(b'a') + row as u16),
            _ => 0x5555,
        };
        // SAFETY: the loader mapped the text memory, and the cell is in it.
        unsafe { TEXT.add(cell).write_volatile(value) }
    }
}

/// The cell of the cursor, from the CRT controller.
fn cursor() -> usize {
    let [high, low] = [0x0e, 0x0f].map(|register| {
        // SAFETY: reading the cursor's position has no side effects.
        unsafe {
            port::write(0x3d4, register);
            port::read(0x3d5)
        }
    });
    usize::from(high) << 8 | usize::from(low)
}

/// Reports, and ends.
fn end(report: core::fmt::Arguments) -> ! {
    serial_println!("lab: {report}\nlab: end");
    cpu::halt()
}
