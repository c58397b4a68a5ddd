//! Links the kernel with `linker.ld`.

fn main() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/linker.ld");
    println!("cargo::rerun-if-changed={script}");
    println!("cargo::rustc-link-arg=-T{script}");
    // Do not pad the file: the loader does not need page-aligned segments in it.
    println!("cargo::rustc-link-arg=--nmagic");
}
