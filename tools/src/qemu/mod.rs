//! QEMU: the one place that starts it, and looks at a guest as a user would: the
//! screen, the serial line, and whether the kernel has halted.

pub mod arguments;
mod echo;
mod halt;
mod idle_loop;
mod launch;
mod machine;
mod monitor;
mod process;
mod screen;

pub use echo::{Echo, Seen};
pub use halt::{EFER_LMA, Failure, RESET, RFLAGS_IF, UNCHANGED_WAITING, loader_error};
pub use launch::{IMAGE, Launch, disk};
pub use machine::Machine;
pub use process::{Scratch, command, escaped, not_started, program};
pub use screen::{COLUMNS, ROWS, Screen};
