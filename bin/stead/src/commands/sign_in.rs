//! `stead sign-in`.

use std::path::Path;

use serde_json::json;
use stead_api::{SignInAnswer, SignInLook};

use crate::{
    args::SignIn,
    ask,
    client::connect,
    exit::{Code, Failure},
    look,
    output::Output,
    serve,
};

pub(crate) fn sign_in(home: &Path, args: SignIn, out: &Output) -> Result<(), Failure> {
    if let Some(audience) = &args.make_challenge {
        let challenge = serve::make_challenge(audience, args.seconds * 1000)?;
        out.json(&json!({"audience": audience, "challenge": challenge}));
        out.say(&challenge);
        return Ok(());
    }
    let challenge = args.challenge.unwrap_or_default();
    let mut client = connect(home)?;
    let asked = client.call(&SignInLook {
        challenge: challenge.clone(),
    })?;
    if !asked.open {
        return Err(Failure::new(Code::Refused, "The challenge has expired.")
            .hint("Ask the site for a new one; and see that this device's clock is right."));
    }
    let site = look::heading(&asked.audience);
    match &args.to {
        Some(meant) if *meant != asked.audience => {
            return Err(Failure::new(
                Code::Refused,
                format!("The challenge is of {}, not of {meant}.", asked.audience),
            )
            .hint("Somebody may be passing on another site's challenge: do not sign in there."));
        }
        Some(_) => {}
        None => {
            let sentence = format!(
                "{site} asks you to sign in; it will know you as {}….",
                look::short(&asked.identity)
            );
            confirm(&sentence, out)?;
        }
    }
    let answered = client.call(&SignInAnswer {
        challenge,
        audience: asked.audience,
    })?;
    out.json(&answered);
    out.remark(format!("Hand this answer to {site}:"));
    out.say(&answered.answer);
    Ok(())
}

/// Asks, naming the flag that answers for a script.
fn confirm(sentence: &str, out: &Output) -> Result<(), Failure> {
    ask::confirm(sentence, false, out).map_err(|failure| match failure.code {
        Code::Usage => failure.hint("Name the site that you mean with --to HOST."),
        _ => failure,
    })
}
