//! What the programs of this package share: `bench`, which measures, and `coverage`,
//! which shows what the tests of the loader leave out.

pub mod coverage;
pub mod plugin;
pub mod points;
pub mod tools;
