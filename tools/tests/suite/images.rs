//! The image builder's output: where it may be written, and what other tools make of
//! it.

use crate::common::{Folder, image, kernel, path, plain, siso_image};
use siso_image::elf::Kernel;
use siso_image::layout::CHUNK_SECTORS;
use siso_image::{LOADER, SECTOR};
use std::fs;
use std::process::Command;

#[test]
fn outputs_that_cannot_be_written() {
    let folder = Folder::new();
    let elf = kernel("release/siso_os");
    for output in [
        folder.0.join("no/such/folder.img"),
        folder.0.clone(),
        "/".into(),
    ] {
        let output = siso_image(&["build", path(&elf), "-o", path(&output)]);
        let said = String::from_utf8(output.stderr).expect("the message is UTF-8");
        assert_eq!(
            (output.status.code(), said.lines().count()),
            (Some(1), 1),
            "{said}"
        );
    }
    let missing = siso_image(&["build", "no-such-kernel", "-o", path(&folder.0.join("x"))]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("no-such-kernel"));
}

/// Symbolic links are followed; devices are refused.
#[test]
fn outputs_that_are_links_or_devices() {
    let folder = Folder::new();
    let (file, link) = (folder.0.join("image"), folder.0.join("link"));
    fs::write(&file, "old").expect("a file can be written");
    std::os::unix::fs::symlink(&file, &link).expect("a link can be made");
    let elf = kernel("release/siso_os");
    assert!(
        siso_image(&["build", path(&elf), "-o", path(&link)])
            .status
            .success()
    );
    assert_eq!(
        fs::read(&file).expect("the image exists"),
        image("release/siso_os")
    );
    assert!(link.is_symlink());
    let output = siso_image(&["build", path(&elf), "-o", "/dev/null"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("is not a regular file"));
}

/// Every sector that is read is at the start of the image; the rest is padding.
#[test]
fn used_sectors_come_first() {
    let file = fs::read(kernel("release/siso_os")).expect("the kernel can be read");
    let image = plain(&Kernel::parse(&file, false).expect("the kernel is valid"));
    assert!(image.fits_floppy());
    assert!(
        image.bytes[image.used_sectors * SECTOR..]
            .iter()
            .all(|&byte| byte == 0)
    );
    assert!(image.used_sectors < CHUNK_SECTORS as usize);
    assert!(image.bytes.starts_with(&LOADER[..3]));

    let large = fs::read(kernel("payload_16m")).expect("the kernel can be read");
    let large = plain(&Kernel::parse(&large, false).expect("the kernel is valid"));
    assert!(!large.fits_floppy());
}

/// Other tools can read the reduced ELF.
#[test]
fn the_stored_kernel_is_an_elf_file() {
    let folder = Folder::new();
    let file = fs::read(kernel("dev/siso_os")).expect("the kernel can be read");
    let (elf, _) = Kernel::parse(&file, false)
        .expect("the kernel is valid")
        .reduced(&[]);
    let reduced = folder.0.join("reduced.elf");
    fs::write(&reduced, &elf).expect("a file can be written");
    let output = Command::new("readelf")
        .arg("-hlW")
        .arg(&reduced)
        .output()
        .expect("readelf starts");
    assert!(output.status.success());
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "",
        "readelf prints no warnings"
    );
    let again = Kernel::parse(&elf, false).expect("the reduced kernel is valid");
    assert_eq!(again.reduced(&[]).0, elf);
}

#[test]
fn the_partition_table_is_valid() {
    for name in ["release/siso_os", "payload_16m"] {
        let disk = crate::common::Disk::new(&image(name));
        let output = Command::new("sfdisk")
            .arg("--verify")
            .arg(&disk.path)
            .output();
        let output = output.expect("sfdisk starts; `make doctor` shows how to install it");
        let said = String::from_utf8_lossy(&output.stderr).into_owned()
            + &String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.contains("No errors detected"),
            "{said}"
        );
        assert!(!said.contains("arning"), "{said}");
    }
}
