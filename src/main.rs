//! The `pgabsorb` command: arguments in, exit status out.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use pgabsorb::cli;
use pgabsorb::cli::explain::{Asked, explain};
use pgabsorb::cli::suggest::{self, Wanted};
use pgabsorb::config::{Address, Overrides};
use pgabsorb::rules::{Glob, Origin};

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
    Check(Check),
    /// Suggest rules that only observe, for the unique constraints of a database, or for those whose
    /// duplicate keys a log tells of.
    Suggest(Suggest),
    /// Tell what becomes of a statement that hits a duplicate key. It is not run.
    Explain(Explain),
    /// Print the JSON Schema of the rules file, with which editors complete and check it.
    Schema,
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
    /// The server, in place of the file's `[proxy] upstream`; commas between several.
    #[arg(long, env = "PGABSORB_UPSTREAM", value_delimiter = ',', value_parser = Address::of_server, value_name = "ADDRESS")]
    upstream: Vec<Address>,
}

#[derive(Debug, clap::Args)]
struct Check {
    #[command(flatten)]
    file: File,
    /// Check the rules against this database too, as the user that it names; may be given several
    /// times. It is only read. Where it names no host, it is at the server of the rules file.
    #[arg(long, env = "PGABSORB_DATABASE", hide_env_values = true, value_name = "URL")]
    database: Vec<String>,
}

#[derive(Debug, clap::Args)]
struct Explain {
    #[command(flatten)]
    file: File,
    /// Ask the catalog of this database what the tables are, as the user that it names. It is only
    /// read. Where it names no host, it is at the server of the rules file.
    #[arg(long, env = "PGABSORB_DATABASE", hide_env_values = true, value_name = "URL")]
    database: Option<String>,
    /// The user who would send the statement, where no database is asked.
    #[arg(long, default_value = "", value_name = "NAME")]
    user: String,
    /// The database that it would be sent to, where none is asked.
    #[arg(long, default_value = "", value_name = "NAME")]
    database_name: String,
    /// What the application calls itself.
    #[arg(long, default_value = "", value_name = "NAME")]
    application_name: String,
    /// The statement, or several; - reads standard input.
    statement: String,
}

impl Explain {
    fn run(self) -> anyhow::Result<ExitCode> {
        let statement = match self.statement.as_str() {
            "-" => std::io::read_to_string(std::io::stdin())?,
            _ => self.statement,
        };
        let asked = Asked {
            config: &self.file.config,
            overrides: &self.file.overrides(),
            database: self.database.as_deref(),
            origin: Origin {
                database: self.database_name,
                user: self.user,
                application_name: self.application_name,
            },
            statement: &statement,
        };
        explain(&asked, &mut std::io::stdout())
    }
}

#[derive(Debug, clap::Args)]
struct Suggest {
    /// Suggest what this database has. It is only read.
    #[arg(long, env = "PGABSORB_DATABASE", hide_env_values = true, value_name = "URL")]
    #[arg(required_unless_present = "log")]
    database: Option<String>,
    /// Suggest what this log tells of, in place of a database: the proxy's own in JSON, or the
    /// server's (log_destination = jsonlog); - is standard input.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Only of these schemas; * and ? as in a rule.
    #[arg(long, value_parser = Glob::new, value_name = "PATTERN")]
    schema: Option<Glob>,
    /// Only of these tables; * and ? as in a rule.
    #[arg(long, value_parser = Glob::new, value_name = "PATTERN")]
    table: Option<Glob>,
    /// Keys that a sequence fills, too: a duplicate there is more often a sequence that was set back.
    #[arg(long)]
    all: bool,
}

impl Suggest {
    fn run(self) -> anyhow::Result<()> {
        let Self { database, log, schema, table, all: sequences } = self;
        let wanted = Wanted { schema, table, sequences };
        let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
        match (log, database) {
            (Some(log), _) => suggest::from_log(&log, &wanted, &mut out, &mut err),
            (None, Some(database)) => suggest::from_database(&database, &wanted, &mut out),
            (None, None) => Ok(()),
        }
    }
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
        Command::Check(Check { file, database }) => cli::check::check(
            &file.config,
            &file.overrides(),
            &database,
            &mut std::io::stdout(),
            &mut std::io::stderr(),
        ),
        Command::Suggest(suggest) => suggest.run().map(|()| ExitCode::SUCCESS),
        Command::Explain(explain) => explain.run(),
        Command::Schema => cli::schema::schema(&mut std::io::stdout()).map(|()| ExitCode::SUCCESS),
        Command::Demo => cli::demo::demo(),
    };
    result.unwrap_or_else(|error| {
        eprintln!("pgabsorb: {error:#}");
        ExitCode::FAILURE
    })
}
