//! The kernel is in the higher half, so that the address of its template has 64 bits.

fn main() {
    println!("cargo::rustc-link-arg-bins=--image-base=0xffffffff80000000");
}
