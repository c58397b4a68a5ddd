//! What the page tables say about an address, and what is there.

use super::Guest;
use crate::layout::*;
use crate::recorder::cpu::Cpu;
use crate::recorder::paging::{LEVELS, PTE_P, Walk, walk};

impl Guest<'_> {
    /// Walks the page tables in this state.
    pub(super) fn walk(&mut self, cpu: &Cpu, address: u64) -> Walk {
        walk(cpu, address, |at| {
            let bytes = self.physical(at, 8)?;
            Some(u64::from_le_bytes(bytes.try_into().ok()?))
        })
    }

    /// Reads physical memory, up to the end of the page. The machine has stopped.
    pub(super) fn physical(&mut self, address: u64, count: usize) -> Option<Vec<u8>> {
        let machine = &mut self.recorder.machine;
        let page = address / PAGE_BYTES * PAGE_BYTES;
        let read = || machine.memory(page, PAGE_BYTES as usize).ok();
        let bytes = self.pages.entry(page).or_insert_with(read).as_ref()?;
        let rest = &bytes[(address - page) as usize..];
        Some(rest[..rest.len().min(count)].to_vec())
    }

    /// What is at an address, and what may be done there.
    pub(super) fn describe(&mut self, cpu: &Cpu, address: u64, image: &[u8]) -> String {
        let name = self.name(address, image);
        let walk = self.walk(cpu, address);
        let rights = match (walk.physical, walk.entries.last()) {
            (Some(_), _) => [
                if walk.writable {
                    "writable"
                } else {
                    "read-only"
                },
                if walk.executable {
                    "executable"
                } else {
                    "not executable"
                },
            ]
            .join(", "),
            (None, Some((at, entry))) if entry & PTE_P == 0 => format!(
                "not mapped (the {} entry at {at:#x} is not present)",
                LEVELS[walk.entries.len() - 1]
            ),
            _ => "not mapped (the page tables themselves are not in memory)".into(),
        };
        match name {
            Some(name) => format!("{rights}: {name}"),
            None => rights,
        }
    }

    /// What lies at an address, by the kernel's sections and the loader's contract.
    fn name(&self, address: u64, image: &[u8]) -> Option<String> {
        if let Some(section) = self.kernel.section(address) {
            return Some(format!("{section} of the kernel"));
        }
        // The ranges that the image builder put into the image's header.
        let range = |field: u64| {
            let at = (field - STAGE1_BASE) as usize;
            let number = |at: usize| {
                let bytes = image.get(at..at + 8)?.try_into().ok()?;
                Some(u64::from_le_bytes(bytes))
            };
            Some(number(at)?..=number(at + 8)?)
        };
        let guard = range(STACK_GUARD)?;
        let name = if address < PAGE_BYTES {
            "a null pointer: the first page is never mapped"
        } else if (*guard.start()..*guard.start() + PAGE_BYTES).contains(&address) {
            "the guard page below the stack: the stack is full"
        } else if guard.contains(&address) {
            "the stack"
        } else if range(INFO_ADDRESS)?.contains(&address) {
            "the boot info"
        } else if range(PHYSICAL_OFFSET)?.contains(&address) {
            "the window to physical memory"
        } else if address < ONE_MIB {
            "low memory"
        } else if (address as i64) >> 47 != 0 && (address as i64) >> 47 != -1 {
            "a non-canonical address"
        } else if (0xfec0_0000..0x1_0000_0000).contains(&address) {
            "the registers of a device: they are in the window to physical memory only"
        } else {
            return None;
        };
        Some(name.into())
    }
}
