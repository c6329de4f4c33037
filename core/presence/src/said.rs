//! What a device says of one app of it: where it is, or that it left.

use stead_base::{DecodeError, DecodeFault, Decoder, DeviceId, Encoder};

/// Longest place that an app is at, in bytes: a path of the space.
pub const WHERE_BYTES_MAX: usize = 512;
/// Longest name of an app, in bytes.
pub const APP_BYTES_MAX: usize = 64;
/// Longest value of an app, in bytes of JSON.
pub const VALUE_BYTES_MAX: usize = 2048;
/// Most cursors of one app.
pub const CURSORS_MAX: usize = 16;
/// Most parts of the path to a field.
pub const FIELD_PARTS_MAX: usize = 32;
/// Longest part of the path to a field, in bytes.
const FIELD_PART_BYTES_MAX: usize = 256;
/// Longest name of a place in a text, in bytes.
pub const PLACE_BYTES_MAX: usize = 64;

/// What was said, by whom, when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Who says it.
    pub device: DeviceId,
    /// When, by the clock of who says it; Unix time in ms.
    pub at_ms: u64,
    /// Where the app is; none if it left.
    pub shown: Option<Shown>,
}

/// Where an app is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// The path it is about: `/`, `/collection`, `/collection/document`.
    pub on: String,
    /// What the app calls itself.
    pub app: String,
    /// Anything, as JSON.
    pub value: String,
    /// Places in texts and lists of the document.
    pub cursors: Vec<Cursor>,
}

/// A place or a selection in a field, by the names of places that move as others type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The field.
    pub field: Vec<String>,
    /// Where the selection began.
    pub anchor: String,
    /// Where it is now; the same as the anchor without a selection.
    pub head: String,
}

impl Said {
    /// What the device signs, without what it is bound to.
    pub fn body(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        out.uint(self.at_ms).byte(self.shown.is_some().into());
        if let Some(shown) = &self.shown {
            out.text(&shown.on).text(&shown.app).text(&shown.value);
            out.uint(shown.cursors.len() as u64);
            for cursor in &shown.cursors {
                out.uint(cursor.field.len() as u64);
                for part in &cursor.field {
                    out.text(part);
                }
                out.text(&cursor.anchor).text(&cursor.head);
            }
        }
        out.finish()
    }

    /// Reads what a device signed.
    pub fn decode(device: DeviceId, body: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(body);
        let at_ms = input.uint("time")?;
        let shown = match input.byte("state")? {
            0 => None,
            1 => Some(Shown::decode(&mut input)?),
            _ => return Err(input.error("state", DecodeFault::Undefined)),
        };
        input.finish("presence")?;
        Ok(Self {
            device,
            at_ms,
            shown,
        })
    }
}

impl Shown {
    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let on = input.text(WHERE_BYTES_MAX, "place")?.to_owned();
        let app = input.text(APP_BYTES_MAX, "app")?.to_owned();
        let value = input.text(VALUE_BYTES_MAX, "value")?.to_owned();
        let count = input.uint_max(CURSORS_MAX as u64, "cursors")?;
        let mut cursors = Vec::new();
        for _ in 0..count {
            let parts = input.uint_max(FIELD_PARTS_MAX as u64, "parts of a field")?;
            let mut field = Vec::new();
            for _ in 0..parts {
                field.push(input.text(FIELD_PART_BYTES_MAX, "field")?.to_owned());
            }
            cursors.push(Cursor {
                field,
                anchor: input.text(PLACE_BYTES_MAX, "anchor")?.to_owned(),
                head: input.text(PLACE_BYTES_MAX, "head")?.to_owned(),
            });
        }
        Ok(Self {
            on,
            app,
            value,
            cursors,
        })
    }
}
