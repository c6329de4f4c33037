//! stead-fuzz
