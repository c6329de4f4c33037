//! The old device's side, as its person sees it: links and spoken words, who came with them, and the person's yes or no.
//!
//! Owns what is open, who asks, and what is used up. What is said to the device that came is in [`super::answer`].

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stead_api::{
    ApiError, DeviceInfo, ErrorKind, Link, LinkCreated, LinkNewcomer, LinkOutcome, LinkSecret,
    LinkSpoken,
};
use stead_base::{DeviceId, Entropy};
use stead_crypt::short_code::ShortCode;
use stead_crypt::{KemSecret, SpokenCode};
use stead_keys::OsEntropy;
use stead_net::{Net, RelayUrl};
use tokio::sync::{Semaphore, oneshot};

use super::codec::{Reason, Reply};
use super::made::{Offer, Purpose, Secret, Taken, taken_back, worthless};
use super::seals::{self, Circumstances, same};
use super::{APPROVAL_MS, Door, HELP_PREFIX, LINK_PREFIX, STEP_TIMEOUT};
use crate::clock::wall_ms;
use crate::store_thread::StoreHandle;

/// How long a link is good for when nobody says.
const VALID_MS: u64 = 2 * 60_000;
/// Longest validity of a link.
const VALID_MS_MAX: u64 = 10 * 60_000;
/// Links remembered after they were used, so that using one again is told apart from a wrong one.
const SPENT_MAX: usize = 64;
/// Attempts answered at the same time.
const ATTEMPTS_MAX: usize = 8;
/// Digits of a code.
const CODE_DIGITS: usize = 6;

/// The links and words this device shows. Clones share them.
#[derive(Clone)]
pub(crate) struct Links {
    pub(super) net: Net,
    pub(super) store: StoreHandle,
    pub(super) device_name: String,
    pub(super) attempts: Arc<Semaphore>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Only one is open at a time.
    open: Option<Arc<Offer>>,
    /// Only one device asks at a time.
    asking: Option<Asking>,
    spent: VecDeque<(Arc<Offer>, Reason)>,
}

struct Asking {
    offer: Arc<Offer>,
    newcomer: LinkNewcomer,
    code: Option<ShortCode>,
    verdict: oneshot::Sender<Verdict>,
}

/// What becomes of a device that asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Approved,
    Refused(Reply),
}

impl Links {
    pub(crate) fn new(net: Net, store: StoreHandle, device_name: String) -> Self {
        Self {
            net,
            store,
            device_name,
            attempts: Arc::new(Semaphore::new(ATTEMPTS_MAX)),
            state: Arc::default(),
        }
    }

    /// Makes a link; what was open before is cancelled.
    pub(crate) fn create(&self, valid_ms: Option<u64>, purpose: Purpose) -> LinkCreated {
        let door = purpose.door();
        let mut secret = LinkSecret([0; 32]);
        OsEntropy.fill(&mut secret.0);
        let (offer, key) = self.open(Secret::Link(secret.clone()), purpose, valid_ms);
        let hints = self.net.local_hints();
        let link = Link {
            device: *self.net.device_id().as_bytes(),
            key_hash: seals::key_hash(key.public()),
            secret,
            expires_ms: offer.deadline.wall_ms,
            addresses: hints.addrs,
            relay: hints.relay.as_ref().map(RelayUrl::to_string),
        };
        LinkCreated {
            link_id: offer.id.clone(),
            link: match door {
                Door::Link => link.to_string(),
                Door::Help => link.to_string().replacen(LINK_PREFIX, HELP_PREFIX, 1),
            },
            expires_ms: link.expires_ms,
        }
    }

    /// Makes spoken words; what was open before is cancelled.
    pub(crate) fn speak(&self, valid_ms: Option<u64>, purpose: Purpose) -> LinkSpoken {
        let words = SpokenCode::generate(&mut OsEntropy);
        let (offer, _) = self.open(Secret::Spoken(words.clone()), purpose, valid_ms);
        let own = self.net.device_id();
        let addresses = self.net.local_hints().addrs;
        LinkSpoken {
            link_id: offer.id.clone(),
            words: words.text().to_owned(),
            places: addresses
                .iter()
                .map(|address| format!("{own}@{address}"))
                .collect(),
            expires_ms: offer.deadline.wall_ms,
        }
    }

    fn open(
        &self,
        secret: Secret,
        purpose: Purpose,
        valid_ms: Option<u64>,
    ) -> (Arc<Offer>, Arc<KemSecret>) {
        let (offer, key) = Offer::new(
            secret,
            purpose,
            valid_ms.unwrap_or(VALID_MS).min(VALID_MS_MAX),
        );
        let mut state = self.lock();
        state.spend(Reason::Cancelled, LinkOutcome::Cancelled);
        state.send_away(taken_back(), LinkOutcome::Cancelled);
        state.open = Some(Arc::clone(&offer));
        (offer, key)
    }

    /// Makes a link worthless, and sends away who came with it.
    pub(crate) fn cancel(&self, id: &str) -> Result<(), ApiError> {
        let mut state = self.lock();
        if state.open.as_ref().is_some_and(|offer| offer.id == id) {
            state.spend(Reason::Cancelled, LinkOutcome::Cancelled);
            return Ok(());
        }
        if state.asks_with(id) {
            state.send_away(taken_back(), LinkOutcome::Cancelled);
            return Ok(());
        }
        // Somebody has come with it and does not ask yet: it must not get to ask.
        let coming = state
            .spent
            .iter()
            .find(|(offer, _)| offer.id == id && *offer.outcome.borrow() == LinkOutcome::Open);
        let (offer, _) = coming.ok_or_else(no_such_link)?;
        offer.outcome.send_replace(LinkOutcome::Cancelled);
        Ok(())
    }

    /// Waits until somebody asks (unless `beyond_asking`), or it is known how it ended.
    pub(crate) async fn wait(
        &self,
        id: &str,
        wait_ms: u64,
        beyond_asking: bool,
    ) -> Result<LinkOutcome, ApiError> {
        let (mut outcome, limit_ms) = {
            let state = self.lock();
            let open = state.open.iter().find(|offer| offer.id == id);
            let spent = || state.spent.iter().map(|(offer, _)| offer);
            let found = open.or_else(|| spent().find(|offer| offer.id == id));
            let offer = found.ok_or_else(no_such_link)?;
            let left_ms = open.map_or(u64::MAX, |offer| offer.deadline.left_ms());
            (offer.outcome.subscribe(), wait_ms.min(left_ms))
        };
        let news = outcome.wait_for(|outcome| match outcome {
            LinkOutcome::Open => false,
            LinkOutcome::Asking { .. } => !beyond_asking,
            _ => true,
        });
        let waited = tokio::time::timeout(Duration::from_millis(limit_ms), news).await;
        drop(waited);
        self.expire();
        let outcome = outcome.borrow().clone();
        Ok(outcome)
    }

    /// Who asks to be let in.
    pub(crate) fn pending(&self) -> Option<LinkNewcomer> {
        let state = self.lock();
        state.asking.as_ref().map(|asking| asking.newcomer.clone())
    }

    /// Lets in who asks, if the code is right; a wrong code sends it away for good.
    pub(crate) async fn approve(&self, code: Option<&str>) -> Result<LinkOutcome, ApiError> {
        let mut outcome = {
            let mut state = self.lock();
            let asking = state.asking.as_ref().ok_or_else(nobody)?;
            let name = asking.newcomer.name.clone();
            let right = match (&asking.code, code) {
                (Some(shown), Some(typed)) => {
                    let typed = digits(typed)?;
                    same(digits(&shown.to_string())?.as_bytes(), typed.as_bytes())
                }
                (None, None) => true,
                (Some(_), None) => return Err(code_needed(&name)),
                (None, Some(_)) => {
                    let message = format!("{name:?} came with spoken words and shows no code.");
                    return Err(ApiError::new(ErrorKind::InvalidParams, message)
                        .hint("Let it in with: stead link approve"));
                }
            };
            if !right {
                let message = format!("The code is wrong: {name:?} was not let in.");
                let refused = LinkOutcome::Refused {
                    message: message.clone(),
                };
                let told = "The code that was typed is not the one shown here.";
                state.send_away(Reply::refused(Reason::CodeWrong, told), refused);
                return Err(ApiError::new(ErrorKind::LinkCodeWrong, message).hint(
                    "The link is worthless now. Make a new one, and see that it is your device that uses it.",
                ));
            }
            let Some(asking) = state.asking.take() else {
                return Err(nobody());
            };
            let outcome = asking.offer.outcome.subscribe();
            if asking.verdict.send(Verdict::Approved).is_err() {
                return Err(nobody());
            }
            outcome
        };
        let settled = outcome.wait_for(|outcome| !matches!(outcome, LinkOutcome::Asking { .. }));
        let settled = tokio::time::timeout(STEP_TIMEOUT * 2, settled).await;
        match settled {
            Ok(Ok(outcome)) => Ok(outcome.clone()),
            _ => Err(ApiError::new(
                ErrorKind::Busy,
                "Letting the device in takes unusually long.",
            )
            .hint("See with `stead status` whether it is in.")),
        }
    }

    /// Sends away who asks.
    pub(crate) fn refuse(&self) -> Result<(), ApiError> {
        let mut state = self.lock();
        let asking = state.asking.as_ref().ok_or_else(nobody)?;
        let message = format!("{:?} was sent away.", asking.newcomer.name);
        let told = Reply::refused(Reason::Declined, "The person at the other device said no.");
        state.send_away(told, LinkOutcome::Refused { message });
        Ok(())
    }

    /// The link that a knock names, or what to tell whoever knocks.
    pub(super) fn linked_by(
        &self,
        tag: &[u8; 32],
        circumstances: &Circumstances,
        door: Door,
    ) -> Result<Arc<Offer>, Reply> {
        self.expire();
        let state = self.lock();
        let meant = |offer: &&Arc<Offer>| match &offer.secret {
            Secret::Link(secret) => {
                offer.purpose.door() == door && same(&seals::tag(&secret.0, circumstances), tag)
            }
            Secret::Spoken(_) => false,
        };
        if let Some(offer) = state.open.as_ref().filter(meant) {
            return Ok(Arc::clone(offer));
        }
        // Guessing 32 random bytes is hopeless, so a wrong link spoils nothing for the right one.
        let spent = state.spent.iter().find(|(offer, _)| meant(&offer));
        Err(match spent {
            Some((_, reason)) => worthless(*reason),
            None => Reply::refused(Reason::Wrong, "This device has made no such link."),
        })
    }

    /// The spoken words that are open, or what to tell whoever asks for some.
    pub(super) fn spoken(&self, door: Door) -> Result<Arc<Offer>, Reply> {
        self.expire();
        let state = self.lock();
        let open = state.open.as_ref();
        open.filter(|offer| matches!(offer.secret, Secret::Spoken(_)))
            .filter(|offer| offer.purpose.door() == door)
            .cloned()
            .ok_or_else(|| Reply::refused(Reason::Wrong, "This device shows no words."))
    }

    /// Uses it up, for the one attempt it is good for.
    pub(super) fn take(&self, offer: &Arc<Offer>) -> Result<Taken, Reply> {
        self.expire();
        let mut state = self.lock();
        match state.open.take_if(|open| Arc::ptr_eq(open, offer)) {
            Some(open) => {
                state.remember(Arc::clone(&open), Reason::Used);
                Ok(Taken { offer: open })
            }
            None => {
                let spent = state.spent.iter();
                let mut same = spent.filter(|(spent, _)| Arc::ptr_eq(spent, offer));
                let reason = same.next().map_or(Reason::Used, |(_, reason)| *reason);
                Err(worthless(reason))
            }
        }
    }

    /// Has the person asked; the answer comes by the receiver. Only for whoever took the offer.
    pub(super) fn ask(
        &self,
        offer: &Arc<Offer>,
        device: DeviceId,
        name: &str,
        code: Option<ShortCode>,
    ) -> Result<oneshot::Receiver<Verdict>, Reply> {
        let (verdict, answer) = oneshot::channel();
        let newcomer = LinkNewcomer {
            link_id: offer.id.clone(),
            id: device.to_string(),
            name: name.to_owned(),
            by_code: code.is_some(),
            help: match &offer.purpose {
                Purpose::Link => None,
                Purpose::Help { name, .. } => Some(name.clone()),
            },
            expires_ms: wall_ms() + APPROVAL_MS,
        };
        let mut state = self.lock();
        if *offer.outcome.borrow() != LinkOutcome::Open {
            return Err(taken_back());
        }
        // One that came with an older link is never answered by mistake for this one.
        state.send_away(taken_back(), LinkOutcome::Cancelled);
        offer.outcome.send_replace(LinkOutcome::Asking {
            newcomer: newcomer.clone(),
        });
        state.asking = Some(Asking {
            offer: Arc::clone(offer),
            newcomer,
            code,
            verdict,
        });
        Ok(answer)
    }

    /// Nobody needs to answer any more. False if somebody has answered meanwhile.
    pub(super) fn stop_asking(&self, offer: &Arc<Offer>) -> bool {
        let mut state = self.lock();
        let asking = &mut state.asking;
        asking
            .take_if(|asking| Arc::ptr_eq(&asking.offer, offer))
            .is_some()
    }

    fn expire(&self) {
        let mut state = self.lock();
        let open = state.open.as_ref();
        if open.is_some_and(|offer| offer.deadline.left_ms() == 0) {
            state.spend(Reason::Expired, LinkOutcome::Expired);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every critical section leaves the links whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Makes the open link worthless.
    fn spend(&mut self, reason: Reason, outcome: LinkOutcome) {
        if let Some(offer) = self.open.take() {
            offer.settle(outcome);
            self.remember(offer, reason);
        }
    }

    /// Answers no for the person.
    fn send_away(&mut self, told: Reply, outcome: LinkOutcome) {
        if let Some(asking) = self.asking.take() {
            asking.offer.settle(outcome);
            // Whoever asked may have gone.
            let _ = asking.verdict.send(Verdict::Refused(told));
        }
    }

    fn asks_with(&self, id: &str) -> bool {
        let asking = self.asking.as_ref();
        asking.is_some_and(|asking| asking.offer.id == id)
    }

    fn remember(&mut self, offer: Arc<Offer>, reason: Reason) {
        offer.forget_key();
        if self.spent.len() >= SPENT_MAX {
            self.spent.pop_front();
        }
        self.spent.push_back((offer, reason));
    }
}

/// A device as the API names it, right after linking.
pub(super) fn info(id: DeviceId, name: &str) -> DeviceInfo {
    DeviceInfo {
        id: id.to_string(),
        name: name.to_owned(),
        this: false,
        linked_ms: Some(wall_ms()),
        seen_ms: Some(wall_ms()),
    }
}

/// The digits of a code as a person types them. What is no code at all is a slip, not a guess.
fn digits(typed: &str) -> Result<String, ApiError> {
    let digits: String = typed.chars().filter(char::is_ascii_digit).collect();
    let filler = |c: char| c.is_ascii_digit() || c.is_whitespace() || c == '-';
    if digits.len() != CODE_DIGITS || !typed.chars().all(filler) {
        return Err(ApiError::new(
            ErrorKind::InvalidParams,
            format!("A code has {CODE_DIGITS} digits."),
        )
        .hint("Type the code that the new device shows."));
    }
    Ok(digits)
}

fn nobody() -> ApiError {
    ApiError::new(ErrorKind::LinkNobody, "No device asks to be let in.")
        .hint("Make a link with `stead link` and use it on the new device first.")
}

fn code_needed(name: &str) -> ApiError {
    let message = format!("{name:?} is let in by the code that it shows.");
    ApiError::new(ErrorKind::InvalidParams, message)
        .hint("Type it: stead link approve CODE. If that device is not in front of you: stead link refuse")
}

fn no_such_link() -> ApiError {
    ApiError::new(ErrorKind::NotFound, "There is no such open link.")
        .hint("Make a new one with `stead link`.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_reads_however_it_is_typed_and_a_slip_is_no_guess() {
        for typed in ["042917", "042 917", " 042-917\n"] {
            assert_eq!(digits(typed).unwrap(), "042917");
        }
        for typed in ["", "04291", "0429170", "042 91x", "yes"] {
            assert_eq!(digits(typed).unwrap_err().kind, ErrorKind::InvalidParams);
        }
    }
}
