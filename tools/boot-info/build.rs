//! Tells `src/boot_info.rs` where the loader's constants are. In the loader's own
//! tree, they come from its assembly source; here they are a copy.

fn main() {
    println!("cargo::rerun-if-changed=src/layout.rs");
    let layout = concat!(env!("CARGO_MANIFEST_DIR"), "/src/layout.rs");
    println!("cargo::rustc-env=LOADER_LAYOUT={layout}");
}
