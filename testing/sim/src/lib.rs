//! stead-sim
