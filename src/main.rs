//! The `pgabsorb` command: arguments in, exit status out.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use pgabsorb::cli;
use pgabsorb::config::{Address, Overrides};

/// A PostgreSQL proxy that turns listed duplicate-key errors into success, as if the INSERT had
/// been written with ON CONFLICT DO NOTHING.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the proxy.
    Run(File),
    /// Check a rules file: list every mistake, or say what each rule does.
    Check(File),
    /// See it work: a throwaway PostgreSQL, webhooks delivered several times, and the proxy.
    Demo,
}

#[derive(Debug, clap::Args)]
struct File {
    /// The rules file.
    #[arg(long, env = "PGABSORB_CONFIG", default_value = "rules.toml", value_name = "FILE")]
    config: PathBuf,
    /// Where clients connect, in place of the file's `[proxy] listen`; commas between several.
    #[arg(long, env = "PGABSORB_LISTEN", value_delimiter = ',', value_name = "ADDRESS")]
    listen: Vec<Address>,
    /// The server, in place of the file's `[proxy] upstream`.
    #[arg(long, env = "PGABSORB_UPSTREAM", value_parser = Address::of_server, value_name = "ADDRESS")]
    upstream: Option<Address>,
}

impl File {
    fn overrides(&self) -> Overrides {
        Overrides { listen: self.listen.clone(), upstream: self.upstream.clone() }
    }
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Run(file) => {
            cli::run::run(&file.config, &file.overrides()).map(|()| ExitCode::SUCCESS)
        }
        Command::Check(file) => cli::check::check(
            &file.config,
            &file.overrides(),
            &mut std::io::stdout(),
            &mut std::io::stderr(),
        ),
        Command::Demo => cli::demo::demo(),
    };
    result.unwrap_or_else(|error| {
        eprintln!("pgabsorb: {error:#}");
        ExitCode::FAILURE
    })
}
