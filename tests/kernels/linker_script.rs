//! The build script of every kernel that has its own `linker.ld`.

use std::env;
use std::path::PathBuf;

fn main() {
    let package = env::var_os("CARGO_MANIFEST_DIR").expect("Cargo sets it");
    let script = PathBuf::from(package).join("linker.ld");
    println!("cargo::rerun-if-changed={}", script.display());
    println!("cargo::rustc-link-arg-bins=-T{}", script.display());
}
