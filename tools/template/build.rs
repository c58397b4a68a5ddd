//! Links the kernel as `linker.ld` wants it.

fn main() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/linker.ld");
    println!("cargo::rerun-if-changed={script}");
    println!("cargo::rustc-link-arg=-T{script}");
    // The file is packed: the loader does not need it aligned to pages.
    println!("cargo::rustc-link-arg=--nmagic");
}
