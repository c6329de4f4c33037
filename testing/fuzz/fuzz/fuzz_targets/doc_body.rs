//! `doc_body` without end; the target itself is in `stead-fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    stead_fuzz::targets::query::body(data);
});
