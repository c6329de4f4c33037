//! The bytes that stores and peers already hold must stay readable: fixed inputs, fixed outputs.
//! The same values stand in `docs/formats/keys.md`.

use stead_base::{DeviceId, Entropy, Hash, ScopeId, SpaceId, WriterId};
use stead_crypt::pake::{self, Binding};
use stead_crypt::passphrase::{self, Cost};
use stead_crypt::short_code::{Answerer, Committer};
use stead_crypt::sign_in::{self, Challenge};
use stead_crypt::{
    DeviceKeys, EpochKey, Part, RecoveryPhrase, ScopeCipher, SigningKey, SpokenCode, hash,
    safety_words, shares, wrapkey,
};

const SEED: [u8; 32] = [0x11; 32];

/// Gives the same byte for ever.
struct Fixed(u8);

impl Entropy for Fixed {
    fn fill(&mut self, buf: &mut [u8]) {
        buf.fill(self.0);
    }
}

#[test]
fn a_seed_gives_the_documented_device() {
    let keys = DeviceKeys::from_seed(&SEED);
    assert_eq!(
        keys.id().to_string(),
        "c1d0eac5634f5d3c65371921dbb311e053f83efddad2bcb5a5eb97947e15f71d"
    );
    assert_eq!(
        hex(keys.storage()),
        "3809ede9ffb6b07f301f75555ad31f63764ae4fc849c78e6bb9f966099d2bfda"
    );
    assert_eq!(
        hex(keys.database()),
        "da93de6375eb02acd10dde117c05d14f9f49a5f081dc15cacdd2101582d3721d"
    );
    let kem = hash::digest(keys.kem().public().as_bytes());
    assert_eq!(
        kem.to_string(),
        "41dcc5da45d460acf3bfdcb7b47ac38f4855bfd58039a9aad25d0595413c6dab"
    );
}

#[test]
fn an_epoch_key_has_the_documented_id() {
    let key = EpochKey::from_bytes(&[0x22; 32]);
    assert_eq!(
        key.id().to_string(),
        "0c3c1a919d84fbc3e066bc11daa55a30723a91c01fab9c7269ed3c8a20f78727"
    );
}

#[test]
fn an_envelope_and_a_parcel_are_sealed_as_documented() {
    assert_eq!(
        sealed(Part::Envelope),
        "b37f25f719c32b0f41ebfed10c073881e0ae8901ca"
    );
    assert_eq!(
        sealed(Part::Parcel),
        "14034928760abbb65a439369a0fded0fe8c3637e6e"
    );
}

fn sealed(part: Part) -> String {
    let cipher = ScopeCipher::new(
        &EpochKey::from_bytes(&[0x22; 32]),
        &SpaceId::from_bytes([0x33; 32]),
        ScopeId::ROOT,
        7,
        &WriterId::from_bytes([0x44; 32]),
        part,
    );
    let mut sealed = Vec::new();
    cipher.seal(5, [1, 2, 3, 4], b"stead", &mut sealed).unwrap();
    hex(&sealed)
}

#[test]
fn a_secret_is_wrapped_as_documented() {
    let wrapped = wrapkey::seal(&SEED, b"context", b"secret", &mut Fixed(0x55)).unwrap();
    assert_eq!(
        hex(&wrapped),
        "555555555555555555555555a2721527164386e7b9b07b6822ea0ab9fcad2ed7b397"
    );
    assert_eq!(
        wrapkey::open(&SEED, b"context", &wrapped).unwrap()[..],
        b"secret"[..]
    );
}

#[test]
fn a_passphrase_container_is_laid_out_as_documented() {
    let cost = Cost {
        memory_kib: 64,
        passes: 1,
        lanes: 1,
    };
    let container = passphrase::wrap("correct horse", cost, [0x66; 16], &SEED).unwrap();
    assert_eq!(
        hex(&container),
        "535445414450573140010166666666666666666666666666666666300db6c6208f99832556e70f373d621e87b45a5ea2cb1c0d62e00894341fce97bd2aa13222313652693299a8101c84935a75feff6ddf146c15"
    );
    assert_eq!(
        passphrase::unwrap("correct horse", &container).unwrap()[..],
        SEED[..]
    );
}

#[test]
fn a_phrase_gives_the_documented_root() {
    let root = RecoveryPhrase::from_entropy(&SEED).root();
    assert_eq!(
        hex(&root.public()),
        "9945a5b7f64c306c104a89c5f012b8e82cdc4f9b0f6bc1b254fa321d4db42a32"
    );
    assert_eq!(
        hash::digest(root.kem().public().as_bytes()).to_string(),
        "0fc06cd7d6855f9325adbddcfe9ff51e2e876ee3f1fa1f236d92939bb2f86eb5"
    );
    assert_eq!(
        hex(root.wrap()),
        "d91f7b1dceb397f4e3e62fa09b04186019075661a2a99a58d4bfceae7bfbf978"
    );
}

#[test]
fn a_share_is_laid_out_as_documented() {
    let made = shares::split(&SEED, 2, 3, &mut Fixed(0x55)).unwrap();
    assert_eq!(
        hex(&made[0].encode()),
        "53544541445348310203014444444444444444444444444444444444444444444444444444444444444444555555555555555555555555555555555555555555555555555555555555555565ce5e8883d8baaa57e4f0ff6d8ca4021a7d6fe6e2170a62c304bd5dcfce28a8c4302ae12e5d8891b58defe90d03211d2df4487fa4c128db"
    );
    assert_eq!(
        hex(made[0].set().as_bytes()),
        "aa8ef944de046c207e6146bc6708365a6179fec6bc1d2371fd30e2096be20f48"
    );
    assert_eq!(*shares::combine(None, &made[1..]).unwrap(), SEED);
}

#[test]
fn a_spoken_code_s_messages_are_those_documented() {
    let code = SpokenCode::parse("apple bridge zoo").unwrap();
    let (a, b) = (
        DeviceId::from_bytes([0xaa; 32]),
        DeviceId::from_bytes([0xbb; 32]),
    );
    let binding = Binding {
        initiator: &a,
        responder: &b,
        channel: &[0xcc; 32],
    };
    let (began, first) = pake::begin(code.as_bytes(), &binding, b"a", &mut Fixed(0x11)).unwrap();
    let (answered, second) =
        pake::answer(code.as_bytes(), &binding, b"b", &first, &mut Fixed(0x22)).unwrap();
    let (agreed, third) = began.finish(&second).unwrap();
    assert_eq!(answered.finish(&third).unwrap().key, agreed.key);
    assert_eq!(
        hex(&first),
        "223acc239d543d45314f6ac6e15852cb3e81c8b088f5a0c92978c1665dc146200161"
    );
    assert_eq!(
        hex(&second),
        "c22f862ae537b661aa6cb3ffdc396a686869e590cac8b23983ea683bca770042016205caf777b428a4394303b424c862fb2e74088dfb965ce890528c70cb44cd7c76b6a36c4ee07536a522accedaf9ee44d7f9f4eb724853e3154c797ffa03769750"
    );
    assert_eq!(
        hex(&third),
        "aae1c5f54be44fab15ca1c27aec21cb1e49e541344e41b1e705cc0683640789d5b98abbf517f1c9c163825f881f68a57d969d0a2902fe5a2839845bac8cd022a"
    );
    assert_eq!(
        hex(&*agreed.key),
        "2ce52a8d90600213ec30eb5d7dd584c4ef169c92a31d9d914ec68938fe2e9304"
    );
}

#[test]
fn codes_and_words_to_compare_are_those_documented() {
    let transcript = Hash::from_bytes([0x33; 32]);
    let (committer, commitment) = Committer::new(transcript, &mut Fixed(0x44));
    let (_, answer) = Answerer::new(transcript, commitment, &mut Fixed(0x55));
    let (_, code) = committer.reveal(&answer);
    assert_eq!(
        hex(&commitment.0),
        "61bb76af5b0e9cea525c90b31b94d8fbb8b723cfc6a59fa1c032137ac8f1c465"
    );
    assert_eq!(code.to_string(), "634 769");
    assert_eq!(code.words().join(" "), "impulse rate fruit");
    assert_eq!(
        safety_words(&[0x22; 32], &SEED).unwrap().join(" "),
        "already lecture rate skirt nuclear brick actor elegant eager version tent outdoor"
    );
}

/// The same values stand in `docs/protocol/sign-in.md`.
#[test]
fn a_sign_in_is_laid_out_as_documented() {
    let audience = "notes.example.org".parse().unwrap();
    let challenge =
        Challenge::new(audience, [0x22; 32], 1_800_000_000_000, 1_800_000_120_000).unwrap();
    let device = SigningKey::from_seed(&SEED);
    let answer = sign_in::answer(&challenge, &[0x33; 32], b"card", &device).unwrap();
    assert_eq!(
        hex(&challenge.encode()),
        "01116e6f7465732e6578616d706c652e6f72672222222222222222222222222222222222222222222222222222222222222222000001a3185c5000000001a3185e24c0"
    );
    assert_eq!(
        hex(&answer),
        "01116e6f7465732e6578616d706c652e6f72672222222222222222222222222222222222222222222222222222222222222222000001a3185c5000000001a3185e24c03333333333333333333333333333333333333333333333333333333333333333d04ab232742bb4ab3a1368bd4615e4e6d0224ab71a016baf8520a332c97787370463617264c833fd248f081268be7f9e1a382b2556319b39f1857120c4e0bae1ed51bed202b768f111a7451b0a01c1409d8891f054653d9c19e9d8d83c1f968fe9f499110e"
    );
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
