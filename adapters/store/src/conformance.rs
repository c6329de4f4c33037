//! What every store must do, wherever it lives: one suite for memory, disk and simulated disk.
