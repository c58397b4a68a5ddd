//! What the user is told and asked.

use super::disk::Disk;
use super::human;
use std::io::{self, BufRead, IsTerminal, Write, stdin, stdout};

impl Disk {
    pub fn describe(&self, image: u64, clear_backup: bool) -> String {
        let read = |name| self.whole.read(name);
        let names = match read("device/model") {
            model if !model.is_empty() => vec![read("device/vendor"), model],
            _ => vec![read("device/name"), read("loop/backing_file")],
        };
        let mut text = format!("/dev/{}: ", self.whole.name());
        for name in names.iter().filter(|name| !name.is_empty()) {
            text += &format!("{name}, ");
        }
        text += &human(self.whole.bytes());
        text += &format!(
            "\nIts partition table and its first {} will be overwritten.",
            human(image)
        );
        if self.partitions.is_empty() {
            text += " Linux sees no partitions on it.";
        }
        for partition in &self.partitions {
            let size = human(partition.bytes());
            text += &format!("\n  {} will be lost: {size}", partition.name());
        }
        if clear_backup {
            text += "\nThe backup GPT in its last sector will be cleared, because \
                     systems may restore the partition table from it.";
        }
        text
    }

    /// Asks the user for confirmation. The end of input means no.
    pub fn confirmed(&self) -> io::Result<bool> {
        let device = format!("/dev/{}", self.whole.name());
        let removable = self.whole.read("removable") == "1";
        if removable {
            print!("Write to it? [y/N] ");
        } else {
            print!("This is not a removable disk. To write to it, type {device}: ");
        }
        stdout().flush()?;
        let mut answer = String::new();
        stdin().lock().read_line(&mut answer)?;
        if !stdin().is_terminal() {
            println!();
        }
        let answer = answer.trim();
        Ok(if removable {
            ["y", "yes"].contains(&answer.to_lowercase().as_str())
        } else {
            answer == device
        })
    }
}
