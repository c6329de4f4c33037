//! `stead up` and `stead down`: starting the node in the background or in this terminal, and stopping it.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;
use stead_api::{Client, ClientError, KeyStorageKind, NodeStatus, NodeStop, SOCKET_FILE, Status};

use crate::{
    args::Up,
    ask, client,
    exit::{Code, Failure},
    home::LOG_FILE,
    look,
    output::Output,
    serve, settings,
};

const START_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);
/// Two sockets of a name in one system hold no more, with their end.
const SOCKET_PATH_BYTES_MAX: usize = 107;
/// How much of the end of the log is searched for the reason of a failed start.
const LOG_TAIL_BYTES: u64 = 16 << 10;

pub(crate) fn up(home: &Path, up: &Up, out: &Output) -> Result<(), Failure> {
    let socket = home.join(SOCKET_FILE);
    if socket.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
        return Err(
            Failure::usage("The path of Stead's home is too long for a socket in it.")
                .hint("Give a shorter one with --home DIR."),
        );
    }
    if up.detached {
        leave_terminal();
        return serve::node(home.to_owned(), up);
    }
    match status_of(home) {
        Ok(status) => {
            client::check_version(status.api)?;
            out.json(&json!({"started": false, "first_start": false, "status": status}));
            out.say(format!(
                "Stead is running on {} already.",
                look::heading(&status.device.name)
            ));
            out.say(format!(
                "  See how it is with: {}",
                look::code("stead status")
            ));
            return Ok(());
        }
        Err(ClientError::NotRunning { .. }) => {}
        Err(err) => return Err(err.into()),
    }
    let first = is_first_start(home);
    create_home(home)?;
    let asked = match first {
        true => with_choice_at_rest(up, out)?,
        false => with_passphrase(home, up)?,
    };
    let up = asked.as_ref().unwrap_or(up);
    if up.foreground {
        announce_when_ready(home.to_owned(), first, *out);
        return serve::node(home.to_owned(), up);
    }
    let mut child = Background::start(home, up)?;
    let spinner = spinner("Starting …", out);
    let started = child.wait_until_ready(home);
    spinner.finish_and_clear();
    welcome(&started?, first, true, out);
    Ok(())
}

/// Asks the person for the passphrase, where one is needed, none is given and somebody is there to ask.
fn with_passphrase(home: &Path, up: &Up) -> Result<Option<Up>, Failure> {
    if up.passphrase_file.is_some() || !ask::somebody() || !serve::needs_passphrase(home) {
        return Ok(None);
    }
    Ok(Some(Up {
        passphrase: Some(ask::passphrase("Passphrase of this device's keys: ")?),
        // Says how a new key would be kept; this home has one.
        key_file: false,
        ..up.clone()
    }))
}

/// Asks at the first start whether the database shall be encrypted, if somebody is there to ask.
fn with_choice_at_rest(up: &Up, out: &Output) -> Result<Option<Up>, Failure> {
    // A machine that starts alone has its key in an open file, which would open the database too.
    let decided = up.encrypt || up.plain || up.key_file;
    if decided || out.json || !ask::somebody() {
        return Ok(None);
    }
    let kept = if up.passphrase_file.is_some() {
        "under your passphrase"
    } else if serve::has_keyring() {
        "in the system's keyring, which your login opens"
    } else {
        let passphrase = ask::new_passphrase(
            "A passphrase encrypts what Stead keeps here; each start asks for it. Without one, \
             whoever takes the disk can read it.\nPassphrase (Enter for none): ",
        )?;
        return Ok(Some(Up {
            encrypt: passphrase.is_some(),
            passphrase,
            ..up.clone()
        }));
    };
    let encrypt = ask::yes_by_default(&format!(
        "Encrypt what Stead keeps here? The key is kept {kept}, so a taken disk shows nothing."
    ))?;
    Ok(Some(Up {
        encrypt,
        plain: !encrypt,
        ..up.clone()
    }))
}

pub(crate) fn down(home: &Path, out: &Output) -> Result<(), Failure> {
    let mut client = client::connect(home)?;
    let pid = client.call(&NodeStatus {}).map(|status| status.pid).ok();
    client.call(&NodeStop {})?;
    let deadline = Instant::now() + STOP_TIMEOUT;
    // The socket goes first; the process is over when its files are closed.
    while status_of(home).is_ok() || pid.is_some_and(is_running) {
        if Instant::now() > deadline {
            return Err(Failure::new(Code::NoAnswer, "Stead is still busy writing.")
                .hint(format!("Look at {}", home.join(LOG_FILE).display())));
        }
        thread::sleep(POLL);
    }
    out.json(&json!({"stopped": true}));
    out.say(format!(
        "Stead has stopped. Start it again with: {}",
        look::code("stead up")
    ));
    Ok(())
}

/// A node that runs in the background.
pub(crate) struct Background {
    child: Child,
    log: PathBuf,
    log_start: u64,
}

impl Background {
    /// Starts it; it outlives this process unless it is stopped.
    pub(crate) fn start(home: &Path, up: &Up) -> Result<Self, Failure> {
        let log = home.join(LOG_FILE);
        let failed =
            |what: &str, err: std::io::Error| Failure::new(Code::Failed, format!("{what}: {err}."));
        let file = open_log(&log).map_err(|err| {
            let message = format!("{} cannot be written: {err}.", log.display());
            Failure::new(Code::Storage, message).hint(remedy(&err))
        })?;
        let log_start = file.metadata().map_or(0, |data| data.len());
        let program = std::env::current_exe()
            .map_err(|err| failed("This program cannot find itself", err))?;
        let mut child = Command::new(program)
            .args(arguments(home, up))
            .stdin(match up.passphrase {
                Some(_) => Stdio::piped(),
                None => Stdio::null(),
            })
            .stdout(Stdio::null())
            .stderr(Stdio::from(file))
            .current_dir(home)
            .spawn()
            .map_err(|err| failed("Stead could not be started in the background", err))?;
        if let (Some(passphrase), Some(mut stdin)) = (&up.passphrase, child.stdin.take()) {
            // A child that ended already says why in its log.
            let _ = writeln!(stdin, "{}", passphrase.0);
        }
        Ok(Self {
            child,
            log,
            log_start,
        })
    }

    /// Waits until the node answers, or says why it did not start.
    pub(crate) fn wait_until_ready(&mut self, home: &Path) -> Result<Status, Failure> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            if let Ok(status) = status_of(home) {
                return Ok(status);
            }
            if let Ok(Some(exit)) = self.child.try_wait() {
                return Err(self.reason(exit.code()));
            }
            if Instant::now() > deadline {
                return Err(Failure::new(
                    Code::NoAnswer,
                    "Stead was started and does not answer yet.",
                )
                .hint(format!("Look at {}", self.log.display())));
            }
            thread::sleep(POLL);
        }
    }

    /// Ends it at once, as a power cut would.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for its end after `node.stop`.
    pub(crate) fn wait_until_stopped(&mut self) {
        let deadline = Instant::now() + STOP_TIMEOUT;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(POLL);
        }
    }

    /// What the process said last, in its own words.
    fn reason(&self, exit: Option<i32>) -> Failure {
        let mut text = String::new();
        let read = File::open(&self.log).and_then(|mut file| {
            let end = file.metadata()?.len();
            file.seek(SeekFrom::Start(
                self.log_start.max(end.saturating_sub(LOG_TAIL_BYTES)),
            ))?;
            file.read_to_string(&mut text)
        });
        let text = console::strip_ansi_codes(&text);
        let said = text
            .rsplit_once("Error: ")
            .map(|(_, said)| said)
            .filter(|_| read.is_ok());
        let code = match exit {
            Some(2) => Code::Usage,
            Some(5) => Code::Refused,
            Some(8) => Code::Storage,
            Some(9) => Code::NoAnswer,
            _ => Code::Failed,
        };
        let mut lines = said.unwrap_or_default().lines().map(str::trim);
        match lines.next().filter(|line| !line.is_empty()) {
            Some(message) => Failure::new(code, message).hint(lines.collect::<Vec<_>>().join(" ")),
            None => Failure::new(code, "Stead could not be started.")
                .hint(format!("Look at {}", self.log.display())),
        }
    }
}

fn status_of(home: &Path) -> Result<Status, ClientError> {
    Client::connect(home)?.call(&NodeStatus {})
}

/// Nothing is in the home that a node would have left there.
fn is_first_start(home: &Path) -> bool {
    let mut names = fs::read_dir(home)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name());
    !names.any(|name| name != LOG_FILE && name != settings::FILE)
}

fn create_home(home: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(home)
        .map_err(|err| {
            Failure::new(
                Code::Storage,
                format!("Stead's home {} cannot be made: {err}.", home.display()),
            )
            .hint(remedy(&err))
        })
}

/// What to do about a home that cannot be written.
fn remedy(err: &std::io::Error) -> &'static str {
    use std::io::ErrorKind;
    match err.kind() {
        ErrorKind::ReadOnlyFilesystem => {
            "Mount its disk read-write, or give another home with --home DIR."
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "Free some space there, or give another home with --home DIR."
        }
        ErrorKind::PermissionDenied => {
            "Make the folder yours, or give another home with --home DIR."
        }
        _ => "Give another home with --home DIR.",
    }
}

fn open_log(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
}

/// The arguments of the background process: what was asked for here, with absolute paths.
fn arguments(home: &Path, up: &Up) -> Vec<OsString> {
    let mut args: Vec<OsString> = vec![
        "--home".into(),
        home.into(),
        "up".into(),
        "--detached".into(),
    ];
    let mut option = |name: &str, value: Option<OsString>| {
        if let Some(value) = value {
            args.extend([name.into(), value]);
        }
    };
    let absolute = |path: &PathBuf| {
        std::path::absolute(path)
            .unwrap_or_else(|_| path.clone())
            .into_os_string()
    };
    option("--name", up.name.clone().map(Into::into));
    for relay in &up.relay {
        option("--relay", Some(relay.into()));
    }
    option("--bind", up.bind.map(|bind| bind.to_string().into()));
    option(
        "--passphrase-file",
        up.passphrase_file.as_ref().map(absolute),
    );
    if up.passphrase.is_some() {
        // Not on the command line, where every process could read it.
        option("--passphrase-file", Some("/dev/stdin".into()));
    }
    for (flag, set) in [
        ("--no-mdns", up.no_mdns),
        ("--key-file", up.key_file),
        ("--encrypt", up.encrypt),
        ("--plain", up.plain),
    ] {
        if set {
            args.push(flag.into());
        }
    }
    args
}

/// A session of its own: closing the terminal does not end it.
fn leave_terminal() {
    // It fails only for a process that leads a group already, and then there is no terminal to leave.
    let _ = rustix::process::setsid();
}

fn is_running(pid: u32) -> bool {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok())
}

fn announce_when_ready(home: PathBuf, first: bool, out: Output) {
    thread::spawn(move || {
        let deadline = Instant::now() + START_TIMEOUT;
        while Instant::now() < deadline {
            if let Ok(status) = status_of(&home) {
                welcome(&status, first, false, &out);
                return;
            }
            thread::sleep(POLL);
        }
    });
}

fn welcome(status: &Status, first: bool, background: bool, out: &Output) {
    out.json(&json!({"started": true, "first_start": first, "status": status}));
    out.say(format!(
        "{} Stead is running on {}.",
        look::good("●"),
        look::heading(&status.device.name)
    ));
    if first {
        out.say("  This is its first start here, so it made a new identity for you.");
        out.say(format!(
            "  If you are new to Stead, write down its 24 recovery words soon: {}",
            look::code("stead identity phrase")
        ));
        out.say("  If you have Stead already, this device can join what you have, and gives the new identity up.");
    }
    let keys = &status.keys.explanation;
    out.say(match status.keys.kind {
        KeyStorageKind::OwnerFile => format!("  {}", look::warning(keys)),
        _ => format!("  {keys}"),
    });
    if status.store.encrypted {
        out.say(format!("  {}", status.store.protection));
    }
    for warning in &status.warnings {
        out.say(format!(
            "{} {} {}",
            look::warning("!"),
            warning.message,
            warning.hint
        ));
    }
    let next = match status.identity.devices {
        0 | 1 => &[
            (
                "stead link",
                "link another device: run it where your data is",
            ),
            (
                "stead recover",
                "all your devices are lost: come back with your words",
            ),
            ("stead space create family", "make a space"),
            (
                "stead import csv FILE --into family/people",
                "bring data in",
            ),
            ("stead status", "see how it is"),
        ][..],
        _ => &[
            ("stead status", "see your spaces and devices"),
            ("stead down", "stop it"),
        ][..],
    };
    out.say("\nWhat next:");
    for (command, what) in next {
        let command = console::pad_str(command, 44, console::Alignment::Left, None).into_owned();
        out.say(format!("  {}{what}", look::code(&command)));
    }
    if !background {
        out.say(look::faint("\nIt runs in this terminal. Ctrl-C stops it."));
    }
}

pub(crate) fn spinner(message: &'static str, out: &Output) -> indicatif::ProgressBar {
    if out.json {
        return indicatif::ProgressBar::hidden();
    }
    let spinner = indicatif::ProgressBar::new_spinner().with_message(message);
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}
