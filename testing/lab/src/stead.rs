//! A `stead` node as a person would run it: a home directory, a place, and the command line.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;
use stead_api::{Client, ClientError};

use crate::process::{Place, Running};

/// How long a node may take to answer after it was started.
const START_LIMIT: Duration = Duration::from_secs(30);

/// Why a command of the program failed.
#[derive(Debug, thiserror::Error)]
pub enum SteadError {
    /// The program could not be started at all.
    #[error("cannot run {program}: {cause}")]
    Start {
        /// The program.
        program: String,
        /// The system's words.
        cause: String,
    },
    /// The command failed.
    #[error("`stead {command}` ended with {code:?}: {said}")]
    Failed {
        /// The command.
        command: String,
        /// Its exit code, unless a signal ended it.
        code: Option<i32>,
        /// What it said.
        said: String,
    },
    /// The command succeeded with something that is not JSON.
    #[error("`stead {command}` answered with something that is not JSON: {said}")]
    NotJson {
        /// The command.
        command: String,
        /// What it said.
        said: String,
    },
}

/// A node in a place. Dropping it kills the process; the home directory stays with the test.
#[derive(Debug)]
pub struct Stead {
    name: String,
    home: PathBuf,
    logs: PathBuf,
    place: Place,
    clock: Option<(PathBuf, i64)>,
    running: Option<Running>,
    relays: Option<Running>,
}

impl Stead {
    /// A node that has not been started, with its home below `dir`.
    pub fn new(name: &str, place: Place, dir: &Path) -> Self {
        let home = dir.join(name);
        Self {
            name: name.to_owned(),
            logs: home.with_extension("logs"),
            home,
            place,
            clock: None,
            running: None,
            relays: None,
        }
    }

    /// Puts the home on another disk; what the node prints stays where it was.
    pub fn move_home(&mut self, dir: &Path) {
        self.home = dir.join(&self.name);
    }

    /// Has the node's clock run this many seconds beside the machine's, from its next start on, by
    /// what [`shifted_clock`](crate::shifted_clock) has made.
    pub fn shift_clock(&mut self, by: &Path, seconds: i64) {
        self.clock = Some((by.to_owned(), seconds));
    }

    /// Starts the node with these flags of `stead up` and waits until it answers.
    pub fn up(&mut self, flags: &[&str]) -> Result<(), SteadError> {
        let mut command = self.program();
        if let Some((by, seconds)) = &self.clock {
            command.env("LD_PRELOAD", by);
            command.env(crate::clock::SECONDS, seconds.to_string());
        }
        command.args(["up", "--foreground", "--key-file", "--name", &self.name]);
        command.args(flags);
        self.running = Some(self.launch(command, "node.out")?);
        let limit = Instant::now() + START_LIMIT;
        loop {
            match self.json(&["status"]) {
                Ok(_) => return Ok(()),
                Err(error) => {
                    let ended = self.running.as_mut().and_then(Running::ended).is_some();
                    if ended || Instant::now() > limit {
                        let said = format!("{error}\n{}", self.output());
                        return Err(self.failed("up", None, said));
                    }
                }
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Runs `stead relay` in the same place until [`Self::stop_relay`].
    pub fn start_relay(&mut self, bind: SocketAddr) -> Result<(), SteadError> {
        let mut command = self.program();
        command.args(["relay", "--bind", &bind.to_string()]);
        self.relays = Some(self.launch(command, "relay.out")?);
        Ok(())
    }

    /// Kills the relay.
    pub fn stop_relay(&mut self) {
        self.relays = None;
    }

    /// Stops the node as a service manager would.
    pub fn down(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.stop();
        }
    }

    /// Kills the node as a power cut would.
    pub fn kill(&mut self) {
        self.running = None;
    }

    /// Stops the node's process where it stands, as a laptop that goes to sleep, or lets it go on.
    pub fn freeze(&self, frozen: bool) -> Result<(), SteadError> {
        let Some(running) = &self.running else {
            return Err(self.failed("freeze", None, "it does not run".to_owned()));
        };
        let freeze = running.freeze(frozen);
        freeze.map_err(|cause| self.failed("freeze", None, cause.to_string()))
    }

    /// A connection to the running node.
    pub fn client(&self) -> Result<Client, ClientError> {
        let client = Client::connect(&self.home)?;
        client.set_read_timeout(Some(START_LIMIT))?;
        Ok(client)
    }

    /// The node's process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.running.as_ref().map(Running::id)
    }

    /// Its home directory.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// What the node printed so far.
    pub fn output(&self) -> String {
        self.running
            .as_ref()
            .map(Running::output)
            .unwrap_or_default()
    }

    /// Runs a command to its end.
    pub fn run(&self, args: &[&str]) -> Result<String, SteadError> {
        let output = self.output_of(args)?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(said);
        }
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(self.failed(&args.join(" "), output.status.code(), said + &complaint))
    }

    /// Runs a command with `--json` and reads the last line of its answer.
    pub fn json(&self, args: &[&str]) -> Result<Value, SteadError> {
        let mut all = vec!["--json"];
        all.extend(args);
        let said = self.run(&all)?;
        let last = said.lines().rfind(|line| !line.trim().is_empty());
        last.and_then(|line| serde_json::from_str(line).ok())
            .ok_or_else(|| SteadError::NotJson {
                command: args.join(" "),
                said,
            })
    }

    /// Links `new` to this node, so that both belong to one person.
    pub fn link(&self, new: &Stead) -> Result<(), SteadError> {
        let made = self.json(&["link", "--no-wait"])?;
        let link = made["link"].as_str().unwrap_or_default().to_owned();
        let mut asking = new.ask_to_be_linked(&link)?;
        let approved = self.json(&["link", "approve", asking.code()]);
        let linked = asking.end();
        approved?;
        linked
    }

    /// Uses a link, up to the code.
    pub fn ask_to_be_linked(&self, link: &str) -> Result<Asking, SteadError> {
        let mut command = self.program();
        command
            .args(["--json", "link", link])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| SteadError::Start {
            program: stead_binary().display().to_string(),
            cause: error.to_string(),
        })?;
        let mut first = String::new();
        let out = child.stdout.take().map(BufReader::new);
        if let Some(mut out) = out {
            let _ = out.read_line(&mut first);
            child.stdout = Some(out.into_inner());
        }
        let begun: Value = serde_json::from_str(&first).unwrap_or_default();
        let mut asking = Asking {
            child,
            name: self.name.clone(),
            code: begun["code"].as_str().unwrap_or_default().to_owned(),
        };
        match asking.code.is_empty() {
            false => Ok(asking),
            true => Err(asking.end().err().unwrap_or(SteadError::NotJson {
                command: "link".to_owned(),
                said: first,
            })),
        }
    }

    /// A field of a document, if document and field are there.
    pub fn field(&self, document: &str, field: &str) -> Option<Value> {
        let found = self.json(&["get", document]).ok()?;
        let value = found.get("value").unwrap_or(&found);
        value.get(field).filter(|value| !value.is_null()).cloned()
    }

    /// How this node reaches the other one now, as `stead status` tells: the path and why.
    pub fn path_to(&self, other: &str) -> Option<(String, String)> {
        let status = self.json(&["status"]).ok()?;
        let peers = status["peers"].as_array()?;
        let peer = peers.iter().find(|peer| peer["name"] == other)?;
        Some((
            peer["path"].as_str()?.to_owned(),
            peer["why"].as_str()?.to_owned(),
        ))
    }

    fn program(&self) -> Command {
        let mut command = self.place.command(stead_binary());
        command.arg("--home").arg(&self.home);
        command.env("NO_COLOR", "1").env_remove("STEAD_HOME");
        command
    }

    fn launch(&self, command: Command, log: &str) -> Result<Running, SteadError> {
        let start = |cause: std::io::Error| SteadError::Start {
            program: stead_binary().display().to_string(),
            cause: cause.to_string(),
        };
        std::fs::create_dir_all(&self.logs).map_err(start)?;
        Running::start(command, self.logs.join(log)).map_err(start)
    }

    fn output_of(&self, args: &[&str]) -> Result<Output, SteadError> {
        let mut command = self.program();
        command
            .args(args)
            .output()
            .map_err(|error| SteadError::Start {
                program: stead_binary().display().to_string(),
                cause: error.to_string(),
            })
    }

    fn failed(&self, command: &str, code: Option<i32>, said: String) -> SteadError {
        SteadError::Failed {
            command: format!("{command} (on {})", self.name),
            code,
            said,
        }
    }
}

/// `stead link` on a new device that waits to be let in. Dropping it ends the command.
#[derive(Debug)]
pub struct Asking {
    child: Child,
    name: String,
    code: String,
}

impl Asking {
    /// The code that it shows.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// Waits until it was let in or refused.
    pub fn end(&mut self) -> Result<(), SteadError> {
        let mut said = String::new();
        if let Some(mut out) = self.child.stdout.take() {
            let _ = out.read_to_string(&mut said);
        }
        if let Some(mut complaint) = self.child.stderr.take() {
            let _ = complaint.read_to_string(&mut said);
        }
        match self.child.wait() {
            Ok(status) if status.success() => Ok(()),
            ended => Err(SteadError::Failed {
                command: format!("link (on {})", self.name),
                code: ended.ok().and_then(|status| status.code()),
                said,
            }),
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program under test: `STEAD_BIN`, or the one that is built beside the tests.
pub fn stead_binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("STEAD_BIN") {
        Some(path) => PathBuf::from(path),
        None => build(),
    })
}

/// Builds the program into the directory this test was built into.
fn build() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let target = test
        .ancestors()
        .find(|dir| dir.ends_with("debug") || dir.ends_with("release"))
        .expect("tests are built below debug or release");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "-p", "stead"]);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    if target.ends_with("release") {
        command.arg("--release");
    }
    let built = command.status().expect("cargo can be run");
    assert!(built.success(), "`cargo build -p stead` failed");
    target.join(format!("stead{}", std::env::consts::EXE_SUFFIX))
}

/// Waits until something is true, and panics when it takes longer than `limit`.
pub fn eventually(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(
            start.elapsed() < limit,
            "after {limit:?}, still not: {what}"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}
