//! Finds the source line and the function of an address, from the debug information
//! of an ELF file.

use addr2line::gimli::{
    BaseAddresses, CfaRule, DebugFrame, Dwarf, EndianSlice, LittleEndian, RegisterRule, Section,
    SectionId, UnwindContext, UnwindSection,
};
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};
use std::ops::RangeInclusive;
use std::path::Path;

/// A place in the sources.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub struct Place {
    pub file: String,
    pub line: u32,
}

/// How to find the caller of a function at one of its instructions. Registers are
/// indexes of [`super::cpu::REGISTERS`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unwind {
    /// The canonical frame address: a register and an offset. The return address is 8
    /// bytes below it.
    pub cfa: (usize, i64),
    /// How to find what registers held in the caller.
    pub saved: Vec<(usize, Rule)>,
}

/// Where the caller's value of a register is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// At this offset from the canonical frame address.
    At(i64),
}

/// The debug information of an ELF file.
pub struct Symbols<'elf> {
    context: Option<addr2line::Context<EndianSlice<'elf, LittleEndian>>>,
    functions: Vec<(u64, u64, String)>,
    sections: Vec<(u64, &'elf [u8])>,
    code: Vec<RangeInclusive<u64>>,
    /// Address, size, and name of each section that is in memory.
    names: Vec<(u64, u64, String)>,
    frame: DebugFrame<EndianSlice<'elf, LittleEndian>>,
}

impl<'elf> Symbols<'elf> {
    /// Reads an ELF file. One without debug information has no places.
    pub fn read(elf: &'elf [u8]) -> Result<Self, String> {
        let file = object::File::parse(elf).map_err(|error| error.to_string())?;
        let load = |id: SectionId| -> Result<_, String> {
            let data = match file.section_by_name(id.name()) {
                Some(section) => section.data().map_err(|error| error.to_string())?,
                None => &[],
            };
            Ok(EndianSlice::new(data, LittleEndian))
        };
        let dwarf = Dwarf::load(load)?;
        let mut functions: Vec<(u64, u64, String)> = file
            .symbols()
            .filter(|symbol| {
                matches!(
                    symbol.kind(),
                    SymbolKind::Text | SymbolKind::Label | SymbolKind::Unknown
                ) && !symbol.is_undefined()
                    && symbol.section_index().is_some()
            })
            .filter_map(|symbol| {
                let name = symbol.name().ok()?;
                let name = addr2line::demangle_auto(name.into(), None).into_owned();
                (!name.is_empty()).then_some((symbol.address(), symbol.size(), name))
            })
            .collect();
        functions.sort();
        let mut sections = Vec::new();
        let mut code = Vec::new();
        for segment in object::read::elf::ElfFile64::<object::LittleEndian>::parse(elf)
            .map_err(|error| error.to_string())?
            .elf_program_headers()
        {
            use object::read::elf::ProgramHeader;
            if segment.p_type(object::LittleEndian) != object::elf::PT_LOAD {
                continue;
            }
            let address = segment.p_vaddr(object::LittleEndian);
            let size = segment.p_memsz(object::LittleEndian);
            let bytes = segment
                .data(object::LittleEndian, elf)
                .map_err(|()| "a segment is not in the file".to_string())?;
            sections.push((address, bytes));
            if segment.p_flags(object::LittleEndian) & object::elf::PF_X != 0 && size > 0 {
                code.push(address..=address + (size - 1));
            }
        }
        Ok(Symbols {
            context: addr2line::Context::from_dwarf(dwarf).ok(),
            functions,
            sections,
            code,
            names: file
                .sections()
                .filter(|section| section.address() != 0 && section.size() > 0)
                .filter_map(|section| {
                    Some((
                        section.address(),
                        section.size(),
                        section.name().ok()?.into(),
                    ))
                })
                .collect(),
            frame: DebugFrame::load(load)?,
        })
    }

    /// The ranges of addresses that can be executed.
    pub fn code(&self) -> &[RangeInclusive<u64>] {
        &self.code
    }

    /// Whether an address can be executed.
    pub fn has(&self, address: u64) -> bool {
        self.code.iter().any(|range| range.contains(&address))
    }

    /// Up to `count` bytes at an address, as they are in the file.
    pub fn bytes(&self, address: u64, count: usize) -> &[u8] {
        for (start, bytes) in &self.sections {
            let offset = address.wrapping_sub(*start);
            if offset < bytes.len() as u64 {
                let rest = &bytes[offset as usize..];
                return &rest[..rest.len().min(count)];
            }
        }
        &[]
    }

    /// The source line of an address: the innermost one, where functions were
    /// inlined.
    pub fn place(&self, address: u64) -> Option<Place> {
        let context = self.context.as_ref()?;
        let location = context.find_location(address).ok()??;
        Some(Place {
            file: location.file?.into(),
            line: location.line?,
        })
    }

    /// The code of each line of a file, in the order of the addresses: address, bytes, line.
    /// `file` is the end of its path.
    pub fn lines(&self, file: &str) -> Vec<(u64, u64, u32)> {
        let Some(Ok(rows)) = self
            .context
            .as_ref()
            .map(|context| context.find_location_range(0, u64::MAX))
        else {
            return Vec::new();
        };
        let is_it = |path: &str| Path::new(path).ends_with(file);
        rows.filter_map(|(address, size, row)| {
            row.file.is_some_and(is_it).then_some(())?;
            Some((address, size, row.line?))
        })
        .collect()
    }

    /// The functions at an address, from the innermost inlined one outwards, with the
    /// place in each.
    pub fn frames(&self, address: u64) -> Vec<(String, Option<Place>)> {
        let mut frames = Vec::new();
        if let Some(context) = &self.context
            && let Ok(mut iterator) = context.find_frames(address).skip_all_loads()
        {
            while let Ok(Some(frame)) = iterator.next() {
                let name = frame.function.as_ref().and_then(|function| {
                    let name = function.demangle().ok()?;
                    Some(name.into_owned())
                });
                let place = frame.location.and_then(|location| {
                    Some(Place {
                        file: location.file?.into(),
                        line: location.line?,
                    })
                });
                if let Some(name) = name {
                    frames.push((name, place));
                }
            }
        }
        if frames.is_empty()
            && let Some(name) = self.function(address)
        {
            frames.push((name, None));
        }
        frames
    }

    /// The symbol at or before an address, with the distance.
    pub fn function(&self, address: u64) -> Option<String> {
        if !self.has(address) {
            return None;
        }
        let after = self
            .functions
            .partition_point(|(start, _, _)| *start <= address);
        // Labels inside of a function come after it: prefer one with a size.
        let (start, _, name) =
            self.functions[..after]
                .iter()
                .rev()
                .find(|(start, size, name)| {
                    self.has(*start)
                        && (*size == 0 || address - start < *size)
                        && !name.starts_with('.')
                })?;
        Some(match address - start {
            0 => name.clone(),
            distance => format!("{name}+{distance:#x}"),
        })
    }

    /// The section at an address.
    pub fn section(&self, address: u64) -> Option<&str> {
        let mut names = self.names.iter();
        let found = names.find(|(start, size, _)| address.wrapping_sub(*start) < *size);
        found.map(|(_, _, name)| name.as_str())
    }

    /// How to find the caller, by the table `.debug_frame`.
    pub fn unwind(&self, address: u64) -> Option<Unwind> {
        // The numbers of registers in DWARF: System V ABI for x86-64, figure 3.36.
        const NUMBERS: [usize; 16] = [0, 2, 1, 3, 6, 7, 5, 4, 8, 9, 10, 11, 12, 13, 14, 15];
        let mut context = UnwindContext::new();
        let row = self.frame.unwind_info_for_address(
            &BaseAddresses::default(),
            &mut context,
            address,
            DebugFrame::cie_from_offset,
        );
        let row = row.ok()?;
        let CfaRule::RegisterAndOffset { register, offset } = row.cfa() else {
            return None;
        };
        let saved = row.registers().filter_map(|(register, rule)| match rule {
            RegisterRule::Offset(offset) => {
                let index = NUMBERS.get(usize::from(register.0))?;
                Some((*index, Rule::At(*offset)))
            }
            _ => None,
        });
        Some(Unwind {
            cfa: (*NUMBERS.get(usize::from(register.0))?, *offset),
            saved: saved.collect(),
        })
    }

    /// The address of a symbol.
    pub fn address(&self, name: &str) -> Option<u64> {
        let mut all = self.functions.iter();
        all.find(|(_, _, symbol)| symbol == name)
            .map(|(address, _, _)| *address)
    }
}
