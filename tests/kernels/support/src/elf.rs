//! The kernel's own ELF headers. rust-lld puts them into the first segment when
//! it links without a linker script.

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

/// Kind of program header: a segment to load.
pub const PT_LOAD: u32 = 1;
/// Kind of program header: the template of thread-local storage.
pub const PT_TLS: u32 = 7;
/// Segment flag: executable.
pub const PF_X: u32 = 1;
/// Segment flag: writable.
pub const PF_W: u32 = 2;

unsafe extern "C" {
    static __ehdr_start: Header;
}

/// All program headers.
pub fn program_headers() -> &'static [ProgramHeader] {
    // SAFETY: the linker defines the symbol at the loaded ELF header, and the
    // program headers are loaded with it.
    unsafe {
        let file = &raw const __ehdr_start;
        let table = file.byte_add((*file).program_headers as usize).cast();
        slice::from_raw_parts(table, (*file).program_header_count.into())
    }
}
