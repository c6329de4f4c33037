//! Looks for trouble, and says what to do about each thing found.

use stead_api::{ApiError, Check, CheckState, Diagnosis, TOKEN_FILE};
use stead_keys::Kind;
use stead_net::{LanStatus, RelayState};
use stead_replica::Severity;

use crate::api::Node;
use crate::at_rest;
use crate::clock::wall_ms;
use crate::faults;
use crate::home::STORE_FILE;
use crate::platform;
use crate::status::{CLOCK_HINT, FREE_BYTES_MIN, clock_sentence, names};
use crate::sync::facts::CLOCK_DIFFERENCE_MAX_MS;

/// Faults of documents that are listed one by one, a space.
const SCHEMA_FAULTS_MAX: usize = 5;

#[derive(Default)]
struct Checks(Vec<Check>);

impl Checks {
    fn add(&mut self, name: &str, state: CheckState, message: impl Into<String>, hint: &str) {
        self.0.push(Check {
            name: name.to_owned(),
            state,
            message: message.into(),
            hint: hint.to_owned(),
        });
    }
}

impl Node {
    /// `doctor.run`. A thorough one reads the whole store, a rebuilding one writes every document;
    /// both hold up writes meanwhile.
    pub(crate) async fn examine(
        &self,
        thorough: bool,
        rebuild: bool,
    ) -> Result<Diagnosis, ApiError> {
        let mut checks = Checks::default();
        self.readers.fold().await?;
        if rebuild {
            self.rebuild(&mut checks).await?;
        }
        self.examine_store(thorough, &mut checks).await?;
        self.examine_disk(&mut checks);
        self.examine_keys(&mut checks);
        self.examine_encryption(&mut checks);
        self.examine_permissions(&mut checks);
        self.examine_spaces(&mut checks).await?;
        self.examine_schemas(&mut checks).await?;
        self.examine_network(&mut checks);
        Ok(Diagnosis { checks: checks.0 })
    }

    async fn rebuild(&self, checks: &mut Checks) -> Result<(), ApiError> {
        let rebuilt = self.store.change(|desk| {
            let spaces = desk.replica.space_ids();
            spaces
                .iter()
                .try_for_each(|space| desk.replica.rebuild(space, wall_ms()))
        });
        match rebuilt.await? {
            Ok(()) => checks.add(
                "Documents",
                CheckState::Ok,
                "Every document was built again from the logs.",
                "",
            ),
            Err(error) => {
                let error = faults::replica(&error);
                checks.add("Documents", CheckState::Fail, error.message, &error.hint);
            }
        }
        Ok(())
    }

    async fn examine_store(&self, thorough: bool, checks: &mut Checks) -> Result<(), ApiError> {
        if let Some(trouble) = &*self.board.trouble.borrow() {
            checks.add(
                "Store",
                CheckState::Fail,
                trouble.message.clone(),
                &trouble.hint,
            );
        }
        if !thorough {
            checks.add("Store", CheckState::Ok, "The database answers.", "");
            return Ok(());
        }
        let found = self.store.look(|desk| desk.replica.doctor()).await?;
        let findings = match found {
            Ok(findings) => findings,
            Err(error) => {
                let error = faults::replica(&error);
                checks.add("Store", CheckState::Fail, error.message, &error.hint);
                return Ok(());
            }
        };
        let whole = findings
            .iter()
            .all(|finding| finding.severity < Severity::Error);
        if whole {
            checks.add(
                "Store",
                CheckState::Ok,
                "The database and every log in it are whole.",
                "",
            );
        }
        for finding in findings {
            let state = match finding.severity {
                Severity::Note => CheckState::Ok,
                Severity::Warning => CheckState::Warn,
                Severity::Error => CheckState::Fail,
            };
            let hint = finding
                .hint
                .map(|hint| faults::capitalized(&hint))
                .unwrap_or_default();
            checks.add("Store", state, faults::capitalized(&finding.what), &hint);
        }
        Ok(())
    }

    fn examine_disk(&self, checks: &mut Checks) {
        match platform::free_bytes(&self.home) {
            Some(free) if free < FREE_BYTES_MIN => checks.add(
                "Disk",
                CheckState::Warn,
                format!("Only {} MiB are free beside the database.", free >> 20),
                "Free some space, or changes cannot be saved soon.",
            ),
            Some(free) => {
                checks.add(
                    "Disk",
                    CheckState::Ok,
                    format!("{} MiB are free.", free >> 20),
                    "",
                );
            }
            None => {}
        }
    }

    fn examine_keys(&self, checks: &mut Checks) {
        let storage = self.key_storage();
        let (state, hint) = match self.keys {
            Kind::OsKeyring | Kind::PassphraseFile => (CheckState::Ok, ""),
            Kind::OwnerOnlyFile => (
                CheckState::Warn,
                "Fine for an unattended machine with an encrypted disk; on others, `stead down`, then `stead encrypt` at a terminal.",
            ),
        };
        checks.add("Keys", state, storage.explanation, hint);
    }

    fn examine_encryption(&self, checks: &mut Checks) {
        let (state, hint) = match (self.encrypted, self.keys) {
            (true, Kind::OsKeyring | Kind::PassphraseFile) => (CheckState::Ok, ""),
            (true, Kind::OwnerOnlyFile) => (
                CheckState::Warn,
                "`stead down`, then `stead encrypt` at a terminal puts the key under a passphrase.",
            ),
            (false, _) => (
                CheckState::Warn,
                "Fine on an encrypted disk; elsewhere: `stead down`, then `stead encrypt`.",
            ),
        };
        let protection = at_rest::protection(self.encrypted, self.keys);
        checks.add("Encryption", state, protection, hint);
    }

    fn examine_permissions(&self, checks: &mut Checks) {
        let mut exposed = Vec::new();
        let files = [
            self.home.join(STORE_FILE),
            self.home.join(TOKEN_FILE),
            self.key_path.clone(),
        ];
        let dir_is_closed = platform::mode_of(&self.home).is_none_or(|mode| mode & 0o077 == 0);
        for path in files {
            let mode = platform::mode_of(&path).unwrap_or_default();
            // A database in a closed folder is closed, whatever its own mode.
            let is_store = path.ends_with(STORE_FILE);
            if mode & 0o077 != 0 && !(is_store && dir_is_closed) {
                exposed.push(path.display().to_string());
            }
        }
        if exposed.is_empty() {
            checks.add(
                "Files",
                CheckState::Ok,
                "Only you can read the node's files.",
                "",
            );
        } else {
            let hint = format!(
                "Run: chmod 700 '{}' && chmod 600 {}",
                self.home.display(),
                exposed.join(" ")
            );
            let message = format!("Others on this machine can read {}.", exposed.join(", "));
            checks.add("Files", CheckState::Warn, message, &hint);
        }
    }

    async fn examine_spaces(&self, checks: &mut Checks) -> Result<(), ApiError> {
        let outlines = self.outlines().await?;
        let names = names(&outlines);
        let mut clocks_agree = true;
        let mut compared = false;
        for (id, facts) in self.facts.all() {
            let Some(ahead) = facts.clock_ahead_ms else {
                continue;
            };
            compared = true;
            if ahead.abs() > CLOCK_DIFFERENCE_MAX_MS {
                clocks_agree = false;
                let name = names.get(&id).map_or("a device", String::as_str);
                checks.add(
                    "Clock",
                    CheckState::Warn,
                    clock_sentence(name, ahead),
                    CLOCK_HINT,
                );
            }
        }
        if clocks_agree {
            let message = if compared {
                "The clocks of the devices that were reached agree."
            } else {
                "No other device was reached to compare clocks with."
            };
            checks.add("Clock", CheckState::Ok, message, "");
        }
        for space in &outlines {
            let name = &space.name;
            if space.was_public {
                let message = format!("Nothing in {name:?} is public any more.");
                let hint =
                    "`stead space leave` takes it off this device; an invite would let you in.";
                checks.add("Spaces", CheckState::Warn, message, hint);
            } else if space.role.is_none() {
                let hint = "Bring a device that owns the space within reach.";
                checks.add(
                    "Spaces",
                    CheckState::Warn,
                    format!("This device was not let into {name:?} yet."),
                    hint,
                );
            } else if space.waiting > 0 {
                let hint = "They count once their time, a key or a grant has come: check the clocks of your devices.";
                checks.add(
                    "Spaces",
                    CheckState::Warn,
                    format!("In {name:?} {} changes wait.", space.waiting),
                    hint,
                );
            }
            if space.skipped > 0 {
                let message = format!(
                    "In {name:?} {} changes were made by a newer Stead.",
                    space.skipped
                );
                checks.add(
                    "Spaces",
                    CheckState::Warn,
                    message,
                    "Update Stead on this device.",
                );
            }
            for writer in &space.frozen {
                let device = space
                    .devices
                    .iter()
                    .find(|device| device.writers.contains(writer));
                let device = device.map_or_else(|| writer.short(), |device| device.name.clone());
                let message = format!(
                    "In {name:?} {device} wrote two histories; one was stopped where they part."
                );
                let hint = "Usually a backup was restored or a disk copied; that device goes on under a new key.";
                checks.add("Spaces", CheckState::Warn, message, hint);
            }
        }
        Ok(())
    }

    /// Documents that break the rules of their schema, and revisions that are not followed.
    async fn examine_schemas(&self, checks: &mut Checks) -> Result<(), ApiError> {
        let spaces = self.board.names.borrow().clone();
        let (mut looked, mut well) = (0, true);
        for (space, name) in spaces {
            let found = self.checked(space, None, SCHEMA_FAULTS_MAX).await?;
            looked += found.documents;
            well &= found.faulty == 0 && found.aside.is_empty();
            for fault in &found.faults {
                let message = format!(
                    "{name}/{}/{}: {} needs {}, found {}.",
                    fault.collection, fault.id, fault.path, fault.expected, fault.found
                );
                checks.add("Schemas", CheckState::Warn, message, "");
            }
            if found.faulty > 0 {
                let message = format!(
                    "In {name:?} {} of {} documents with a schema break a rule of it.",
                    found.faulty, found.documents
                );
                let hint = format!(
                    "They stay as they are; `stead schema check {name}` lists them, `stead put` puts them right."
                );
                checks.add("Schemas", CheckState::Warn, message, &hint);
            }
            for aside in &found.aside {
                let id: String = aside.id.chars().take(8).collect();
                let message = format!(
                    "In {name:?} revision {id} of a schema is not followed: {}.",
                    aside.why
                );
                let hint = format!(
                    "`stead schema show {name}` has more; make it again from the newest revision if it is wanted."
                );
                checks.add("Schemas", CheckState::Warn, message, &hint);
            }
        }
        if looked > 0 && well {
            let message = "Every document with a schema keeps to its rules.";
            checks.add("Schemas", CheckState::Ok, message, "");
        }
        Ok(())
    }

    fn examine_network(&self, checks: &mut Checks) {
        match self.net.lan_status() {
            LanStatus::Searching => {
                checks.add(
                    "Network",
                    CheckState::Ok,
                    "Devices on the local network are looked for.",
                    "",
                );
            }
            LanStatus::Off => {
                checks.add(
                    "Network",
                    CheckState::Ok,
                    "Looking for devices on the local network is switched off.",
                    "",
                );
            }
            LanStatus::Failed { why } => checks.add(
                "Network",
                CheckState::Warn,
                format!("Devices on the local network cannot be found: {why}."),
                "Look at the firewall's rules for multicast (UDP port 5353).",
            ),
        }
        for report in self.net.relay_reports() {
            let (state, hint) = match report.state {
                RelayState::Connected => (CheckState::Ok, ""),
                RelayState::Connecting => (CheckState::Warn, "Look again in a moment."),
                RelayState::Unreachable => (
                    CheckState::Fail,
                    "See that the relay runs and that this machine may reach it.",
                ),
                RelayState::Refused => (
                    CheckState::Fail,
                    "Check the relay's token or its list of devices.",
                ),
            };
            checks.add("Relay", state, faults::capitalized(&report.why), hint);
        }
    }
}
