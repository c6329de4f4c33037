//! The server side of this program: the only file that links the node. Everything else speaks to it through its socket.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use stead_node::{
    AtRest, Bind, KeyPolicy, Lan, NodeConfig, NodeError, OsKeyring, RelayAccess, RelayUrl,
};

pub(crate) use stead_node::{KeyKind, at_rest::Converted};

use crate::{
    args::{Passphrase, Relay, Up},
    exit::{Code, Failure},
    look,
    output::Output,
    settings::Settings,
};

/// How long the system's keyring may take; it may be asking its person for a password.
const KEYRING_PATIENCE: Duration = Duration::from_secs(20);

/// Runs the node in this process until it is stopped.
pub(crate) fn node(home: PathBuf, up: &Up) -> Result<(), Failure> {
    start_tracing("error,stead=info,stead_node=info");
    let settings = Settings::of_start(&home, up)?;
    let name = settings.name.unwrap_or_else(|| "this device".into());
    let relays: Result<Vec<RelayUrl>, Failure> = settings
        .relays
        .iter()
        .map(|relay| relay_url(relay))
        .collect();
    let mut config = NodeConfig::new(home, name);
    config.relays = relays?;
    config.bind = up.bind.map_or(Bind::Any, Bind::Addr);
    if up.no_mdns {
        config.lan = Lan::Off;
    }
    config.keys = policy(&Keys::of(up))?;
    config.at_rest = match (up.encrypt, up.plain) {
        (true, _) => AtRest::Encrypted,
        (false, true) => AtRest::Plain,
        (false, false) => AtRest::AsItIs,
    };
    runtime()?
        .block_on(stead_node::run(config, asked_to_stop()))
        .map_err(failure)
}

/// Whether a node can start in this home only with a passphrase.
pub(crate) fn needs_passphrase(home: &Path) -> bool {
    stead_node::needs_passphrase(home)
}

/// How the keys of the device in this home are kept; none where there is none yet.
pub(crate) fn key_kind(home: &Path) -> Option<KeyKind> {
    stead_node::at_rest::key_kind(home)
}

/// Whether the system has a keyring for this session.
pub(crate) fn has_keyring() -> bool {
    OsKeyring::connect(KEYRING_PATIENCE).is_some()
}

/// Encrypts the database of a node that does not run, or makes it a plain file.
pub(crate) fn change_at_rest(
    home: &Path,
    keys: &Keys<'_>,
    encrypt: bool,
) -> Result<Converted, Failure> {
    start_tracing("error");
    stead_node::at_rest::change(home, &policy(keys)?, encrypt).map_err(failure)
}

/// Runs a relay in this process until it is interrupted.
pub(crate) fn relay(args: &Relay, out: &Output) -> Result<(), Failure> {
    start_tracing("error");
    let token = args.token_file.as_deref().map(first_line).transpose()?;
    let access = match &token {
        Some(token) => RelayAccess::Token(token.clone().into()),
        None => RelayAccess::Anyone,
    };
    let (bind, out, with_token) = (args.bind, *out, token.is_some());
    let started = move |address: SocketAddr| {
        let host = match address.ip() {
            ip if ip.is_unspecified() => {
                outward_address().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
            }
            ip => ip,
        };
        announce_relay(SocketAddr::new(host, address.port()), with_token, &out);
    };
    runtime()?
        .block_on(stead_node::relay::run(
            bind,
            access,
            started,
            asked_to_stop(),
        ))
        .map_err(failure)
}

/// Checks a proof file about rights; no node is needed.
pub(crate) fn check_proof(
    proof: &stead_api::RightsProof,
) -> Result<stead_node::audit::Proven, Failure> {
    stead_node::audit::check(proof).map_err(|refused| {
        Failure::new(Code::Refused, format!("Nothing is proven: {refused}."))
            .hint("The file was changed, or made by another version. Ask for a new one.")
    })
}

/// Makes a sign-in challenge of a site, as the site would.
pub(crate) fn make_challenge(audience: &str, lifetime_ms: u64) -> Result<String, Failure> {
    Ok(stead_node::sign_in::make_challenge(audience, lifetime_ms)?)
}

/// What tells a sign-in challenge from all others.
pub(crate) fn sign_in_nonce(challenge: &str) -> Result<String, Failure> {
    Ok(stead_node::sign_in::nonce_of(challenge)?)
}

/// Checks the answer to a sign-in challenge, as the site would.
pub(crate) fn check_sign_in(
    answer: &str,
    challenge: &str,
) -> Result<stead_node::sign_in::Visitor, Failure> {
    Ok(stead_node::sign_in::check(answer, challenge)?)
}

/// Waits for Ctrl-C, or for the system to end this process politely.
async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        },
        Err(_) => {
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}

fn announce_relay(address: SocketAddr, token: bool, out: &Output) {
    let url = format!("http://{address}/");
    out.json(&serde_json::json!({ "url": url, "token": token }));
    let suffix = if token { "?token=TOKEN" } else { "" };
    out.say(format!(
        "{} The relay runs at {}",
        look::good("●"),
        look::heading(&url)
    ));
    out.say(format!(
        "  Use it on your devices with: {}",
        look::code(&format!("stead up --relay '{url}{suffix}'"))
    ));
    out.say(look::faint(
        "  It passes on encrypted bytes and can read none of them. Ctrl-C stops it.",
    ));
}

/// The address by which others on the network most likely reach this machine. Nothing is sent.
fn outward_address() -> Option<IpAddr> {
    let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

fn relay_url(text: &str) -> Result<RelayUrl, Failure> {
    text.parse().map_err(|_| {
        Failure::usage(format!("\"{text}\" is no address of a relay."))
            .hint("It looks like http://192.0.2.7:3340; --relay none forgets it.")
    })
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|err| {
            Failure::new(
                Code::Failed,
                format!("The system gave no thread to run in: {err}."),
            )
        })
}

fn start_tracing(usual: &str) {
    let wanted = std::env::var("STEAD_LOG").unwrap_or_else(|_| usual.to_owned());
    // It warns of every interface that comes or goes; whoever wants to hear that asks for it by name.
    let filter = tracing_subscriber::EnvFilter::new(format!("swarm_discovery=error,{wanted}"));
    // A second start in one process changes nothing.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(console::colors_enabled_stderr())
        .try_init();
}

/// What a command was told about where keys are kept.
#[derive(Default)]
pub(crate) struct Keys<'a> {
    pub(crate) passphrase: Option<&'a Passphrase>,
    pub(crate) passphrase_file: Option<&'a Path>,
    pub(crate) key_file: bool,
}

impl<'a> Keys<'a> {
    fn of(up: &'a Up) -> Self {
        Self {
            passphrase: up.passphrase.as_ref(),
            passphrase_file: up.passphrase_file.as_deref(),
            key_file: up.key_file,
        }
    }
}

fn policy(keys: &Keys<'_>) -> Result<KeyPolicy, Failure> {
    let file = KeyPolicy::owner_only_file();
    if let Some(passphrase) = keys.passphrase {
        return Ok(file.with_passphrase(passphrase.0.clone()));
    }
    Ok(match (keys.passphrase_file, keys.key_file) {
        (Some(passphrase), _) => file.with_passphrase(first_line(passphrase)?),
        (None, true) => file,
        (None, false) => {
            OsKeyring::connect(KEYRING_PATIENCE).map_or(file, KeyPolicy::keyring_if_it_works)
        }
    })
}

fn first_line(file: &Path) -> Result<String, Failure> {
    let text = fs::read_to_string(file).map_err(|err| {
        Failure::new(
            Code::NotFound,
            format!("{} cannot be read: {err}.", file.display()),
        )
    })?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => Err(Failure::usage(format!(
            "{} has nothing on its first line.",
            file.display()
        ))),
    }
}

fn failure(error: NodeError) -> Failure {
    let code = match &error {
        NodeError::InUse { .. }
        | NodeError::Keys(_)
        | NodeError::NotEncrypted { .. }
        | NodeError::Encrypted { .. } => Code::Refused,
        NodeError::NoDatabase { .. } => Code::NotFound,
        NodeError::Home { .. }
        | NodeError::Store(_)
        | NodeError::Replica(_)
        | NodeError::Convert(_) => Code::Storage,
        NodeError::Net(_) | NodeError::Thread { .. } | NodeError::StoreThread => Code::Failed,
        #[allow(unreachable_patterns, reason = "the node may learn to say more")]
        _ => Code::Failed,
    };
    let failure = said(code, &error.to_string());
    match failure.hint.as_str() {
        "Give the passphrase." => failure.hint("Give it with: stead up --passphrase-file FILE"),
        _ => failure,
    }
}

/// A failure from "what is the matter; what to do".
fn said(code: Code, text: &str) -> Failure {
    let (message, hint) = text.split_once("; ").unwrap_or((text, ""));
    let sentence = |text: &str| {
        let mut chars = text.chars();
        let first = chars
            .next()
            .map(|c| c.to_uppercase().to_string())
            .unwrap_or_default();
        let end = if text.is_empty() || text.ends_with(['.', '?', '!', '\'']) {
            ""
        } else {
            "."
        };
        format!("{first}{}{end}", chars.as_str())
    };
    Failure::new(code, sentence(message)).hint(sentence(hint))
}
