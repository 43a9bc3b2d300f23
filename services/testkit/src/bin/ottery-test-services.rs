//! Starts the servers that tests need, runs a command with their addresses in its environment, and stops them.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use ottery_testkit::services::{AMQP_VARIABLE, POSTGRES_VARIABLE, REDIS_VARIABLE, Running, Wanted};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

const USAGE: &str = "usage: ottery-test-services [--with postgres,rabbitmq,redis] -- <command> [arguments]

Starts the named servers (all three without --with) on free ports in a temporary folder, runs the command with
OTTERY_TEST_POSTGRES, OTTERY_TEST_AMQP and OTTERY_TEST_REDIS set, stops them, and ends with the command's status.";

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let Some((wanted, command)) = parse(std::env::args().skip(1))? else {
        println!("{USAGE}");
        return Ok(ExitCode::SUCCESS);
    };
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    // Ctrl-C reaches the command by itself; we stay until it has ended.
    let mut _interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;

    let running = tokio::select! {
        running = Running::start(wanted) => running?,
        _ = terminate.recv() => return Ok(ExitCode::FAILURE),
    };
    let [program, arguments @ ..] = command.as_slice() else { bail!("{USAGE}") };
    let mut child = Command::new(program);
    child.args(arguments).kill_on_drop(true);
    for (variable, url) in [
        (POSTGRES_VARIABLE, running.postgres_url()),
        (AMQP_VARIABLE, running.amqp_url().map(str::to_owned)),
        (REDIS_VARIABLE, running.redis_url().map(str::to_owned)),
    ] {
        if let Some(url) = url {
            child.env(variable, url);
        }
    }
    let mut child = child.spawn().with_context(|| format!("starting {program}"))?;
    let status = tokio::select! {
        status = child.wait() => Some(status.with_context(|| format!("waiting for {program}"))?),
        _ = terminate.recv() => None,
    };
    drop(child);
    running.stop().await?;
    // A command ended by a signal has no code of its own.
    let code = status.and_then(|status| status.code()).and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Ok(ExitCode::from(code))
}

/// The servers and the command; none when help was asked for.
fn parse(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<Option<(Wanted, Vec<String>)>> {
    let mut wanted = Wanted::ALL;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "-h" | "--help" => return Ok(None),
            "--with" => wanted = parse_wanted(&arguments.next().context("--with names servers, with commas between")?)?,
            "--" => {
                let command: Vec<_> = arguments.collect();
                if command.is_empty() {
                    bail!("no command after --\n\n{USAGE}");
                }
                return Ok(Some((wanted, command)));
            }
            other => bail!("'{other}' is not understood\n\n{USAGE}"),
        }
    }
    bail!("no command\n\n{USAGE}")
}

fn parse_wanted(names: &str) -> anyhow::Result<Wanted> {
    let mut wanted = Wanted::default();
    for name in names.split(',').filter(|name| !name.is_empty()) {
        match name {
            "postgres" => wanted.postgres = true,
            "rabbitmq" => wanted.rabbitmq = true,
            "redis" => wanted.redis = true,
            other => bail!("no server '{other}': postgres, rabbitmq, redis"),
        }
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> anyhow::Result<Option<(Wanted, Vec<String>)>> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn the_command_line_is_understood() {
        let (wanted, command) = parsed("--with postgres,redis -- echo --with").unwrap().unwrap();
        assert_eq!(wanted, Wanted { postgres: true, rabbitmq: false, redis: true });
        assert_eq!(command, ["echo", "--with"]);
        assert_eq!(parsed("-- true").unwrap().unwrap().0, Wanted::ALL);
        assert!(parsed("--help").unwrap().is_none());
    }

    #[test]
    fn a_mistake_is_named() {
        for (line, word) in [("--with mysql -- true", "mysql"), ("--", "no command"), ("true", "'true'"), ("", "usage")]
        {
            assert!(parsed(line).unwrap_err().to_string().contains(word), "{line}");
        }
    }
}
