//! The keys of a manifest, as Cargo passes them on in JSON, are refused with one
//! line, or the virtual addresses that follow from them do not overlap.

#![no_main]

use libfuzzer_sys::fuzz_target;
use siso_image::address_space::AddressSpace;
use siso_image::elf::{Kernel, Segment};
use siso_image::manifest::Manifest;

fuzz_target!(|keys: &[u8]| {
    let Ok(keys) = serde_json::from_slice(keys) else {
        return;
    };
    let said = match Manifest::of(&keys) {
        Err(error) => error,
        Ok(manifest) => {
            let kernel = Kernel {
                entry: 0x20_0000,
                segments: vec![Segment {
                    header: siso_image::elf::Header {
                        flags: 5,
                        offset: 0,
                        vaddr: 0x20_0000,
                        paddr: 0x20_0000,
                        filesz: 1,
                        memsz: 0x1000,
                    },
                    bytes: vec![0xf4].into(),
                }],
                tls: None,
                writable_code: false,
            };
            match AddressSpace::choose(&kernel, &manifest) {
                Err(error) => error.to_string(),
                Ok(space) => {
                    let mut ranges = [space.boot_info, space.stack, space.physical]
                        .map(|range| (range.first, range.last));
                    ranges.sort();
                    assert!(
                        ranges.iter().all(|(first, last)| first < last),
                        "{space:x?}"
                    );
                    assert!(
                        ranges.windows(2).all(|pair| pair[0].1 < pair[1].0),
                        "{space:x?}"
                    );
                    return;
                }
            }
        }
    };
    assert!(!said.is_empty() && said.lines().count() == 1, "{said}");
});
