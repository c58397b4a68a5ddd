//! The BIOS that misbehaves on demand, from the tests: `tests/firmware/bad_bios.s`.

use std::path::Path;
use std::process::Command;

/// Assembles the program in a folder, with a setting such as `a20_closed` or
/// `sectors_max=1`; returns the bytes of its disk.
pub fn assemble(setting: &str, folder: &Path) -> Result<Vec<u8>, String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/firmware/bad_bios.s");
    let (object, binary) = (folder.join("bios.o"), folder.join("bios"));
    run(Command::new("as")
        .arg("--64")
        .arg("-o")
        .arg(&object)
        .arg(source))?;
    run(Command::new("ld")
        .args(["-Ttext=0", "--oformat=binary", "-e", "start", "-o"])
        .args([&binary, &object]))?;
    let symbols = run(Command::new("nm").arg("--extern-only").arg(&object))?;
    let mut bytes = std::fs::read(&binary).map_err(|error| error.to_string())?;
    let (name, value) = setting.split_once('=').unwrap_or((setting, "1"));
    let value: u16 = value
        .parse()
        .map_err(|_| format!("BIOS={setting}: the value must be a number below 65536"))?;
    let mut names = Vec::new();
    for line in symbols.lines() {
        let [address, _, symbol] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            continue;
        };
        if symbol == name {
            let at = usize::from_str_radix(address, 16).map_err(|error| error.to_string())?;
            bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
            return Ok(bytes);
        }
        names.push(symbol);
    }
    Err(format!(
        "BIOS={setting}: the settings are {}",
        names.join(", ")
    ))
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
