//! Links and messages as a person's programs send them.

use stead_api::{Link, LinkSecret, PublicLink};

/// Links with few and many addresses.
pub fn links() -> Vec<Vec<u8>> {
    let addresses = ["192.168.1.20:7777", "[2001:db8::1]:7777", "10.0.0.9:1"];
    let link = |count: usize, relay: Option<&str>| Link {
        device: [1; 32],
        key_hash: [3; 32],
        secret: LinkSecret([2; 32]),
        expires_ms: 1_700_000_000_000,
        addresses: addresses[..count]
            .iter()
            .map(|address| address.parse().expect("a valid address"))
            .collect(),
        relay: relay.map(str::to_owned),
    };
    let first = link(0, None);
    let public = PublicLink {
        device: [1; 32],
        space: [3; 32],
        secret: LinkSecret([2; 32]),
        addresses: link(2, None).addresses,
        relay: Some("https://relay.example".to_owned()),
    };
    vec![
        first.to_string().into_bytes(),
        first.to_qr_text().into_bytes(),
        link(3, None).to_string().into_bytes(),
        link(2, Some("https://relay.example"))
            .to_string()
            .into_bytes(),
        format!(" {}\n", link(1, None)).into_bytes(),
        public.to_string().into_bytes(),
    ]
}

/// One request of several kinds.
pub fn requests() -> Vec<Vec<u8>> {
    [
        r#"{"jsonrpc":"2.0","id":1,"method":"node.status","params":{}}"#,
        r#"{"jsonrpc":"2.0","id":"a","method":"space.list"}"#,
        r#"{"jsonrpc":"2.0","id":2,"method":"space.create","params":{"name":"garden"}}"#,
        r#"{"jsonrpc":"2.0","id":3,"method":"doc.get","params":{"space":"home","collection":"cities","id":"bern"}}"#,
        r#"{"jsonrpc":"2.0","id":4,"method":"doc.query","params":{"space":"home","collection":"cities"}}"#,
        r#"{"jsonrpc":"2.0","id":5,"method":"doc.query","params":{"space":"home","collection":"cities","where":[{"any":[{"path":["a","0"],"is":"between","value":[1,2.5]},{"not":{"refers":["by"],"to":"people","where":[{"path":["id"],"is":"exists"}]}}]}],"search":"sea -wind","sort":[{"path":["a"],"descending":true}],"after":"[\"n3\",\"i1\"]"}}"#,
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

/// Answers and events of a node.
pub fn incoming() -> Vec<Vec<u8>> {
    [
        r#"{"jsonrpc":"2.0","id":1,"result":{"doc":{"id":"bern","value":{"name":"Bern"}}}}"#,
        r#"{"jsonrpc":"2.0","id":2,"error":{"code":1001,"message":"There is no space called \"hom\".","data":{"kind":"not_found","hint":"Look at the list."}}}"#,
        r#"{"jsonrpc":"2.0","method":"watch.event","params":{"watch":3,"changes":[],"ready":true}}"#,
        r#"{"jsonrpc":"2.0","method":"something.later","params":{}}"#,
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

/// Documents of maps and feeds, with their ids.
pub fn faces() -> Vec<Vec<u8>> {
    let place = "f".repeat(32) + "-000000000042";
    [
        ":fruit.~pear\n{\"v\":3}".to_owned(),
        ":a..b\n{\"v\":\"=j{\\\"chf\\\":4}\"}".to_owned(),
        place + "\n{\"v\":\"=x00ff\",\"n\":42,\"at\":7,\"ms\":1700000000000}",
        ":k\n{\"v\":\"==text\"}".to_owned(),
    ]
    .map(String::into_bytes)
    .to_vec()
}
