//! `stead import`: records in batches, each one transaction, several under way at once.

use std::{
    collections::VecDeque,
    io,
    path::Path,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use stead_api::{ApiError, Client, ClientError, DocPut, Edit, ErrorKind, Op};
use stead_interchange::{Record, Records};

use crate::{
    args::Import,
    client::connect,
    exit::{Code, Failure},
    look,
    output::Output,
};

/// A batch is sent once it has this many records, or bytes of JSON.
const BATCH_RECORDS: usize = 500;
const BATCH_BYTES: usize = 192 << 10;
/// Batches that may be unanswered.
const UNDER_WAY: usize = 4;
const COMPLAINTS_SHOWN: usize = 10;

pub(crate) fn import(home: &Path, args: &Import, out: &Output) -> Result<(), Failure> {
    let started = Instant::now();
    let mut client = connect(home)?;
    let format = args.format.format();
    let mut records = match args.path.as_os_str() == "-" {
        true => Records::from_stream(format, Path::new("standard input"), Box::new(io::stdin()))?,
        false => Records::open(format, &args.path)?,
    };
    let bar = progress(records.bytes_total(), out);
    let mut sender = Sender {
        client: &mut client,
        args,
        batch: Vec::new(),
        batch_bytes: 0,
        sent: VecDeque::new(),
        done: Tally::default(),
    };
    loop {
        let read_before = records.bytes_read();
        let Some(record) = records.next() else {
            break;
        };
        match record {
            Ok(record) => {
                let bytes = records.bytes_read().saturating_sub(read_before) as usize;
                sender.push(record, bytes)?;
            }
            Err(err) => sender.done.complain(format!("{err}.")),
        }
        bar.set_position(records.bytes_read());
        bar.set_message(look::counted(sender.done.imported, "record"));
    }
    sender.flush()?;
    let done = sender.done;
    bar.finish_and_clear();
    report(args, &done, started.elapsed(), out)
}

/// What became of the records.
#[derive(Debug, Default)]
struct Tally {
    imported: u64,
    /// Transactions that changed anything.
    changed: u64,
    without_id: u64,
    left_out: u64,
    complaints: Vec<String>,
}

impl Tally {
    fn complain(&mut self, complaint: String) {
        self.left_out += 1;
        if self.complaints.len() < COMPLAINTS_SHOWN {
            self.complaints.push(complaint);
        }
    }
}

struct Sender<'a> {
    client: &'a mut Client,
    args: &'a Import,
    batch: Vec<Record>,
    batch_bytes: usize,
    sent: VecDeque<(u64, Vec<Record>)>,
    done: Tally,
}

impl Sender<'_> {
    fn push(&mut self, mut record: Record, bytes: usize) -> Result<(), Failure> {
        if let Some(key) = &self.args.key
            && !record.take_id_from(key)
        {
            let shown: String = look::value(&record.value).chars().take(60).collect();
            self.done.complain(format!(
                "A record has no \"{key}\" that can be its id: {shown}"
            ));
            return Ok(());
        }
        if record.id.is_none() {
            self.done.without_id += 1;
        }
        // A record much larger than the others goes alone, so that it fits an entry of the log.
        if !self.batch.is_empty() && self.batch_bytes + bytes > BATCH_BYTES {
            self.send()?;
        }
        self.batch_bytes += bytes;
        self.batch.push(record);
        if self.batch.len() >= BATCH_RECORDS {
            self.send()?;
        }
        Ok(())
    }

    fn send(&mut self) -> Result<(), Failure> {
        let batch = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        if batch.is_empty() {
            return Ok(());
        }
        while self.sent.len() >= UNDER_WAY {
            self.receive()?;
        }
        let id = self.client.send(&request(self.args, &batch))?;
        self.sent.push_back((id, batch));
        Ok(())
    }

    fn receive(&mut self) -> Result<(), Failure> {
        let Some((id, batch)) = self.sent.pop_front() else {
            return Ok(());
        };
        match self.client.receive::<DocPut>(id) {
            Ok(commit) => {
                self.done.imported += batch.len() as u64;
                self.done.changed += u64::from(commit.entry.is_some());
                Ok(())
            }
            Err(ClientError::Api(error)) if concerns_a_record(&error) => self.retry(batch, error),
            Err(err) => Err(err.into()),
        }
    }

    /// Sends a refused batch again in halves, until the records at fault stand alone.
    fn retry(&mut self, mut batch: Vec<Record>, error: ApiError) -> Result<(), Failure> {
        if batch.len() == 1 {
            let id = batch[0].id.as_deref().unwrap_or("a record without id");
            self.done.complain(format!("{id}: {error}"));
            return Ok(());
        }
        let second = batch.split_off(batch.len() / 2);
        for half in [batch, second] {
            match self.client.call(&request(self.args, &half)) {
                Ok(commit) => {
                    self.done.imported += half.len() as u64;
                    self.done.changed += u64::from(commit.entry.is_some());
                }
                Err(ClientError::Api(error)) if concerns_a_record(&error) => {
                    self.retry(half, error)?
                }
                Err(err) => return Err(err.into()),
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.send()?;
        while !self.sent.is_empty() {
            self.receive()?;
        }
        Ok(())
    }
}

fn concerns_a_record(error: &ApiError) -> bool {
    matches!(
        error.kind,
        ErrorKind::TooLarge | ErrorKind::BadName | ErrorKind::WrongType | ErrorKind::InvalidParams
    )
}

fn request(args: &Import, batch: &[Record]) -> DocPut {
    let edits = batch.iter().map(|record| Edit {
        collection: args.into.collection.clone(),
        id: record.id.clone(),
        op: Op::Put {
            value: record.value.clone(),
            replace: false,
        },
    });
    DocPut {
        space: args.into.space.clone(),
        edits: edits.collect(),
        ..DocPut::default()
    }
}

fn progress(bytes_total: Option<u64>, out: &Output) -> ProgressBar {
    if out.json {
        return ProgressBar::hidden();
    }
    // Draws on standard error, and only if that is a terminal.
    let (bar, template) = match bytes_total {
        Some(total) => (
            ProgressBar::new(total),
            "{bar:30.green} {percent:>3}%  {msg}  {elapsed}",
        ),
        None => (ProgressBar::new_spinner(), "{spinner} {msg}  {elapsed}"),
    };
    bar.enable_steady_tick(Duration::from_millis(100));
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style.progress_chars("━━─")),
        Err(_) => bar,
    }
}

fn report(args: &Import, done: &Tally, took: Duration, out: &Output) -> Result<(), Failure> {
    out.json(&json!({
        "imported": done.imported,
        "left_out": done.left_out,
        "complaints": done.complaints,
        "unchanged": done.changed == 0,
        "seconds": Value::from((took.as_secs_f64() * 1000.0).round() / 1000.0),
    }));
    let imported = look::counted(done.imported, "record");
    match done.changed {
        0 if done.imported > 0 => out.say(format!(
            "{imported} read; {} says all of it already.",
            args.into
        )),
        _ => out.say(format!(
            "Imported {imported} into {} in {}.",
            args.into,
            look::span(took)
        )),
    }
    if done.without_id > 0 {
        out.remark(look::faint(
            "  They have no ids of their own, so importing this again adds them again; --key FIELD avoids that.",
        ));
    }
    if done.left_out == 0 {
        return Ok(());
    }
    for complaint in &done.complaints {
        out.remark(format!("{} {complaint}", look::warning("!")));
    }
    let shown = done.complaints.len() as u64;
    if done.left_out > shown {
        out.remark(format!(
            "  and {} more like these",
            look::count(done.left_out - shown)
        ));
    }
    let code = if done.imported > 0 {
        Code::Partly
    } else {
        Code::Failed
    };
    Err(Failure::new(
        code,
        format!(
            "{} left out.",
            match done.left_out {
                1 => "One record was".to_owned(),
                count => format!("{} records were", look::count(count)),
            }
        ),
    ))
}
