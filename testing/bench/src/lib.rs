//! stead-bench
