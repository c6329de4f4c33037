//! What readers ask of rich fields: when projections are brought up to date, and what a field shows.
//! It must not change what a field holds.

use super::*;

impl Replica {
    /// Says when projections show what was written to rich fields, and when readers see what was written at
    /// all. Whoever chooses [`Folding::WhenRead`] calls [`Replica::fold`] before every read, and
    /// [`Replica::catch_up_readers`] before every read of a [`ReplicaReader`](crate::ReplicaReader).
    pub fn set_folding(&mut self, folding: Folding) {
        self.rich.folding = folding;
    }

    /// Whether a reader would miss something, for other threads: true before a write is acknowledged that made
    /// it so.
    pub fn lag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.rich.lag)
    }

    /// Whether a projection lags behind its rich fields.
    pub fn lags(&self) -> bool {
        !self.rich.stale.is_empty()
    }

    /// Has every projection show what its rich fields hold.
    pub fn fold(&mut self, now_ms: u64) -> Result<(), ReplicaError> {
        if self.lacks_some() {
            self.recover(now_ms)?;
        }
        match self.lags() {
            true => self.write(now_ms, |writing| writing.fold_all()),
            false => Ok(()),
        }
    }

    /// The same, and has every [`ReplicaReader`](crate::ReplicaReader) see what was written.
    pub fn catch_up_readers(&mut self, now_ms: u64) -> Result<(), ReplicaError> {
        self.fold(now_ms)?;
        self.commit_what_waits(now_ms)
    }

    /// What a rich field shows, and where places in it are. A plain text or list shows as one that
    /// nobody has edited yet. None if nothing is there.
    pub fn show_rich(
        &mut self,
        space: &SpaceId,
        collection: &str,
        id: &DocId,
        path: &[String],
        ask: &RichAsk,
    ) -> Result<Option<RichShown>, ReplicaError> {
        self.with_content(space, (collection, id, path), |content, kind, _| {
            let find = |place: &String| content.find_cursor(place, ask.unit);
            let name = |at: &usize| content.cursor(*at, ask.unit);
            Ok(RichShown {
                kind,
                value: content.value()?,
                marked: content.marked()?,
                places: ask.places.iter().map(find).collect::<Result<_, _>>()?,
                names: ask.positions.iter().map(name).collect::<Result<_, _>>()?,
            })
        })
    }

    /// The same about places alone, which costs nothing for what the field holds.
    pub fn rich_places(
        &mut self,
        space: &SpaceId,
        collection: &str,
        id: &DocId,
        path: &[String],
        ask: &RichAsk,
    ) -> Result<Option<RichPlaces>, ReplicaError> {
        self.with_content(space, (collection, id, path), |content, _, _| {
            let mut found = RichPlaces::default();
            for place in &ask.places {
                found
                    .places
                    .push(match content.find_cursor(place, ask.unit) {
                        Ok(at) => Some(at),
                        Err(RichError::Refused { .. }) => None,
                        Err(error) => return Err(error),
                    });
            }
            for at in &ask.positions {
                found.names.push(content.cursor(*at, ask.unit)?);
            }
            Ok(found)
        })
    }

    /// What is new about a rich field since `since`. None if nothing is there.
    pub fn follow_rich(
        &mut self,
        space: &SpaceId,
        collection: &str,
        id: &DocId,
        path: &[String],
        since: Option<&RichVersion>,
    ) -> Result<Option<RichNews>, ReplicaError> {
        self.with_content(space, (collection, id, path), |content, kind, instance| {
            let at = RichVersion {
                instance: instance.to_vec(),
                version: content.version()?,
            };
            // What is no rich field yet has no versions of its own.
            let since = since.filter(|since| kind.is_some() && since.instance == at.instance);
            if since == Some(&at) {
                return Ok(RichNews::Same);
            }
            if let Some(since) = since
                && let Some(delta) = content.text_delta(&since.version)?
            {
                return Ok(RichNews::Delta { at, delta });
            }
            Ok(RichNews::Whole {
                at,
                kind,
                value: content.value()?,
                marked: content.marked()?,
            })
        })
    }

    fn with_content<T>(
        &mut self,
        space: &SpaceId,
        (collection, id, path): (&str, &DocId, &[String]),
        look: impl FnOnce(&dyn RichContent, Option<RichKind>, &[u8]) -> Result<T, RichError>,
    ) -> Result<Option<T>, ReplicaError> {
        self.refresh()?;
        let path = Path::from_names(path.iter().map(String::as_str))
            .map_err(|error| ReplicaError::Refused(error.to_string()))?;
        let state = self.space(space)?;
        let author = state.own.as_ref().map_or(1, |own| author_number(&own.id));
        let Some(collection) = self.store.collection(state.no, collection)? else {
            return Ok(None);
        };
        let tx = self.store.begin()?;
        let mut document = Document::default();
        let loaded = tx.with_doc_state(collection, id, |row| {
            document.decode_into(row, &self.numbers)
        })?;
        match loaded {
            None => return Ok(None),
            Some(Err(error)) => return Err(ReplicaError::Refused(error.to_string())),
            Some(Ok(())) if document.is_deleted() => return Ok(None),
            Some(Ok(())) => {}
        }
        let fields = document.rich_fields(&self.numbers);
        let field = fields
            .iter()
            .find(|field| field.is_visible && field.place.path == path);
        let (kind, seed, key) = match field {
            Some(field) => {
                let key = (collection, id.clone(), field.place.key());
                (Some(field.place.kind), None, key)
            }
            None => {
                let value = document.get(path.as_ref(), &self.numbers);
                let kind = match &value {
                    None => return Ok(None),
                    Some(Value::String(_)) => RichKind::Text,
                    Some(Value::Array(_)) => RichKind::List,
                    Some(_) => {
                        return Err(ReplicaError::Refused(format!(
                            "{path} is no text, list or tree"
                        )));
                    }
                };
                let place = RichPlace {
                    path,
                    kind,
                    base: None,
                };
                // Opened beside the others and not kept: nothing of it is stored.
                let key = (CollectionNo(u32::MAX), id.clone(), place.key());
                (None, value, key)
            }
        };
        self.rich.begin();
        let engine = self.rich.engine;
        let open = self.rich.open(&tx, &key, author)?;
        let shown = open
            .sow(
                &engine,
                key.2.first().copied().and_then(RichKind::from_tag),
                seed.as_ref(),
            )
            .and_then(|()| look(&*open.content, kind, &key.2));
        if kind.is_none() || matches!(shown, Err(RichError::Broken { .. })) {
            self.rich.open.remove(&key);
        }
        shown.map(Some).map_err(|error: RichError| refused(&error))
    }
}
