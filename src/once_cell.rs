//! A cell that can be set only once, like `OnceLock` in `std`.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU8, Ordering};

/// A cell for a value that is known only at run time.
pub struct OnceCell<T> {
    state: AtomicU8,
    value: UnsafeCell<Option<T>>,
}

const EMPTY: u8 = 0;
const BEING_SET: u8 = 1;
const SET: u8 = 2;

// SAFETY: only the call of `set` that finds the cell empty writes the value, and
// `get` does not read it until the write is complete.
unsafe impl<T: Send + Sync> Sync for OnceCell<T> {}

impl<T: Copy> OnceCell<T> {
    /// Creates an empty cell.
    pub const fn new() -> Self {
        OnceCell {
            state: AtomicU8::new(EMPTY),
            value: UnsafeCell::new(None),
        }
    }

    /// Sets the value. Panics if there is already one.
    pub fn set(&self, value: T) {
        let claimed =
            self.state
                .compare_exchange(EMPTY, BEING_SET, Ordering::Relaxed, Ordering::Relaxed);
        assert!(claimed.is_ok(), "the cell is already set");
        // SAFETY: this call changed the state from EMPTY, so no other call
        // writes, and `get` does not read before the state is SET.
        unsafe { *self.value.get() = Some(value) }
        self.state.store(SET, Ordering::Release);
    }

    /// The value, if there is one.
    pub fn get(&self) -> Option<T> {
        if self.state.load(Ordering::Acquire) != SET {
            return None;
        }
        // SAFETY: the cell is set, so nothing writes to it any more.
        unsafe { *self.value.get() }
    }
}

#[cfg(test)]
mod tests {
    use super::OnceCell;

    #[test_case]
    fn is_empty_until_it_is_set() {
        let cell = OnceCell::new();
        assert_eq!(cell.get(), None);
        cell.set(7);
        assert_eq!(cell.get(), Some(7));
    }
}
