//! The rules for a kernel, for what tries random ones: `elf_fuzz` and `tools/fuzz`.

use siso_image::elf::Kernel;
use siso_image::layout::ONE_MIB;

/// Asserts that a message of the image builder is one line.
pub fn assert_one_line(said: &str) {
    assert!(!said.is_empty() && said.lines().count() == 1, "{said}");
}

/// Checks the rules of docs/protocol.md, independently of the builder.
pub fn assert_follows_rules(kernel: &Kernel) {
    let mut pages = std::collections::HashMap::<u64, u32>::new();
    let mut end = u128::from(ONE_MIB);
    let mut entry = false;
    for segment in &kernel.segments {
        let header = &segment.header;
        let (first, size) = (u128::from(header.vaddr), u128::from(header.memsz));
        assert!(first >= end && size > 0 && size <= 1 << 31, "{header:x?}");
        end = first + size;
        let lower = end <= 1 << 47;
        let upper = first >= (1 << 64) - (1 << 47) && end <= 1 << 64;
        assert!(lower || upper, "{header:x?}");
        assert_eq!(segment.bytes.len() as u64, header.filesz);
        // Only the first and the last page can be shared.
        for page in [header.vaddr / 4096, ((end - 1) / 4096) as u64] {
            let rights = pages.entry(page).or_default();
            *rights |= header.flags & 3;
            assert_ne!(*rights, 3, "{header:x?}");
        }
        entry |= header.flags & 1 != 0
            && u128::from(kernel.entry) >= first
            && u128::from(kernel.entry) < first + u128::from(header.filesz);
    }
    assert!(entry);
    let (reduced, _) = kernel.reduced(&[]);
    let again = Kernel::parse(&reduced, false).expect("the reduced kernel is valid");
    assert_eq!(again.reduced(&[]).0, reduced);
}
