//! QEMU: the one place that starts it, and looks at a guest as a user would: the
//! screen, the serial line, and whether the kernel has halted.

mod halt;
mod machine;
mod monitor;
mod process;
mod screen;

pub use halt::{Failure, RESET};
pub use machine::Machine;
pub use process::{Scratch, command, disk, escaped, not_started, program};
pub use screen::{COLUMNS, ROWS, Screen};
