//! Asks and answers over UDP, to see whether one host reaches another: `lab-probe answer ADDR`,
//! `lab-probe ask ADDR`.

use std::net::UdpSocket;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let outcome = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [_, "answer", addr] => answer(addr),
        [_, "ask", addr] => ask(addr),
        _ => Err(std::io::Error::other("say `answer ADDR` or `ask ADDR`")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lab-probe: {error}");
            ExitCode::FAILURE
        }
    }
}

fn answer(addr: &str) -> std::io::Result<()> {
    let socket = UdpSocket::bind(addr)?;
    let mut packet = [0; 64];
    loop {
        let (len, from) = socket.recv_from(&mut packet)?;
        socket.send_to(&packet[..len], from)?;
    }
}

fn ask(addr: &str) -> std::io::Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.set_read_timeout(Some(Duration::from_millis(300)))?;
    socket.connect(addr)?;
    socket.send(b"there?")?;
    let mut packet = [0; 64];
    let len = socket.recv(&mut packet)?;
    match &packet[..len] {
        b"there?" => Ok(()),
        _ => Err(std::io::Error::other("a wrong answer")),
    }
}
