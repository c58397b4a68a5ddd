//! Boots a disk image in Bochs and reads its text memory.

use super::LONG;
use siso_image::bochs;
use siso_image::qemu::Screen;
use std::path::Path;

/// The output of a run in Bochs.
pub struct Seen {
    pub screen: Screen,
    pub serial: String,
}

/// Boots the image until `done` is true of the serial line's output. `options`
/// are more lines of Bochs's configuration, such as another CPU.
pub fn boot(image: &Path, options: &str, done: impl Fn(&str) -> bool) -> Seen {
    let seen = bochs::boot(image, options, LONG, done);
    let seen = seen.expect("Bochs starts; `make doctor` shows how to install it");
    Seen {
        screen: seen
            .screen
            .unwrap_or_else(|| panic!("Bochs has ended: {}{}", seen.serial, seen.log)),
        serial: seen.serial,
    }
}
