//! `make explain`: every byte of sector 0 is explained, and a byte that is not is found.

mod common;

use common::image;
use siso_book::explain::{Part, sector0, text};
use siso_image::layout::{DISK_SIGNATURE, STAGE1_BASE, STAGE1_END};

#[test]
fn every_byte_has_a_reason() {
    let rows = sector0(&image()).expect("everything is explained");
    assert_eq!(rows.iter().map(|row| row.bytes.len()).sum::<usize>(), 512);
    let code = rows.iter().filter(|row| row.part == Part::Code);
    assert!(code.clone().count() > 100);
    for row in code {
        assert!(
            row.line.is_some() && !row.why.is_empty(),
            "{:#05x}",
            row.offset
        );
        assert!(
            !row.what.contains("bad"),
            "{:#05x}: {}",
            row.offset,
            row.what
        );
    }
    let free = rows
        .iter()
        .filter(|row| row.part == Part::Free && row.line.is_none());
    let free: usize = free.map(|row| row.bytes.len()).sum();
    assert_eq!(free as u64, STAGE1_BASE + DISK_SIGNATURE - STAGE1_END);
    let text = text(&rows);
    assert!(
        text.contains("0xaa55") && text.contains("512 bytes: "),
        "{text}"
    );
}

/// Each byte of the sector but those that differ from image to image.
#[test]
fn a_changed_byte_is_found() {
    let good = image();
    let differs = |at: usize| (0x1b8..0x1bc).contains(&at) || (0x1bf..0x1ce).contains(&at);
    for at in (0..512).filter(|&at| !differs(at)) {
        let mut bad = good.clone();
        bad[at] ^= 0x41;
        let found = sector0(&bad);
        assert!(found.is_err(), "a change of byte {at:#05x} is explained");
    }
}

#[test]
fn another_stage_2_is_found() {
    let mut bad = image();
    bad[1000] ^= 1;
    let error = sector0(&bad)
        .map(|_| ())
        .expect_err("its checksum is another");
    assert!(error.contains("nothing explains byte 0x"), "{error}");
}

#[test]
fn a_file_that_is_no_image_is_refused() {
    assert!(sector0(&[0; 512]).is_err());
    assert!(sector0(&[0; 1 << 20]).is_err());
}
