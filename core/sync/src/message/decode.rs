//! Frames from bytes: every field is checked for form and size, and nothing is left over.

use super::{CHECK_BYTES, MAGIC, Message, Tag, WireTip, WriterRef, kind};
use crate::limits::{
    ASK_BYTES_MAX, CHOICE_BYTES_MAX, FORK_BYTES_MAX, GOODBYE_BYTES_MAX, HELLO_EXTENSION_BYTES_MAX,
    PRESENCE_BYTES_MAX, PROBE_BYTES_MAX, SLICE_FRAME_BYTES_MAX, TAGS_PER_FRAME_MAX,
    TAGS_PER_FRAME_MIN, TIPS_PER_FRAME_MAX,
};
use bytes::Bytes;
use stead_base::limits::LOG_LEN_MAX;
use stead_base::{DecodeError, DecodeFault, Decoder, WriterId};

impl Message {
    /// Reads a frame without its length. Payloads are slices of `frame`, not copies.
    pub fn decode(frame: &Bytes) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(frame);
        let kind = input.byte("frame kind")?;
        let message = match kind {
            kind::HELLO => hello(&mut input)?,
            kind::OFFER => Self::Offer {
                tags: tags(&mut input)?,
            },
            kind::ACCEPT => Self::Accept {
                tags: tags(&mut input)?,
            },
            kind::LEAVE => Self::Leave {
                space: input.uint("space number")?,
            },
            kind::DIGEST => Self::Digest {
                space: input.uint("space number")?,
                digest: input.array("digest")?,
            },
            kind::TIPS => tips(&mut input)?,
            kind::WANT => {
                let (space, writer, from, count) = range(&mut input)?;
                Self::Want {
                    space,
                    writer,
                    from,
                    count,
                }
            }
            kind::UNWANT => {
                let (space, writer) = log(&mut input)?;
                Self::Unwant { space, writer }
            }
            kind::GONE => {
                let (space, writer) = log(&mut input)?;
                Self::Gone { space, writer }
            }
            kind::BATCH => {
                let (space, writer, from, count) = range(&mut input)?;
                Self::Batch {
                    space,
                    writer,
                    from,
                    count,
                    batch: payload(&mut input, frame, frame.len())?,
                }
            }
            kind::PUSH => {
                let (space, writer, from, count) = range(&mut input)?;
                Self::Push {
                    space,
                    writer,
                    from,
                    count,
                    check: input.array("check")?,
                    batch: payload(&mut input, frame, frame.len())?,
                }
            }
            kind::START => {
                let (space, writer) = log(&mut input)?;
                Self::Start { space, writer }
            }
            kind::CHOOSE => Self::Choose {
                space: input.uint("space number")?,
                revision: input.uint("edition of a choice")?,
                choice: payload(&mut input, frame, CHOICE_BYTES_MAX)?,
            },
            kind::THIN => {
                let (space, writer, from, count) = range(&mut input)?;
                Self::Thin {
                    space,
                    writer,
                    from,
                    count,
                    revision: input.uint("edition of a choice")?,
                    batch: payload(&mut input, frame, frame.len())?,
                }
            }
            kind::ASK => Self::Ask {
                space: input.uint("space number")?,
                token: input.uint("token")?,
                ask: payload(&mut input, frame, ASK_BYTES_MAX)?,
            },
            kind::SLICE => Self::Slice {
                space: input.uint("space number")?,
                token: input.uint("token")?,
                last: yes(&mut input, "end of a slice")?,
                piece: payload(&mut input, frame, SLICE_FRAME_BYTES_MAX)?,
            },
            kind::UNSLICED => Self::Unsliced {
                space: input.uint("space number")?,
                token: input.uint("token")?,
            },
            kind::STIR => Self::Stir {
                space: input.uint("space number")?,
            },
            kind::PROBE => {
                let (space, writer) = log(&mut input)?;
                let at = input.uint_max(LOG_LEN_MAX, "probed length")?;
                Self::Probe { space, writer, at }
            }
            kind::PROBE_REPLY => {
                let (space, writer) = log(&mut input)?;
                Self::ProbeReply {
                    space,
                    writer,
                    at: input.uint_max(LOG_LEN_MAX, "probed length")?,
                    reply: payload(&mut input, frame, PROBE_BYTES_MAX)?,
                }
            }
            kind::FORK => {
                let (space, writer) = log(&mut input)?;
                Self::Fork {
                    space,
                    writer,
                    proof: payload(&mut input, frame, FORK_BYTES_MAX)?,
                }
            }
            kind::PRESENCE => Self::Presence {
                space: input.uint("space number")?,
                packet: payload(&mut input, frame, PRESENCE_BYTES_MAX)?,
            },
            kind::PRESENCE_LOST => Self::PresenceLost {
                space: input.uint("space number")?,
                run: input.array("run")?,
                app: input.uint("number of an app")?,
            },
            kind::CREDIT => Self::Credit {
                bytes: input.uint("credit")?,
            },
            kind::PING => Self::Ping {
                token: input.uint("ping token")?,
            },
            kind::PONG => Self::Pong {
                token: input.uint("pong token")?,
            },
            kind::GOODBYE => goodbye(&mut input)?,
            _ => {
                return Err(DecodeError {
                    what: "frame kind",
                    offset: 0,
                    fault: DecodeFault::Undefined,
                });
            }
        };
        input.finish("frame")?;
        Ok(message)
    }
}

fn hello(input: &mut Decoder<'_>) -> Result<Message, DecodeError> {
    let magic = input.array::<10>("magic")?;
    if &magic != MAGIC {
        return Err(undefined("magic", 1));
    }
    let version_min = input.uint("lowest version")?;
    let at = input.offset();
    let version_max = input.uint("highest version")?;
    if version_max < version_min {
        return Err(undefined("highest version", at));
    }
    Ok(Message::Hello {
        version_min,
        version_max,
        features: input.uint("features")?,
        nonce: input.array("nonce")?,
        clock_ms: input.uint("clock")?,
        window: input.uint("window")?,
        extension: Bytes::copy_from_slice(input.bytes(HELLO_EXTENSION_BYTES_MAX, "extension")?),
    })
}

fn tags(input: &mut Decoder<'_>) -> Result<Vec<Tag>, DecodeError> {
    let at = input.offset();
    let count = input.count(TAGS_PER_FRAME_MAX, 32, "tag count")?;
    if count < TAGS_PER_FRAME_MIN || !count.is_power_of_two() {
        return Err(undefined("tag count", at));
    }
    let mut tags = Vec::with_capacity(count);
    for _ in 0..count {
        let at = input.offset();
        let tag: Tag = input.array("tag")?;
        if tags.last().is_some_and(|last| *last >= tag) {
            return Err(undefined("order of tags", at));
        }
        tags.push(tag);
    }
    Ok(tags)
}

fn tips(input: &mut Decoder<'_>) -> Result<Message, DecodeError> {
    let space = input.uint("space number")?;
    let last = yes(input, "end of listing")?;
    let count = input.count(TIPS_PER_FRAME_MAX, 2 + CHECK_BYTES, "tip count")?;
    let mut tips = Vec::with_capacity(count);
    for _ in 0..count {
        let writer = writer(input)?;
        let len = input.uint_max(LOG_LEN_MAX << 1 | 1, "log length")?;
        tips.push(WireTip {
            writer,
            len: len >> 1,
            frozen: len & 1 == 1,
            check: input.array("check")?,
        });
    }
    Ok(Message::Tips { space, last, tips })
}

fn yes(input: &mut Decoder<'_>, what: &'static str) -> Result<bool, DecodeError> {
    let at = input.offset();
    match input.byte(what)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(undefined(what, at)),
    }
}

fn writer(input: &mut Decoder<'_>) -> Result<WriterRef, DecodeError> {
    Ok(match input.uint("writer number")? {
        0 => WriterRef::New(WriterId::from_bytes(input.array("writer")?)),
        number => WriterRef::Known(number - 1),
    })
}

fn log(input: &mut Decoder<'_>) -> Result<(u64, WriterRef), DecodeError> {
    Ok((input.uint("space number")?, writer(input)?))
}

fn range(input: &mut Decoder<'_>) -> Result<(u64, WriterRef, u64, u64), DecodeError> {
    let (space, writer) = log(input)?;
    let from = input.uint_max(LOG_LEN_MAX, "first entry")?;
    let at = input.offset();
    let count = input.uint_max(LOG_LEN_MAX - from, "entry count")?;
    if count == 0 {
        return Err(undefined("entry count", at));
    }
    Ok((space, writer, from, count))
}

fn goodbye(input: &mut Decoder<'_>) -> Result<Message, DecodeError> {
    let code = input.uint("goodbye code")?;
    let at = input.offset();
    let text = input.text(GOODBYE_BYTES_MAX, "goodbye text")?;
    if text.chars().any(char::is_control) {
        return Err(undefined("goodbye text", at));
    }
    Ok(Message::Goodbye {
        code,
        text: text.to_owned(),
    })
}

/// The rest of the frame, without copying it.
fn payload(input: &mut Decoder<'_>, frame: &Bytes, max: usize) -> Result<Bytes, DecodeError> {
    let at = input.offset();
    let len = input.remaining();
    if len > max {
        return Err(input.error(
            "payload",
            DecodeFault::TooLong {
                found: len as u64,
                max: max as u64,
            },
        ));
    }
    input.raw(len, "payload")?;
    Ok(frame.slice(at..))
}

const fn undefined(what: &'static str, offset: usize) -> DecodeError {
    DecodeError {
        what,
        offset,
        fault: DecodeFault::Undefined,
    }
}
