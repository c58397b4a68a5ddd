//! Labs: the project's own loader with a hole, and the grader that boots what a student
//! writes into it.
//!
//! A lab is a folder of `docs/labs`; [`lab`] reads it and cuts the hole out of the real
//! source, so a lab cannot go stale. [`student`] makes the student's folder, and reads
//! the file back, which is not trusted. [`grade`] assembles it with the rest of the loader
//! and boots it: [`guest`] runs a machine, [`state`] is what a routine leaves behind,
//! compared with what the project's own routine leaves on the same machine, and [`place`]
//! finds the student's line. [`report`] is what is printed. A boot sector of their
//! own is a [`sector`]; some labs are an image with a [`bug`]. A module of the kernel is built in a
//! [`package`], and seen on the [`screen`]. A check on Bochs is [`strict`]. [`handout`] makes a student's copy of all this
//! without the solutions.

pub mod bug;
pub mod grade;
pub mod guest;
pub mod handout;
pub mod lab;
pub mod package;
pub mod place;
pub mod report;
pub mod screen;
pub mod sector;
pub mod state;
pub mod strict;
pub mod student;
