//! One client, over whichever transport: reads requests, answers them, and cuts off whoever does
//! not read what it asked for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use stead_api::{
    ApiError, Call, Done, ErrorKind, PresenceClear, PresenceIs, PresenceSet, Request, RequestId,
    Response, Watching, parse_request,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};

use super::Node;
use super::live::Watch;
use super::presence::{Following, Place};
use super::rich_watch::RichFollowing;

/// Requests of one client that are worked on at the same time; more wait unread.
const CALLS_MAX: usize = 32;
/// Live queries of one client.
const WATCHES_MAX: usize = 64;
/// Messages that wait to be written to one client.
const OUTGOING_MAX: usize = 256;
/// Bytes that wait to be written to one client, in units of [`UNIT_BYTES`].
const OUTGOING_UNITS: u32 = 16 << 10;
const UNIT_BYTES: usize = 1024;
/// A client that takes nothing of what waits for it for this long is cut off.
pub(crate) const SLOW_CLIENT: Duration = Duration::from_secs(5);

/// A message on its way out, holding its share of the room until it is written.
pub(crate) struct Message {
    pub(crate) text: String,
    _room: OwnedSemaphorePermit,
}

/// Where answers and events go. Clones go to the same client.
#[derive(Clone)]
pub(crate) struct Outgoing {
    queue: mpsc::Sender<Message>,
    room: Arc<Semaphore>,
    cut: watch::Sender<bool>,
}

/// The transport's end of [`Outgoing`].
pub(crate) struct Writing {
    pub(crate) queue: mpsc::Receiver<Message>,
    /// Becomes true when the client is to be cut off.
    pub(crate) cut: watch::Receiver<bool>,
}

impl Outgoing {
    pub(crate) fn new() -> (Self, Writing) {
        let (queue, inbox) = mpsc::channel(OUTGOING_MAX);
        let (cut, is_cut) = watch::channel(false);
        let room = Arc::new(Semaphore::new(OUTGOING_UNITS as usize));
        (
            Self { queue, room, cut },
            Writing {
                queue: inbox,
                cut: is_cut,
            },
        )
    }

    /// Hands a message to the client; false when it is gone, or too slow and cut off now.
    pub(crate) async fn send(&self, text: String) -> bool {
        let units = u32::try_from(text.len() / UNIT_BYTES + 1).unwrap_or(u32::MAX);
        let hand_over = async {
            let room = self
                .room
                .clone()
                .acquire_many_owned(units.min(OUTGOING_UNITS))
                .await
                .ok()?;
            self.queue.send(Message { text, _room: room }).await.ok()
        };
        let mut cut = self.cut.subscribe();
        let sent = tokio::select! {
            sent = tokio::time::timeout(SLOW_CLIENT, hand_over) => sent,
            () = cut_off(&mut cut) => return false,
        };
        match sent {
            Ok(sent) => sent.is_some(),
            Err(_) => {
                tracing::warn!("a client does not read what it asked for; cutting it off");
                self.cut.send_replace(true);
                false
            }
        }
    }

    /// Tells the client something that answers no request.
    pub(crate) async fn tell(&self, error: ApiError) {
        self.send(
            Response {
                id: None,
                outcome: Err(error),
            }
            .encode(),
        )
        .await;
    }
}

/// Waits until a client is cut off; for ever if it never is.
pub(crate) async fn cut_off(cut: &mut watch::Receiver<bool>) {
    if cut.wait_for(|cut| *cut).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// What a client that was cut off hears last, if it ever reads again.
pub(crate) fn farewell() -> String {
    let error = ApiError::new(
        ErrorKind::Busy,
        "This client did not read what it asked for, so the node hung up.",
    )
    .hint("Connect again and read faster, or watch less.");
    Response {
        id: None,
        outcome: Err(error),
    }
    .encode()
}

/// Serves one client until it goes: `incoming` are its messages, as bytes.
pub(crate) async fn serve(node: Arc<Node>, mut incoming: mpsc::Receiver<Vec<u8>>, out: Outgoing) {
    let mut client = Client {
        node,
        out: out.clone(),
        calls: JoinSet::new(),
        watches: BTreeMap::new(),
        next_watch: 1,
        apps: BTreeMap::new(),
    };
    let mut cut = out.cut.subscribe();
    let mut stop = client.node.stop.subscribe();
    loop {
        let message = tokio::select! {
            message = incoming.recv() => message,
            _ = stop.changed() => None,
            () = cut_off(&mut cut) => None,
        };
        let Some(message) = message else {
            break;
        };
        match parse_request(&message) {
            Ok(request) => client.take(request).await,
            Err(refusal) => {
                out.send(refusal.into_response().encode()).await;
            }
        }
        while client.calls.len() >= CALLS_MAX {
            client.calls.join_next().await;
        }
        while client.calls.try_join_next().is_some() {}
    }
    for (_, watch) in std::mem::take(&mut client.watches) {
        watch.abort();
    }
    for ((space, _, _), app) in std::mem::take(&mut client.apps) {
        let store = &client.node.store;
        store
            .tell(move |desk| desk.presence_clear(space, app))
            .await;
    }
    if *cut.borrow() {
        client.calls.abort_all();
    }
    // A client that only stopped sending still gets its answers.
    while client.calls.join_next().await.is_some() {}
}

struct Client {
    node: Arc<Node>,
    out: Outgoing,
    calls: JoinSet<()>,
    watches: BTreeMap<u64, AbortHandle>,
    next_watch: u64,
    /// Apps that said where they are, by their numbers.
    apps: BTreeMap<Place, u64>,
}

impl Client {
    async fn take(&mut self, request: Request) {
        let Request { id, call } = request;
        tracing::debug!(method = call.method(), "call");
        match call {
            Call::DocPut(put) => {
                // Handed in here, not in a task of its own: a client's transactions keep their order.
                let outcome = self.node.put(put).await;
                self.answer_later(id, async move {
                    outcome?
                        .await
                        .map_err(|_| crate::store_thread::stopping())?
                });
            }
            Call::DocDelete(delete) => {
                let outcome = self.node.delete(delete).await;
                self.answer_later(id, async move {
                    outcome?
                        .await
                        .map_err(|_| crate::store_thread::stopping())?
                });
            }
            Call::DocRestore(restore) => {
                let outcome = self.node.restore(restore).await;
                self.answer_later(id, async move {
                    outcome?
                        .await
                        .map_err(|_| crate::store_thread::stopping())?
                });
            }
            Call::DocWatch(ask) => {
                let Some(number) = self.next_number(&id).await else {
                    return;
                };
                let watch = Watch::new(Arc::clone(&self.node), ask, number, self.out.clone());
                match watch.await {
                    Ok(watch) => {
                        let partial = watch.is_partial();
                        let watching = Watching {
                            watch: number,
                            partial,
                        };
                        self.follow(id, watching, watch.run()).await;
                    }
                    Err(error) => {
                        self.out.send(Response::failure(id, error).encode()).await;
                    }
                }
            }
            Call::PresenceWatch(ask) => {
                let Some(number) = self.next_number(&id).await else {
                    return;
                };
                let watch = Following::new(Arc::clone(&self.node), ask, number, self.out.clone());
                match watch.await {
                    Ok(watch) => self.follow(id, whole(number), watch.run()).await,
                    Err(error) => {
                        self.out.send(Response::failure(id, error).encode()).await;
                    }
                }
            }
            Call::RichWatch(ask) => {
                let Some(number) = self.next_number(&id).await else {
                    return;
                };
                let watch = RichFollowing::new(&self.node, ask, number, self.out.clone());
                match watch.await {
                    Ok(watch) => self.follow(id, whole(number), watch.run()).await,
                    Err(error) => {
                        self.out.send(Response::failure(id, error).encode()).await;
                    }
                }
            }
            Call::PresenceSet(set) => {
                // In the order of the calls, so that the last word is the last one.
                let outcome = self.set_presence(set).await;
                self.out.send(response(id, outcome).encode()).await;
            }
            Call::PresenceClear(clear) => {
                let outcome = self.clear_presence(&clear).await;
                self.out.send(response(id, outcome).encode()).await;
            }
            Call::DocUnwatch(unwatch) => {
                let outcome = match self.watches.remove(&unwatch.watch) {
                    Some(watch) => {
                        watch.abort();
                        Ok(Done {
                            message: "The watch is over.".to_owned(),
                        })
                    }
                    None => Err(ApiError::new(
                        ErrorKind::NotFound,
                        "There is no such watch.",
                    )),
                };
                self.out.send(response(id, outcome).encode()).await;
            }
            call => {
                let node = Arc::clone(&self.node);
                let out = self.out.clone();
                self.calls.spawn(async move {
                    let response = node.answer(id, call).await;
                    out.send(response.encode()).await;
                });
            }
        }
    }

    /// The number of the next watch; none if there are too many, and the client was told.
    async fn next_number(&mut self, id: &RequestId) -> Option<u64> {
        self.watches.retain(|_, watch| !watch.is_finished());
        if self.watches.len() >= WATCHES_MAX {
            let message = format!("One client watches at most {WATCHES_MAX} queries.");
            let error = ApiError::new(ErrorKind::Busy, message);
            let refusal = Response::failure(id.clone(), error);
            self.out.send(refusal.encode()).await;
            return None;
        }
        Some(self.next_watch)
    }

    async fn follow(
        &mut self,
        id: RequestId,
        watching: Watching,
        run: impl Future<Output = ()> + Send + 'static,
    ) {
        self.next_watch += 1;
        // The answer goes out before the first event.
        self.out
            .send(Response::success(id, &watching).encode())
            .await;
        let task = tokio::spawn(run);
        self.watches.insert(watching.watch, task.abort_handle());
    }

    async fn set_presence(&mut self, set: PresenceSet) -> Result<PresenceIs, ApiError> {
        let place = self.node.presence_place(&set.space, &set.on, &set.app)?;
        let known = self.apps.get(&place).copied();
        let (app, is) = self.node.set_presence(place.clone(), known, set).await?;
        self.apps.insert(place, app);
        Ok(is)
    }

    async fn clear_presence(&mut self, clear: &PresenceClear) -> Result<Done, ApiError> {
        let (space, on, app) = (&clear.space, &clear.on, &clear.app);
        let place = self.node.presence_place(space, on, app)?;
        let Some(app) = self.apps.remove(&place) else {
            let message = "No app on this connection said that it is there.";
            return Err(ApiError::new(ErrorKind::NotFound, message));
        };
        let cleared = self
            .node
            .store
            .look(move |desk| desk.presence_clear(place.0, app));
        cleared.await?;
        Ok(Done {
            message: "The app has left.".to_owned(),
        })
    }

    fn answer_later<R: serde::Serialize>(
        &mut self,
        id: RequestId,
        outcome: impl Future<Output = Result<R, ApiError>> + Send + 'static,
    ) {
        let out = self.out.clone();
        self.calls.spawn(async move {
            let response = response(id, outcome.await);
            out.send(response.encode()).await;
        });
    }
}

/// The response that a call's outcome makes.
pub(super) fn response<R: serde::Serialize>(
    id: RequestId,
    outcome: Result<R, ApiError>,
) -> Response {
    match outcome {
        Ok(result) => Response::success(id, &result),
        Err(error) => Response::failure(id, error),
    }
}

/// The answer to a watch of what is all here.
const fn whole(watch: u64) -> Watching {
    Watching {
        watch,
        partial: false,
    }
}
