//! The kernel's own ELF headers, which rust-lld puts into the first segment
//! of a kernel that it links without a script.

use core::slice;

#[repr(C)]
struct Header {
    before: [u8; 32],
    program_headers: u64,
    between: [u8; 16],
    program_header_count: u16,
    after: [u8; 6],
}

/// A program header.
#[repr(C)]
#[allow(missing_docs)]
pub struct ProgramHeader {
    pub kind: u32,
    pub flags: u32,
    pub offset: u64,
    pub virtual_address: u64,
    pub physical_address: u64,
    pub file_size: u64,
    pub mem_size: u64,
    pub align: u64,
}

/// A kind of program header: bytes to load.
pub const PT_LOAD: u32 = 1;
/// A kind of program header: the template of thread-local variables.
pub const PT_TLS: u32 = 7;
/// A flag of a segment: executable.
pub const PF_X: u32 = 1;
/// A flag of a segment: writable.
pub const PF_W: u32 = 2;

unsafe extern "C" {
    static __ehdr_start: Header;
}

/// All of them.
pub fn program_headers() -> &'static [ProgramHeader] {
    // SAFETY: the linker defines the symbol where the headers are loaded, and
    // the program headers are loaded with them.
    unsafe {
        let file = &raw const __ehdr_start;
        let table = file.byte_add((*file).program_headers as usize).cast();
        slice::from_raw_parts(table, (*file).program_header_count.into())
    }
}
