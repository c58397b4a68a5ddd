//! Generates the payload: as many MiB as the package's name says.

#[path = "src/generator.rs"]
mod generator;

use generator::Words;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let name = env::var("CARGO_PKG_NAME").expect("Cargo sets it");
    let digits: String = name.chars().filter(char::is_ascii_digit).collect();
    let bytes = digits.parse::<usize>().expect("a size in MiB") << 20;
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("Cargo sets it"));
    let mut file = BufWriter::new(fs::File::create(out.join("payload"))?);
    for word in Words::new().take(bytes / size_of::<u64>()) {
        file.write_all(&word.to_le_bytes())?;
    }
    println!("cargo::rerun-if-env-changed=CARGO_PKG_NAME"); // and only if this script changes
    file.flush()
}
