//! The tests of the image builder and the loader. They are one program, so that they
//! are linked once and run in parallel. `make test` builds the kernels that they boot.

mod adopt;
mod assembly;
mod boot;
mod clean_build; // takes longest; the tests start in the order of their names
mod common;
mod consoles;
mod damage;
mod docs;
mod drop_in;
mod elf_fuzz;
mod elf_rules;
mod examples;
mod external_kernel;
mod firmware;
mod flips;
mod forced;
mod gdb;
mod header;
mod images;
mod kernels;
mod machines;
mod makefile;
mod manifest;
mod media;
mod memory_maps;
mod modules;
mod paging;
mod runner;
mod runner_arguments;
mod runner_failures;
mod runner_screen;
mod runner_status;
mod tour;
mod usb;
mod why;
