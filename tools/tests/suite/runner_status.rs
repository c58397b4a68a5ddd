//! The runner's exit status is QEMU's, as with bootimage.

use crate::common::runner::{bootimage_package, fake_program, siso_image};
use crate::common::{Folder, kernel, path};

const EXIT: [&str; 2] = ["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"];

/// A kernel that exits QEMU has the same exit status in a run, without a word: it
/// may mean anything.
#[test]
fn of_a_run() {
    let file = kernel("tls");
    let arguments = [&["run", path(&file)], &EXIT[..]].concat();
    let (output, said) = siso_image(&arguments, &[]);
    assert_eq!(output.status.code(), Some(33), "{said}");
    assert!(said.contains("tls ok"), "{said}");
    assert!(!said.contains("siso-image: "), "{said}");
}

/// In a test, one status is success; it becomes 0.
#[test]
fn of_a_test() {
    let file = kernel("tls");
    let folder = bootimage_package("test-success-exit-code = 35");
    let settings = [("CARGO_MANIFEST_DIR", path(&folder.0))];
    let (output, said) = siso_image(&["test", path(&file)], &settings);
    assert_eq!(output.status.code(), Some(33), "{said}");
    assert!(
        said.contains("exit status is 33; on success it would be 35"),
        "{said}"
    );
}

/// Every status is passed on, but QEMU's 0 does not mean that a test has passed.
#[test]
fn any_status() {
    let file = kernel("seed");
    for (status, of_run, of_test) in [
        (0, 0, 1),
        (1, 1, 1),
        (33, 33, 0),
        (109, 109, 109),
        (255, 255, 255),
    ] {
        let folder = Folder::new();
        let qemu = fake_program(&folder, "qemu", status);
        for (mode, expected) in [("run", of_run), ("test", of_test)] {
            let (output, said) = siso_image(&[mode, path(&file)], &[("QEMU", &qemu)]);
            assert_eq!(
                output.status.code(),
                Some(expected),
                "{mode} {status}: {said}"
            );
        }
    }
}

/// A kernel that switches the machine off has not failed; one that resets it has.
#[test]
fn switched_off_or_reset() {
    let file = kernel("power_off");
    let (output, said) = siso_image(&["run", path(&file)], &[]);
    assert!(output.status.success(), "{said}");
    let (output, said) = siso_image(&["run", path(&kernel("triple_fault"))], &[]);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("the machine was reset"), "{said}");
    assert!(said.contains("about to fault"), "{said}");
}
