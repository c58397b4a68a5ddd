//! QEMU with the plugin `coverage.c`, for tests that start `$QEMU`.

use crate::tools;
use siso_image::qemu;
use std::path::Path;
use std::process::Command;

/// The plugin's source.
pub const PLUGIN: &str = include_str!("../coverage.c");

/// Whether QEMU was built with support for plugins.
pub fn has_plugins() -> Result<bool, String> {
    let help = tools::run(qemu::command().arg("--help"))?;
    Ok(help.lines().any(|line| line.starts_with("-plugin ")))
}

/// Writes a program that starts QEMU with the plugin, except under KVM, which does
/// not translate the guest's code; where a test runs a damaged loader, which may go where
/// the good one never does; and for a recording, which repeats another boot.
pub fn wrap(wrapper: &Path, plugin: &Path, seen: &Path) -> Result<(), String> {
    let script = format!(
        "#!/bin/sh\ncase \" $* \" in\n\
         *' -enable-kvm '* | *' -name damaged '* | *' -icount '*) exec {qemu} \"$@\" ;;\nesac\n\
         exec {qemu} -plugin '{plugin},out={seen}' \"$@\"\n",
        qemu = qemu::program(),
        plugin = plugin.display(),
        seen = seen.display(),
    );
    tools::write(wrapper, script.as_bytes())?;
    tools::run(Command::new("chmod").arg("+x").arg(wrapper)).map(drop)
}
