//! An ELF file is refused with one line, or its kernel follows all rules and makes
//! an image.

#![no_main]

#[path = "../../tests/suite/common/kernel_rules.rs"]
mod kernel_rules;

use kernel_rules::{assert_follows_rules, assert_one_line};
use libfuzzer_sys::fuzz_target;
use siso_image::SECTOR;
use siso_image::elf::Kernel;
use siso_image::image::{Image, Options};
use siso_image::manifest::Manifest;

/// The last byte of `e_ident`.
const PADDING: usize = 15;

fuzz_target!(|file: &[u8]| {
    match Kernel::parse(file, false) {
        Err(error) => assert_one_line(&error.to_string()),
        Ok(kernel) => {
            assert_follows_rules(&kernel);
            // An image costs as much time as fifty kernels. A byte without a meaning,
            // which is 0 in the seeds, chooses.
            if file[PADDING] == 0 {
                return;
            }
            match Image::new(&kernel, &Manifest::default(), &Options::default()) {
                Err(error) => assert_one_line(&error.to_string()),
                Ok(image) => assert!(image.used_sectors * SECTOR <= image.bytes.len()),
            }
        }
    }
});
