//! Requests in a kernel's manifest: impossible ones are refused with one line.

use crate::common::{Folder, field, kernel, path, siso_image};
use siso_image::layout::{MAX_FRAME, PAGE_BYTES};
use std::fs;

/// Impossible requests in a manifest are refused.
#[test]
fn impossible_address_spaces() {
    let folder = Folder::new();
    let file = |name: &str| folder.0.join(name);
    fs::create_dir(file("src")).expect("a folder can be made");
    fs::write(file("src/main.rs"), "").expect("a file can be written");
    let image = file("image");
    let kernel = kernel("release/siso_os");
    let build = |keys: &str| {
        let package = format!("[package]\nname = \"a\"\n[package.metadata.bootloader]\n{keys}\n");
        fs::write(file("Cargo.toml"), package).expect("a file can be written");
        let manifest = file("Cargo.toml");
        let arguments = ["--manifest", path(&manifest), "-o", path(&image)];
        siso_image(&[&["build", path(&kernel)], &arguments[..]].concat())
    };
    for (keys, words) in [
        (
            "kernel-stack-size = 0",
            "kernel-stack-size: must be a number of pages",
        ),
        (
            "kernel-stack-size = 300000",
            "a stack of 300000 pages is too large; the maximum is 262144",
        ),
        (
            "stack = 1",
            "[package.metadata.bootloader] stack: unknown key",
        ),
        (
            "\"two\\nlines\" = 1",
            "[package.metadata.bootloader] two\\nlines: unknown key\n",
        ),
        (
            "boot-info-address = \"0x10000000800\"",
            "is not a multiple of 0x1000",
        ),
        (
            "physical-memory-offset = \"0xffff800000001000\"",
            "is not a multiple of 0x200000",
        ),
        (
            "physical-memory-offset = \"0xffffffff80000000\"",
            "not within the canonical addresses",
        ),
        (
            "kernel-stack-address = \"0x7fffffffe000\"",
            "not within the canonical addresses",
        ),
        ("boot-info-address = \"0xff000\"", "overlaps the first MiB"),
        (
            "boot-info-address = \"0x200000\"",
            "overlaps a segment of the kernel",
        ),
        (
            "kernel-stack-address = \"0x18000000000\"\nphysical-memory-offset = \"0x18000000000\"",
            "overlaps the stack",
        ),
        ("this is not TOML", "Cargo.toml"),
    ] {
        let output = build(keys);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{keys}: {said}");
        assert!(said.contains(words), "'{words}' is not in: {said}");
        assert!(!image.exists(), "{keys}");
    }
    let output = build("kernel-stack-size = 2");
    assert!(output.status.success() && image.exists(), "{output:?}");
}

/// At the end of the lower half there is room for 1 TiB, whatever is in the upper
/// half.
#[test]
fn physical_memory_ends_with_its_half() {
    let folder = Folder::new();
    let (manifest, image) = (folder.0.join("Cargo.toml"), folder.0.join("image"));
    let keys = "[package]\nname = \"a\"\n[package.metadata.bootloader]\n\
                physical-memory-offset = \"0x7f0000000000\"\n";
    fs::write(&manifest, keys).expect("a file can be written");
    fs::create_dir(folder.0.join("src")).expect("a folder can be created");
    fs::write(folder.0.join("src/main.rs"), "").expect("a file can be written");
    for name in ["seed", "higher_half"] {
        let kernel = kernel(name);
        let arguments = ["--manifest", path(&manifest), "-o", path(&image)];
        let output = siso_image(&[&["build", path(&kernel)], &arguments[..]].concat());
        assert!(output.status.success(), "{name}: {output:?}");
        let bytes = fs::read(&image).expect("the image exists");
        let frames = field(&bytes, MAX_FRAME) as u64;
        assert_eq!(frames * PAGE_BYTES, 1 << 40, "{name}");
    }
}
