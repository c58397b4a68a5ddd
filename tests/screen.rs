//! Printed text appears in text memory as the user sees it.

#![no_std]
#![no_main]
#![feature(custom_test_frameworks)]
#![test_runner(siso_os::testing::run)]
#![reexport_test_harness_main = "all_tests"]

use core::fmt::Write;
use siso_os::vga::{self, COLUMNS, Color, ROWS, Writer};
use siso_os::{BootInfo, print, println, testing};

const LIGHT_CYAN: u8 = 0x0b;

#[unsafe(no_mangle)]
pub extern "C" fn _start(boot_info: &'static BootInfo) -> ! {
    testing::start(boot_info, all_tests)
}

/// A character's code, and its colours: background << 4 | foreground.
fn cell(row: usize, column: usize) -> (u8, u8) {
    assert!(row < ROWS && column < COLUMNS);
    let cell = 0xb8000 as *const [u8; 2];
    // SAFETY: the loader mapped the screen, and the cell is on it.
    let [code, colors] = unsafe { cell.add(row * COLUMNS + column).read_volatile() };
    (code, colors)
}

/// Asserts that the row shows this text followed by blanks only.
fn assert_row(row: usize, text: &str) {
    for column in 0..COLUMNS {
        let expected = text.as_bytes().get(column).unwrap_or(&b' ');
        let (code, _) = cell(row, column);
        assert_eq!(code, *expected, "row {row}, column {column} of {text:?}");
    }
}

#[test_case]
fn lines_follow_each_other() {
    vga::clear();
    println!("one");
    print!("two");
    println!(", still two");
    println!("three");
    assert_row(0, "one");
    assert_row(1, "two, still two");
    assert_row(2, "three");
    assert_row(3, "");
}

#[test_case]
fn a_newline_clears_the_rest_of_the_row() {
    vga::clear();
    let last = (0xb8000 as *mut u16).wrapping_add(COLUMNS - 1);
    // SAFETY: the loader mapped the screen, and this is the last cell of row 0.
    unsafe { last.write_volatile(0x0700 | u16::from(b'x')) }
    assert_eq!(cell(0, COLUMNS - 1), (b'x', 0x07));
    println!("short");
    assert_row(0, "short");
}

#[test_case]
fn long_lines_continue_in_the_next_row() {
    vga::clear();
    for _ in 0..COLUMNS {
        print!("x");
    }
    print!("y");
    assert_eq!(cell(0, COLUMNS - 1), (b'x', LIGHT_CYAN));
    assert_row(1, "y");
}

#[test_case]
fn the_screen_scrolls() {
    vga::clear();
    for number in 0..100 {
        println!("line {number}");
    }
    assert_row(0, "line 76");
    assert_row(ROWS - 2, "line 99");
    assert_row(ROWS - 1, "");
}

#[test_case]
fn non_ascii_characters_are_blocks() {
    vga::clear();
    println!("a\u{e4}\u{20ac}b");
    let codes = [0, 1, 2, 3].map(|column| cell(0, column).0);
    assert_eq!(codes, [b'a', 0xfe, 0xfe, b'b']);
}

#[test_case]
fn a_writer_has_its_own_colors() {
    vga::clear();
    print!("a");
    let written = writeln!(Writer::new(Color::Yellow, Color::Blue), "b");
    assert!(written.is_ok());
    print!("c");
    assert_eq!(cell(0, 0), (b'a', LIGHT_CYAN));
    assert_eq!(cell(0, 1), (b'b', 0x1e));
    assert_eq!(cell(0, COLUMNS - 1), (b' ', 0x1e), "the rest of the row");
    assert_eq!(cell(1, 0), (b'c', LIGHT_CYAN));
}
