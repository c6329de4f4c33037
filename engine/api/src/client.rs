//! A small blocking client for the node's Unix socket. It reads no environment and prints nothing.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;

use crate::{
    ApiError, ErrorKind, Event, Incoming, IncomingError, Method, Notification, RESPONSE_BYTES_MAX,
    Request, RequestId, SOCKET_FILE, parse_incoming,
};

/// A connection to a node.
#[derive(Debug)]
pub struct Client {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
    next_id: u64,
    answers: BTreeMap<u64, Result<Value, ApiError>>,
    notifications: VecDeque<Notification>,
    line: Vec<u8>,
}

/// Why a call got no result.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No node listens in this home.
    #[error("no node is running in {home}")]
    NotRunning {
        /// The home that was tried.
        home: PathBuf,
    },
    /// The connection broke.
    #[error("the connection to the node broke")]
    Broken(#[source] io::Error),
    /// The node sent something that is no message.
    #[error(transparent)]
    Unreadable(#[from] IncomingError),
    /// The node refused, or failed.
    #[error(transparent)]
    Api(#[from] ApiError),
}

impl Client {
    /// Connects to the node whose data directory is `home`.
    pub fn connect(home: &Path) -> Result<Self, ClientError> {
        let stream =
            UnixStream::connect(home.join(SOCKET_FILE)).map_err(|err| match err.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                    ClientError::NotRunning {
                        home: home.to_owned(),
                    }
                }
                _ => ClientError::Broken(err),
            })?;
        let writer = stream.try_clone().map_err(ClientError::Broken)?;
        Ok(Self {
            reader: BufReader::with_capacity(64 << 10, stream),
            writer,
            next_id: 1,
            answers: BTreeMap::new(),
            notifications: VecDeque::new(),
            line: Vec::new(),
        })
    }

    /// Gives up on any single read after this long; `None` waits for ever.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> Result<(), ClientError> {
        self.reader
            .get_ref()
            .set_read_timeout(timeout)
            .map_err(ClientError::Broken)
    }

    /// Calls a method and waits for its answer. Notifications that arrive meanwhile are kept.
    pub fn call<P: Method>(&mut self, params: &P) -> Result<P::Result, ClientError> {
        let id = self.send(params)?;
        self.receive::<P>(id)
    }

    /// Sends a request without waiting; its answer is fetched with [`Client::receive`].
    pub fn send<P: Method>(&mut self, params: &P) -> Result<u64, ClientError> {
        let id = self.next_id;
        self.next_id += 1;
        let mut line = Request::encode(id, params).map_err(|err| {
            ApiError::new(
                ErrorKind::InvalidParams,
                format!("The request could not be written: {err}."),
            )
        })?;
        line.push('\n');
        self.writer
            .write_all(line.as_bytes())
            .map_err(ClientError::Broken)?;
        Ok(id)
    }

    /// Waits for the answer to the request sent with this id.
    pub fn receive<P: Method>(&mut self, id: u64) -> Result<P::Result, ClientError> {
        loop {
            if let Some(outcome) = self.answers.remove(&id) {
                return serde_json::from_value(outcome?).map_err(|err| {
                    ClientError::Unreadable(IncomingError {
                        reason: format!("the answer to {} is not right: {err}", P::METHOD),
                    })
                });
            }
            self.read_one()?;
        }
    }

    /// Waits for the next notification.
    pub fn next_notification(&mut self) -> Result<Notification, ClientError> {
        loop {
            if let Some(notification) = self.notifications.pop_front() {
                return Ok(notification);
            }
            self.read_one()?;
        }
    }

    /// Waits for the next event of a watch. Others stay for [`Client::next_notification`].
    ///
    /// # Errors
    /// The connection broke, or nothing came within the time limit.
    pub fn next_event(&mut self) -> Result<Event, ClientError> {
        loop {
            let is_event = |it: &Notification| matches!(it, Notification::Watch(_));
            let at = self.notifications.iter().position(is_event);
            if let Some(Notification::Watch(event)) =
                at.and_then(|at| self.notifications.remove(at))
            {
                return Ok(event);
            }
            self.read_one()?;
        }
    }

    fn read_one(&mut self) -> Result<(), ClientError> {
        let broken = |kind, text: &str| ClientError::Broken(io::Error::new(kind, text.to_owned()));
        let limit = (RESPONSE_BYTES_MAX + 1 - self.line.len().min(RESPONSE_BYTES_MAX)) as u64;
        // A read that timed out keeps what it has in `line`, and the next call goes on from there.
        self.reader
            .by_ref()
            .take(limit)
            .read_until(b'\n', &mut self.line)
            .map_err(ClientError::Broken)?;
        if self.line.last() != Some(&b'\n') {
            return Err(if self.line.len() > RESPONSE_BYTES_MAX {
                broken(io::ErrorKind::InvalidData, "the node sent too long a line")
            } else {
                broken(io::ErrorKind::UnexpectedEof, "the node closed it")
            });
        }
        self.line.pop();
        let message = parse_incoming(&self.line);
        self.line.clear();
        match message? {
            Some(Incoming::Notification(notification)) => {
                self.notifications.push_back(notification);
            }
            Some(Incoming::Response(response)) => match (response.id, response.outcome) {
                (Some(RequestId::Number(id)), outcome) => {
                    self.answers.insert(id, outcome);
                }
                // The node could not read a request of ours.
                (_, Err(error)) => return Err(error.into()),
                (_, Ok(_)) => {}
            },
            None => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DocGet, DocGot, Document, Response, parse_request};
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_home_without_a_node_says_so() {
        let home = tempfile::tempdir().unwrap();
        assert!(matches!(
            Client::connect(home.path()),
            Err(ClientError::NotRunning { .. })
        ));
        drop(UnixListener::bind(home.path().join(SOCKET_FILE)).unwrap());
        assert!(matches!(
            Client::connect(home.path()),
            Err(ClientError::NotRunning { .. })
        ));
    }

    #[test]
    fn answers_find_their_requests_in_any_order() {
        let home = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(home.path().join(SOCKET_FILE)).unwrap();
        let server = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let requests: Vec<_> = (0..2)
                .map(|_| parse_request(lines.next().unwrap().unwrap().as_bytes()).unwrap())
                .collect();
            for request in requests.into_iter().rev() {
                let crate::Call::DocGet(get) = request.call else {
                    panic!("another call")
                };
                let doc = Document {
                    id: get.id,
                    ..Document::default()
                };
                let text = Response::success(
                    request.id,
                    &DocGot {
                        doc,
                        ..DocGot::default()
                    },
                )
                .encode();
                writeln!(&stream, "{text}").unwrap();
            }
        });
        let mut client = Client::connect(home.path()).unwrap();
        let get = |id: &str| DocGet {
            id: id.into(),
            ..DocGet::default()
        };
        let (a, b) = (
            client.send(&get("a")).unwrap(),
            client.send(&get("b")).unwrap(),
        );
        assert_eq!(client.receive::<DocGet>(a).unwrap().doc.id, "a");
        assert_eq!(client.receive::<DocGet>(b).unwrap().doc.id, "b");
        server.join().unwrap();
        assert!(matches!(
            client.call(&get("c")),
            Err(ClientError::Broken(_))
        ));
    }
}
