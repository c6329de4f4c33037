//! Hosts and cables made of network namespaces, bridges and veth pairs, with iproute2 alone.

use std::cell::Cell;
use std::net::IpAddr;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::process::Place;

/// Every namespace of every laboratory starts with this, then the process id.
const PREFIX: &str = "stead-lab";

static LABS: AtomicU32 = AtomicU32::new(0);

/// Why the laboratory cannot be built or changed.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// This machine or this user cannot make network namespaces.
    #[error("network namespaces are not available here ({cause}); they need root and iproute2")]
    Unavailable {
        /// The system's words.
        cause: String,
    },
    /// A command failed that should have worked.
    #[error("`{command}` failed: {cause}")]
    Command {
        /// The command.
        command: String,
        /// What it said.
        cause: String,
    },
}

/// A set of hosts and networks; dropping it removes them.
#[derive(Debug)]
pub struct Lab {
    base: String,
    switch: String,
    names: Vec<String>,
    networks: u32,
    ports: Cell<u32>,
}

/// Two hosts on one network.
#[derive(Debug)]
pub struct Pair {
    /// 10.77.1.1.
    pub a: Host,
    /// 10.77.1.2.
    pub b: Host,
    /// The cable of `b`.
    pub cable: Cable,
}

/// Two hosts on networks of their own, and one that is on both.
#[derive(Debug)]
pub struct Chain {
    /// 10.77.1.1.
    pub left: Host,
    /// 10.77.1.9 and 10.77.2.9.
    pub middle: Host,
    /// 10.77.2.2.
    pub right: Host,
    /// The cable of `right`.
    pub cable: Cable,
}

/// A network: an unmanaged switch.
#[derive(Debug, Clone)]
pub struct Lan {
    bridge: String,
}

/// A host: a namespace with a loopback of its own and no way out but its cables.
#[derive(Debug, Clone)]
pub struct Host {
    namespace: String,
}

/// A cable between a host and a network.
#[derive(Debug, Clone)]
pub struct Cable {
    switch: String,
    bridge: String,
    port: String,
    namespace: String,
    device: String,
}

impl Lab {
    /// An empty laboratory, or the reason why this machine cannot have one.
    pub fn new() -> Result<Self, LabError> {
        sweep();
        let number = LABS.fetch_add(1, Ordering::Relaxed);
        let base = format!("{PREFIX}-{}-{number}", std::process::id());
        let switch = format!("{base}-switch");
        ip(&["netns", "add", &switch]).map_err(|error| LabError::Unavailable {
            cause: error.to_string(),
        })?;
        Ok(Self {
            base,
            names: vec![switch.clone()],
            switch,
            networks: 0,
            ports: Cell::new(0),
        })
    }

    /// Like [`Lab::new`], but says on the terminal why a test is skipped.
    pub fn or_skip(test: &str) -> Option<Self> {
        match Self::new() {
            Ok(lab) => Some(lab),
            Err(error) => {
                eprintln!("SKIPPED {test}: {error}");
                None
            }
        }
    }

    /// Adds a network.
    pub fn lan(&mut self) -> Result<Lan, LabError> {
        let bridge = format!("br{}", self.networks);
        self.networks += 1;
        let make = [
            "-n",
            &self.switch,
            "link",
            "add",
            &bridge,
            "type",
            "bridge",
            "mcast_snooping",
            "0",
            "stp_state",
            "0",
            "forward_delay",
            "0",
        ];
        ip(&make)?;
        ip(&["-n", &self.switch, "link", "set", &bridge, "up"])?;
        Ok(Lan { bridge })
    }

    /// Adds a host.
    pub fn host(&mut self, name: &str) -> Result<Host, LabError> {
        let namespace = format!("{}-{name}", self.base);
        ip(&["netns", "add", &namespace])?;
        self.names.push(namespace.clone());
        ip(&["-n", &namespace, "link", "set", "lo", "up"])?;
        let host = Host { namespace };
        host.forward(false)?;
        Ok(host)
    }

    /// Adds two hosts on one network.
    pub fn pair(&mut self) -> Result<Pair, LabError> {
        let lan = self.lan()?;
        let (a, b) = (self.host("a")?, self.host("b")?);
        self.plug(&a, &lan, "10.77.1.1/24")?;
        let cable = self.plug(&b, &lan, "10.77.1.2/24")?;
        Ok(Pair { a, b, cable })
    }

    /// Adds two hosts on networks of their own, and one that is on both.
    pub fn chain(&mut self) -> Result<Chain, LabError> {
        let (one, two) = (self.lan()?, self.lan()?);
        let left = self.host("left")?;
        let (middle, right) = (self.host("middle")?, self.host("right")?);
        self.plug(&left, &one, "10.77.1.1/24")?;
        self.plug(&middle, &one, "10.77.1.9/24")?;
        self.plug(&middle, &two, "10.77.2.9/24")?;
        let cable = self.plug(&right, &two, "10.77.2.2/24")?;
        Ok(Chain {
            left,
            middle,
            right,
            cable,
        })
    }

    /// Plugs a host into a network under an address with its width, such as `10.77.1.2/24`.
    pub fn plug(&self, host: &Host, lan: &Lan, address: &str) -> Result<Cable, LabError> {
        let number = self.ports.get();
        self.ports.set(number + 1);
        let cable = Cable {
            switch: self.switch.clone(),
            bridge: lan.bridge.clone(),
            port: format!("p{number}"),
            namespace: host.namespace.clone(),
            device: format!("eth{number}"),
        };
        let make = [
            "-n",
            &cable.namespace,
            "link",
            "add",
            &cable.device,
            "type",
            "veth",
            "peer",
            "name",
            &cable.port,
            "netns",
            &cable.switch,
        ];
        ip(&make)?;
        cable.unmute()?;
        cable.restore()?;
        cable.add_address(address)?;
        ip(&["-n", &cable.namespace, "link", "set", &cable.device, "up"])?;
        Ok(cable)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for name in self.names.iter().rev() {
            if let Err(error) = ip(&["netns", "del", name]) {
                eprintln!("the laboratory could not clean up: {error}");
            }
        }
    }
}

impl Host {
    /// Where processes of this host run.
    pub fn place(&self) -> Place {
        Place::Namespace(self.namespace.clone())
    }

    /// Gives the host an address that does not depend on a cable, such as `10.77.9.9/32`.
    pub fn own_address(&self, address: &str) -> Result<(), LabError> {
        ip(&["-n", &self.namespace, "addr", "add", address, "dev", "lo"])
    }

    /// Passes packets from one cable to another, or, as at first, does not.
    pub fn forward(&self, on: bool) -> Result<(), LabError> {
        let set = format!("echo {} > /proc/sys/net/ipv4/ip_forward", u8::from(on));
        ip(&["netns", "exec", &self.namespace, "sh", "-c", &set])
    }

    /// Sends everything without a better route to this router.
    pub fn default_route(&self, via: IpAddr) -> Result<(), LabError> {
        let via = via.to_string();
        let make = [
            "-n",
            &self.namespace,
            "route",
            "replace",
            "default",
            "via",
            &via,
        ];
        ip(&make)
    }
}

impl Cable {
    /// Pulls the cable: both ends see the carrier go.
    pub fn cut(&self) -> Result<(), LabError> {
        ip(&["-n", &self.switch, "link", "set", &self.port, "down"])
    }

    /// Plugs the cable in again.
    pub fn restore(&self) -> Result<(), LabError> {
        ip(&["-n", &self.switch, "link", "set", &self.port, "up"])
    }

    /// Loses every packet without a sign, as a broken switch does.
    pub fn mute(&self) -> Result<(), LabError> {
        ip(&["-n", &self.switch, "link", "set", &self.port, "nomaster"])
    }

    /// Carries packets again.
    pub fn unmute(&self) -> Result<(), LabError> {
        let set = [
            "-n",
            &self.switch,
            "link",
            "set",
            &self.port,
            "master",
            &self.bridge,
        ];
        ip(&set)
    }

    /// Gives the host another address on this cable.
    pub fn add_address(&self, address: &str) -> Result<(), LabError> {
        self.address("add", address)
    }

    /// Takes an address away.
    pub fn remove_address(&self, address: &str) -> Result<(), LabError> {
        self.address("del", address)
    }

    fn address(&self, verb: &str, address: &str) -> Result<(), LabError> {
        let base = [
            "-n",
            &self.namespace,
            "addr",
            verb,
            address,
            "dev",
            &self.device,
        ];
        let mut args = base.to_vec();
        if address.contains(':') && verb == "add" {
            // Nobody else is on these networks: skip the wait for duplicates.
            args.push("nodad");
        }
        ip(&args)
    }
}

fn ip(args: &[&str]) -> Result<(), LabError> {
    let failed = |cause: String| LabError::Command {
        command: format!("ip {}", args.join(" ")),
        cause,
    };
    let output = Command::new("ip")
        .args(args)
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        Ok(())
    } else {
        let said = String::from_utf8_lossy(&output.stderr);
        Err(failed(said.trim().to_owned()))
    }
}

/// Removes what killed test processes left behind.
fn sweep() {
    let Ok(output) = Command::new("ip").args(["netns", "list"]).output() else {
        return;
    };
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let name = line.split_whitespace().next().unwrap_or_default();
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let owner = rest.trim_start_matches('-').split('-').next();
        let owner = owner.and_then(|text| text.parse::<u32>().ok());
        if owner.is_some_and(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists()) {
            // Another process may have swept it already.
            let _ = ip(&["netns", "del", name]);
        }
    }
}
