//! A session that ends anywhere is continued by the next one, from the frontiers alone.

use super::net::{Dice, Net, space, writer};

fn prepared() -> Net {
    let mut net = Net::new(2);
    for device in 0..2 {
        (1..=2).for_each(|n| net.join(device, space(n)));
    }
    let entry = [4; 30_000];
    net.write(0, space(1), writer(0), &[&entry[..]; 60]);
    net.write(0, space(2), writer(1), &[b"small", b"logs"]);
    net.write(1, space(1), writer(2), &[&entry[..]; 20]);
    net
}

#[test]
fn a_session_cut_at_every_frame_is_continued_and_sends_no_stored_entry_again() {
    let mut cut_after = 0;
    loop {
        let mut net = prepared();
        let mut dice = Dice::new(cut_after as u64);
        let link = net.connect(0, 1);
        let mut delivered = 0;
        while delivered < cut_after {
            let side = dice.below(2);
            if net.deliver(link, side) || net.deliver(link, 1 - side) {
                delivered += 1;
            } else {
                break;
            }
        }
        let ended = delivered < cut_after;
        net.cut(link);
        let stored = |net: &Net, device: usize| -> u64 {
            let spaces = net.devices[device].spaces.values();
            spaces
                .flat_map(|logs| logs.values())
                .map(|log| log.entries.len() as u64)
                .sum()
        };
        let missing = [82 - stored(&net, 1), 82 - stored(&net, 0)];
        let link = net.connect(1, 0);
        net.settle(&mut dice);
        net.assert_equal(&[0, 1]);
        // In the second session the sides are swapped: device 1 dials.
        for (way, missing) in [(1, missing[0]), (0, missing[1])] {
            let batches = &net.links[&link].ways[way].batches;
            let sent: u64 = batches.iter().map(|(from, upto)| upto - from).sum();
            assert_eq!(sent, missing, "cut after {cut_after} frames");
        }
        if ended {
            break;
        }
        cut_after += 1;
    }
    assert!(cut_after > 20);
}
