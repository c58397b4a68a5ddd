//! The tests of the image builder and the loader. They are one program, so that they
//! are linked once and run in parallel. `make test` builds the kernels that they boot.

mod assembly;
mod boot;
mod builder;
mod common;
mod consoles;
mod damage;
mod docs;
mod elf_fuzz;
mod examples;
mod external_kernel;
mod firmware;
mod flips;
mod gdb;
mod header;
mod kernels;
mod machines;
mod makefile;
mod media;
mod modules;
mod paging;
mod reproducible;
mod runner;
mod usb;
