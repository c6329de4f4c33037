//! Measures what one sealing costs for messages of a log's usual size. Prints a table; its
//! numbers are quoted in `docs/adr/0001-aead.md`. Run with `--release`.
#![allow(
    clippy::disallowed_methods,
    reason = "a measurement reads the clock; the crate itself never does"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use aes_gcm_siv::aead::inout::InOutBuf;
use aes_gcm_siv::{AeadInOut, KeyInit};
use stead_base::{ScopeId, SpaceId, WriterId};
use stead_crypt::{EpochKey, Hasher, Part, ScopeCipher, SigningKey, verify};

const SIZES: [usize; 3] = [24, 120, 1024];
const ROUND: Duration = Duration::from_millis(400);

fn main() {
    println!("{:<34}{:>8}{:>14}{:>14}", "", "bytes", "seal/s", "open/s");
    for size in SIZES {
        ours(size);
        primitive::<aes_gcm_siv::Aes256GcmSiv>("AES-256-GCM-SIV, bare", size);
        primitive::<aes_gcm::Aes256Gcm>("AES-256-GCM, bare", size);
        primitive::<chacha20poly1305::ChaCha20Poly1305>("ChaCha20-Poly1305, bare", size);
        primitive::<chacha20poly1305::XChaCha20Poly1305>("XChaCha20-Poly1305, bare", size);
    }
    keys_and_signatures();
}

fn ours(size: usize) {
    let cipher = scope_cipher(0);
    let text = vec![7u8; size];
    let mut sealed = Vec::new();
    let sealing = rate(|i| {
        sealed.clear();
        black_box(cipher.seal(i, [1; 4], &text, &mut sealed).is_ok());
    });
    sealed.clear();
    assert!(cipher.seal(1, [1; 4], &text, &mut sealed).is_ok());
    let mut opened = Vec::new();
    let opening = rate(|_| {
        opened.clear();
        black_box(cipher.open(1, [1; 4], &sealed, &mut opened).is_ok());
    });
    row("ScopeCipher (AES-256-GCM-SIV)", size, sealing, opening);
}

fn primitive<A: AeadInOut + KeyInit>(name: &str, size: usize) {
    let aead = A::new_from_slice(&[3; 32]).expect("32-byte key");
    let aad = [5; 32];
    let mut buffer = vec![7u8; size];
    let mut nonce = aes_gcm_siv::aead::Nonce::<A>::default();
    let sealing = rate(|i| {
        nonce[..8].copy_from_slice(&i.to_be_bytes());
        let sealed = aead.encrypt_inout_detached(&nonce, &aad, InOutBuf::from(&mut buffer[..]));
        black_box(sealed.is_ok());
    });
    let sealed_buffer = {
        let mut sealed = vec![7u8; size];
        let tag = aead
            .encrypt_inout_detached(&nonce, &aad, InOutBuf::from(&mut sealed[..]))
            .expect("short text");
        (sealed, tag)
    };
    let opening = rate(|_| {
        buffer.copy_from_slice(&sealed_buffer.0);
        let opened = aead.decrypt_inout_detached(
            &nonce,
            &aad,
            InOutBuf::from(&mut buffer[..]),
            &sealed_buffer.1,
        );
        black_box(opened.is_ok());
    });
    row(name, size, sealing, opening);
}

fn keys_and_signatures() {
    let derived = rate(|i| {
        black_box(scope_cipher(i as u32).key_id());
    });
    println!("{:<34}{:>36.0}", "ScopeCipher::new, per second", derived);
    let key = SigningKey::from_seed(&[9; 32]);
    let head = [4u8; 90];
    let signed = rate(|_| {
        black_box(key.sign(&head));
    });
    println!("{:<34}{:>36.0}", "signatures per second", signed);
    let (public, signature) = (key.public(), key.sign(&head));
    let verified = rate(|_| {
        black_box(verify(&public, &head, &signature).is_ok());
    });
    println!("{:<34}{:>36.0}", "verifications per second", verified);
    let hashed = rate(|i| {
        black_box(Hasher::keyed(&[1; 32]).update(&i.to_le_bytes()).finish());
    });
    println!("{:<34}{:>36.0}", "keyed hashes per second", hashed);
}

fn scope_cipher(generation: u32) -> ScopeCipher {
    ScopeCipher::new(
        &EpochKey::from_bytes(&[1; 32]),
        &SpaceId::from_bytes([2; 32]),
        ScopeId::ROOT,
        generation,
        &WriterId::from_bytes([3; 32]),
        Part::Parcel,
    )
}

fn rate(mut work: impl FnMut(u64)) -> f64 {
    let started = Instant::now();
    let mut done = 0;
    while started.elapsed() < ROUND {
        for _ in 0..256 {
            work(done);
            done += 1;
        }
    }
    done as f64 / started.elapsed().as_secs_f64()
}

fn row(name: &str, size: usize, sealing: f64, opening: f64) {
    println!("{name:<34}{size:>8}{sealing:>14.0}{opening:>14.0}");
}
