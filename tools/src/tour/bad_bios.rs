//! The BIOS that misbehaves on demand, from the tests: `tests/firmware/bad_bios.s`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// The bytes of a disk with this BIOS.
pub struct BadBios {
    /// The program, with its settings.
    pub bytes: Vec<u8>,
    symbols: BTreeMap<String, usize>,
}

impl BadBios {
    /// Assembles the program of this tree in a folder. It is a good BIOS at first.
    pub fn assemble(folder: &Path) -> Result<BadBios, String> {
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        BadBios::assemble_of(&top, folder)
    }

    /// The same from another copy of the tree.
    pub fn assemble_of(top: &Path, folder: &Path) -> Result<BadBios, String> {
        let source = top.join("tests/firmware/bad_bios.s");
        let (object, binary) = (folder.join("bios.o"), folder.join("bios"));
        run(Command::new("as")
            .arg("--64")
            .arg("-o")
            .arg(&object)
            .arg(source))?;
        run(Command::new("ld")
            .args(["-Ttext=0", "--oformat=binary", "-e", "start", "-o"])
            .args([&binary, &object]))?;
        let listing = run(Command::new("nm").arg("--extern-only").arg(&object))?;
        let symbol = |line: &str| {
            let mut words = line.split_whitespace();
            let address = usize::from_str_radix(words.next()?, 16).ok()?;
            Some((words.nth(1)?.to_string(), address))
        };
        Ok(BadBios {
            bytes: std::fs::read(&binary).map_err(|error| error.to_string())?,
            symbols: listing.lines().filter_map(symbol).collect(),
        })
    }

    /// Changes settings of 16 bits, such as `a20_closed` or `sectors_max=1`, with commas
    /// between them.
    pub fn set(&mut self, settings: &str) -> Result<(), String> {
        for setting in settings.split(',') {
            let (name, value) = setting.split_once('=').unwrap_or((setting, "1"));
            let number = match value.strip_prefix("0x") {
                Some(digits) => u16::from_str_radix(digits, 16).ok(),
                None => value.parse().ok(),
            };
            let value = number
                .ok_or_else(|| format!("BIOS={setting}: the value must be a number below 65536"))?;
            let at = *self.symbols.get(name).ok_or_else(|| {
                let names: Vec<&str> = self.symbols.keys().map(String::as_str).collect();
                format!("BIOS={setting}: the settings are {}", names.join(", "))
            })?;
            self.bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
        }
        Ok(())
    }

    /// Makes E820 report these entries: address, length, type, attributes.
    pub fn set_memory_map(&mut self, entries: &[(u64, u64, u32, u32)]) -> Result<(), String> {
        self.set(&format!("e820_mode=1,e820_count={}", entries.len()))?;
        let bytes = |&(base, length, kind, attributes): &(u64, u64, u32, u32)| {
            let range = [base.to_le_bytes(), length.to_le_bytes()].concat();
            let kind = [kind.to_le_bytes(), attributes.to_le_bytes()].concat();
            [range, kind].concat()
        };
        let table: Vec<u8> = entries.iter().flat_map(bytes).collect();
        let at = self.symbols["table"];
        self.bytes[at..][..table.len()].copy_from_slice(&table);
        Ok(())
    }
}

fn run(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into()),
        false => Err(format!(
            "{program}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
    }
}
