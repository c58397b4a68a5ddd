//! `siso-image size`: the used and free bytes of both stages.

use crate::layout;

/// The report.
pub fn table() -> String {
    let stage2 = layout::STAGE2_END - layout::STAGE2_BASE;
    let code = layout::STAGE1_END - layout::STAGE1_BASE;
    format!(
        "stage 1: {code:5} bytes of code and data, {:4} free\n\
         stage 2: {:5} bytes of code and data, {:4} free; messages take {} of them\n\
         on disk: {:5} bytes of at most {}\n",
        layout::DISK_SIGNATURE - code,
        layout::MESSAGES_END - layout::STAGE2_BASE,
        layout::LOADER_END - layout::MESSAGES_END,
        layout::MESSAGES_END - layout::MESSAGES_BASE,
        layout::SECTOR_BYTES + stage2,
        layout::LOADER_BYTES
    )
}
