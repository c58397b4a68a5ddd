//! The reduced ELF: what is stored on the disk.

use super::Kernel;
use super::format::*;
use crate::{SECTOR, sectors};

impl Kernel<'_> {
    /// The reduced ELF, and the number of sectors of its headers. It has only
    /// what the loader reads, in whole sectors: headers, segments, and boot
    /// modules. Each module is given with the type of its program header.
    pub fn reduced(&self, modules: &[(u64, &[u8])]) -> (Vec<u8>, usize) {
        let count = self.segments.len() + modules.len() + usize::from(self.tls.is_some());
        let header_bytes = E_BYTES as usize + count * P_BYTES as usize;
        let header_sectors = sectors(header_bytes);

        let mut file = Vec::new();
        file.extend([0x7f, b'E', b'L', b'F', 2, 1, 1, 0]);
        file.extend([0; 8]);
        file.extend(ET_EXEC.to_le_bytes());
        file.extend(EM_X86_64.to_le_bytes());
        file.extend(1u32.to_le_bytes());
        file.extend(self.entry.to_le_bytes());
        file.extend(E_BYTES.to_le_bytes());
        file.extend(0u64.to_le_bytes()); // no section headers
        file.extend(0u32.to_le_bytes());
        for field in [E_BYTES as u16, P_BYTES as u16, count as u16, 0, 0, 0] {
            file.extend(field.to_le_bytes());
        }

        let mut offset = (header_sectors * SECTOR) as u64;
        let mut tls = self.tls;
        for Segment { header, .. } in &self.segments {
            if let Some(tls) = &mut tls
                && (header.vaddr..=header.last()).contains(&tls.vaddr)
            {
                tls.offset = offset + (tls.vaddr - header.vaddr);
            }
            push_header(&mut file, PT_LOAD, &Header { offset, ..*header });
            offset += (sectors(header.filesz as usize) * SECTOR) as u64;
        }
        for (kind, bytes) in modules {
            let header = Header {
                flags: 0,
                offset,
                vaddr: 0,
                paddr: 0,
                filesz: bytes.len() as u64,
                memsz: bytes.len() as u64,
            };
            push_header(&mut file, *kind as u32, &header);
            offset += (sectors(bytes.len()) * SECTOR) as u64;
        }
        if let Some(tls) = &tls {
            push_header(&mut file, PT_TLS, tls);
        }
        file.resize(header_sectors * SECTOR, 0);
        let segments = self.segments.iter().map(|segment| &*segment.bytes);
        for bytes in segments.chain(modules.iter().map(|(_, bytes)| *bytes)) {
            file.extend(bytes);
            file.resize(sectors(file.len()) * SECTOR, 0);
        }
        (file, header_sectors)
    }
}

fn push_header(file: &mut Vec<u8>, kind: u32, header: &Header) {
    file.extend(kind.to_le_bytes());
    file.extend(header.flags.to_le_bytes());
    for field in [
        header.offset,
        header.vaddr,
        header.paddr,
        header.filesz,
        header.memsz,
        1,
    ] {
        file.extend(field.to_le_bytes());
    }
}
