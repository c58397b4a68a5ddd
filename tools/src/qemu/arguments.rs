//! What a user's arguments for QEMU set up, so that this program adds nothing of
//! the same kind. Source: QEMU documentation, "Invocation".

/// A kind of argument that this program adds, unless the user gives one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Where the screen is shown.
    Display,
    /// The serial line COM1; or the terminal is in use, which would be its place.
    Serial,
    /// The device through which a kernel exits QEMU.
    ExitDevice,
    /// What a reset of the machine does.
    Reset,
    /// QEMU's log.
    Log,
    /// QEMU's monitor.
    Monitor,
    /// A debugger's connection.
    Debugger,
}

/// Whether one of the arguments is of this kind.
pub fn has(arguments: &[impl AsRef<str>], kind: Kind) -> bool {
    options(arguments).any(|(name, value)| match kind {
        Kind::Display => matches!(
            name,
            "display" | "nographic" | "vnc" | "spice" | "sdl" | "curses"
        ),
        Kind::Serial => {
            matches!(name, "serial" | "nographic")
                || name == "device" && value.starts_with("isa-serial")
                || on_terminal(name, value)
        }
        Kind::ExitDevice => name == "device" && value.contains("isa-debug-exit"),
        Kind::Reset => name == "no-reboot" || name == "action" && value.contains("reboot="),
        Kind::Log => matches!(name, "d" | "D"),
        Kind::Monitor => matches!(name, "monitor" | "mon" | "qmp" | "qmp-pretty"),
        Kind::Debugger => matches!(name, "s" | "S" | "gdb"),
    })
}

/// Whether the user looks at the machine by other means than its standard output:
/// a display, a monitor, a debugger, or a serial line that leads elsewhere.
pub fn watched_elsewhere(arguments: &[impl AsRef<str>]) -> bool {
    let elsewhere = |(name, value): (&str, &str)| match name {
        "display" => value != "none",
        "vnc" | "spice" | "sdl" | "curses" => true,
        "serial" => {
            let chardev = value.strip_prefix("chardev:");
            !matches!(value, "none" | "null")
                && !on_terminal(name, value)
                && !chardev.is_some_and(|id| is_terminal(arguments, id))
        }
        _ => false,
    };
    options(arguments).any(elsewhere)
        || has(arguments, Kind::Monitor)
        || has(arguments, Kind::Debugger)
}

/// Whether the character device with this name is QEMU's terminal.
fn is_terminal(arguments: &[impl AsRef<str>], id: &str) -> bool {
    options(arguments).any(|(name, value)| {
        name == "chardev"
            && on_terminal(name, value)
            && value
                .split(',')
                .any(|part| part.strip_prefix("id=") == Some(id))
    })
}

/// Whether this option uses QEMU's standard input and output, which only one can.
fn on_terminal(name: &str, value: &str) -> bool {
    const WITH_DEVICE: [&str; 8] = [
        "serial",
        "parallel",
        "monitor",
        "qmp",
        "qmp-pretty",
        "debugcon",
        "chardev",
        "gdb",
    ];
    let device = value.split(',').next().unwrap_or_default();
    let device = device.strip_prefix("mon:").unwrap_or(device);
    WITH_DEVICE.contains(&name) && device.strip_prefix("backend=").unwrap_or(device) == "stdio"
}

/// The options, which begin with one or two dashes, each with the argument after
/// it, which is its value if it takes one.
fn options(arguments: &[impl AsRef<str>]) -> impl Iterator<Item = (&str, &str)> {
    let all = || arguments.iter().map(AsRef::as_ref);
    let values = all().skip(1).chain([""]);
    all().zip(values).filter_map(|(option, value)| {
        let name = option.strip_prefix('-')?;
        Some((name.strip_prefix('-').unwrap_or(name), value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(arguments: &str) -> Vec<&str> {
        arguments.split(' ').collect()
    }

    #[test]
    fn kinds() {
        use Kind::*;
        for (arguments, expected) in [
            ("-m 64 -cpu max -machine q35", &[][..]),
            ("-display none", &[Display]),
            ("--display=none -display none", &[Display]),
            ("-vnc :1", &[Display]),
            ("-nographic", &[Display, Serial]),
            ("-serial file:x", &[Serial]),
            ("--serial file:x", &[Serial]),
            ("-chardev stdio,id=a", &[Serial]),
            ("-chardev backend=stdio,id=a", &[Serial]),
            ("-device isa-serial,chardev=a", &[Serial]),
            ("-monitor stdio", &[Serial, Monitor]),
            ("-debugcon stdio", &[Serial]),
            ("-chardev file,id=a,path=stdio -name stdio", &[]),
            ("-device isa-debug-exit,iobase=0x501", &[ExitDevice]),
            ("-device {\"driver\":\"isa-debug-exit\"}", &[ExitDevice]),
            ("-no-reboot", &[Reset]),
            ("-action reboot=reset", &[Reset]),
            ("-action panic=none", &[]),
            ("-d int -D log", &[Log]),
            ("-S -gdb tcp::1234", &[Debugger]),
            ("-qmp unix:x,server=on", &[Monitor]),
        ] {
            for kind in [Display, Serial, ExitDevice, Reset, Log, Monitor, Debugger] {
                let seen = has(&words(arguments), kind);
                assert_eq!(seen, expected.contains(&kind), "{arguments}: {kind:?}");
            }
        }
    }

    #[test]
    fn watchers() {
        for (arguments, expected) in [
            ("-m 64", false),
            ("-display none", false),
            ("-nographic", false),
            ("-serial stdio", false),
            ("-serial mon:stdio", false),
            ("-serial null", false),
            ("-chardev stdio,id=a -serial chardev:a", false),
            ("-chardev pty,id=a -serial chardev:a", true),
            ("-serial file:x", true),
            ("-serial stdio -serial tcp::4000", true),
            ("-display vnc=:0", true),
            ("-vnc :1", true),
            ("-monitor stdio", true),
            ("-s", true),
        ] {
            let seen = watched_elsewhere(&words(arguments));
            assert_eq!(seen, expected, "{arguments}");
        }
    }
}
