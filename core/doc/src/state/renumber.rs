//! Moving a document from one dictionary to another. Owns the orders that depend on numbers.

use super::{Cell, Document, LocalStamp, value_in};

impl Document {
    /// Replaces every number by what `field` and `writer` say, so that the document can be read
    /// with another dictionary. Different numbers must stay different.
    pub fn renumber(
        &mut self,
        field: &mut impl FnMut(u32) -> u32,
        writer: &mut impl FnMut(u32) -> u32,
    ) {
        if let Some(lifecycle) = &mut self.lifecycle {
            move_stamp(&mut lifecycle.stamp, writer);
        }
        if let Some(purged) = &mut self.purged {
            move_stamp(purged, writer);
        }
        renumber_cells(&mut self.cells, &self.heap, field, writer);
    }
}

fn move_stamp(stamp: &mut LocalStamp, writer: &mut impl FnMut(u32) -> u32) {
    stamp.writer = writer(stamp.writer);
}

fn renumber_cells(
    cells: &mut [Cell],
    heap: &[u8],
    field: &mut impl FnMut(u32) -> u32,
    writer: &mut impl FnMut(u32) -> u32,
) {
    for cell in cells {
        cell.field = field(cell.field);
        if let Some(assign) = &mut cell.assign {
            move_stamp(&mut assign.stamp, writer);
        }
        let Some(more) = &mut cell.more else {
            continue;
        };
        if let Some(base) = more.counter.as_mut().and_then(|c| c.base.as_mut()) {
            move_stamp(base, writer);
        }
        if let Some(base) = more.rich.as_mut().and_then(|rich| rich.base.as_mut()) {
            move_stamp(base, writer);
        }
        for member in &mut more.members {
            move_stamp(&mut member.stamp, writer);
        }
        // Of one element, members are sorted by the writer's number.
        more.members.sort_by(|a, b| {
            let order = value_in(heap, a.elem).cmp_elements(value_in(heap, b.elem));
            order.then(a.stamp.writer.cmp(&b.stamp.writer))
        });
        renumber_cells(&mut more.cells, heap, field, writer);
    }
}
