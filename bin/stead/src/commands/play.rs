//! `stead try`: the whole story on throwaway data, with two real nodes that this very program starts.

use std::{
    io::Cursor,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use stead_api::{
    Client, DocPut, DocQuery, Document, Edit, Filter, LinkAccept, LinkApprove, LinkArrive,
    LinkCreate, LinkWait, NodeStatus, NodeStop, Op, PathKind, Predicate, SpaceCreate, Where,
};
use stead_interchange::{Format, Records};

use crate::{
    args::{Try, Up},
    commands::up::Background,
    exit::{Code, Failure},
    look,
    output::Output,
};

/// 250 countries, see data/README.md.
const COUNTRIES: &[u8] = include_bytes!("../../data/countries.json");
const SPACE: &str = "world";
const COLLECTION: &str = "countries";
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);

/// One of the two devices.
struct Device {
    name: &'static str,
    home: PathBuf,
    /// The same at every start, as a device's port usually is: that is how they find each other again without a relay.
    bind: SocketAddr,
    node: Option<Background>,
}

pub(crate) fn play(args: &Try, out: &Output) -> Result<(), Failure> {
    let folder = tempfile::Builder::new()
        .prefix("stead-try-")
        .tempdir()
        .map_err(|err| {
            Failure::new(
                Code::Storage,
                format!("There is no room for throwaway data: {err}."),
            )
        })?;
    let mut stage = Stage {
        out: *out,
        pause: if args.fast || out.json {
            Duration::ZERO
        } else {
            Duration::from_millis(900)
        },
        started: Instant::now(),
        steps: Vec::new(),
        laptop: Device::new("laptop", folder.path())?,
        phone: Device::new("phone", folder.path())?,
    };
    out.say(format!(
        "{}\n{}\n",
        look::heading("Two devices, one space, no server"),
        look::faint(
            "Both run on this machine for now, on throwaway data, each as a process of its own."
        )
    ));
    let played = stage.story();
    stage.laptop.stop();
    stage.phone.stop();
    let kept = args.keep.then(|| folder.keep());
    played?;
    out.json(&json!({
        "steps": stage.steps,
        "seconds": stage.started.elapsed().as_secs_f64(),
        "homes": kept,
    }));
    out.say(format!(
        "\n{} in {}. {}",
        look::good("That is the whole story"),
        look::span(stage.started.elapsed()),
        match &kept {
            Some(folder) => format!("Both homes are in {}.", folder.display()),
            None => "Everything it made is gone again.".to_owned(),
        }
    ));
    out.say(format!("  Begin your own with: {}", look::code("stead up")));
    Ok(())
}

struct Stage {
    out: Output,
    pause: Duration,
    started: Instant,
    steps: Vec<Value>,
    laptop: Device,
    phone: Device,
}

impl Stage {
    fn story(&mut self) -> Result<(), Failure> {
        self.start_both()?;
        self.link()?;
        self.import()?;
        self.edit_apart()?;
        self.meet_again()
    }

    fn start_both(&mut self) -> Result<(), Failure> {
        let begun = self.title("Start Stead on a laptop and on a phone");
        self.laptop.start()?;
        self.phone.start()?;
        self.done("Two nodes run, and neither knows of the other", begun);
        Ok(())
    }

    fn link(&mut self) -> Result<(), Failure> {
        let begun = self.title("Link them with a one-time link");
        let created = self.laptop.client()?.call(&LinkCreate::default())?;
        let shown: String = created.link.chars().take(34).collect();
        self.detail(&format!(
            "laptop  $ stead link            {}",
            look::faint(&format!("{shown}…"))
        ));
        self.detail(&format!(
            "phone   $ stead link {}",
            look::faint(&format!("{shown}…"))
        ));
        let mut phone = self.phone.client()?;
        let asks = phone.call(&LinkAccept {
            link: created.link.clone(),
            ..LinkAccept::default()
        })?;
        let code = asks.code.unwrap_or_default();
        self.detail(&format!(
            "The phone shows a code, {code}: only whoever sees it can let the phone in"
        ));
        let mut laptop = self.laptop.client()?;
        laptop.call(&LinkWait {
            link_id: created.link_id,
            wait_ms: PATIENCE.as_millis() as u64,
            beyond_asking: false,
        })?;
        self.detail(&format!("laptop  $ stead link approve {code}"));
        laptop.call(&LinkApprove { code: Some(code) })?;
        phone.call(&LinkArrive {
            attempt: asks.attempt,
            wait_ms: PATIENCE.as_millis() as u64,
        })?;
        let way = self.await_contact()?;
        self.done(
            &format!("The phone belongs to the same person now; they talk {way}"),
            begun,
        );
        let again = self
            .phone
            .client()?
            .call(&LinkAccept {
                link: created.link,
                ..LinkAccept::default()
            })
            .err()
            .map(Failure::from);
        if let Some(refusal) = again {
            self.detail(&format!(
                "The same link a second time: {}",
                look::warning(&refusal.message)
            ));
        }
        Ok(())
    }

    fn import(&mut self) -> Result<(), Failure> {
        let begun = self.title("Make a space on the laptop and import 250 countries");
        let mut laptop = self.laptop.client()?;
        laptop.call(&SpaceCreate { name: SPACE.into() })?;
        let records = Records::from_stream(
            Format::Json,
            Path::new("countries.json"),
            Box::new(Cursor::new(COUNTRIES)),
        )?;
        let mut edits = Vec::new();
        for record in records {
            let mut record = record?;
            record.take_id_from("code");
            let op = Op::Put {
                value: record.value,
                replace: false,
            };
            edits.push(edit(record.id.as_deref().unwrap_or_default(), op));
        }
        let count = edits.len();
        put(&mut laptop, edits)?;
        self.done(
            &format!("{count} documents in one atomic transaction, encrypted and signed"),
            begun,
        );
        let begun = Instant::now();
        self.await_equal(count)?;
        self.done("The phone has all of them", begun);
        Ok(())
    }

    fn edit_apart(&mut self) -> Result<(), Failure> {
        let begun = self.title("Take the phone offline, and edit on both");
        self.phone.stop();
        let mut laptop = self.laptop.client()?;
        put(
            &mut laptop,
            vec![
                edit("CHE", set("note", json!("Bring the good boots"))),
                edit(
                    "CHE",
                    Op::Add {
                        path: vec!["visits".into()],
                        delta: 2,
                    },
                ),
                edit(
                    "ISL",
                    Op::Include {
                        path: vec!["wishes".into()],
                        elem: json!("northern lights"),
                    },
                ),
                edit("ATA", Op::Delete),
            ],
        )?;
        self.detail(
            "laptop  a note on Switzerland, 2 visits added, a wish for Iceland, Antarctica deleted",
        );
        // The phone works alone: the laptop is off meanwhile.
        self.laptop.stop();
        self.phone.start()?;
        let mut phone = self.phone.client()?;
        put(
            &mut phone,
            vec![
                edit("CHE", set("rating", json!(5))),
                edit(
                    "CHE",
                    Op::Add {
                        path: vec!["visits".into()],
                        delta: 3,
                    },
                ),
                edit(
                    "ISL",
                    Op::Include {
                        path: vec!["wishes".into()],
                        elem: json!("hot springs"),
                    },
                ),
                edit("JPN", set("note", json!("In spring"))),
            ],
        )?;
        self.detail("phone   a rating for Switzerland, 3 visits added, another wish for Iceland, a note on Japan");
        self.done(
            "Both went on working while they could not see each other",
            begun,
        );
        Ok(())
    }

    fn meet_again(&mut self) -> Result<(), Failure> {
        let begun = self.title("Bring them together again");
        self.laptop.start()?;
        let way = self.await_contact()?;
        self.detail(&format!("They found each other by themselves, {way}"));
        let docs = self.await_equal(249)?;
        self.done("Both are equal, and no change was lost", begun);
        let find = |id: &str| {
            docs.iter()
                .find(|doc| doc.id == id)
                .map(|doc| doc.value.clone())
                .unwrap_or_default()
        };
        let (swiss, iceland, japan) = (find("CHE"), find("ISL"), find("JPN"));
        let expected = swiss["visits"] == 5
            && swiss["rating"] == 5
            && swiss["note"] == "Bring the good boots"
            && iceland["wishes"]
                .as_array()
                .is_some_and(|wishes| wishes.len() == 2)
            && japan["note"] == "In spring";
        for (name, shown) in [
            (
                "Switzerland",
                format!(
                    "note \"{}\", rating {}, visits {} (2 + 3)",
                    look::value(&swiss["note"]),
                    swiss["rating"],
                    swiss["visits"]
                ),
            ),
            (
                "Iceland",
                format!("wishes {}", look::value(&iceland["wishes"])),
            ),
            ("Japan", format!("note \"{}\"", look::value(&japan["note"]))),
            (
                "Antarctica",
                "deleted on both; stead restore would bring it back".to_owned(),
            ),
        ] {
            let name = console::pad_str(name, 12, console::Alignment::Left, None).into_owned();
            self.detail(&format!("{}{shown}", look::heading(&name)));
        }
        match expected {
            true => Ok(()),
            false => Err(Failure::new(
                Code::Failed,
                "The devices agree, and not on what was written.",
            )
            .hint("This is a fault of Stead: please report it.")),
        }
    }

    /// Waits until both say that they reach each other; returns how.
    fn await_contact(&self) -> Result<String, Failure> {
        let deadline = Instant::now() + PATIENCE;
        let mut laptop = self.laptop.client()?;
        loop {
            let peers = laptop.call(&NodeStatus {})?.peers;
            if let Some(peer) = peers.iter().find(|peer| peer.path != PathKind::Offline) {
                let way = if peer.path == PathKind::Direct {
                    "directly"
                } else {
                    "through a relay"
                };
                let rtt = peer
                    .rtt_ms
                    .map(|rtt| format!(", {rtt:.1} ms apart"))
                    .unwrap_or_default();
                return Ok(format!("{way}{rtt}"));
            }
            if Instant::now() > deadline {
                return Err(Failure::new(
                    Code::NoAnswer,
                    "The two devices did not find each other.",
                )
                .hint("A firewall on this machine may forbid it: stead doctor"));
            }
            thread::sleep(POLL);
        }
    }

    /// Waits until both hold the same documents, `count` of them; returns these.
    fn await_equal(&self, count: usize) -> Result<Vec<Document>, Failure> {
        let deadline = Instant::now() + PATIENCE;
        let (mut laptop, mut phone) = (self.laptop.client()?, self.phone.client()?);
        loop {
            // The space itself may still be on its way to the phone.
            let theirs = all(&mut phone).unwrap_or_default();
            if theirs.len() == count {
                let ours = all(&mut laptop)?;
                if ours == theirs {
                    return Ok(ours);
                }
            }
            if Instant::now() > deadline {
                return Err(Failure::new(
                    Code::NoAnswer,
                    "The two devices did not become equal in time.",
                ));
            }
            thread::sleep(POLL);
        }
    }

    fn title(&mut self, text: &str) -> Instant {
        thread::sleep(self.pause);
        let number = 1 + self
            .steps
            .iter()
            .filter(|step| step.get("title").is_some())
            .count();
        self.steps.push(json!({"title": text}));
        self.out.say(look::heading(&format!("{number}  {text}")));
        Instant::now()
    }

    fn detail(&self, text: &str) {
        self.out.say(format!("   {text}"));
    }

    fn done(&mut self, text: &str, begun: Instant) {
        let took = begun.elapsed();
        self.steps
            .push(json!({"done": text, "ms": took.as_millis() as u64}));
        self.out.say(format!(
            "   {} {text}  {}",
            look::good("✔"),
            look::faint(&look::span(took))
        ));
    }
}

impl Device {
    fn new(name: &'static str, folder: &Path) -> Result<Self, Failure> {
        let free_port =
            UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr());
        Ok(Self {
            name,
            home: folder.join(name),
            bind: free_port.map_err(|err| {
                Failure::new(
                    Code::Failed,
                    format!("This machine gives no port on its loopback address: {err}."),
                )
            })?,
            node: None,
        })
    }

    fn start(&mut self) -> Result<(), Failure> {
        std::fs::create_dir_all(&self.home).map_err(|err| {
            Failure::new(Code::Storage, format!("{}: {err}.", self.home.display()))
        })?;
        let up = Up {
            name: Some(self.name.into()),
            relay: Vec::new(),
            bind: Some(self.bind),
            no_mdns: true,
            passphrase_file: None,
            passphrase: None,
            encrypt: false,
            plain: true,
            // Nothing of a throwaway device belongs into the keyring.
            key_file: true,
            foreground: false,
            detached: true,
        };
        let mut node = Background::start(&self.home, &up)?;
        let ready = node.wait_until_ready(&self.home);
        self.node = Some(node);
        ready.map(|_| ())
    }

    fn client(&self) -> Result<Client, Failure> {
        let client = Client::connect(&self.home)?;
        client.set_read_timeout(Some(PATIENCE))?;
        Ok(client)
    }

    fn stop(&mut self) {
        let Some(mut node) = self.node.take() else {
            return;
        };
        let asked = self
            .client()
            .and_then(|mut client| Ok(client.call(&NodeStop {})?));
        if asked.is_ok() {
            node.wait_until_stopped();
        }
        node.kill();
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.stop();
    }
}

fn edit(id: &str, op: Op) -> Edit {
    Edit {
        collection: COLLECTION.into(),
        id: Some(id.into()),
        op,
    }
}

fn set(field: &str, value: Value) -> Op {
    Op::Set {
        path: vec![field.into()],
        value,
    }
}

fn put(client: &mut Client, edits: Vec<Edit>) -> Result<(), Failure> {
    client.call(&DocPut {
        space: SPACE.into(),
        edits,
        ..DocPut::default()
    })?;
    Ok(())
}

fn all(client: &mut Client) -> Result<Vec<Document>, Failure> {
    let page = client.call(&DocQuery {
        space: SPACE.into(),
        collection: COLLECTION.into(),
        filters: vec![Where::Is(Filter {
            path: vec!["code".into()],
            is: Predicate::Exists,
            value: Value::Null,
        })],
        limit: Some(1000),
        ..DocQuery::default()
    })?;
    Ok(page.docs)
}
